// The verdict and the figures that come first.

const STATUS = {
  OK: ["ok", "done", "OK"],
  WARNING: ["warning", "warning", "Warning"],
  CRITICAL: ["critical", "critical", "Critical"],
  NO_DATA: ["none", "none", "No data"],
};

function verdict() {
  const d = answerOf("diagnosis");
  if (!d) return null;
  const [kind, sign, label] = STATUS[d.status] ?? STATUS.NO_DATA;
  const findings = list(d.reasons);
  return el(
    "section",
    { class: "card verdict " + kind, id: "verdict", "aria-label": "Verdict" },
    el("p", { class: "status" }, icon(sign), el("span", {}, label + withFaults(d.status))),
    faultStrips(),
    el(
      "div",
      {},
      el("p", { class: "diagnosis" }, sentence(d.text)),
      findings.length > 0 &&
        el(
          "ul",
          { class: "findings" },
          findings.map((f) => el("li", {}, f)),
        ),
      list(d.patterns).length > 0 &&
        el(
          "p",
          { class: "patterns" },
          d.patterns.map((p) => el("span", { class: "chip" }, words(p))),
        ),
    ),
  );
}

// withFaults adds to a good verdict what it does not say: that there were faults.
function withFaults(status) {
  const faults = list(answerOf("fault_impact")?.rows);
  if (status !== "OK" || faults.length === 0) return "";
  const harmful = faults.filter(didHarm).length;
  if (harmful > 0) return harmful === 1 ? ", but for the fault" : ", but for the faults";
  return faults.length === 1 ? ", with a fault" : ", with faults";
}

function tiles() {
  const t = page.pick?.totals;
  if (!t) return null;
  const data = page.chart;
  const p = (d, name) => d?.percentiles_ms?.[name];
  const per = (column) => list(data?.[column]);
  const totals = data ? Array.from({ length: data.buckets }, (_, i) => requestsOf(data, i)) : [];
  const failed = data ? totals.map((n, i) => (n === 0 ? null : (n - (data.outcomes.success?.[i] ?? 0)) / n)) : [];
  const all = [
    tile(
      "Requests",
      count(t.requests_total),
      [
        !isMissing(t.requests_per_s) && `${rate(t.requests_per_s)} per second`,
        t.requests_injected > 0 && `${percent(t.requests_injected / t.requests_total)} with a fault`,
      ]
        .filter(Boolean)
        .join(", "),
      totals,
      "outcome-success",
    ),
    tile("Failed", percent(t.error_rate), t.errors > 0 ? `${count(t.errors)} requests` : "none", failed, "outcome-server-error"),
    t.latency?.count > 0 &&
      tile("Latency p50", milliseconds(p(t.latency, "p50")), `average ${milliseconds(t.latency.avg_ms)}`, per("p50_ms"), "p50"),
    t.latency?.count > 0 &&
      tile("Latency p95", milliseconds(p(t.latency, "p95")), `lowest ${milliseconds(t.latency.min_ms)}`, per("p95_ms"), "p95"),
    t.latency?.count > 0 &&
      tile("Latency p99", milliseconds(p(t.latency, "p99")), `highest ${milliseconds(t.latency.max_ms)}`, per("p99_ms"), "p99"),
    t.ttft?.count > 0 &&
      tile("First token p95", milliseconds(p(t.ttft, "p95")), `p50 ${milliseconds(p(t.ttft, "p50"))}`, per("ttft_p95_ms"), "p95"),
    t.usage_count > 0 &&
      tile(
        "Tokens",
        compact((t.input_tokens ?? 0) + (t.output_tokens ?? 0)),
        `${compact(t.input_tokens)} in, ${compact(t.output_tokens)} out`,
        per("output_tokens"),
        "output",
      ),
    t.priced_count > 0 &&
      tile(
        "Cost",
        usd(t.cost_usd),
        t.priced_count < t.requests_total
          ? `of ${count(t.priced_count)} requests with a price`
          : `${usd((t.cost_usd / t.priced_count) * 1000)} per 1,000 requests`,
        per("cost_usd"),
        "cost",
      ),
  ];
  return el("section", { class: "tiles", id: "headline", "aria-label": "Headline figures" }, all.filter(Boolean));
}

function tile(label, value, note, values, ink) {
  return el(
    "div",
    { class: "tile" },
    el("p", { class: "tile-label" }, label),
    el("p", { class: "tile-value" }, value),
    el("p", { class: "tile-note" }, note),
    sparkline(values, ink),
  );
}

// sparkline is a line without axes: the course at a glance. Of many buckets it
// takes the largest of several.
function sparkline(values, ink) {
  const known = values.filter((v) => !isMissing(v));
  if (known.length < 3) return null;
  const wanted = 80,
    step = Math.max(1, Math.ceil(values.length / wanted));
  const picked = [];
  for (let i = 0; i < values.length; i += step) {
    const part = values.slice(i, i + step).filter((v) => !isMissing(v));
    picked.push(part.length > 0 ? Math.max(...part) : null);
  }
  const top = Math.max(...known) || 1;
  let path = "",
    pen = false;
  picked.forEach((v, i) => {
    if (v === null) {
      pen = false;
      return;
    }
    path += `${pen ? "L" : "M"}${((i / Math.max(picked.length - 1, 1)) * 100).toFixed(2)} ${(27 - (v / top) * 24).toFixed(2)}`;
    pen = true;
  });
  return svg(
    "svg",
    {
      class: "spark",
      viewBox: "0 0 100 30",
      preserveAspectRatio: "none",
      "aria-hidden": "true",
      focusable: "false",
      style: { "--c": `var(--${ink})` },
    },
    svg("path", { d: path }),
  );
}
