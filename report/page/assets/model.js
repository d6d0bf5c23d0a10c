// The model is the JSON of a report. What is shown of it: one pick (run and
// category) and one width.

const page = { model: null, live: null, run: undefined, category: undefined, widthS: 0, pick: null, chart: null };

const EVERY_RUN = null;

function readModel() {
  return JSON.parse(document.getElementById("model").textContent);
}

function list(v) {
  return Array.isArray(v) ? v : [];
}

function findPick(run, category) {
  return list(page.model.picks).find((p) => (p.run_id ?? null) === run && p.category === category);
}

// choose makes a pick the one that is shown: the wanted one, else the nearest.
function choose(run, category) {
  const picks = list(page.model.picks);
  page.pick = findPick(run, category) ?? picks.find((p) => (p.run_id ?? null) === run) ?? picks[0] ?? null;
  page.run = page.pick ? (page.pick.run_id ?? null) : EVERY_RUN;
  page.category = page.pick ? page.pick.category : "";
  chooseWidth(page.widthS);
}

// chooseWidth takes the wanted width, else the narrowest whose buckets can be
// told apart on this screen.
function chooseWidth(widthS) {
  const charts = list(page.pick?.charts);
  const most = innerWidth < 700 ? 100 : 400;
  page.chart = charts.find((c) => c.width_s === widthS) ?? charts.find((c) => c.buckets <= most) ?? charts.at(-1) ?? null;
}

// runChoices are [value, label] of what can be picked; live pages ask for what
// they do not have.
function runChoices() {
  const offered = new Map();
  if (page.live) {
    offered.set(EVERY_RUN, "every run");
    for (const r of list(page.model.runs)) offered.set(r.run_id, runLabel(r));
  } else {
    for (const p of list(page.model.picks)) {
      const run = p.run_id ?? null;
      offered.set(
        run,
        run === null ? "every run" : runLabel(list(page.model.runs).find((r) => r.run_id === run) ?? { run_id: run }),
      );
    }
  }
  if (!offered.has(page.run)) offered.set(page.run, runLabel({ run_id: page.run }));
  return [...offered];
}

function runLabel(r) {
  if (r.run_id === null) return "every run";
  const id = r.run_id === "" ? "outside any run" : r.run_id;
  return r.name && r.name !== r.run_id ? `${r.name} (${id})` : id;
}

function categoryChoices() {
  const offered = new Map();
  const label = (name, categories) => name || list(categories).join(" + ") || "requests";
  if (page.live) {
    offered.set("", label("", page.model.headline_categories));
    for (const c of list(page.model.categories)) offered.set(c.category, c.category);
  } else {
    for (const p of list(page.model.picks)) {
      if ((p.run_id ?? null) === page.run) offered.set(p.category, label(p.category, p.categories));
    }
  }
  if (!offered.has(page.category)) offered.set(page.category, label(page.category));
  return [...offered];
}

// answerOf returns an answer about the pick. Those about a run as a whole are in
// the headline pick of the run.
function answerOf(name) {
  const p = page.pick;
  return p?.[name] ?? findPick(p?.run_id ?? null, "")?.[name] ?? page.model[name] ?? null;
}

// middle, edge: milliseconds of a bucket of the chart.
function edge(chart, i) {
  return (chart.start + i * chart.width_s) * 1000;
}

function middle(chart, i) {
  return (chart.start + (i + 0.5) * chart.width_s) * 1000;
}

function bucketAt(chart, x) {
  return Math.min(Math.max(Math.floor((x / 1000 - chart.start) / chart.width_s), 0), chart.buckets - 1);
}

function isPartial(chart, i) {
  return (i === 0 && chart.partial_first) || (i === chart.buckets - 1 && chart.partial_last);
}

function requestsOf(chart, i) {
  let sum = 0;
  for (const column of Object.values(chart.outcomes)) sum += column[i];
  return sum;
}

const present = (column) => Array.isArray(column) && column.some((v) => !isMissing(v));
