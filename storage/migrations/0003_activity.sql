-- Schema version 3: what people did, and what faults did to them. Sessions,
-- turns, tool calls, fault windows and circuits, all views: they follow from
-- the rows there are, so that neither the order of arrival nor a second
-- delivery shows.
--
-- A span without a usable duration ends where it starts.

-- A tool call may be several spans: the call as a whole, the run of the tool,
-- the wait for a human, and the same again as another instrumentation saw it.
-- One row per span and the call that it belongs to.
CREATE VIEW tool_call_spans AS
WITH RECURSIVE
span AS MATERIALIZED (
  SELECT s.run_id, s.service, r.session_id, r.trace_id, r.span_id, r.start_ns, r.duration_ns,
    -- Some number their calls anew in every conversation: an id counts within
    -- its trace.
    CASE WHEN r.tool_call_id = '' THEN NULL WHEN r.trace_id <> zeroblob(16) THEN lower(hex(r.trace_id)) || '/' || r.tool_call_id
      ELSE r.tool_call_id END AS tool_call_id,
    CASE r.role WHEN 2 THEN 'call' WHEN 4 THEN 'wait' ELSE 'run' END AS part,
    s.tool, s.outcome, d.value AS decision,
    -- Names the span; those without ids are told apart by what else is known.
    CASE WHEN r.trace_id <> zeroblob(16) AND r.span_id <> zeroblob(8) THEN lower(hex(r.trace_id) || '/' || hex(r.span_id))
      ELSE '@' || r.start_ns || '/' || r.duration_ns || '/' || r.kind || '/' || r.copy || '/' || lower(hex(r.trace_id) || '/' || hex(r.span_id)) END AS node,
    CASE WHEN r.trace_id <> zeroblob(16) AND r.parent_span_id <> zeroblob(8) THEN lower(hex(r.trace_id) || '/' || hex(r.parent_span_id)) END AS parent
  FROM request AS r JOIN series AS s ON s.series_id = r.series_id
    LEFT JOIN dictionary AS d ON d.id = r.decision
  WHERE r.kept & 2 AND (r.role IN (2, 3, 4) OR s.category = 'tool')
),
node AS MATERIALIZED (
  SELECT run_id, node, min(parent) AS parent, min(tool_call_id) AS tool_call_id, min(part) AS part, min(nullif(tool, '')) AS tool
  FROM span GROUP BY run_id, node
),
-- A run or a wait that names no call belongs to the call of its parent. A run
-- of one tool in a run of another is a call of its own.
link AS MATERIALIZED (
  SELECT c.run_id, c.node, p.node AS parent
  FROM node AS c JOIN node AS p ON p.run_id = c.run_id AND p.node = c.parent
  WHERE c.tool_call_id IS NULL AND c.part <> 'call' AND p.node <> c.node
    AND (c.part = 'wait' OR p.part <> 'run' OR p.tool = c.tool OR p.tool IS NULL OR c.tool IS NULL)
),
walk (run_id, node, ancestor, steps) AS (
  SELECT run_id, node, parent, 1 FROM link
  UNION ALL
  SELECT w.run_id, w.node, l.parent, w.steps + 1
  FROM walk AS w JOIN link AS l ON l.run_id = w.run_id AND l.node = w.ancestor WHERE w.steps < 8
),
top AS MATERIALIZED (
  SELECT w.run_id, w.node, coalesce(n.tool_call_id, n.node) AS call_id
  FROM walk AS w JOIN node AS n ON n.run_id = w.run_id AND n.node = w.ancestor
    LEFT JOIN link AS l ON l.run_id = w.run_id AND l.node = w.ancestor
  WHERE l.node IS NULL
)
SELECT s.run_id, coalesce(t.call_id, n.tool_call_id, s.node) AS call_id, s.service, s.session_id,
  CASE WHEN s.trace_id <> zeroblob(16) THEN lower(hex(s.trace_id)) END AS trace_id,
  CASE WHEN s.span_id <> zeroblob(8) THEN lower(hex(s.span_id)) END AS span_id,
  s.part, s.tool, s.start_ns, CASE WHEN s.duration_ns >= 0 THEN s.duration_ns END AS duration_ns, s.outcome, s.decision
FROM span AS s
  CROSS JOIN node AS n ON n.run_id = s.run_id AND n.node = s.node
  LEFT JOIN top AS t ON t.run_id = s.run_id AND t.node = s.node;

-- The run of a call is its longest run span; without one, what the call as a
-- whole took besides waiting. Rejected and never run: no run, and no error.
CREATE VIEW tool_calls AS
WITH span AS MATERIALIZED (
  SELECT *, row_number() OVER (
    PARTITION BY run_id, call_id
    ORDER BY CASE part WHEN 'run' THEN 1 WHEN 'call' THEN 2 ELSE 3 END, coalesce(duration_ns, -1) DESC, trace_id, span_id, outcome
  ) AS rank
  FROM tool_call_spans
),
call AS (
  SELECT run_id, call_id,
    coalesce(
      min(nullif(tool, '')) FILTER (WHERE part = 'run'), min(nullif(tool, '')) FILTER (WHERE part = 'call'), min(nullif(tool, '')), ''
    ) AS tool,
    min(start_ns) AS start_ns,
    max(part) FILTER (WHERE rank = 1) AS best,
    max(duration_ns) FILTER (WHERE rank = 1) AS best_ns,
    sum(duration_ns) FILTER (WHERE part = 'wait') AS wait_ns,
    min(decision) FILTER (WHERE decision IN ('accept', 'auto', 'modify', 'reject')) AS decision,
    max(outcome) FILTER (WHERE rank = 1 AND part <> 'wait') AS outcome,
    count(*) AS spans
  FROM span GROUP BY run_id, call_id
),
timed AS (
  SELECT *,
    CASE WHEN best = 'run' THEN best_ns
      WHEN best = 'call' AND decision IS NOT 'reject' THEN max(best_ns - coalesce(wait_ns, 0), 0) END AS duration_ns
  FROM call
)
SELECT run_id, call_id, tool,
  strftime('%Y-%m-%dT%H:%M:%SZ', start_ns / 1000000000, 'unixepoch') AS start_utc,
  start_ns, duration_ns, duration_ns / 1e6 AS latency_ms, wait_ns, wait_ns / 1e6 AS wait_ms, decision, outcome,
  decision IS NOT 'reject' AND coalesce(outcome <> 'success', 0) AS error,
  spans
FROM timed;

CREATE VIEW tools AS
WITH call AS MATERIALIZED (
  SELECT run_id, tool, duration_ns, wait_ns, decision, error,
    row_number() OVER (PARTITION BY run_id, tool ORDER BY duration_ns IS NULL, duration_ns) AS rank,
    count(duration_ns) OVER (PARTITION BY run_id, tool) AS timed
  FROM tool_calls
),
counted AS (
  SELECT run_id, tool, count(*) AS calls, sum(error) AS errors,
    -- Seconds and the rest apart: whole nanoseconds might overflow.
    (sum(duration_ns / 1000000000) * 1e9 + sum(duration_ns % 1000000000)) / 1e6 / count(duration_ns) AS avg_latency_ms,
    min(duration_ns) FILTER (WHERE rank * 100 >= timed * 50) AS p50_ns,
    min(duration_ns) FILTER (WHERE rank * 100 >= timed * 95) AS p95_ns,
    min(duration_ns) FILTER (WHERE rank * 100 >= timed * 99) AS p99_ns,
    (sum(wait_ns / 1000000000) * 1e9 + sum(wait_ns % 1000000000)) / 1e6 / count(wait_ns) AS wait_ms_avg,
    count(*) FILTER (WHERE decision IN ('accept', 'auto', 'modify')) AS accepted,
    count(*) FILTER (WHERE decision = 'reject') AS rejected,
    count(*) FILTER (WHERE decision = 'auto') AS auto_accepted
  FROM call GROUP BY run_id, tool
)
SELECT run_id, tool, calls, errors, errors * 1.0 / calls AS error_rate,
  calls * 1.0 / sum(calls) OVER (PARTITION BY run_id) AS share,
  avg_latency_ms, p50_ns / 1e6 AS p50_latency_ms, p95_ns / 1e6 AS p95_latency_ms, p99_ns / 1e6 AS p99_latency_ms,
  wait_ms_avg, accepted, rejected, auto_accepted,
  accepted * 1.0 / nullif(accepted + rejected, 0) AS acceptance_rate
FROM counted;

-- A turn is what an agent does at one request of its user: from the start of
-- an agent or workflow span that is not inside another one of the session, to
-- the end of all that overlap it. Sessions without such spans: one per trace.
CREATE VIEW turns AS
WITH span AS MATERIALIZED (
  SELECT s.run_id, s.service, r.session_id,
    CASE WHEN r.trace_id <> zeroblob(16) THEN lower(hex(r.trace_id)) ELSE '' END AS trace_id,
    r.start_ns, r.start_ns + max(r.duration_ns, 0) AS end_ns,
    s.category IN ('agent', 'workflow') OR coalesce(r.role, 0) = 1 AS turns,
    s.category IN ('llm', 'tool') OR coalesce(r.role, 0) IN (2, 3, 4) AS works,
    s.category IN (
      SELECT value FROM json_each((SELECT '["' || replace(value, ',', '","') || '"]' FROM meta WHERE key = 'headline_category'))
    ) AS requests,
    0 AS calls
  FROM request AS r JOIN series AS s ON s.series_id = r.series_id
  WHERE r.kept & 2 AND r.session_id <> ''
  UNION ALL
  SELECT run_id, service, session_id, min(coalesce(trace_id, '')), min(start_ns), min(start_ns), 0, 0, 0, 1
  FROM tool_call_spans WHERE session_id <> '' GROUP BY run_id, service, session_id, call_id
),
-- The sessions with agents; most have none.
led AS MATERIALIZED (SELECT DISTINCT run_id, service, session_id FROM span WHERE turns),
opened AS (
  SELECT *, coalesce(start_ns >= max(end_ns) OVER (
    PARTITION BY run_id, service, session_id ORDER BY start_ns, end_ns DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
  ), 1) AS opens
  FROM span WHERE turns
),
numbered AS (
  SELECT *, sum(opens) OVER (PARTITION BY run_id, service, session_id ORDER BY start_ns, turns DESC, end_ns DESC) AS turn
  FROM (
    SELECT * FROM opened
    UNION ALL
    SELECT s.*, 0 FROM span AS s CROSS JOIN led AS l
    WHERE l.run_id = s.run_id AND l.service = s.service AND l.session_id = s.session_id AND NOT s.turns AND (s.requests OR s.calls)
  )
),
of_agents AS (
  SELECT run_id, service, session_id, '' AS trace_id,
    min(start_ns) FILTER (WHERE turns) AS start_ns, max(end_ns) FILTER (WHERE turns) AS end_ns,
    sum(requests) AS requests, sum(calls) AS tool_calls
  FROM numbered WHERE turn > 0 GROUP BY run_id, service, session_id, turn
),
of_traces AS (
  SELECT run_id, service, session_id, trace_id,
    min(start_ns) FILTER (WHERE works) AS start_ns, max(end_ns) FILTER (WHERE works) AS end_ns,
    sum(requests) AS requests, sum(calls) AS tool_calls
  FROM (
    SELECT s.*
    FROM span AS s LEFT JOIN led AS l ON l.run_id = s.run_id AND l.service = s.service AND l.session_id = s.session_id
    WHERE l.session_id IS NULL
  )
  GROUP BY run_id, service, session_id, trace_id HAVING max(works)
),
turn AS (
  SELECT *, row_number() OVER (PARTITION BY run_id, service, session_id ORDER BY start_ns, trace_id) AS turn
  FROM (SELECT * FROM of_agents UNION ALL SELECT * FROM of_traces)
)
SELECT run_id, service, session_id, turn, start_ns,
  strftime('%Y-%m-%dT%H:%M:%SZ', start_ns / 1000000000, 'unixepoch') AS start_utc,
  end_ns,
  (end_ns - start_ns) / 1e9 AS response_time_s,
  -- Turns by trace may overlap: nobody thought in between.
  max(start_ns - max(end_ns) OVER (
    PARTITION BY run_id, service, session_id ORDER BY turn ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
  ), 0) / 1e9 AS think_time_s,
  requests, tool_calls
FROM turn;

-- productivity_score = base + tool_success * share of tool calls that worked
-- - tool_failure * share that did not + acceptance * acceptance_rate, kept
-- within 0 and 100.
CREATE VIEW productivity_weights AS
SELECT 50.0 AS base, 25.0 AS tool_success, 15.0 AS tool_failure, 10.0 AS acceptance;

CREATE VIEW sessions AS
WITH session AS MATERIALIZED (
  SELECT s.run_id, s.service, p.session_id, min(p.first_ns) AS first_ns, max(p.last_ns) AS last_ns,
    sum(p.spans * (h.category IS NOT NULL)) AS requests,
    sum(p.spans * (h.category IS NOT NULL AND s.outcome <> 'success')) AS errors,
    sum(p.input_tokens) AS input_tokens, sum(p.output_tokens) AS output_tokens, sum(p.cost_nano_usd) AS cost_nano_usd
  FROM (
      -- Series are few: looked up once for all spans of one in a session.
      SELECT series_id, session_id, count(*) AS spans, min(start_ns) AS first_ns, max(start_ns + max(duration_ns, 0)) AS last_ns,
        sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens, sum(cost_nano_usd) AS cost_nano_usd
      FROM request WHERE kept & 2 AND session_id <> '' GROUP BY series_id, session_id
    ) AS p CROSS JOIN series AS s ON s.series_id = p.series_id
    LEFT JOIN (
      SELECT value AS category FROM json_each((SELECT '["' || replace(value, ',', '","') || '"]' FROM meta WHERE key = 'headline_category'))
    ) AS h ON h.category = s.category
  GROUP BY s.run_id, s.service, p.session_id
),
call AS MATERIALIZED (
  SELECT m.run_id, m.service, m.session_id, count(*) AS calls, sum(c.error) AS errors,
    sum(c.decision IN ('accept', 'auto', 'modify')) AS accepted, sum(c.decision = 'reject') AS rejected, sum(c.decision = 'auto') AS auto_accepted
  FROM (SELECT DISTINCT run_id, service, session_id, call_id FROM tool_call_spans WHERE session_id <> '') AS m
    JOIN tool_calls AS c ON c.run_id = m.run_id AND c.call_id = m.call_id
  GROUP BY m.run_id, m.service, m.session_id
),
turn AS MATERIALIZED (
  SELECT run_id, service, session_id, count(*) AS turns,
    sum(end_ns - start_ns) / 1e9 / count(*) AS response_time_s,
    sum(CAST(round(think_time_s * 1e9) AS INTEGER)) / 1e9 / count(think_time_s) AS think_time_s
  FROM turns GROUP BY run_id, service, session_id
),
judged AS MATERIALIZED (
  SELECT run_id, service, session_id, sum(accepted = 1) AS accepted, sum(accepted = 0) AS rejected
  FROM evaluation WHERE session_id <> '' GROUP BY run_id, service, session_id
),
counted AS (
  SELECT s.*, coalesce(c.calls, 0) AS tool_calls, coalesce(c.errors, 0) AS tool_errors, t.turns, t.think_time_s, t.response_time_s,
    coalesce(c.accepted, 0) + coalesce(j.accepted, 0) AS accepted,
    coalesce(c.rejected, 0) + coalesce(j.rejected, 0) AS rejected,
    coalesce(c.auto_accepted, 0) AS auto_accepted
  FROM session AS s
    LEFT JOIN call AS c ON c.run_id = s.run_id AND c.service = s.service AND c.session_id = s.session_id
    LEFT JOIN turn AS t ON t.run_id = s.run_id AND t.service = s.service AND t.session_id = s.session_id
    LEFT JOIN judged AS j ON j.run_id = s.run_id AND j.service = s.service AND j.session_id = s.session_id
)
SELECT c.run_id, c.service, c.session_id,
  strftime('%Y-%m-%dT%H:%M:%SZ', c.first_ns / 1000000000, 'unixepoch') AS first_utc,
  strftime('%Y-%m-%dT%H:%M:%SZ', c.last_ns / 1000000000, 'unixepoch') AS last_utc,
  (c.last_ns - c.first_ns) / 1e9 AS duration_s,
  c.requests, c.errors, c.tool_calls, c.tool_errors,
  c.tool_calls * 60e9 / nullif(c.last_ns - c.first_ns, 0) AS tools_per_minute,
  c.turns AS prompts, c.think_time_s, c.response_time_s,
  c.accepted, c.rejected, c.auto_accepted,
  c.accepted * 1.0 / nullif(c.accepted + c.rejected, 0) AS acceptance_rate,
  min(100.0, max(0.0, w.base
    + w.tool_success * (c.tool_calls - c.tool_errors) / nullif(c.tool_calls, 0)
    - w.tool_failure * c.tool_errors / nullif(c.tool_calls, 0)
    + w.acceptance * c.accepted / nullif(c.accepted + c.rejected, 0))) AS productivity_score,
  c.input_tokens, c.output_tokens, c.cost_nano_usd / 1e9 AS cost_usd
FROM counted AS c CROSS JOIN productivity_weights AS w;

-- Windows that were said, and windows made of marked spans: those that start
-- at most fault_gap_ns after all before them have ended are one. Only spans of
-- the headline categories count: of a call and the HTTP call inside it, one.
CREATE VIEW fault_windows AS
WITH mark AS MATERIALIZED (
  SELECT s.run_id, s.fault, coalesce(t.value, '') AS target, coalesce(e.value, '') AS experiment_id,
    r.start_ns, r.start_ns + max(r.duration_ns, 0) AS end_ns,
    -- A row that is only a sample stands for several.
    CASE WHEN s.category NOT IN (
        SELECT value FROM json_each((SELECT '["' || replace(value, ',', '","') || '"]' FROM meta WHERE key = 'headline_category'))
      ) THEN 0
      WHEN r.kept & 4 THEN 1000000 ELSE coalesce(r.weight_micro, 1000000) END AS weight_micro
  FROM request AS r INDEXED BY request_marked
    JOIN series AS s ON s.series_id = r.series_id
    LEFT JOIN dictionary AS t ON t.id = r.target
    LEFT JOIN dictionary AS e ON e.id = r.experiment
  WHERE r.marked = 1
),
opened AS (
  SELECT *, coalesce(start_ns - max(end_ns) OVER (
    PARTITION BY run_id, fault, target, experiment_id ORDER BY start_ns ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
  ) > coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'fault_gap_ns'), 5000000000), 1) AS opens
  FROM mark
),
numbered AS (
  SELECT *, sum(opens) OVER (PARTITION BY run_id, fault, target, experiment_id ORDER BY start_ns) AS number
  FROM opened
),
known AS MATERIALIZED (SELECT DISTINCT fault FROM mark),
headline AS MATERIALIZED (
  SELECT series_id, run_id, fault FROM series WHERE category IN (
    SELECT value FROM json_each((SELECT '["' || replace(value, ',', '","') || '"]' FROM meta WHERE key = 'headline_category'))
  )
),
stated AS (
  SELECT source, run_id, fault, target, experiment_id, start_ns, max(end_ns) AS end_ns, fault IN (SELECT fault FROM known) AS marks
  FROM fault_window GROUP BY source, run_id, fault, target, experiment_id, start_ns
),
combined AS (
  SELECT 'requests' AS source, run_id, fault, target, experiment_id, min(start_ns) AS start_ns, max(end_ns) AS end_ns,
    sum(weight_micro) AS requests_micro
  FROM numbered GROUP BY run_id, fault, target, experiment_id, number
  UNION ALL
  SELECT source, run_id, fault, target, experiment_id, start_ns, end_ns, (
    SELECT sum(CASE WHEN r.kept & 4 THEN 1000000 ELSE coalesce(r.weight_micro, 1000000) END)
    FROM request AS r INDEXED BY request_marked CROSS JOIN headline AS h
    WHERE r.marked = 1 AND r.start_ns >= stated.start_ns AND r.start_ns < max(stated.end_ns, stated.start_ns + 1)
      AND h.series_id = r.series_id AND (stated.run_id = '' OR h.run_id = stated.run_id)
      AND (h.fault = stated.fault OR NOT stated.marks)
  )
  FROM stated
)
SELECT source
    || '/' || replace(replace(run_id, '%', '%25'), '/', '%2F') || '/' || replace(replace(fault, '%', '%25'), '/', '%2F')
    || '/' || replace(replace(target, '%', '%25'), '/', '%2F') || '/' || replace(replace(experiment_id, '%', '%25'), '/', '%2F')
    || '/' || start_ns AS window_id,
  run_id, fault, nullif(target, '') AS target,
  strftime('%Y-%m-%dT%H:%M:%SZ', start_ns / 1000000000, 'unixepoch') AS start_utc,
  strftime('%Y-%m-%dT%H:%M:%SZ', end_ns / 1000000000, 'unixepoch') AS end_utc,
  start_ns, end_ns, source, nullif(experiment_id, '') AS experiment_id,
  (coalesce(requests_micro, 0) + 500000) / 1000000 AS requests
FROM combined;

-- What before and after a window mean in a run. Both keep clear of every
-- other window of the run: they end where the next one on that side begins,
-- and begin beyond all that overlap this one. Marked spans that begin within a
-- window that was said are the same fault, seen from the other side: however
-- late one of them ends, the time after the window is after. A window lasts a
-- nanosecond at least and does not contain its end. One that was said of no run
-- counts in each run whose spans it met.
CREATE VIEW fault_periods AS
WITH found AS MATERIALIZED (
  SELECT window_id, run_id, fault, target, start_ns, end_ns, max(end_ns, start_ns + 1) AS until_ns, source = 'requests' AS seen FROM fault_windows
),
applied AS MATERIALIZED (
  SELECT window_id, CASE WHEN f.run_id <> '' THEN f.run_id ELSE coalesce(r.run_id, '') END AS run_id, fault, target, start_ns, end_ns, until_ns, seen
  FROM found AS f LEFT JOIN run AS r ON f.run_id = '' AND NOT f.seen AND r.first_ns < f.until_ns AND r.last_ns >= f.start_ns
),
border (window_id, run_id, at_ns, opens, start_ns, until_ns, seen) AS (
  SELECT window_id, run_id, start_ns, 1, start_ns, until_ns, seen FROM applied
  UNION ALL
  SELECT window_id, run_id, until_ns, 0, start_ns, until_ns, seen FROM applied
),
reach AS (
  SELECT window_id, run_id, opens, seen,
    max(CASE WHEN NOT opens THEN until_ns END) OVER (
      PARTITION BY run_id ORDER BY at_ns RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before_from_ns,
    min(CASE WHEN NOT opens THEN start_ns END) OVER (
      PARTITION BY run_id ORDER BY at_ns DESC RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before_to_ns,
    max(CASE WHEN opens THEN until_ns END) OVER earlier AS after_from_ns,
    max(CASE WHEN opens AND NOT seen THEN until_ns END) OVER earlier AS after_said_ns,
    max(CASE WHEN opens AND seen THEN until_ns END) OVER earlier AS after_seen_ns,
    min(CASE WHEN opens THEN start_ns END) OVER (
      PARTITION BY run_id ORDER BY at_ns DESC RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS after_to_ns
  FROM border
  WINDOW earlier AS (PARTITION BY run_id ORDER BY at_ns RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
),
limits AS MATERIALIZED (
  SELECT window_id, run_id,
    max(before_from_ns) FILTER (WHERE opens) AS before_from_ns, max(before_to_ns) FILTER (WHERE opens) AS before_to_ns,
    CASE WHEN seen THEN max(after_from_ns) FILTER (WHERE NOT opens)
      -- Marked spans count if they began before the window.
      ELSE max(max(after_said_ns) FILTER (WHERE NOT opens), coalesce(max(after_seen_ns) FILTER (WHERE opens), 0)) END AS after_from_ns,
    max(after_to_ns) FILTER (WHERE NOT opens) AS after_to_ns
  FROM reach GROUP BY window_id, run_id, seen
)
SELECT a.window_id, a.run_id, a.fault, a.target, a.start_ns, a.end_ns, a.until_ns,
  l.before_from_ns, l.before_to_ns, l.after_from_ns, l.after_to_ns
FROM applied AS a CROSS JOIN limits AS l ON l.window_id = a.window_id AND l.run_id = a.run_id;

CREATE VIEW phases AS
WITH period AS MATERIALIZED (SELECT * FROM fault_periods),
width AS MATERIALIZED (SELECT DISTINCT width_s FROM headline_bucket),
phased AS (
  SELECT p.window_id, p.run_id, p.fault, p.target, b.width_s, b.bucket_start,
    CASE
      WHEN b.bucket_start * 1000000000 >= p.start_ns AND (b.bucket_start + b.width_s) * 1000000000 <= p.until_ns THEN 'during'
      WHEN b.bucket_start * 1000000000 < p.until_ns AND (b.bucket_start + b.width_s) * 1000000000 > p.start_ns THEN 'edge'
      WHEN (b.bucket_start + b.width_s) * 1000000000 <= p.before_to_ns
        AND b.bucket_start * 1000000000 >= coalesce(p.before_from_ns, 0) THEN 'before'
      WHEN b.bucket_start * 1000000000 >= p.after_from_ns
        AND (b.bucket_start + b.width_s) * 1000000000 <= coalesce(p.after_to_ns, 9223372036854775807) THEN 'after'
    END AS phase
  FROM period AS p CROSS JOIN width AS w
    CROSS JOIN headline_bucket AS b ON b.width_s = w.width_s AND b.run_id = p.run_id
      AND b.bucket_start > coalesce(p.before_from_ns, 0) / 1000000000 - w.width_s
      AND b.bucket_start <= coalesce(p.after_to_ns, 9223372036854775807) / 1000000000
  WHERE NOT EXISTS ( -- One row per bucket, of whichever category.
    SELECT 1 FROM headline_bucket AS c
    WHERE c.width_s = b.width_s AND c.bucket_start = b.bucket_start AND c.run_id = b.run_id AND c.category < b.category
  )
)
SELECT * FROM phased WHERE phase IS NOT NULL;

-- From single requests of the headline categories, each with its weight. Sums
-- of nanoseconds are kept in seconds and the rest: they might overflow.
CREATE VIEW fault_impact AS
WITH period AS MATERIALIZED (
  SELECT row_number() OVER (ORDER BY run_id, window_id) AS id, *, substr(window_id, 1, 9) = 'requests/' AS seen FROM fault_periods
),
headline AS MATERIALIZED (
  SELECT series_id, run_id, outcome <> 'success' AS failed FROM series WHERE category IN (
    SELECT value FROM json_each((SELECT '["' || replace(value, ',', '","') || '"]' FROM meta WHERE key = 'headline_category'))
  )
),
-- The finest width with series: where there is none, the finest. In SQLite
-- 3.40 json_extract and ->> may not be used by a schema that is not trusted.
width AS MATERIALIZED (
  SELECT coalesce(min(width_s) FILTER (WHERE series), min(width_s)) AS width_s
  FROM (
    SELECT max(j.atom) FILTER (WHERE j.key = 'width_s') AS width_s, max(j.key = 'detail' AND j.atom = 'series') AS series
    FROM meta AS m, json_tree(m.value) AS j WHERE m.key = 'widths' AND j.key IN ('width_s', 'detail') GROUP BY j.path
  )
),
longest AS MATERIALIZED (
  SELECT max(r.duration_ns) AS ns FROM request AS r JOIN headline AS h ON h.series_id = r.series_id
  WHERE r.kept & 1 AND EXISTS (SELECT 1 FROM period)
),
-- part: four times the id of the window, and 0 before, 1 during, 2 after, 3
-- straddling.
touched AS MATERIALIZED (
  SELECT p.id * 4 + CASE WHEN r.start_ns >= p.start_ns THEN
        CASE WHEN r.start_ns < p.until_ns OR p.seen AND r.marked = 1 AND r.start_ns = p.end_ns THEN 1
          WHEN r.start_ns >= p.after_from_ns AND r.start_ns < coalesce(p.after_to_ns, 9223372036854775807) THEN 2 END
      WHEN r.start_ns + max(r.duration_ns, 0) > p.start_ns THEN 3
      WHEN r.start_ns >= coalesce(p.before_from_ns, 0) AND r.start_ns < p.before_to_ns
        AND r.start_ns + max(r.duration_ns, 0) <= p.before_to_ns THEN 0 END AS part,
    h.failed, coalesce(r.weight_micro, 1000000) AS weight, r.cost_nano_usd,
    CASE WHEN r.duration_ns >= 0 THEN r.duration_ns END AS ns,
    -- A delay longer than the request: what is left is not known.
    CASE WHEN r.duration_ns >= coalesce(r.injected_delay_ns, 0) THEN r.duration_ns - coalesce(r.injected_delay_ns, 0) END AS net_ns,
    r.injected_delay_ns > 0 AS delayed,
    r.start_ns / 1000000000 / w.width_s AS slot
  FROM period AS p CROSS JOIN width AS w CROSS JOIN request AS r CROSS JOIN headline AS h
  WHERE r.start_ns >= min(coalesce(p.before_from_ns, 0), p.start_ns - coalesce((SELECT ns FROM longest), 0))
    AND r.start_ns <= max(coalesce(p.after_to_ns, 9223372036854775807), p.end_ns)
    AND r.kept & 1 AND h.series_id = r.series_id AND h.run_id = p.run_id
),
summed AS MATERIALIZED (
  SELECT part, sum(weight) AS weight, sum(weight) FILTER (WHERE failed) AS failed,
    sum(weight) FILTER (WHERE ns IS NOT NULL) AS timed, sum(weight) FILTER (WHERE net_ns IS NOT NULL) AS net_timed,
    max(delayed) AS delayed,
    sum(weighted / 1000000000) * 1e9 + sum(weighted % 1000000000) AS sum_ns,
    sum(net_weighted / 1000000000) * 1e9 + sum(net_weighted % 1000000000) AS sum_net_ns,
    sum(cost_nano_usd * (weight / 1000000) + cost_nano_usd * (weight % 1000000) / 1000000) AS cost_nano_usd
  FROM (
    SELECT *, ns * (weight / 1000000) + ns * (weight % 1000000) / 1000000 AS weighted,
      net_ns * (weight / 1000000) + net_ns * (weight % 1000000) / 1000000 AS net_weighted
    FROM touched WHERE part IS NOT NULL
  )
  GROUP BY part
),
ranked AS (
  SELECT part, ns, sum(weight) OVER (PARTITION BY part ORDER BY ns ROWS UNBOUNDED PRECEDING) AS upto
  FROM touched WHERE part & 3 < 3 AND ns IS NOT NULL
),
percentile AS MATERIALIZED (
  SELECT r.part, min(r.ns) FILTER (WHERE r.upto * 100 >= s.timed * 50) AS p50_ns,
    min(r.ns) FILTER (WHERE r.upto * 100 >= s.timed * 95) AS p95_ns, min(r.ns) FILTER (WHERE r.upto * 100 >= s.timed * 99) AS p99_ns
  FROM ranked AS r JOIN summed AS s ON s.part = r.part GROUP BY r.part
),
-- Where nothing was delayed, net is the same.
net_ranked AS (
  SELECT t.part, t.net_ns, s.net_timed, sum(t.weight) OVER (PARTITION BY t.part ORDER BY t.net_ns ROWS UNBOUNDED PRECEDING) AS upto
  FROM touched AS t JOIN summed AS s ON s.part = t.part
  WHERE s.delayed AND t.net_ns IS NOT NULL
),
net_percentile AS MATERIALIZED (
  SELECT part, min(net_ns) FILTER (WHERE upto * 100 >= net_timed * 99) AS p99_ns FROM net_ranked GROUP BY part
),
phase AS MATERIALIZED (
  SELECT s.part / 4 AS id, s.part & 3 AS phase, s.weight / 1e6 AS requests, coalesce(s.failed, 0) * 1.0 / s.weight AS error_rate,
    s.sum_ns / s.timed AS avg_latency_ms, s.sum_net_ns / s.net_timed AS avg_net_latency_ms,
    p.p50_ns, p.p95_ns, p.p99_ns, CASE WHEN s.delayed THEN n.p99_ns ELSE p.p99_ns END AS net_p99_ns, s.cost_nano_usd / 1e9 AS cost_usd
  FROM summed AS s LEFT JOIN percentile AS p ON p.part = s.part LEFT JOIN net_percentile AS n ON n.part = s.part
),
-- p95 within a limit: at least 95 of 100 are.
bucket AS (
  SELECT b.id, t.slot,
    coalesce(sum(t.weight) FILTER (WHERE t.failed), 0) * 1.0 / sum(t.weight) <= b.error_rate + 0.05 + 1e-9
      AND (b.p95_ns IS NULL OR coalesce(sum(t.weight) FILTER (WHERE t.ns * 2 <= b.p95_ns * 3), 0) * 100
        >= coalesce(sum(t.weight) FILTER (WHERE t.ns IS NOT NULL), 0) * 95) AS good
  FROM touched AS t JOIN phase AS b ON b.id * 4 + 2 = t.part AND b.phase = 0
  GROUP BY b.id, t.slot
),
lasting AS (
  SELECT id, slot, good AND lead(good, 1, 1) OVER later AND lead(good, 2, 1) OVER later AS recovered
  FROM bucket WINDOW later AS (PARTITION BY id ORDER BY slot)
),
recovery AS MATERIALIZED (
  SELECT l.id, min(l.slot) * w.width_s AS bucket_start
  FROM lasting AS l CROSS JOIN width AS w WHERE l.recovered GROUP BY l.id
),
-- Where of some bucket of these periods no request is kept that it counts, and
-- of none other either, nothing is known.
missed AS MATERIALIZED (
  SELECT p.id FROM period AS p CROSS JOIN width AS w
  WHERE p.id NOT IN (SELECT id FROM phase) AND EXISTS (
    SELECT 1 FROM headline_bucket AS b
    WHERE b.width_s = w.width_s AND b.run_id = p.run_id AND b.requests > 0 AND b.category IN (
        SELECT value FROM json_each((SELECT '["' || replace(value, ',', '","') || '"]' FROM meta WHERE key = 'headline_category'))
      )
      AND b.bucket_start > coalesce(p.before_from_ns, 0) / 1000000000 - w.width_s
      AND b.bucket_start <= (coalesce(p.after_to_ns, 9223372036854775807) - 1) / 1000000000
      AND NOT EXISTS (
        SELECT 1 FROM request AS r CROSS JOIN headline AS h
        WHERE r.start_ns >= b.bucket_start * 1000000000 AND r.start_ns < (b.bucket_start + b.width_s) * 1000000000
          AND r.kept & 1 AND h.series_id = r.series_id AND h.run_id = p.run_id
      )
  )
),
cut AS MATERIALIZED (
  SELECT p.id, count(DISTINCT b.bucket_start) AS buckets,
    count(DISTINCT CASE WHEN b.bucket_start * 1000000000 < p.start_ns OR (b.bucket_start + b.width_s) * 1000000000 > p.until_ns THEN b.bucket_start END) AS edges
  FROM period AS p CROSS JOIN width AS w
    CROSS JOIN headline_bucket AS b ON b.width_s = w.width_s AND b.run_id = p.run_id
      AND b.bucket_start > p.start_ns / 1000000000 - w.width_s AND b.bucket_start <= (p.until_ns - 1) / 1000000000
  GROUP BY p.id
)
SELECT p.window_id, p.run_id, p.fault, p.target,
  strftime('%Y-%m-%dT%H:%M:%SZ', p.start_ns / 1000000000, 'unixepoch') AS start_utc,
  strftime('%Y-%m-%dT%H:%M:%SZ', p.end_ns / 1000000000, 'unixepoch') AS end_utc,
  coalesce(max(x.requests) FILTER (WHERE x.phase = 0), CASE WHEN m.id IS NULL THEN 0.0 END) AS requests_before,
  max(error_rate) FILTER (WHERE x.phase = 0) AS error_rate_before,
  max(avg_latency_ms) FILTER (WHERE x.phase = 0) AS avg_latency_ms_before,
  max(p50_ns) FILTER (WHERE x.phase = 0) / 1e6 AS p50_latency_ms_before,
  max(p95_ns) FILTER (WHERE x.phase = 0) / 1e6 AS p95_latency_ms_before,
  max(p99_ns) FILTER (WHERE x.phase = 0) / 1e6 AS p99_latency_ms_before,
  max(avg_net_latency_ms) FILTER (WHERE x.phase = 0) AS avg_net_latency_ms_before,
  max(net_p99_ns) FILTER (WHERE x.phase = 0) / 1e6 AS p99_net_latency_ms_before,
  max(cost_usd) FILTER (WHERE x.phase = 0) AS cost_usd_before,
  coalesce(max(x.requests) FILTER (WHERE x.phase = 1), CASE WHEN m.id IS NULL THEN 0.0 END) AS requests_during,
  max(error_rate) FILTER (WHERE x.phase = 1) AS error_rate_during,
  max(avg_latency_ms) FILTER (WHERE x.phase = 1) AS avg_latency_ms_during,
  max(p50_ns) FILTER (WHERE x.phase = 1) / 1e6 AS p50_latency_ms_during,
  max(p95_ns) FILTER (WHERE x.phase = 1) / 1e6 AS p95_latency_ms_during,
  max(p99_ns) FILTER (WHERE x.phase = 1) / 1e6 AS p99_latency_ms_during,
  max(avg_net_latency_ms) FILTER (WHERE x.phase = 1) AS avg_net_latency_ms_during,
  max(net_p99_ns) FILTER (WHERE x.phase = 1) / 1e6 AS p99_net_latency_ms_during,
  max(cost_usd) FILTER (WHERE x.phase = 1) AS cost_usd_during,
  coalesce(max(x.requests) FILTER (WHERE x.phase = 2), CASE WHEN m.id IS NULL THEN 0.0 END) AS requests_after,
  max(error_rate) FILTER (WHERE x.phase = 2) AS error_rate_after,
  max(avg_latency_ms) FILTER (WHERE x.phase = 2) AS avg_latency_ms_after,
  max(p50_ns) FILTER (WHERE x.phase = 2) / 1e6 AS p50_latency_ms_after,
  max(p95_ns) FILTER (WHERE x.phase = 2) / 1e6 AS p95_latency_ms_after,
  max(p99_ns) FILTER (WHERE x.phase = 2) / 1e6 AS p99_latency_ms_after,
  max(avg_net_latency_ms) FILTER (WHERE x.phase = 2) AS avg_net_latency_ms_after,
  max(net_p99_ns) FILTER (WHERE x.phase = 2) / 1e6 AS p99_net_latency_ms_after,
  max(cost_usd) FILTER (WHERE x.phase = 2) AS cost_usd_after,
  coalesce(max(x.requests) FILTER (WHERE x.phase = 3), CASE WHEN m.id IS NULL THEN 0.0 END) AS straddling,
  c.edges * 1.0 / c.buckets AS edge_share,
  CASE WHEN p.after_from_ns <= p.until_ns THEN max(r.bucket_start * 1000000000 - p.end_ns, 0) / 1e9 END AS recovery_s
FROM period AS p LEFT JOIN phase AS x ON x.id = p.id
  LEFT JOIN recovery AS r ON r.id = p.id
  LEFT JOIN cut AS c ON c.id = p.id
  LEFT JOIN missed AS m ON m.id = p.id
GROUP BY p.id;

-- Changes of state, in order of time; several of one instant in the order
-- closed, open, half open.
CREATE VIEW circuits AS
WITH sighting AS (
  SELECT *, coalesce(lag(state) OVER (
    PARTITION BY run_id, service, instance, circuit
    ORDER BY at_ns, CASE from_state WHEN 'closed' THEN 1 WHEN 'open' THEN 2 WHEN 'half_open' THEN 3 ELSE 4 END, state
  ), 'closed') AS earlier
  FROM circuit_state
)
SELECT run_id, circuit,
  strftime('%Y-%m-%dT%H:%M:%SZ', at_ns / 1000000000, 'unixepoch') AS at_utc,
  at_ns,
  CASE WHEN from_state NOT IN ('', state) THEN from_state ELSE earlier END AS from_state,
  state AS to_state,
  service, instance
FROM sighting WHERE state <> earlier OR from_state NOT IN ('', state);

CREATE VIEW circuit_totals AS
WITH sighting AS (
  SELECT *, coalesce(lag(state) OVER forth, 'closed') AS earlier, lead(at_ns) OVER forth IS NULL AS is_last, row_number() OVER forth AS number
  FROM circuit_state
  WINDOW forth AS (
    PARTITION BY run_id, service, instance, circuit
    ORDER BY at_ns, CASE from_state WHEN 'closed' THEN 1 WHEN 'open' THEN 2 WHEN 'half_open' THEN 3 ELSE 4 END, state
  )
),
-- Many say their state with every call: what remains is few.
change AS MATERIALIZED (
  SELECT *, CASE WHEN from_state NOT IN ('', state) THEN from_state WHEN state <> earlier THEN earlier END AS changed_from
  FROM sighting WHERE state <> earlier OR from_state NOT IN ('', state) OR is_last
),
looked_ahead AS (
  SELECT *, lead(at_ns) OVER (PARTITION BY run_id, service, instance, circuit ORDER BY number) AS next_ns,
    min(CASE WHEN state = 'closed' THEN at_ns END) OVER (
      PARTITION BY run_id, service, instance, circuit ORDER BY number DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS closed_ns
  FROM change
),
total AS (
  SELECT run_id, service, instance, circuit,
    count(*) FILTER (WHERE state = 'open' AND changed_from <> 'half_open') AS trips,
    count(*) FILTER (WHERE state = 'open' AND changed_from = 'half_open') AS reopened,
    -- Open when last seen: until when is not known.
    CASE WHEN sum(state = 'open') = 0 THEN 0.0 ELSE sum(next_ns - at_ns) FILTER (WHERE state = 'open') / 1e9 END AS open_s,
    sum(closed_ns - at_ns) FILTER (WHERE state = 'open' AND changed_from <> 'half_open') / 1e9
      / count(closed_ns) FILTER (WHERE state = 'open' AND changed_from <> 'half_open') AS recovery_s,
    max(state) FILTER (WHERE is_last) AS state
  FROM looked_ahead GROUP BY run_id, service, instance, circuit
),
refused AS MATERIALIZED (
  SELECT s.run_id, s.service, coalesce(i.value, '') AS instance, d.value AS circuit, count(*) AS rejected
  FROM request AS r JOIN series AS s ON s.series_id = r.series_id JOIN dictionary AS d ON d.id = r.circuit
    LEFT JOIN dictionary AS i ON i.id = r.instance
  WHERE r.kept & 4 AND r.circuit IS NOT NULL AND s.outcome = 'circuit_open'
  GROUP BY s.run_id, s.service, i.value, d.value
),
named AS (
  SELECT run_id, service, instance, circuit FROM total UNION SELECT run_id, service, instance, circuit FROM refused
)
SELECT n.run_id, n.service, n.circuit, n.instance, coalesce(t.trips, 0) AS trips, coalesce(t.reopened, 0) AS reopened,
  t.open_s, t.recovery_s, coalesce(r.rejected, 0) AS rejected, t.state
FROM named AS n
  LEFT JOIN total AS t ON t.run_id = n.run_id AND t.service = n.service AND t.instance = n.instance AND t.circuit = n.circuit
  LEFT JOIN refused AS r ON r.run_id = n.run_id AND r.service = n.service AND r.instance = n.instance AND r.circuit = n.circuit;

CREATE VIEW evaluations AS
SELECT run_id, at_ns, session_id, name, label, score, accepted, source,
  strftime('%Y-%m-%dT%H:%M:%SZ', at_ns / 1000000000, 'unixepoch') AS at_utc,
  service,
  CASE WHEN trace_id <> zeroblob(16) THEN lower(hex(trace_id)) END AS trace_id,
  CASE WHEN span_id <> zeroblob(8) THEN lower(hex(span_id)) END AS span_id
FROM evaluation;
