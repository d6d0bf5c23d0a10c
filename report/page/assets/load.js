// How the load of a run was made.

// shownRuns are the runs that the pick is about.
function shownRuns() {
  return list(page.model.runs).filter((r) => page.run === EVERY_RUN || r.run_id === page.run);
}

// loopHint says what a closed loop does to latency, where one was.
function loopHint() {
  return shownRuns().some((r) => r.loop === "closed") && "closed loop: a slow server hides part of its own latency";
}

const MOST_LOADS = 5;

function loadSection() {
  const runs = shownRuns().filter((r) => list(r.settings).length > 0);
  if (runs.length === 0) return null;
  return card(
    "load",
    "How the load was made",
    "what each run says of itself",
    runs.slice(0, MOST_LOADS).map((r) => [
      (runs.length > 1 || page.run === EVERY_RUN) && el("h3", {}, el("span", { class: "cell-text" }, runLabel(r))),
      el(
        "dl",
        { class: "settings" },
        r.settings.map((s) =>
          el("div", {}, el("dt", {}, s.name), el("dd", { class: "cell-text" + (s.value.length > 28 ? " long" : "") }, s.value)),
        ),
      ),
      list(r.remarks).map((text) => el("p", { class: "said" }, text)),
    ]).flat(2),
    runs.length > MOST_LOADS && el("p", { class: "hint" }, `${plural(runs.length - MOST_LOADS, "more run")}: pick one.`),
  );
}
