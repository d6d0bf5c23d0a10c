// The tables of the page, each a section; one without data is left out.

function errorsSection() {
  const e = answerOf("errors");
  const types = list(e?.by_type),
    outcomes = list(e?.by_outcome);
  if (types.length === 0 && outcomes.length === 0) return null;
  const columns = (head, first) => [
    { head, text: (r) => r.name, empty: "not said", ...first },
    number("errors", "errors", count, { bar: "bar-error" }),
    number("of all errors", "share_of_errors", percent),
    number("of all requests", "share_of_requests", percent),
    { head: "injected", number: (r) => r.errors_injected || null, show: count, hint: "errors that carry a fault" },
    ...seenColumns(),
  ];
  const codes = list(e.status_codes?.codes);
  return card(
    "errors",
    "Errors",
    `${count(e.errors)} of ${count(e.requests)} requests (${percent(e.error_rate)})`,
    el("h3", {}, "By outcome"),
    tableOf({
      label: "Errors by outcome",
      rows: outcomes,
      columns: columns("outcome", { text: (r) => words(r.name), swatch: (r) => outcomeColor(r.name) }),
    }),
    el("h3", {}, "By type"),
    tableOf({ label: "Errors by type", rows: types, total: page.pick.error_types_total, columns: columns("error type") }),
    codes.length > 0 && [
      el("h3", {}, "By status code"),
      el("p", { class: "hint" }, e.status_codes.complete ? "from every request" : "from the requests that are kept: estimates"),
      tableOf({
        label: "Errors by status code",
        rows: codes,
        columns: [
          { head: "status code", text: (r) => (isMissing(r.status_code) ? "" : String(r.status_code)), empty: "not said" },
          number("requests", "requests", (v) => count(Math.round(v)), { bar: "bar-error" }),
          number("of all errors", "share_of_errors", percent),
          { head: "injected", number: (r) => Math.round(r.requests_injected ?? 0) || null, show: count },
          ...seenColumns(),
        ],
      }),
    ],
  );
}

function seenColumns() {
  const hint = "when the first and the last of them began; where a bucket is all that is known, the whole of it";
  return [
    { head: "first seen", text: (r) => seen(r.first_seen_utc, r.seen_within_s), hint },
    { head: "last seen", text: (r) => seen(r.last_seen_utc, r.seen_within_s), hint },
    { head: "traces", node: (r) => traceIds(list(r.samples).map((s) => s.trace_id)), text: () => "" },
  ];
}

const DIMENSIONS = {
  model: "Models",
  provider: "Providers",
  operation: "Operations",
  agent: "Agents",
  service: "Services",
  tool: "Tools",
  fault: "Requests by fault",
  outcome: "Outcomes",
  error_type: "Error types",
  run_id: "Runs",
};

// Dimensions that a request need not have.
const NONE = ["agent", "tool", "fault", "error_type", "run_id"];

function dimensionSections() {
  return list(page.pick.tables)
    .filter((t) => list(t.rows).length > 0)
    .map((t) => {
      const what = DIMENSIONS[t.by] ?? words(t.by);
      return card(
        "by-" + t.by.replace(/[^a-z0-9_-]/gi, "-"),
        what,
        `latency, errors and tokens by ${words(t.by).replace(" id", "")}`,
        tableOf({
          label: `Latency by ${words(t.by)}`,
          rows: t.rows,
          columns: [
            {
              head: words(t.by).replace(" id", ""),
              text: (r) => (t.by === "outcome" ? words(r.values[0]) : r.values[0]),
              empty: NONE.includes(t.by) ? "none" : "not said",
              swatch: t.by === "outcome" ? (r) => outcomeColor(r.values[0]) : undefined,
            },
            number("requests", "requests", count, { bar: "bar-count" }),
            number("failed", "error_rate", percent, { bar: "bar-error" }),
            { head: "injected", number: (r) => r.requests_injected || null, show: count },
            { head: "avg ms", number: (r) => r.latency?.avg_ms, show: ms },
            ...latencyColumns("latency"),
            { head: "max ms", number: (r) => r.latency?.max_ms, show: ms },
            { head: "TTFT p95 ms", number: (r) => r.ttft?.percentiles_ms?.p95, show: ms, hint: "time to first token" },
            number("input tokens", "input_tokens", compact),
            number("output tokens", "output_tokens", compact),
            number("cost", "cost_usd", usd),
          ],
          note:
            t.other &&
            `${count(t.other_groups)} more, with ${plural(t.other.requests, "request")} (${percent(t.other.error_rate)} failed), are not in the report.`,
        }),
      );
    });
}

function circuitsSection() {
  const c = answerOf("circuits");
  if (list(c?.rows).length === 0) return null;
  return card(
    "circuits",
    "Circuit breakers",
    `${plural(c.trips, "trip")}, ${plural(c.rejected, "call")} refused${c.still_open > 0 ? `, ${plural(c.still_open, "circuit")} still open` : ""}`,
    tableOf({
      label: "Circuit breakers",
      rows: c.rows,
      total: answerOf("circuits_total"),
      columns: [
        text("circuit", "circuit"),
        text("service", "service"),
        text("instance", "instance"),
        runColumn(),
        number("trips", "trips", count, { bar: "bar-error" }),
        number("reopened", "reopened", count),
        number("closed", "closed", count),
        number("open for", "open_s", seconds),
        number("recovery, mean", "recovery_s", seconds),
        number("recovery, longest", "max_recovery_s", seconds),
        number("refused calls", "rejected", count),
        { head: "now", text: (r) => words(r.state) },
        { head: "since (UTC)", text: (r) => instant(r.since_utc) },
      ],
    }),
  );
}

// runColumn is there where a row may be of any run.
function runColumn() {
  return page.run === EVERY_RUN && list(page.model.runs).length > 1 && { head: "run", text: (r) => r.run_id };
}

function slowSection() {
  const s = answerOf("slow");
  if (list(s?.rows).length === 0) return null;
  const of = (key) => (r) => r.request?.[key] ?? r[key];
  const hint =
    s.source === "buckets"
      ? "the slowest of each bucket: single requests are not kept"
      : s.kept?.complete === false
        ? "of the requests that are kept"
        : "of all requests";
  return card(
    "slowest",
    "Slowest requests",
    hint,
    tableOf({
      label: "Slowest requests",
      rows: s.rows,
      first: 10,
      columns: [
        { head: "start (UTC)", text: (r) => instant(r.start_utc) },
        number("latency ms", "latency_ms", ms, { bar: "bar-latency" }),
        { head: "TTFT ms", number: of("ttft_ms"), show: ms },
        { head: "injected ms", number: of("injected_delay_ms"), show: ms },
        {
          head: "outcome",
          text: (r) => words(of("outcome")(r) ?? ""),
          swatch: (r) => (of("outcome")(r) ? outcomeColor(of("outcome")(r)) : "transparent"),
        },
        { head: "model", text: of("model") },
        { head: "operation", text: of("operation") },
        { head: "service", text: of("service") },
        { head: "error type", text: of("error_type") },
        { head: "fault", text: of("fault") },
        runColumn(),
        { head: "output tokens", number: of("output_tokens"), show: count },
        { head: "trace", node: (r) => traceIds([r.trace_id]), text: () => "" },
      ],
    }),
  );
}

function toolsSection() {
  const t = answerOf("tools");
  if (list(t?.rows).length === 0) return null;
  return card(
    "tools",
    "Tool calls",
    t.total ? `${plural(t.total.calls, "call")}, ${percent(t.total.error_rate)} failed` : null,
    tableOf({
      label: "Tool calls",
      rows: t.rows,
      total: answerOf("tools_total"),
      columns: [
        text("tool", "tool"),
        number("calls", "calls", count, { bar: "bar-count" }),
        number("of all calls", "share", percent),
        number("failed", "error_rate", percent, { bar: "bar-error" }),
        number("avg ms", "avg_latency_ms", ms),
        number("p50 ms", "p50_latency_ms", ms),
        number("p95 ms", "p95_latency_ms", ms, { bar: "bar-latency" }),
        number("p99 ms", "p99_latency_ms", ms),
        number("wait ms", "wait_ms_avg", ms, { hint: "for a decision of the user, on average" }),
        { head: "accepted", number: (r) => r.acceptance_rate, show: percent },
      ],
    }),
  );
}

function sessionsSection() {
  const s = answerOf("sessions");
  if (list(s?.rows).length === 0) return null;
  return card(
    "sessions",
    "Sessions",
    s.total
      ? `${plural(s.total.sessions, "session")}, ${plural(s.total.requests, "request")}, ${plural(s.total.tool_calls, "tool call")}`
      : null,
    tableOf({
      label: "Sessions",
      rows: s.rows,
      total: s.total?.sessions,
      columns: [
        text("session", "session_id"),
        text("service", "service"),
        runColumn(),
        { head: "begin (UTC)", text: (r) => instant(r.first_utc) },
        number("lasted", "duration_s", seconds),
        number("turns", "prompts", count),
        number("requests", "requests", count, { bar: "bar-count" }),
        { head: "errors", number: (r) => r.errors || null, show: count },
        number("tool calls", "tool_calls", count),
        number("per minute", "tools_per_minute", (v) => (isMissing(v) ? MISSING : decimals(v, 1, 2)), {
          hint: "tool calls per minute",
        }),
        number("think", "think_time_s", seconds, { hint: "time between an answer and the next prompt, mean" }),
        number("respond", "response_time_s", seconds, { hint: "time from prompt to answer, mean" }),
        number("accepted", "acceptance_rate", percent),
        number("tokens out", "output_tokens", compact),
        number("cost", "cost_usd", usd),
      ],
    }),
  );
}

function chaosSection() {
  const results = answerOf("chaos_results");
  const rows = list(results?.rows);
  if (rows.length === 0) return null;
  return card(
    "chaos",
    "Tests",
    `${results.passed} of ${results.passed + results.failed} passed`,
    tableOf({
      label: "Tests",
      rows,
      total: results.passed + results.failed,
      columns: [
        text("test", "name"),
        text("suite", "suite"),
        runColumn(),
        {
          head: "result",
          node: (r) => badge(r.passed ? "ok" : "critical", r.passed ? "passed" : "failed"),
          text: (r) => (r.passed ? "passed" : "failed"),
        },
        text("expected", "expected"),
        text("actual", "actual"),
        number("took ms", "duration_ms", ms),
        text("error", "error"),
      ],
    }),
  );
}

function badge(kind, label) {
  return el("span", { class: "badge " + kind }, label);
}
