// What all charts over time share: axis, zoom, shaded faults, hover, legend and
// the same numbers as a table.

const GROUP = "time";
const GRID = { left: 70, right: 30, top: 14, bottom: 26, outerBoundsMode: "none" };

// drawn are the charts on the page: {chart, spec, node}.
let drawn = [];
// hovered is the chart under the pointer: the others show only the line.
let hovered = null,
  pointedAt = 0;

// hiddenLines are those that the reader does not want to see, by chart.
const hiddenLines = new Map();

// timeCard makes a section with a chart. spec: {id, title, hint, height,
// series: [{name, color, values, …}], option(chart) → parts of the ECharts
// option, visibleMax(chart, first, last, shown), axisLabel, hover(chart, i),
// columns: table of the numbers}.
function timeCard(spec) {
  const node = el("div", {
    class: "chart",
    id: spec.id + "-chart",
    role: "img",
    tabindex: "-1",
    "aria-label": `${spec.title}. The numbers are in the table below the chart.`,
    style: { height: spec.height + "px" },
  });
  spec.node = node;
  if (!hiddenLines.has(spec.id))
    hiddenLines.set(
      spec.id,
      new Set(
        list(spec.series)
          .filter((s) => s.off)
          .map((s) => s.name),
      ),
    );
  spec.hidden = hiddenLines.get(spec.id);
  const section = card(spec.id, spec.title, spec.hint, legend(spec), node, spec.columns && numbers(spec));
  section.classList.toggle("small", Boolean(spec.small));
  return section;
}

function legend(spec) {
  if (spec.legend) return spec.legend();
  if (list(spec.series).length < 2) return null;
  return el(
    "div",
    { class: "legend", role: "group", "aria-label": `Lines of ${spec.title}` },
    spec.series.map((s) =>
      el(
        "button",
        {
          type: "button",
          class: "legend-item",
          "aria-pressed": String(!spec.hidden.has(s.name)),
          onclick: (event) => {
            const show = spec.hidden.delete(s.name);
            if (!show) spec.hidden.add(s.name);
            event.currentTarget.setAttribute("aria-pressed", String(show));
            spec.chart?.dispatchAction({ type: show ? "legendSelect" : "legendUnSelect", name: s.name });
            rescale();
          },
        },
        el("span", { class: "swatch " + (s.dash ?? ""), "aria-hidden": "true", style: { "--c": s.color() } }),
        s.label ?? words(s.name),
        s.note && el("span", { class: "legend-note" }, s.note),
      ),
    ),
  );
}

// numbers is the chart as a table, made when it is opened.
function numbers(spec) {
  const box = el("details", { class: "numbers" }, el("summary", {}, "Numbers"));
  box.addEventListener("toggle", () => {
    if (!box.open || box.querySelector("table")) return;
    const chart = page.chart;
    const rows = Array.from({ length: chart.buckets }, (_, i) => i).filter((i) => spec.hasNumbers?.(chart, i) ?? true);
    box.append(
      tableOf({
        label: `Numbers of ${spec.title}`,
        rows,
        first: 50,
        columns: [{ head: "bucket (UTC)", text: (i) => bucketName(chart, i) }, ...spec.columns(chart)],
      }),
    );
  });
  return box;
}

function bucketName(chart, i) {
  const start = chart.start + i * chart.width_s;
  return `${day(start)} ${clock(start)}${isPartial(chart, i) ? " (partial)" : ""}`;
}

// drawTimeChart makes the ECharts instance of a card that is on the page.
function drawTimeChart(spec) {
  const data = page.chart;
  spec.chart = echarts.init(spec.node, null, { renderer: "canvas" });
  const options = baseOption(spec, data);
  spec.chart.setOption(options);
  spec.chart.group = GROUP;
  spec.chart.on("datazoom", zoomed);
  spec.chart.getZr().on("dblclick", () => zoomTo(0, 100));
  for (const event of ["pointerenter", "pointermove"]) {
    spec.node.addEventListener(event, () => {
      hovered = spec;
      pointedAt = performance.now();
    });
  }
  spec.node.addEventListener("pointerleave", () => {
    if (hovered === spec) hovered = null;
    showPending();
  });
  dragToZoom(spec);
  drawn.push(spec);
}

function baseOption(spec, data) {
  const parts = spec.option(data);
  const ink = color("ink-soft");
  const series = parts.series;
  if (series.length > 0 && !spec.unshaded) series.push(shading(data));
  return {
    useUTC: true,
    animation: false,
    backgroundColor: "transparent",
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: ink },
    grid: { ...GRID, bottom: spec.slider ? 70 : GRID.bottom, ...parts.grid },
    legend: { show: false, selected: Object.fromEntries(list(spec.series).map((s) => [s.name, !spec.hidden.has(s.name)])) },
    xAxis: {
      type: "time",
      min: edge(data, 0),
      max: edge(data, data.buckets),
      axisLine: { lineStyle: { color: color("rule-strong") } },
      axisTick: { lineStyle: { color: color("rule-strong") } },
      axisLabel: { color: ink, hideOverlap: true, fontSize: 11.5, formatter: timeLabels(data) },
      splitLine: { show: false },
      axisPointer: {
        show: true,
        type: "line",
        snap: false,
        lineStyle: { color: color("ink-soft"), type: "solid", width: 1, opacity: 0.55 },
        label: { show: false },
        triggerTooltip: false,
      },
    },
    yAxis: {
      type: "value",
      min: 0,
      axisLabel: { color: ink, fontSize: 11.5 },
      axisLine: { show: false },
      axisTick: { show: false },
      splitLine: { lineStyle: { color: color("rule") } },
      splitNumber: 4,
      ...parts.yAxis,
      ...(spec.visibleMax ? valueAxis(spec, visibleMost(spec, data), { color: ink, fontSize: 11.5 }) : {}),
    },
    dataZoom: zoomOptions(spec),
    tooltip: {
      trigger: spec.hoverItem ? "item" : "axis",
      confine: true,
      transitionDuration: 0,
      appendTo: spec.node,
      enterable: false,
      backgroundColor: color("float"),
      borderColor: color("rule-strong"),
      borderWidth: 1,
      padding: 0,
      textStyle: { color: color("ink"), fontSize: 12.5 },
      extraCssText: "border-radius:8px;box-shadow:0 6px 24px rgba(0,0,0,.18);",
      axisPointer: { type: "line" },
      formatter: (params) => (hovered === spec ? hoverBox(spec, params) : ""),
    },
    series,
  };
}

// valueAxis scales an axis to the largest value in sight; its labels know how far
// it goes.
function valueAxis(spec, largest, labels = {}) {
  const scale = niceScale(largest);
  return { ...scale, axisLabel: { ...labels, formatter: (v) => spec.axisLabel(v, scale.max) } };
}

// visibleMost is the largest value in sight.
function visibleMost(spec, data) {
  return spec.visibleMax(data, ...visible(data), (name) => !spec.hidden.has(name));
}

// timeLabels leaves the day out where there is only one.
function timeLabels(data) {
  const oneDay = day(data.start) === day(data.start + data.buckets * data.width_s - 1);
  return {
    year: "{yyyy}",
    month: "{MMM} {d}",
    day: oneDay ? "{HH}:{mm}" : "{MMM} {d}",
    hour: "{HH}:{mm}",
    minute: "{HH}:{mm}",
    second: "{HH}:{mm}:{ss}",
    millisecond: "{HH}:{mm}:{ss}",
    none: "{HH}:{mm}:{ss}",
  };
}

// shading is a line without points that carries the shaded intervals: faults,
// and the buckets in which the data begins or ends.
function shading(data) {
  const fault = color("fault-fill"),
    rim = color("fault-rim");
  const areas = union(knownFaults()).map((w) => [
    { xAxis: w.from, itemStyle: { color: fault, borderColor: rim, borderWidth: 1, borderType: [4, 3] } },
    { xAxis: Math.max(w.to, w.from + 1) },
  ]);
  for (const i of new Set([0, data.buckets - 1])) {
    if (isPartial(data, i)) {
      areas.push([{ xAxis: edge(data, i), itemStyle: { color: color("partial-fill") } }, { xAxis: edge(data, i + 1) }]);
    }
  }
  return { id: "shading", name: "shading", type: "line", data: [], silent: true, markArea: { silent: true, data: areas } };
}

// union merges intervals that overlap: shades must not add up.
function union(intervals) {
  const out = [];
  for (const w of [...intervals].sort((a, b) => a.from - b.from)) {
    if (out.length > 0 && w.from <= out.at(-1).to) out.at(-1).to = Math.max(out.at(-1).to, w.to);
    else out.push({ from: w.from, to: w.to });
  }
  return out;
}
