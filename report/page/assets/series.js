// Columns of the model as series of a chart.

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
    name: s.name,
    type: "line",
    step: "middle",
    data: points(data, s.values, true),
    symbol: "none",
    lineStyle: { width: 1.5, color: s.color() },
    itemStyle: { color: s.color() },
    areaStyle: { color: s.color(), opacity: 0.2 },
    emphasis: { disabled: true },
    z: 2,
  };
}

// stackedBars are columns as bars, one on the other, as wide as their buckets.
// They are drawn by hand: bars of the library keep no edges in time.
function stackedBars(spec, data) {
  return spec.series.map((s, k) => ({
    id: "bar-" + s.name,
    name: s.name,
    type: "custom",
    clip: true,
    encode: { x: 0, y: 1 },
    emphasis: { disabled: true },
    progressive: 0,
    z: 2,
    itemStyle: { color: s.color() },
    data: s.values.map((v, i) => [middle(data, i), v, i]),
    renderItem: (params, api) => {
      const i = api.value(2),
        v = s.values[i];
      if (!(v > 0)) return null;
      const below = spec.series.slice(0, k).reduce((sum, o) => sum + (spec.hidden.has(o.name) ? 0 : (o.values[i] ?? 0)), 0);
      const low = api.coord([edge(data, i), below]),
        high = api.coord([edge(data, i + 1), below + v]);
      const gap = high[0] - low[0] > 5 ? 1 : 0;
      return {
        type: "rect",
        shape: { x: low[0], y: high[1], width: Math.max(high[0] - low[0] - gap, 0.6), height: Math.max(low[1] - high[1], 0.4) },
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
    name: s.name,
    type: "line",
    data: points(data, s.values),
    connectNulls: false,
    showSymbol: true,
    symbol: "circle",
    symbolSize: (_, p) => (few ? 5 : alone(p.dataIndex) ? 4 : 0),
    lineStyle: { width: s.strong ? 2.2 : 1.7, color: s.color(), type: { dashed: [6, 4], dotted: [2, 3] }[s.dash] ?? "solid" },
    itemStyle: { color: s.color() },
    areaStyle: s.fill ? { color: s.color(), opacity: s.fill } : undefined,
    emphasis: { disabled: true },
    z: s.z ?? 3,
  };
}
