// What each fault did: before, during and after, and how long until it was over.

function impactSection() {
  const impact = answerOf("fault_impact");
  const rows = list(impact?.rows);
  if (rows.length === 0) return null;
  const first = 4;
  const box = el("div", { class: "impacts" }, rows.slice(0, first).map(impactCard));
  const more =
    rows.length > first &&
    el(
      "button",
      {
        type: "button",
        class: "more",
        onclick: (event) => {
          box.append(...rows.slice(first).map(impactCard));
          event.currentTarget.remove();
        },
      },
      `Show all ${rows.length} faults`,
    );
  return card(
    "faults",
    "What the faults did",
    "before: as long as the fault, up to an hour; net: without the injected delay; change: during against before",
    box,
    more,
    impact.faults_left_out > 0 &&
      el("p", { class: "hint" }, `${plural(impact.faults_left_out, "more fault")} not in the report.`),
  );
}

function impactCard(f) {
  const measures = [
    ["requests", (p) => (isMissing(p.requests) ? MISSING : count(Math.round(p.requests)))],
    ["requests/s", (p) => rate(p.requests_per_s), f.during_against_before?.requests_per_s_ratio],
    ["failed", (p) => percent(p.error_rate), undefined, f.during_against_before?.error_rate_difference],
    ["p50 ms", (p) => ms(p.latency?.p50_ms), f.during_against_before?.p50_latency_ratio],
    ["p95 ms", (p) => ms(p.latency?.p95_ms), f.during_against_before?.p95_latency_ratio],
    ["p99 ms", (p) => ms(p.latency?.p99_ms), f.during_against_before?.p99_latency_ratio],
    ["p95 ms, net", (p) => ms(p.net_latency?.p95_ms), f.during_against_before?.p95_net_latency_ratio],
    ["TTFT p95 ms", (p) => ms(p.ttft?.p95_ms), f.during_against_before?.p95_ttft_ratio],
  ];
  const phases = [f.before, f.during, f.after].map((p) => p ?? {});
  const shown = measures.filter(([, show]) => phases.some((p) => show(p) !== MISSING));
  const kinds = list(f.kinds).length > 0 ? ` (${list(f.kinds).join(", ")})` : "";
  const title = (f.target ? `${f.fault} on ${f.target}` : f.fault) + kinds;
  return el(
    "article",
    { class: "impact" },
    el(
      "h3",
      {},
      el("span", { class: "swatch", "aria-hidden": "true", style: { "background-color": "var(--fault-bar)" } }),
      el("span", { class: "cell-text" }, title),
    ),
    el(
      "p",
      { class: "hint" },
      [
        `${instant(f.start_utc)} – ${instant(f.end_utc)} UTC`,
        seconds(f.duration_s),
        page.run === EVERY_RUN && f.run_id && `run ${f.run_id}`,
        `${plural(f.requests_marked ?? 0, "marked request")}`,
        phases.some((p) => p.estimated) && "estimated from sampled requests",
      ]
        .filter(Boolean)
        .join(" · "),
    ),
    el("p", {}, recovery(f)),
    el(
      "div",
      { class: "scroll", role: "group", "aria-label": `Before, during and after ${shorten(title, 80)}`, tabindex: "0" },
      el(
        "table",
        { class: "data phases" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            ["", "before", "during", "after", "change"].map((h, i) =>
              i === 0 ? el("td", {}) : el("th", { scope: "col", class: "number" }, h),
            ),
          ),
        ),
        el(
          "tbody",
          {},
          shown.map(([name, show, ratio, difference]) =>
            el(
              "tr",
              {},
              el("th", { scope: "row" }, name),
              phases.map((p, i) => el("td", { class: "number" + (i === 1 ? " during" : "") }, show(p))),
              el("td", { class: "number" }, change(ratio, difference)),
            ),
          ),
        ),
      ),
    ),
    f.straddling > 0 &&
      el(
        "p",
        { class: "hint" },
        `${f.straddling_estimated ? "About " : ""}${plural(Math.round(f.straddling), "request")} in flight when it began, counted in no column.`,
      ),
  );
}

// change writes during against before.
function change(ratio, difference) {
  if (!isMissing(difference))
    return `${difference > 0 ? "+" : difference < 0 ? "−" : "±"}${fixed(Math.abs(difference) * 100, 1)} points`;
  return isMissing(ratio) ? MISSING : signedPercent(ratio - 1);
}

function recovery(f) {
  const watched =
    f.watched_s > 0
      ? ` within the ${seconds(f.watched_s)} until ${f.watch_ends === "fault" ? "the next fault" : "the end of the data"}`
      : "";
  switch (f.recovery) {
    case "recovered":
      return badgeLine(
        "ok",
        "recovered",
        f.recovery_s > 0 ? `${seconds(f.recovery_s)} after the fault ended` : "as soon as the fault ended",
      );
    case "not_recovered":
      return badgeLine("critical", "not recovered", watched.trim());
    default:
      return badgeLine("none", "recovery not known", watched ? `nothing can be said${watched}` : "no data after the fault");
  }
}

function badgeLine(kind, label, rest) {
  return el("span", {}, badge(kind, label), " ", rest);
}
