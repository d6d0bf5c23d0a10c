// What happened when: faults, bursts, anomalies and open circuits as bars above
// the charts, on the same axis.

function lanesOf(data) {
  const end = edge(data, data.buckets);
  const lanes = [
    { name: "faults", ink: "fault-bar", bars: knownFaults().map(faultBar) },
    ...(kindsShown ? [{ name: "kinds", ink: "fault-bar", bars: knownFaults().flatMap(kindBars), mostRows: 20 }] : []),
    {
      name: "bursts",
      ink: "burst-bar",
      bars: list(answerOf("bursts")?.rows).map((b) => ({
        from: b.start * 1000,
        to: b.end * 1000,
        name: b.still_active ? "still active" : "",
        facts: [
          ["refused at the peak", percent(b.peak_refused_share)],
          ["requests", count(b.requests_total)],
          ["recovered after", b.still_active ? "not yet" : seconds(b.recovery_s)],
          list(b.faults).length > 0 && ["fault", b.faults.join(", ")],
        ],
      })),
    },
    {
      name: "anomalies",
      ink: "anomaly-bar",
      bars: list(answerOf("anomalies")?.rows).map((a) => ({
        from: a.start * 1000,
        to: a.end * 1000,
        name: words(a.kind),
        faint: a.expected,
        lines: [sentence(a.text)],
        facts: [
          ["kind", words(a.kind)],
          ["severity", a.severity],
          a.expected && ["expected", list(a.faults).join(", ") || "yes"],
        ],
      })),
    },
    { name: "circuits", ink: "circuit-bar", bars: openCircuits(end) },
  ];
  return lanes.flatMap((lane) => rowsOf({ ...lane, bars: lane.bars.filter((b) => b.to >= edge(data, 0) && b.from <= end) }));
}

// kindsShown tells whether the reader wants to see the kinds of faults.
let kindsShown = false;

function faultBar(f) {
  const kinds = list(f.kind_rows).map((k) => k.fault);
  return {
    from: f.from,
    to: f.to,
    name: faultTitle(f),
    facts: [
      ["fault", f.fault],
      f.target && ["target", f.target],
      ["said by", list(f.sources).join(", ")],
      ["marked", marksOf(f)],
      kinds.length > 0 && ["kinds", kinds.join(", ")],
    ],
  };
}

function kindBars(f) {
  return list(f.kind_rows).map((k) => ({
    from: k.start_ns / 1e6,
    to: k.end_ns / 1e6,
    name: k.fault,
    faint: true,
    facts: [
      ["kind", k.fault],
      ["of fault", faultTitle(f)],
      ["marked", marksOf(k)],
    ],
  }));
}

// kindsSwitch unfolds the kinds of faults.
function kindsSwitch() {
  const kinds = new Set(knownFaults().flatMap((f) => list(f.kind_rows).map((k) => k.fault))).size;
  if (kinds === 0) return null;
  const onclick = () => {
    kindsShown = !kindsShown;
    draw();
    document.querySelector("#happenings .legend-item").focus();
  };
  const label = `${kindsShown ? "Hide" : "Show"} the ${plural(kinds, "kind")} of faults`;
  const button = el("button", { type: "button", class: "legend-item", "aria-expanded": String(kindsShown), onclick }, label);
  return el("div", { class: "legend" }, button);
}

const MOST_ROWS = 8;

// rowsOf puts bars that overlap into rows below each other; what exceeds the
// last row lies on top of others there.
function rowsOf(lane) {
  const rows = [];
  for (const bar of [...lane.bars].sort((a, b) => a.from - b.from || a.to - b.to)) {
    let row = rows.find((r) => r.until <= bar.from) ?? (rows.length < (lane.mostRows ?? MOST_ROWS) ? null : rows.at(-1));
    if (!row) rows.push((row = { until: 0, bars: [] }));
    // What lies on top of another keeps its name to the hover.
    row.bars.push({ ...bar, nameless: bar.from < row.until });
    row.until = Math.max(row.until, bar.to);
  }
  return rows.map((row, i) => ({ ...lane, id: `lane-${lane.name}-${i}`, label: i === 0 ? lane.name : "", bars: row.bars }));
}

// openCircuits are the times between opening and closing of each circuit.
function openCircuits(end) {
  const bars = [],
    since = new Map();
  const name = (t) => [t.service, t.instance, t.circuit].filter(Boolean).join(" / ");
  const add = (from, to, what) =>
    bars.push({
      from,
      to,
      name: what,
      facts: [
        ["circuit", what],
        ["open for", seconds((to - from) / 1000)],
      ],
    });
  for (const t of list(answerOf("circuits")?.transitions)) {
    const key = JSON.stringify([t.run_id, t.service, t.instance, t.circuit]);
    if (t.to_state === "open" && !since.has(key)) since.set(key, { at: t.at_ns / 1e6, name: name(t) });
    if (t.to_state === "closed" && since.has(key)) {
      add(since.get(key).at, t.at_ns / 1e6, since.get(key).name);
      since.delete(key);
    }
  }
  for (const open of since.values()) add(open.at, end, open.name);
  return bars;
}

const LANE = 24;

function happenings(data) {
  const lanes = lanesOf(data);
  if (lanes.length === 0) return null;
  return {
    id: "happenings",
    title: "What happened when",
    hint: "faults, bursts of refused requests, anomalies (pale: explained by a fault) and open circuits",
    height: lanes.length * LANE + GRID.top + GRID.bottom,
    unshaded: true,
    legend: kindsSwitch,
    option: () => ({
      yAxis: {
        type: "category",
        inverse: true,
        data: lanes.map((l) => l.id),
        min: undefined,
        axisLabel: { color: color("ink-soft"), fontSize: 11.5, interval: 0, formatter: (_, i) => lanes[i].label },
        splitLine: { show: true, interval: (i) => i === 0 || lanes[i]?.label !== "", lineStyle: { color: color("rule") } },
      },
      series: lanes.map((lane, k) => ({
        id: lane.id,
        name: lane.id,
        type: "custom",
        clip: true,
        encode: { x: [0, 1], y: 2 },
        emphasis: { disabled: true },
        progressive: 0,
        data: lane.bars.map((b) => [b.from, b.to, k]),
        renderItem: (params, api) => laneBar(params, api, lane),
      })),
    }),
    hoverItem: (d, item) => {
      const bar = lanes.find((l) => l.id === item.seriesId)?.bars[item.dataIndex];
      if (!bar) return null;
      return floating(
        [interval(bar.from / 1000, bar.to / 1000), seconds((bar.to - bar.from) / 1000), ...list(bar.lines)],
        bar.facts.filter(Boolean).map(([name, value]) => [name, shorten(value, 60)]),
      );
    },
  };
}

function laneBar(params, api, lane) {
  const bar = lane.bars[params.dataIndex],
    box = params.coordSys;
  const [x0, y] = api.coord([api.value(0), api.value(2)]);
  const [x1] = api.coord([api.value(1), api.value(2)]);
  const left = Math.max(x0, box.x),
    right = Math.min(Math.max(x1, x0 + 3), box.x + box.width);
  if (right <= left) return null;
  const height = LANE * 0.68,
    ink = color(lane.ink);
  return {
    type: "rect",
    shape: { x: left, y: y - height / 2, width: right - left, height, r: 3 },
    style: { fill: ink, opacity: bar.faint ? 0.45 : 1 },
    textContent:
      right - left > 44 && !bar.nameless
        ? {
            type: "text",
            style: {
              text: shorten(bar.name, 60),
              fill: color(bar.faint ? "ink" : "on-bar"), // a faint bar is nearer to the surface
              fontSize: 11,
              overflow: "truncate",
              width: right - left - 10,
              lineHeight: 14,
            },
          }
        : undefined,
    textConfig: { position: "insideLeft", distance: 5 },
  };
}
