// Zoom is common to all charts over time: ECharts keeps those of a group alike.

// zoom is what is shown, in percent of the whole; the page keeps it while it
// refreshes.
const zoom = { start: 0, end: 100, from: null, to: null };

function zoomOptions(spec) {
  const ink = color("ink-soft");
  return [
    {
      id: "inside",
      type: "inside",
      filterMode: "none",
      start: zoom.start,
      end: zoom.end,
      zoomOnMouseWheel: "ctrl",
      moveOnMouseMove: false,
      moveOnMouseWheel: false,
      preventDefaultMouseMove: false,
      minSpan: 0.5,
    },
    {
      id: "slider",
      type: "slider",
      show: Boolean(spec.slider),
      filterMode: "none",
      start: zoom.start,
      end: zoom.end,
      height: 22,
      bottom: 8,
      left: GRID.left,
      right: GRID.right,
      brushSelect: false,
      showDetail: false,
      borderColor: color("rule"),
      fillerColor: color("brush"),
      handleSize: "110%",
      minSpan: 0.5,
      handleStyle: { color: color("surface"), borderColor: color("rule-strong") },
      moveHandleSize: 0,
      textStyle: { color: ink },
      dataBackground: {
        lineStyle: { color: color("rule-strong"), width: 1 },
        areaStyle: { color: color("rule-strong"), opacity: 0.35 },
      },
      selectedDataBackground: {
        lineStyle: { color: color("accent"), width: 1 },
        areaStyle: { color: color("accent"), opacity: 0.25 },
      },
      emphasis: { handleStyle: { borderColor: color("accent") } },
    },
  ];
}

let scheduled = false;

// zoomed is called for every chart of the group; the axes follow once.
function zoomed() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    const option = (drawn.find((s) => s === hovered) ?? drawn[0])?.chart.getOption().dataZoom?.[0];
    if (!option) return;
    zoom.start = option.start;
    zoom.end = option.end;
    rescale();
    showZoom();
  });
}

// zoomTo shows a part of the whole, in percent.
function zoomTo(start, end) {
  const span = Math.min(Math.max(end - start, 0.5), 100);
  zoom.start = Math.min(Math.max(start, 0), 100 - span);
  zoom.end = zoom.start + span;
  for (const s of drawn) {
    s.chart.dispatchAction(
      { type: "dataZoom", batch: ["inside", "slider"].map((dataZoomId) => ({ dataZoomId, start: zoom.start, end: zoom.end })) },
      { silent: true },
    );
  }
  rescale();
  showZoom();
}

function zoomBy(factor) {
  const middle = (zoom.start + zoom.end) / 2,
    half = ((zoom.end - zoom.start) / 2) * factor;
  zoomTo(middle - half, middle + half);
}

function zoomMove(part) {
  const step = (zoom.end - zoom.start) * part;
  zoomTo(zoom.start + step, zoom.end + step);
}

// visible returns the first and the last bucket in sight.
function visible(data) {
  const last = data.buckets - 1;
  return [
    Math.min(Math.floor((data.buckets * zoom.start) / 100), last),
    Math.min(Math.max(Math.ceil((data.buckets * zoom.end) / 100) - 1, 0), last),
  ];
}

// rescale fits the value axes to what is in sight.
function rescale() {
  const data = page.chart;
  if (!data) return;
  const [first, last] = visible(data);
  for (const s of drawn) {
    if (!s.visibleMax) continue;
    const most = s.visibleMax(data, first, last, (name) => !s.hidden.has(name));
    s.chart.setOption({ yAxis: valueAxis(s, most) }, { silent: true });
  }
}

// most returns the largest value of columns between two buckets.
function most(columns, first, last) {
  let top = 0;
  for (const column of columns) {
    for (let i = first; i <= last; i++) {
      if (!isMissing(column[i]) && column[i] > top) top = column[i];
    }
  }
  return top;
}

// niceScale is an axis from 0 to a round number above v, with round ticks.
function niceScale(v) {
  if (!(v > 0)) return { max: 1, interval: 1 };
  const unit = 10 ** Math.floor(Math.log10(v / 4));
  const interval = [1, 2, 2.5, 5, 10].map((k) => k * unit).find((step) => step * 5 >= v * 1.02) ?? 20 * unit;
  return { max: Math.ceil((v * 1.02) / interval) * interval, interval };
}

function showZoom() {
  const whole = zoom.start <= 0 && zoom.end >= 100;
  for (const b of document.querySelectorAll("[data-zoomed]")) b.disabled = whole;
  const label = document.getElementById("zoom-range");
  const data = page.chart;
  if (!label || !data) return;
  const length = data.buckets * data.width_s;
  const at = (p) => data.start + Math.round((length * p) / 100);
  label.textContent = whole ? "whole interval" : `${clock(at(zoom.start))} – ${clock(at(zoom.end))}`;
}

function zoomButtons() {
  return el(
    "div",
    { class: "zoom", role: "group", "aria-label": "Zoom of the charts" },
    iconButton("out", "Zoom out", () => zoomBy(2), { "data-zoomed": "" }),
    iconButton("in", "Zoom in", () => zoomBy(0.5)),
    iconButton("left", "Earlier", () => zoomMove(-0.5), { "data-zoomed": "" }),
    iconButton("right", "Later", () => zoomMove(0.5), { "data-zoomed": "" }),
    iconButton("all", "Whole interval", () => zoomTo(0, 100), { "data-zoomed": "" }),
    el("output", { id: "zoom-range", class: "zoom-range" }, "whole interval"),
  );
}

// dragToZoom zooms to what is dragged over with a mouse.
function dragToZoom(spec) {
  const zr = spec.chart.getZr();
  let from = null,
    brush = null;
  const inside = (x, y) => spec.chart.containPixel({ gridIndex: 0 }, [x, y]);
  const end = () => {
    removeEventListener("mouseup", stop);
    brush?.remove();
    brush = null;
    from = null;
  };
  const toShare = (x) => {
    const t = spec.chart.convertFromPixel({ xAxisIndex: 0 }, x),
      data = page.chart;
    return Math.min(Math.max(((t - edge(data, 0)) / (edge(data, data.buckets) - edge(data, 0))) * 100, 0), 100);
  };
  const stop = (event) => {
    if (from === null) return;
    const x = event.clientX - spec.node.getBoundingClientRect().left;
    const [a, b] = [from, x].sort((p, q) => p - q).map(toShare);
    const far = Math.abs(x - from) > 6;
    end();
    if (far) zoomTo(a, b);
  };
  zr.on("mousedown", ({ offsetX, offsetY, event }) => {
    if (event.zrByTouch || event.button !== 0 || !inside(offsetX, offsetY)) return;
    from = offsetX;
    addEventListener("mouseup", stop);
  });
  zr.on("mousemove", ({ offsetX }) => {
    if (from === null) return;
    if (!brush) spec.node.append((brush = el("div", { class: "brush" })));
    const x = Math.min(Math.max(offsetX, GRID.left), spec.node.clientWidth - GRID.right);
    setStyle(brush, {
      left: Math.min(from, x) + "px",
      width: Math.abs(x - from) + "px",
      top: GRID.top + "px",
      bottom: (spec.slider ? 70 : GRID.bottom) + "px",
    });
  });
}
