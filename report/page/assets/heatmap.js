// The latency heat map: how many requests of each bucket fell into each band of
// latency. Bands are of equal height: the axis is nearly logarithmic.

function heatMap(data) {
  const cells = list(data.heat?.cells),
    edges = list(data.heat?.bands_ms);
  if (cells.length === 0 || edges.length < 2) return null;
  const bands = edges.length - 1;
  let top = 1;
  for (const [, , n] of cells) top = Math.max(top, n);
  const share = (n) => (top === 1 ? 1 : Math.log(n) / Math.log(top));
  const inBucket = new Map();
  for (const [bucket, , n] of cells) inBucket.set(bucket, (inBucket.get(bucket) ?? 0) + n);
  // Seconds, unless the lowest edge would be a small part of one.
  const unitOf = edges[0] < 10 ? 0 : edges.at(-1);
  const label = (v) => (Number.isInteger(v) && v >= 0 && v <= bands ? axisTime(edges[v], unitOf) : "");
  return {
    id: "heat",
    title: "Latency heat map",
    hint: "requests by time and latency: two layers are two kinds of answers",
    height: 320,
    visibleMax: null,
    unshaded: false,
    legend: () => heatLegend(top),
    option: (d) => ({
      yAxis: {
        min: 0,
        max: bands,
        interval: Math.max(1, Math.ceil(bands / 7)),
        axisLabel: { color: color("ink-soft"), fontSize: 11.5, showMaxLabel: false, formatter: label },
        splitLine: { show: false },
      },
      series: [
        {
          id: "cells",
          name: "requests",
          type: "custom",
          clip: true,
          data: cells.map(([bucket, band, n]) => [middle(d, bucket), band, n, bucket]),
          encode: { x: 0, y: 1 },
          z: 2,
          progressive: 0,
          emphasis: { disabled: true },
          renderItem: (params, api) => heatCell(params, api, d, share),
        },
      ],
    }),
    hoverItem: (d, item) => {
      if (item.seriesId !== "cells") return null;
      const [, band, n, bucket] = item.value;
      return floating(bucketLines(d, bucket), [
        [`${ms(edges[band])} – ${ms(edges[band + 1])} ms`, plural(n, "request"), ramp(share(n))],
        ["of the bucket", percent(n / inBucket.get(bucket))],
      ]);
    },
  };
}

function heatCell(params, api, d, share) {
  const bucket = api.value(3),
    band = api.value(1);
  const low = api.coord([edge(d, bucket), band]),
    high = api.coord([edge(d, bucket + 1), band + 1]);
  const gap = high[0] - low[0] > 6 ? 0.5 : 0;
  const box = params.coordSys;
  const left = Math.max(low[0] + gap, box.x),
    right = Math.min(high[0] - gap, box.x + box.width);
  if (right <= left) return null;
  return {
    type: "rect",
    shape: { x: left, y: high[1] + gap, width: Math.max(right - left, 0.8), height: Math.max(low[1] - high[1] - 2 * gap, 0.8) },
    style: { fill: ramp(share(api.value(2))) },
  };
}

function heatLegend(top) {
  const steps = 12;
  return el(
    "div",
    { class: "legend heat-legend" },
    el("span", {}, "1"),
    el(
      "span",
      { class: "heat-scale", "aria-hidden": "true" },
      Array.from({ length: steps }, (_, i) => el("span", { style: { "background-color": ramp(i / (steps - 1)) } })),
    ),
    el("span", {}, `${count(top)} requests a cell`),
  );
}
