-- Schema version 5: what is kept for how long, what has left, and which files
-- were joined.

-- What has left by age, number or size, by relation; of buckets, by width.
-- What starts before complete_from may be missing, nothing that starts later
-- is. Rows of pinned runs stay.
CREATE TABLE pruned (
  relation      TEXT NOT NULL,
  width_s       INTEGER NOT NULL, -- seconds; 0: no buckets
  complete_from INTEGER NOT NULL, -- Unix seconds
  rows          INTEGER NOT NULL CHECK (rows >= 0), -- that have left
  PRIMARY KEY (relation, width_s)
) STRICT, WITHOUT ROWID;

-- The files whose content was joined into this one by spanbucket merge.
CREATE TABLE merged_file (
  writer_id TEXT PRIMARY KEY,
  version   INTEGER NOT NULL -- of the file when it was joined
) STRICT, WITHOUT ROWID;

-- The end of the hour of the newest span of a series, or later: a series that
-- is older than all that is kept goes.
ALTER TABLE series ADD COLUMN newest_s INTEGER NOT NULL DEFAULT 0; -- Unix seconds
UPDATE series SET newest_s = b.newest_s FROM (
  SELECT series_id, max(bucket_start + width_s) AS newest_s FROM series_bucket GROUP BY series_id
) AS b WHERE b.series_id = series.series_id;

-- What many requests share. profile_id: the first 63 bits of the SHA-256 of the
-- values in the order of the columns, each preceded by its length as four bytes
-- big-endian; NULL counts as empty.
CREATE TABLE request_profile (
  profile_id      INTEGER PRIMARY KEY,
  span_name       TEXT,
  response_model  TEXT,
  deployment      TEXT,
  endpoint        TEXT,
  phase           TEXT,
  finish_reason   TEXT,
  status_code     INTEGER,
  instance        TEXT,
  decision        TEXT, -- accept, reject, auto or modify
  decision_source TEXT,
  target          TEXT, -- what the fault was aimed at
  experiment_id   TEXT,
  circuit         TEXT, -- circuit breaker the call went through
  newest_s        INTEGER NOT NULL -- Unix seconds: the end of the hour of its newest span, or later
) STRICT;

-- One row per span that is kept: as a request, as part of a session or a tool
-- call, as touched by a fault, or as several of these. Rows are appended in the
-- order of arrival. series_id and profile_id are rows of series and
-- request_profile; declared as references they would cost a third of what a row
-- costs. Columns that most rows have come first.
CREATE TABLE request_5 (
  id                 INTEGER PRIMARY KEY,
  start_ns           INTEGER NOT NULL, -- Unix nanoseconds
  duration_ns        INTEGER NOT NULL, -- -1: none that is usable
  trace_id           BLOB NOT NULL, -- 16 bytes; zeros: none
  span_id            BLOB NOT NULL, -- 8 bytes; zeros: none
  series_id          INTEGER NOT NULL,
  -- 1: as a request, 2: for sessions, turns and tools, 4: for fault windows and
  -- circuits, or their sum; of a request 8 more for one that failed, carries a
  -- fault or was slow, and 16 more for one of these that was chosen among
  -- those of its minute.
  kept               INTEGER NOT NULL CHECK (kept & 7 <> 0 AND kept BETWEEN 1 AND 31),
  profile_id         INTEGER, -- NULL: says nothing of what is there
  parent_span_id     BLOB,
  session_id         TEXT, -- role, session_id and tool_call_id: only of rows that are kept as a request or for sessions
  input_tokens       INTEGER,
  output_tokens      INTEGER,
  cost_nano_usd      INTEGER,
  -- Only of rows that are kept as a request: these, and those from injected_delay_ns on.
  ttft_ns            INTEGER,
  weight_micro       INTEGER, -- how many spans the row stands for, in millionths; NULL: one
  role               INTEGER, -- 1: user turn, 2: tool call as a whole, 3: run of a tool, 4: wait for a human; NULL: none of them
  tool_call_id       TEXT,
  marked             INTEGER, -- 1: an injected fault touched the span; NULL: none
  injected_delay_ns  INTEGER,
  message_count      INTEGER,
  resend_count       INTEGER,
  cache_read_tokens  INTEGER,
  cache_write_tokens INTEGER,
  reasoning_tokens   INTEGER,
  adjusted_micro     INTEGER -- how many spans it says that it stands for, in millionths; NULL: one
) STRICT;

CREATE TEMP VIEW told AS
SELECT o.*,
  (SELECT value FROM dictionary WHERE id = o.span_name) AS span_name_,
  (SELECT value FROM dictionary WHERE id = o.response_model) AS response_model_,
  (SELECT value FROM dictionary WHERE id = o.deployment) AS deployment_,
  (SELECT value FROM dictionary WHERE id = o.endpoint) AS endpoint_,
  (SELECT value FROM dictionary WHERE id = o.phase) AS phase_,
  (SELECT value FROM dictionary WHERE id = o.finish_reason) AS finish_reason_,
  (SELECT value FROM dictionary WHERE id = o.instance) AS instance_,
  (SELECT value FROM dictionary WHERE id = o.decision) AS decision_,
  (SELECT value FROM dictionary WHERE id = o.decision_source) AS decision_source_,
  (SELECT value FROM dictionary WHERE id = o.target) AS target_,
  (SELECT value FROM dictionary WHERE id = o.experiment) AS experiment_id_,
  (SELECT value FROM dictionary WHERE id = o.circuit) AS circuit_
FROM request AS o;

-- request_profile_id is a function of the program that runs this.
INSERT INTO request_profile
SELECT request_profile_id(span_name_, response_model_, deployment_, endpoint_, phase_, finish_reason_, status_code,
    instance_, decision_, decision_source_, target_, experiment_id_, circuit_) AS profile_id,
  span_name_, response_model_, deployment_, endpoint_, phase_, finish_reason_, status_code,
  instance_, decision_, decision_source_, target_, experiment_id_, circuit_, (max(start_ns) / 3600000000000 + 1) * 3600
FROM temp.told GROUP BY 1 HAVING profile_id IS NOT NULL;

-- Where a row is kept as a request, it tells whether the span failed or carries a fault.
INSERT INTO request_5 (start_ns, duration_ns, trace_id, span_id, series_id, kept, profile_id, parent_span_id, session_id,
  input_tokens, output_tokens, cost_nano_usd, ttft_ns, weight_micro, role, tool_call_id, marked, injected_delay_ns,
  message_count, resend_count, cache_read_tokens, cache_write_tokens, reasoning_tokens)
SELECT start_ns, duration_ns, trace_id, span_id, o.series_id, kept
    + CASE WHEN kept & 1 AND (s.outcome <> 'success' OR s.fault <> '') THEN 8 ELSE 0 END,
  request_profile_id(span_name_, response_model_, deployment_, endpoint_, phase_, finish_reason_, status_code,
    instance_, decision_, decision_source_, target_, experiment_id_, circuit_),
  parent_span_id, session_id, input_tokens, output_tokens, cost_nano_usd, ttft_ns, weight_micro, role, tool_call_id, marked,
  injected_delay_ns, message_count, resend_count, cache_read_tokens, cache_write_tokens, reasoning_tokens
FROM temp.told AS o LEFT JOIN series AS s ON s.series_id = o.series_id
ORDER BY start_ns, span_id, trace_id, o.kind, duration_ns, copy;

-- Of older rows it is not known how many spans each said that it stands for.
INSERT INTO meta (key, value)
SELECT 'requests_complete_from_ns', CAST(max(bucket_start + width_s) AS TEXT) || '000000000' FROM headline_bucket HAVING count(*) > 0;

DROP VIEW temp.told;
DROP VIEW requests;
DROP VIEW tool_call_spans;
DROP VIEW fault_windows;
DROP VIEW circuit_totals;
DROP TABLE request;
DROP TABLE dictionary;
-- The views that stay name the table that is now renamed.
PRAGMA legacy_alter_table = ON;
ALTER TABLE request_5 RENAME TO request;
PRAGMA legacy_alter_table = OFF;
CREATE INDEX request_start ON request (start_ns, kept);
CREATE INDEX request_marked ON request (start_ns) WHERE marked = 1;

CREATE VIEW requests AS
SELECT
  CASE WHEN r.trace_id <> zeroblob(16) THEN lower(hex(r.trace_id)) END AS trace_id,
  CASE WHEN r.span_id <> zeroblob(8) THEN lower(hex(r.span_id)) END AS span_id,
  CASE WHEN r.parent_span_id IS NOT NULL THEN lower(hex(r.parent_span_id)) END AS parent_span_id,
  r.series_id,
  r.start_ns / 1000000000 / w.width_s * w.width_s AS bucket_start,
  s.run_id,
  strftime('%Y-%m-%dT%H:%M:%SZ', r.start_ns / 1000000000, 'unixepoch') AS start_utc,
  r.start_ns,
  CASE WHEN r.duration_ns >= 0 THEN r.duration_ns END AS duration_ns,
  CASE WHEN r.duration_ns >= 0 THEN r.duration_ns / 1e6 END AS latency_ms,
  r.ttft_ns / 1e6 AS ttft_ms,
  r.injected_delay_ns / 1e6 AS injected_delay_ms,
  s.service,
  p.instance,
  s.operation,
  s.kind,
  p.span_name,
  s.category,
  s.provider,
  s.model,
  p.response_model,
  p.deployment,
  p.endpoint,
  s.tool,
  s.agent,
  r.session_id,
  r.message_count,
  s.outcome,
  p.status_code,
  s.error_type,
  s.fault,
  p.phase,
  p.finish_reason,
  r.resend_count,
  r.tool_call_id,
  p.decision,
  p.decision_source,
  p.experiment_id,
  p.circuit,
  s.dimensions,
  r.input_tokens,
  r.output_tokens,
  r.cache_read_tokens,
  r.cache_write_tokens,
  r.reasoning_tokens,
  r.cost_nano_usd / 1e9 AS cost_usd,
  coalesce(r.weight_micro / 1e6, 1.0) AS weight,
  r.kept & 8 <> 0 AS for_cause
FROM request AS r
  JOIN series AS s ON s.series_id = r.series_id
  LEFT JOIN request_profile AS p ON p.profile_id = r.profile_id
  -- The finest width with series: where there is none, the finest. In SQLite
  -- 3.40 json_extract and ->> may not be used by a schema that is not trusted.
  CROSS JOIN (
    SELECT coalesce(min(width_s) FILTER (WHERE series), min(width_s)) AS width_s
    FROM (
      SELECT max(j.atom) FILTER (WHERE j.key = 'width_s') AS width_s, max(j.key = 'detail' AND j.atom = 'series') AS series
      FROM meta AS m, json_tree(m.value) AS j WHERE m.key = 'widths' AND j.key IN ('width_s', 'detail') GROUP BY j.path
    )
  ) AS w
WHERE r.kept & 1;

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
    s.tool, s.outcome, p.decision,
    -- Names the span; those without ids are told apart by what else is known.
    CASE WHEN r.trace_id <> zeroblob(16) AND r.span_id <> zeroblob(8) THEN lower(hex(r.trace_id) || '/' || hex(r.span_id))
      ELSE '@' || r.start_ns || '/' || r.duration_ns || '/' || s.kind || '/' || (
        SELECT count(*) FROM request AS e
        WHERE e.start_ns = r.start_ns AND e.duration_ns = r.duration_ns AND e.trace_id = r.trace_id AND e.span_id = r.span_id AND e.id < r.id
      ) || '/' || lower(hex(r.trace_id) || '/' || hex(r.span_id)) END AS node,
    CASE WHEN r.trace_id <> zeroblob(16) AND r.parent_span_id <> zeroblob(8) THEN lower(hex(r.trace_id) || '/' || hex(r.parent_span_id)) END AS parent
  FROM request AS r JOIN series AS s ON s.series_id = r.series_id
    LEFT JOIN request_profile AS p ON p.profile_id = r.profile_id
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

-- Windows that were said, and windows made of marked spans: those that start
-- at most fault_gap_ns after all before them have ended are one. Only spans of
-- the headline categories count: of a call and the HTTP call inside it, one.
CREATE VIEW fault_windows AS
WITH mark AS MATERIALIZED (
  SELECT s.run_id, s.fault, coalesce(p.target, '') AS target, coalesce(p.experiment_id, '') AS experiment_id,
    r.start_ns, r.start_ns + max(r.duration_ns, 0) AS end_ns,
    -- A row that is only a sample stands for several.
    CASE WHEN s.category NOT IN (
        SELECT value FROM json_each((SELECT '["' || replace(value, ',', '","') || '"]' FROM meta WHERE key = 'headline_category'))
      ) THEN 0
      WHEN r.kept & 4 THEN 1000000 ELSE coalesce(r.weight_micro, 1000000) END AS weight_micro
  FROM request AS r INDEXED BY request_marked
    JOIN series AS s ON s.series_id = r.series_id
    LEFT JOIN request_profile AS p ON p.profile_id = r.profile_id
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
  SELECT s.run_id, s.service, coalesce(p.instance, '') AS instance, p.circuit, count(*) AS rejected
  FROM request AS r JOIN series AS s ON s.series_id = r.series_id JOIN request_profile AS p ON p.profile_id = r.profile_id
  WHERE r.kept & 4 AND p.circuit IS NOT NULL AND s.outcome = 'circuit_open'
  GROUP BY s.run_id, s.service, p.instance, p.circuit
),
named AS (
  SELECT run_id, service, instance, circuit FROM total UNION SELECT run_id, service, instance, circuit FROM refused
)
SELECT n.run_id, n.service, n.circuit, n.instance, coalesce(t.trips, 0) AS trips, coalesce(t.reopened, 0) AS reopened,
  t.open_s, t.recovery_s, coalesce(r.rejected, 0) AS rejected, t.state
FROM named AS n
  LEFT JOIN total AS t ON t.run_id = n.run_id AND t.service = n.service AND t.instance = n.instance AND t.circuit = n.circuit
  LEFT JOIN refused AS r ON r.run_id = n.run_id AND r.service = n.service AND r.instance = n.instance AND r.circuit = n.circuit;
