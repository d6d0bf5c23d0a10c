// The charts over time, from top to bottom of the page.

function chartSpecs(data) {
  return [
    happenings(data),
    throughput(data),
    latencyOverTime(data),
    heatMap(data),
    firstToken(data),
    tokens(data),
    cost(data),
  ].filter(Boolean);
}

// throughput: requests per second, stacked by outcome, success at the bottom.
function throughput(data) {
  const names = Object.keys(data.outcomes)
    .filter((name) => present(data.outcomes[name]))
    .sort((a, b) => OUTCOMES.indexOf(a) - OUTCOMES.indexOf(b));
  if (names.length === 0) return null;
  const sum = (column) => column.reduce((a, b) => a + (b ?? 0), 0);
  const shown = names.filter((name) => sum(data.outcomes[name]) > 0);
  const spec = {
    id: "throughput",
    title: "Throughput by outcome",
    hint: `requests per second, in buckets of ${widthName(data.width_s)}; shaded: a fault was injected`,
    height: 330,
    slider: true,
    axisLabel: short,
    series: shown.map((name) => ({
      name,
      note: compact(sum(data.outcomes[name])),
      color: () => outcomeColor(name),
      values: data.outcomes[name].map((n) => (isMissing(n) ? null : n / data.width_s)),
    })),
    visibleMax: (d, first, last, on) =>
      highestStack(
        spec.series.filter((s) => on(s.name)).map((s) => s.values),
        first,
        last,
      ),
    option: (d) => ({ series: [...stackedBars(spec, d), unseenTotal(d)] }),
    hover: (d, i) => outcomesOf(d, i, shown),
    columns: (d) => throughputColumns(d, shown),
  };
  return spec;
}

// highestStack is the largest sum of columns between two buckets.
function highestStack(columns, first, last) {
  let top = 0;
  for (let i = first; i <= last; i++)
    top = Math.max(
      top,
      columns.reduce((a, c) => a + (c[i] ?? 0), 0),
    );
  return top;
}

// unseenTotal is the line of all, which is not seen: the slider shows its course,
// and it takes the pointer.
function unseenTotal(d) {
  return {
    id: "all",
    name: "all",
    type: "line",
    data: points(
      d,
      Array.from({ length: d.buckets }, (_, i) => requestsOf(d, i) / d.width_s),
    ),
    symbol: "none",
    lineStyle: { opacity: 0 },
    itemStyle: { color: color("accent") },
    silent: true,
  };
}

// outcomesOf says what became of the requests of a bucket.
function outcomesOf(d, i, names) {
  const all = requestsOf(d, i);
  return [
    ["all", `${count(all)}  (${rate(all / d.width_s)}/s)`],
    ...names
      .filter((name) => d.outcomes[name][i] > 0)
      .map((name) => [
        words(name),
        `${count(d.outcomes[name][i])}  (${percent(d.outcomes[name][i] / all)})`,
        outcomeColor(name),
      ]),
    d.injected?.[i] > 0 && ["with an injected fault", count(d.injected[i])],
  ];
}

function throughputColumns(d, names) {
  return [
    { head: "requests", number: (i) => requestsOf(d, i), show: count },
    { head: "per second", number: (i) => requestsOf(d, i) / d.width_s, show: rate },
    ...names.map((name) => ({ head: words(name), number: (i) => d.outcomes[name][i], show: count })),
    present(d.injected) && { head: "injected", number: (i) => d.injected[i], show: count },
  ].filter(Boolean);
}

// curves is a chart of lines of one unit over the same buckets.
function curves(data, { show, axis, series, ...spec }) {
  const lines = series.filter((s) => present(s.values));
  if (lines.length === 0) return null;
  return {
    height: 270,
    axisLabel: axis ?? show,
    series: lines,
    ...spec,
    visibleMax: (d, first, last, on) =>
      most(
        lines.filter((s) => on(s.name)).map((s) => s.values),
        first,
        last,
      ),
    option: (d) => ({ series: lines.map((s) => (s.steps ? stepArea(s, d) : curve(s, d))) }),
    hover: (d, i) => lines.map((s) => [s.label ?? s.name, show(s.values[i]), s.color()]),
    columns: () => lines.map((s) => ({ head: s.label ?? s.name, number: (i) => s.values[i], show })),
    hasNumbers: (d, i) => lines.some((s) => !isMissing(s.values[i])),
  };
}

const milliseconds = (v) => (isMissing(v) ? MISSING : ms(v) + " ms");
// On an axis to top, all of it in one unit; seconds are shorter.
const axisTime = (v, top) => (v === 0 ? "0" : top >= 10000 ? short(v / 1000) + " s" : short(v) + " ms");

function percentileLines(data, p50, p95, p99) {
  return [
    { name: "p99", values: list(data[p99]), color: () => color("p99"), strong: true, z: 5 },
    { name: "p95", values: list(data[p95]), color: () => color("p95"), dash: "dashed", z: 4 },
    { name: "p50", values: list(data[p50]), color: () => color("p50"), fill: 0.08, z: 3 },
  ];
}

function latencyOverTime(data) {
  return curves(data, {
    id: "latency",
    title: "Latency",
    hint: ["percentiles of each bucket; a gap is a bucket without requests", loopHint()].filter(Boolean).join("; "),
    height: 320,
    show: milliseconds,
    axis: axisTime,
    series: [
      ...percentileLines(data, "p50_ms", "p95_ms", "p99_ms"),
      { name: "average", values: list(data.avg_ms), color: () => color("average"), off: true },
      { name: "maximum", values: list(data.max_ms), color: () => color("maximum"), dash: "dotted", off: true },
    ],
  });
}

function firstToken(data) {
  return curves(data, {
    id: "ttft",
    small: true,
    title: "Time to first token",
    hint: "percentiles of each bucket, of the requests that tell",
    show: milliseconds,
    axis: axisTime,
    series: percentileLines(data, "ttft_p50_ms", "ttft_p95_ms", "ttft_p99_ms"),
  });
}

function tokens(data) {
  const perSecond = (column) => list(column).map((n) => (isMissing(n) ? null : n / data.width_s));
  return curves(data, {
    id: "tokens",
    small: true,
    title: "Tokens",
    hint: "per second",
    show: (v) => (isMissing(v) ? MISSING : compact(Math.round(v)) + "/s"),
    axis: short,
    series: [
      { name: "input", values: perSecond(data.input_tokens), color: () => color("input"), steps: true },
      { name: "output", values: perSecond(data.output_tokens), color: () => color("output"), steps: true },
    ],
  });
}

function cost(data) {
  if (!present(data.cost_usd)) return null;
  let sum = 0;
  const total = data.cost_usd.map((v) => (sum += v ?? 0));
  return curves(data, {
    id: "cost",
    small: true,
    title: "Cost",
    hint: "US dollars, adding up from the start of the chart",
    show: usd,
    axis: (v) => "$" + short(v),
    series: [{ name: "total", label: "so far", values: total, color: () => color("cost"), steps: true }],
    columns: null,
  });
}
