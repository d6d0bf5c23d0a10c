// Bursts of refused requests, anomalies and objectives, as tables.

function burstsSection() {
  const b = answerOf("bursts");
  const rows = list(b?.rows);
  if (rows.length === 0) return null;
  return card(
    "bursts",
    "Bursts of refused requests",
    `from ${percent(b.start_share)} refused until fewer than ${percent(b.end_share)} are`,
    clients(b.aimd),
    tableOf({
      label: "Bursts of refused requests",
      rows,
      total: b.bursts,
      columns: [
        { head: "begin (UTC)", text: (r) => instant(r.start_utc) },
        {
          head: "end (UTC)",
          node: (r) =>
            r.still_active ? badge("warning", "still active") : el("span", { class: "cell-text" }, instant(r.end_utc)),
          text: (r) => r.end_utc,
        },
        number("lasted", "duration_s", seconds),
        number("requests", "requests_total", count),
        number("refused", "refused_share", percent, { bar: "bar-error" }),
        number("at the peak", "peak_refused_share", percent),
        number("rate limited", "requests_rate_limited", count),
        number("capacity errors", "requests_capacity_error", count),
        number("resends", "resends", count),
        number("resends by HTTP", "client_resends", count, { hint: "that spans of HTTP clients tell of: requests do not" }),
        number("over after", "recovery_s", seconds, { hint: "from the last bucket of the burst to the first with requests that is none" }),
        { head: "successes/s before", number: (r) => r.before?.success_per_s, show: rate },
        { head: "in it", hint: "successes per second during the burst", number: (r) => r.during?.success_per_s, show: rate },
        { head: "after", hint: "successes per second after the burst", number: (r) => r.after?.success_per_s, show: rate },
        { head: "faults", text: (r) => list(r.faults).join(", ") },
      ],
    }),
  );
}

// clients says how those who send behaved while they were refused.
function clients(a) {
  if (!a) return null;
  const lines = [
    a.degradation_share > 0 &&
      `Throughput fell by ${percent(a.degradation_share)} in bursts, from ${rate(a.normal_success_per_s)} to ${rate(a.burst_success_per_s)} successes per second.`,
    a.backoff && `Backing off was ${a.backoff.toLowerCase()}: ${percent(a.backoff_ratio)} of all requests were rate limited.`,
    a.recovered > 0 && `Refusals were over after ${seconds(a.avg_recovery_s)} on average, ${seconds(a.max_recovery_s)} at most.`,
    a.trend && `Over the bursts it was ${a.trend.toLowerCase()}.`,
  ].filter(Boolean);
  return lines.length > 0 && el("p", { class: "said" }, lines.join(" "));
}

const SEVERITY = { high: "critical", medium: "warning", low: "none" };

function anomaliesSection() {
  const a = answerOf("anomalies");
  const rows = list(a?.rows);
  if (rows.length === 0) return null;
  return card(
    "anomalies",
    "Anomalies",
    `${count(a.unexpected)} unexpected; ${count(a.expected)} explained by a known fault`,
    tableOf({
      label: "Anomalies",
      rows,
      total: a.unexpected + a.expected,
      columns: [
        { head: "begin (UTC)", text: (r) => instant(r.start_utc) },
        number("lasted", "duration_s", seconds),
        {
          head: "severity",
          node: (r) => (r.expected ? badge("none", "expected") : badge(SEVERITY[r.severity] ?? "none", r.severity)),
          text: (r) => r.severity,
        },
        { head: "kind", text: (r) => words(r.kind) },
        { head: "what", text: (r) => sentence(r.text), wide: true },
        { head: "faults", text: (r) => list(r.faults).join(", ") },
      ],
    }),
  );
}

function objectivesSection() {
  const rows = list(answerOf("slos")?.objectives);
  if (rows.length === 0) return null;
  const windows = [...new Set(rows.flatMap((r) => list(r.burn_rates).map((b) => b.window)))];
  return card(
    "slos",
    "Objectives",
    "a burn rate of 1 spends the error budget just in time; above, it runs out early",
    tableOf({
      label: "Objectives",
      rows,
      columns: [
        text("objective", "name"),
        {
          head: "met",
          node: (r) => (isMissing(r.met) ? badge("none", "no data") : r.met ? badge("ok", "met") : badge("critical", "missed")),
          text: (r) => String(r.met),
        },
        { head: "of", text: (r) => [r.category, r.service, r.operation, r.model].filter(Boolean).join(" / ") },
        number("within ms", "latency_ms", ms),
        { head: "target", number: (r) => r.objective, show: (v) => (isMissing(v) ? MISSING : short(v * 100) + " %") },
        {
          head: "reached",
          number: (r) => r.good_share,
          show: (v) => (isMissing(v) ? MISSING : short(Math.floor(v * 1e5) / 1e3) + " %"),
        },
        number("good", "good", count),
        number("total", "total", count),
        number("budget spent", "error_budget_spent", percent, { bar: "bar-error" }),
        ...windows.map((w) => ({
          head: "burn " + w,
          number: (r) => list(r.burn_rates).find((b) => b.window === w)?.burn_rate,
          show: (v) => (isMissing(v) ? MISSING : decimals(v, 1, 2)),
          hint: `burn rate over the last ${w}`,
        })),
        { head: "alert", text: (r) => r.alert },
      ],
    }),
  );
}

function usageSection() {
  const u = answerOf("usage");
  const rows = list(u?.rows).filter((r) => r.usage_count > 0 || r.priced_count > 0);
  if (rows.length === 0) return null;
  const t = u.total;
  return card(
    "usage",
    "Tokens and cost",
    t ? `${compact(t.input_tokens)} tokens in, ${compact(t.output_tokens)} out, ${usd(t.cost_usd)}` : null,
    tableOf({
      label: "Tokens and cost by " + list(u.by).map(words).join(", "),
      rows,
      total: page.pick.usage_models_total,
      columns: [
        { head: list(u.by).map(words).join(", "), text: (r) => r.values.join(" / "), empty: "not said" },
        number("cost", "cost_usd", usd, { bar: "bar-latency" }),
        number("per 1,000 requests", "cost_per_1000_requests_usd", usd),
        number("requests", "requests", count),
        { head: "without a price", number: (r) => r.unpriced_count || null, show: count },
        number("input", "input_tokens", compact, { bar: "bar-count" }),
        number("output", "output_tokens", compact),
        { head: "cache read", number: (r) => r.cache_read_tokens || null, show: compact },
        { head: "cache written", number: (r) => r.cache_write_tokens || null, show: compact },
        { head: "reasoning", number: (r) => r.reasoning_tokens || null, show: compact },
        number("output per second", "output_tokens_per_s", rate),
        number("ms per output token", "avg_time_per_output_token_ms", ms),
      ],
    }),
  );
}
