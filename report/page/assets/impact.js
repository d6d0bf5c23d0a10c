// What each fault did: before, during and after, and how long until it was over.

function impactSection() {
  const impact = answerOf("fault_impact");
  const rows = list(impact?.rows),
    unmet = list(impact?.unmet);
  if (rows.length === 0 && unmet.length === 0) return null;
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
    rows.length > 0 && box,
    more,
    impact.faults_left_out > 0 &&
      el("p", { class: "hint" }, `${plural(impact.faults_left_out, "more fault")} not in the report.`),
    unmetFaults(unmet, impact.unmet_left_out ?? 0),
  );
}

// unmetFaults are told of in a line: there is nothing to compare.
function unmetFaults(unmet, leftOut) {
  if (unmet.length === 0) return null;
  const most = 10;
  const told = unmet.slice(0, most).map((f) => `${faultTitle(f)} (${clock(unixSeconds(f.start_utc))}, ${seconds(f.duration_s)})`);
  const more = unmet.length - told.length + leftOut;
  if (more > 0) told.push(`${count(more)} more`);
  return el("p", { class: "hint" }, `No request met ${told.join(", ")}.`);
}

function impactCard(f) {
  return el(
    "article",
    { class: "impact" },
    el(
      "h3",
      {},
      swatch("var(--fault-bar)"),
      el("span", { class: "cell-text" }, faultTitle(f)),
    ),
    el("p", { class: "hint" }, [faultFacts(f), marksOf(f) + " marked"].join(" · ")),
    el("p", {}, badge(...recoveryBadge(f)), " ", watched(f)),
    phasesTable(f),
    f.straddling > 0 &&
      el(
        "p",
        { class: "hint" },
        `${f.straddling_estimated ? "About " : ""}${plural(Math.round(f.straddling), "request")} in flight when it began, counted in no column.`,
      ),
    faultKinds(f),
  );
}

// marksOf counts what says that a fault touched it: requests, or else spans that
// are no requests, as those of servers.
function marksOf(f) {
  if (!f.requests_marked && f.spans_marked > 0) return plural(f.spans_marked, "span");
  return plural(f.requests_marked ?? 0, "request");
}

function phasesTable(f) {
  const against = f.during_against_before;
  const measures = [
    ["requests", (p) => (isMissing(p.requests) ? MISSING : count(Math.round(p.requests)))],
    ["requests/s", (p) => rate(p.requests_per_s), against?.requests_per_s_ratio],
    ["failed", (p) => percent(p.error_rate), undefined, against?.error_rate_difference],
    ["p50 ms", (p) => ms(p.latency?.p50_ms), against?.p50_latency_ratio],
    ["p95 ms", (p) => ms(p.latency?.p95_ms), against?.p95_latency_ratio],
    ["p99 ms", (p) => ms(p.latency?.p99_ms), against?.p99_latency_ratio],
    ["p95 ms, net", (p) => ms(p.net_latency?.p95_ms), against?.p95_net_latency_ratio],
    ["TTFT p95 ms", (p) => ms(p.ttft?.p95_ms), against?.p95_ttft_ratio],
  ];
  const phases = faultPhases(f);
  const heads = ["", "before", "during", "after", "change"];
  const row = ([name, show, ratio, difference]) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, name),
      phases.map((p, i) => el("td", { class: "number" + (i === 1 ? " during" : "") }, show(p))),
      el("td", { class: "number" }, change(ratio, difference)),
    );
  return el(
    "div",
    { class: "scroll", role: "group", "aria-label": `Before, during and after ${shorten(faultTitle(f), 80)}`, tabindex: "0" },
    el(
      "table",
      { class: "data phases" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          heads.map((h, i) => (i === 0 ? el("td", {}) : el("th", { scope: "col", class: "number" }, h))),
        ),
      ),
      el("tbody", {}, measures.filter(([, show]) => phases.some((p) => show(p) !== MISSING)).map(row)),
    ),
  );
}

// faultKinds are what requests call the fault, folded.
function faultKinds(f) {
  const rows = list(f.kind_rows);
  if (rows.length === 0) return list(f.kinds).length > 0 && el("p", { class: "hint" }, f.kinds.join(", "));
  return el(
    "details",
    { class: "kinds" },
    el("summary", {}, `${plural(rows.length, "kind")} of it`),
    tableOf({
      label: `Kinds of ${shorten(faultTitle(f), 80)}`,
      rows,
      first: 20,
      columns: [
        text("kind", "fault"),
        { head: "first", text: (r) => clock(unixSeconds(r.start_utc)) },
        { head: "last", text: (r) => clock(unixSeconds(r.end_utc)) },
        { head: "requests", number: (r) => r.requests_marked || null, show: count },
        number("spans", "spans_marked", count, { hint: "spans that say so, those of servers too" }),
      ],
    }),
  );
}

// change writes during against before.
function change(ratio, difference) {
  if (!isMissing(difference))
    return `${difference > 0 ? "+" : difference < 0 ? "−" : "±"}${fixed(Math.abs(difference) * 100, 1)} points`;
  return isMissing(ratio) ? MISSING : signedPercent(ratio - 1);
}

// watched says why nothing better can be said of the recovery.
function watched(f) {
  if (f.background || f.recovery === "recovered") return null;
  const until = f.watch_ends === "fault" ? "the next fault" : "the end of the data";
  const within = f.watched_s > 0 && `within the ${seconds(f.watched_s)} until ${until}`;
  if (f.recovery === "not_recovered") return within;
  return within ? `nothing can be said ${within}` : "no data after the fault";
}
