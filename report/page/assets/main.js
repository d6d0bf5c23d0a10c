// The page is drawn from the model, from top to bottom; whenever something is
// picked or refreshed, again.

function pick(run, category) {
  page.run = run;
  page.category = category;
  if (page.live) {
    resetZoom();
    hovered = null;
    live.body = "";
    fetchModel();
    return;
  }
  resetZoom();
  choose(run, category);
  draw();
}

function pickWidth(widthS) {
  page.widthS = widthS;
  chooseWidth(widthS);
  draw();
}

function resetZoom() {
  zoom.start = 0;
  zoom.end = 100;
}

// showModel shows a model that has just come, keeping what was picked.
function showModel() {
  choose(page.run ?? EVERY_RUN, page.category ?? "");
  draw();
}

// alike are the controls of a section that read the same.
function alike(section, label) {
  return [...document.querySelectorAll(`#${CSS.escape(section)} :is(button, summary, [tabindex="0"])`)].filter(
    (e) => labelOf(e) === label,
  );
}

function labelOf(e) {
  return e.getAttribute("aria-label") ?? e.textContent;
}

// Where it stands on the page, what was opened and what had the focus, kept
// while it is redrawn.
function keepPlace() {
  const focused = document.activeElement,
    section = focused?.closest("main section[id]")?.id;
  const label = section && labelOf(focused),
    position = section ? alike(section, label).indexOf(focused) : -1;
  const boxes = (id) => [...document.querySelectorAll(`#${CSS.escape(id)} details`)];
  const opened = [...document.querySelectorAll("section[id] details[open]")].map((d) => {
    const id = d.closest("section[id]").id;
    return [id, boxes(id).indexOf(d)];
  });
  const y = scrollY;
  return () => {
    for (const [id, position] of opened) {
      const box = boxes(id)[position];
      if (box) box.open = true;
    }
    if (position >= 0) alike(section, label)[position]?.focus({ preventScroll: true });
    scrollTo({ top: y, behavior: "instant" });
  };
}

function draw() {
  const goBack = keepPlace();
  for (const s of drawn) s.chart.dispose();
  drawn = [];
  hovered = null;
  const body = document.getElementById("body");
  drawHead();
  const specs = page.chart ? chartSpecs(page.chart) : [];
  if (!page.pick || !page.pick.totals) {
    replace(
      body,
      verdict(),
      el("section", { class: "card" }, el("p", {}, "No requests here: pick another run or category.")),
      notes(),
    );
  } else {
    replace(
      body,
      verdict(),
      tiles(),
      el("div", { class: "charts small-" + specs.filter((s) => s.small).length }, specs.map(timeCard)),
      errorsSection(),
      impactSection(),
      loadSection(),
      ...dimensionSections(),
      circuitsSection(),
      burstsSection(),
      anomaliesSection(),
      objectivesSection(),
      usageSection(),
      slowSection(),
      toolsSection(),
      sessionsSection(),
      chaosSection(),
      notes(),
    );
  }
  drawPickers();
  drawJumps();
  for (const s of specs) drawTimeChart(s);
  echarts.connect(GROUP);
  if (zoom.start > 0 || zoom.end < 100) rescale();
  goBack();
}

function drawHead() {
  const p = page.pick,
    data = page.chart;
  const from = unixSeconds(p?.from_utc ?? page.model.from_utc) ?? data?.start,
    to = unixSeconds(p?.to_utc ?? page.model.to_utc);
  const facts = [
    from !== null && to !== null && from !== undefined && `${interval(from, to)} (${seconds(to - from)})`,
    p &&
      (p.run_id === null
        ? plural(page.model.runs_total ?? list(page.model.runs).length, "run")
        : "run " + runLabel(list(page.model.runs).find((r) => r.run_id === p.run_id) ?? p)),
    p && list(p.categories).join(" + "),
  ].filter(Boolean);
  document.getElementById("facts").textContent = facts.join("  ·  ");
}

function resizeCharts() {
  for (const s of drawn) s.chart.resize({ width: s.node.clientWidth, height: s.node.clientHeight });
}

function start() {
  const root = document.documentElement;
  if (root.dataset.source) page.live = { source: root.dataset.source, refreshS: Number(root.dataset.refresh) };
  const theme = themeButton((printing) => {
    if (!page.model) return;
    root.classList.toggle("printing", printing === true);
    draw();
  });
  document
    .getElementById("tools-of-page")
    .append(...[page.live && liveControls(), theme, iconButton("print", "Print", () => print())].filter(Boolean));
  theme.refresh();
  page.model = readModel();
  if (page.model) showModel();
  if (page.live) fetchModel();
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width || root.classList.contains("printing")) return;
    width = innerWidth;
    resizeCharts();
  });
}

start();
