// What all charts over time share: axis, zoom, shaded faults, hover, legend and
// the same numbers as a table.

const GROUP = "time";
const GRID = { left: 70, right: 14, top: 14, bottom: 26, outerBoundsMode: "none" };

// drawn are the charts on the page: {chart, spec, node}.
let drawn = [];
// hovered is the chart under the pointer: the others show only the line.
let hovered = null, pointedAt = 0;

// hiddenLines are those that the reader does not want to see, by chart.
const hiddenLines = new Map();

// timeCard makes a section with a chart. spec: {id, title, hint, height,
// series: [{name, color, values, …}], option(chart) → parts of the ECharts
// option, visibleMax(chart, first, last, shown), axisLabel, hover(chart, i),
// columns: table of the numbers}.
function timeCard(spec) {
  const node = el("div", {
    class: "chart", id: spec.id + "-chart", role: "img", tabindex: "-1",
    "aria-label": `${spec.title}. The numbers are in the table below the chart.`, style: { height: spec.height + "px" },
  });
  spec.node = node;
  if (!hiddenLines.has(spec.id)) hiddenLines.set(spec.id, new Set(list(spec.series).filter((s) => s.off).map((s) => s.name)));
  spec.hidden = hiddenLines.get(spec.id);
  const section = card(spec.id, spec.title, spec.hint, legend(spec), node, spec.columns && numbers(spec));
  section.classList.toggle("small", Boolean(spec.small));
  return section;
}

function legend(spec) {
  if (spec.legend) return spec.legend();
  if (list(spec.series).length < 2) return null;
  return el("div", { class: "legend", role: "group", "aria-label": `Lines of ${spec.title}` }, spec.series.map((s) => el("button", {
    type: "button", class: "legend-item", "aria-pressed": String(!spec.hidden.has(s.name)), onclick: (event) => {
      const show = spec.hidden.delete(s.name);
      if (!show) spec.hidden.add(s.name);
      event.currentTarget.setAttribute("aria-pressed", String(show));
      spec.chart?.dispatchAction({ type: show ? "legendSelect" : "legendUnSelect", name: s.name });
      rescale();
    },
  }, el("span", { class: "swatch " + (s.dash ?? ""), "aria-hidden": "true", style: { "--c": s.color() } }), s.label ?? words(s.name),
  s.note && el("span", { class: "legend-note" }, s.note))));
}

// numbers is the chart as a table, made when it is opened.
function numbers(spec) {
  const box = el("details", { class: "numbers" }, el("summary", {}, "Numbers"));
  box.addEventListener("toggle", () => {
    if (!box.open || box.querySelector("table")) return;
    const chart = page.chart;
    const rows = Array.from({ length: chart.buckets }, (_, i) => i).filter((i) => spec.hasNumbers?.(chart, i) ?? true);
    box.append(tableOf({
      label: `Numbers of ${spec.title}`, rows, first: 50,
      columns: [{ head: "bucket (UTC)", text: (i) => bucketName(chart, i) }, ...spec.columns(chart)],
    }));
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
    spec.node.addEventListener(event, () => { hovered = spec; pointedAt = performance.now(); });
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
    useUTC: true, animation: false, backgroundColor: "transparent",
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: ink },
    grid: { ...GRID, bottom: spec.slider ? 70 : GRID.bottom, ...parts.grid },
    legend: { show: false, selected: Object.fromEntries(list(spec.series).map((s) => [s.name, !spec.hidden.has(s.name)])) },
    xAxis: {
      type: "time", min: edge(data, 0), max: edge(data, data.buckets),
      axisLine: { lineStyle: { color: color("rule-strong") } }, axisTick: { lineStyle: { color: color("rule-strong") } },
      axisLabel: { color: ink, hideOverlap: true, fontSize: 11.5, formatter: timeLabels(data) }, splitLine: { show: false },
      axisPointer: { show: true, type: "line", snap: false, lineStyle: { color: color("ink-soft"), type: "solid", width: 1, opacity: .55 }, label: { show: false }, triggerTooltip: false },
    },
    yAxis: {
      type: "value", min: 0, ...(spec.visibleMax ? niceScale(visibleMost(spec, data)) : {}), axisLabel: { color: ink, fontSize: 11.5, formatter: spec.axisLabel }, axisLine: { show: false },
      axisTick: { show: false }, splitLine: { lineStyle: { color: color("rule") } }, splitNumber: 4, ...parts.yAxis,
    },
    dataZoom: zoomOptions(spec),
    tooltip: {
      trigger: spec.hoverItem ? "item" : "axis", confine: true, transitionDuration: 0, appendTo: spec.node, enterable: false,
      backgroundColor: color("float"), borderColor: color("rule-strong"), borderWidth: 1, padding: 0,
      textStyle: { color: color("ink"), fontSize: 12.5 }, extraCssText: "border-radius:8px;box-shadow:0 6px 24px rgba(0,0,0,.18);",
      axisPointer: { type: "line" },
      formatter: (params) => hovered === spec ? hoverBox(spec, params) : "",
    },
    series,
  };
}

// visibleMost is the largest value in sight.
function visibleMost(spec, data) {
  return spec.visibleMax(data, ...visible(data), (name) => !spec.hidden.has(name));
}

// timeLabels leaves the day out where there is only one.
function timeLabels(data) {
  const oneDay = day(data.start) === day(data.start + data.buckets * data.width_s - 1);
  return {
    year: "{yyyy}", month: "{MMM} {d}", day: oneDay ? "{HH}:{mm}" : "{MMM} {d}", hour: "{HH}:{mm}", minute: "{HH}:{mm}",
    second: "{HH}:{mm}:{ss}", millisecond: "{HH}:{mm}:{ss}", none: "{HH}:{mm}:{ss}",
  };
}

// shading is a line without points that carries the shaded intervals: faults,
// and the buckets in which the data begins or ends.
function shading(data) {
  const fault = color("fault-fill"), rim = color("fault-rim");
  const areas = union(faultWindows()).map((w) => [
    { xAxis: w.from, itemStyle: { color: fault, borderColor: rim, borderWidth: 1, borderType: [4, 3] } }, { xAxis: Math.max(w.to, w.from + 1) },
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

// hoverBox is what is said of the bucket under the pointer.
function hoverBox(spec, params) {
  const data = page.chart;
  const first = Array.isArray(params) ? params[0] : params;
  if (!first) return "";
  const box = spec.hoverItem ? spec.hoverItem(data, first) : bucketBox(spec, data, bucketAt(data, first.axisValue));
  return box ?? "";
}

function bucketBox(spec, data, i) {
  const rows = spec.hover(data, i).filter(Boolean);
  return floating(bucketLines(data, i), rows);
}

// bucketLines say which bucket it is.
function bucketLines(data, i) {
  const start = data.start + i * data.width_s;
  const from = start * 1000, to = from + data.width_s * 1000;
  const faults = [...new Set(faultWindows().filter((w) => w.from < to && w.to >= from).map((w) => w.fault))];
  return [
    interval(start, start + data.width_s),
    `${seconds(start - data.start)} after the start of the chart`,
    isPartial(data, i) && "partial bucket: the data begins or ends inside it",
    faults.length > 0 && "fault: " + shorten(faults.join(", "), 80),
  ].filter(Boolean);
}

function floating(lines, rows) {
  return el("div", { class: "floating" },
    el("div", { class: "floating-head" }, lines.map((text, i) => el("div", i === 0 ? { class: "floating-title" } : {}, text))),
    el("table", {}, rows.map(([name, value, ink]) => el("tr", {},
      el("td", {}, ink ? swatch(ink) : el("span", { class: "swatch none" }), shorten(name, 60)), el("td", { class: "number" }, value)))));
}

function shorten(text, most) {
  const letters = [...String(text)];
  return letters.length > most ? letters.slice(0, most - 1).join("") + "…" : letters.join("");
}

// points puts a column at the middles of its buckets. Areas in steps also get
// the edges of the chart, so that the outer buckets have their whole width.
function points(data, values, steps) {
  const out = values.map((v, i) => [middle(data, i), isMissing(v) ? null : v]);
  if (steps && out.length > 0) {
    out.unshift([edge(data, 0), out[0][1]]);
    out.push([edge(data, data.buckets), out.at(-1)[1]]);
  }
  return out;
}

// stepArea is a column as an area in steps, one step per bucket.
function stepArea(s, data) {
  return {
    name: s.name, type: "line", step: "middle", data: points(data, s.values, true), symbol: "none", lineStyle: { width: 1.5, color: s.color() },
    itemStyle: { color: s.color() }, areaStyle: { color: s.color(), opacity: 0.2 }, emphasis: { disabled: true }, z: 2,
  };
}

// stackedBars are columns as bars, one on the other, as wide as their buckets.
// They are drawn by hand: bars of the library keep no edges in time.
function stackedBars(spec, data) {
  return spec.series.map((s, k) => ({
    id: "bar-" + s.name, name: s.name, type: "custom", clip: true, encode: { x: 0, y: 1 }, emphasis: { disabled: true }, progressive: 0, z: 2,
    itemStyle: { color: s.color() }, data: s.values.map((v, i) => [middle(data, i), v, i]),
    renderItem: (params, api) => {
      const i = api.value(2), v = s.values[i];
      if (!(v > 0)) return null;
      const below = spec.series.slice(0, k).reduce((sum, o) => sum + (spec.hidden.has(o.name) ? 0 : o.values[i] ?? 0), 0);
      const low = api.coord([edge(data, i), below]), high = api.coord([edge(data, i + 1), below + v]);
      const gap = high[0] - low[0] > 5 ? 1 : 0;
      return {
        type: "rect", shape: { x: low[0], y: high[1], width: Math.max(high[0] - low[0] - gap, 0.6), height: Math.max(low[1] - high[1], 0.4) },
        style: { fill: s.color() },
      };
    },
  }));
}

// curve is a column as a line through the middles; a value with no neighbour is
// a dot, as are all where there are few.
function curve(s, data) {
  const alone = (i) => isMissing(s.values[i - 1]) && isMissing(s.values[i + 1]);
  const few = data.buckets <= 40;
  return {
    name: s.name, type: "line", data: points(data, s.values), connectNulls: false, showSymbol: true, symbol: "circle",
    symbolSize: (_, p) => few ? 5 : alone(p.dataIndex) ? 4 : 0,
    lineStyle: { width: s.strong ? 2.2 : 1.7, color: s.color(), type: { dashed: [6, 4], dotted: [2, 3] }[s.dash] ?? "solid" },
    itemStyle: { color: s.color() }, areaStyle: s.fill ? { color: s.color(), opacity: s.fill } : undefined, emphasis: { disabled: true }, z: s.z ?? 3,
  };
}
