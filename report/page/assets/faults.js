// Faults: which there were, and each at a glance.

// knownFaults concern the picked run: its own, and those of none. What goes on all
// through a run is none that has a time.
function knownFaults() {
  return list(page.model.faults)
    .filter((f) => !f.background && (page.run === EVERY_RUN || f.run_id === page.run || f.run_id === ""))
    .map((f) => ({ ...f, from: f.start_ns / 1e6, to: f.end_ns / 1e6 }));
}

function faultTitle(f) {
  return f.target ? `${f.fault} on ${f.target}` : f.fault;
}

// faultFacts say when and where a fault was, in few words.
function faultFacts(f) {
  const kinds = list(f.kinds).length;
  return [
    f.background ? "all through the run" : `${faultInterval(f)}, ${seconds(f.duration_s)}`,
    page.run === EVERY_RUN && list(page.model.runs).length > 1 && f.run_id && `run ${f.run_id}`,
    kinds > 1 && `${kinds} kinds`,
    faultPhases(f).some((p) => p.estimated) && "estimated from sampled requests",
  ]
    .filter(Boolean)
    .join(" · ");
}

// faultInterval leaves the day out where the head of the page says it.
function faultInterval(f) {
  const from = unixSeconds(f.start_utc),
    to = unixSeconds(f.end_utc);
  const days = new Set([from, to, unixSeconds(page.pick.from_utc), unixSeconds(page.pick.to_utc)].filter((t) => t !== null).map(day));
  return days.size === 1 ? `${clock(from)} – ${clock(to)} UTC` : interval(from, to);
}

function faultPhases(f) {
  return [f.before, f.during, f.after].map((p) => p ?? {});
}

// didHarm tells whether a fault made requests fail or slow by more than what
// counts as recovered: 5 points, and half as long again.
function didHarm(f) {
  const change = f.during_against_before;
  return change?.error_rate_difference > 0.05 || change?.p95_latency_ratio > 1.5 || f.recovery === "not_recovered";
}

// worstFirst compares faults by what a reader wants to know first.
function worstFirst(a, b) {
  const weight = (f) => [
    f.recovery === "not_recovered" ? 1 : 0,
    f.during_against_before?.error_rate_difference ?? 0,
    f.during_against_before?.p95_latency_ratio ?? 0,
  ];
  const [x, y] = [weight(a), weight(b)];
  const differs = x.findIndex((v, i) => v !== y[i]);
  return differs < 0 ? 0 : y[differs] - x[differs];
}

const MOST_STRIPS = 3;

// faultStrips show the worst faults in the order of time: before, during, after
// and how it ended.
function faultStrips() {
  const impact = answerOf("fault_impact");
  const rows = list(impact?.rows);
  if (rows.length === 0) return null;
  const worst = [...rows].sort(worstFirst).slice(0, MOST_STRIPS);
  const more = rows.length - worst.length + (impact.faults_left_out ?? 0);
  return [
    el("ol", { class: "strips", "aria-label": "Faults" }, rows.filter((f) => worst.includes(f)).map(faultStrip)),
    more > 0 &&
      el("p", { class: "hint" }, "The worst of all faults; ", el("a", { href: "#faults" }, `${count(more)} more below`), "."),
  ];
}

function faultStrip(f) {
  const names = ["before", "during", "after"];
  return el(
    "li",
    { class: "strip" },
    el(
      "div",
      { class: "strip-name" },
      el("p", {}, swatch("var(--fault-bar)"), el("strong", { class: "cell-text" }, shorten(faultTitle(f), 80))),
      el("p", { class: "hint" }, faultFacts(f)),
    ),
    el(
      "ol",
      { class: "strip-phases" },
      faultPhases(f).map((p, i) =>
        el(
          "li",
          { class: "phase " + names[i] },
          el("span", { class: "phase-name" }, names[i]),
          el("span", {}, el("strong", {}, percent(p.error_rate)), " failed"),
          el("span", {}, "p95 ", el("strong", {}, milliseconds(p.latency?.p95_ms))),
        ),
      ),
    ),
    el("p", { class: "strip-end" }, badge(...recoveryBadge(f))),
  );
}

// recoveryBadge says how a fault ended: a kind of badge and its words.
function recoveryBadge(f) {
  if (f.background) return ["none", "there all the time"];
  switch (f.recovery) {
    case "recovered":
      return ["ok", f.recovery_s > 0 ? `recovered after ${recoveryLength(f.recovery_s)}` : "recovered at once"];
    case "not_recovered":
      return ["critical", "not recovered"];
    default:
      return ["none", f.throughout ? "there all the time" : "recovery not known"];
  }
}

// recoveryLength writes seconds with the digits that the verdict has.
function recoveryLength(s) {
  return s >= 1 && s < 100 ? group(String(Number(s.toFixed(1)))) + " s" : seconds(s);
}
