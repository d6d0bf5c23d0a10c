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
  weight_micro       INTEGER, -- how many spans the row stands for, in millionths; NULL: one, or with 16 what request_stratum says
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

-- What pinned runs share stays: until the year 10000.
UPDATE request_profile SET newest_s = 253402300800 WHERE profile_id IN (
  SELECT q.profile_id FROM request_5 AS q
    JOIN series AS s ON s.series_id = q.series_id JOIN run AS r ON r.run_id = s.run_id WHERE r.pinned
);

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

-- Of the spans that failed, carry a fault or were slow and whose trace is not in
-- the sample, at most so many are kept of a minute, category and outcome: those
-- with the lowest hashes. Each stands for spans / rows. That changes with every
-- such span, so it is not in their rows.
CREATE TABLE request_stratum (
  minute_s INTEGER NOT NULL, -- Unix seconds
  category TEXT NOT NULL,
  outcome  TEXT NOT NULL,
  spans    INTEGER NOT NULL, -- that there were
  rows     INTEGER NOT NULL, -- of request with kept & 16 that were chosen of them
  PRIMARY KEY (minute_s, category, outcome)
) STRICT, WITHOUT ROWID;

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
  CASE WHEN r.kept & 16 THEN (
      SELECT st.spans * 1.0 / st.rows FROM request_stratum AS st
      WHERE st.minute_s = r.start_ns / 60000000000 * 60 AND st.category = s.category AND st.outcome = s.outcome
    ) ELSE coalesce(r.weight_micro / 1e6, 1.0) END AS weight,
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

DROP VIEW fault_impact;
-- From single requests of the headline categories, each with its weight. Sums
-- of nanoseconds are kept in seconds and the rest: they might overflow. What
-- started before requests_estimable_from_ns is not known.
CREATE VIEW fault_impact AS
WITH period AS MATERIALIZED (
  SELECT row_number() OVER (ORDER BY run_id, window_id) AS id, *, substr(window_id, 1, 9) = 'requests/' AS seen FROM fault_periods
),
headline AS MATERIALIZED (
  SELECT series_id, run_id, category, outcome, outcome <> 'success' AS failed FROM series WHERE category IN (
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
estimable AS MATERIALIZED (
  SELECT coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'requests_estimable_from_ns'), 0) AS from_ns
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
    h.failed, CASE WHEN r.kept & 16 THEN (
        SELECT (st.spans * 1000000 + st.rows / 2) / st.rows FROM request_stratum AS st
        WHERE st.minute_s = r.start_ns / 60000000000 * 60 AND st.category = h.category AND st.outcome = h.outcome
      ) ELSE coalesce(r.weight_micro, 1000000) END AS weight,
    r.cost_nano_usd,
    CASE WHEN r.duration_ns >= 0 THEN r.duration_ns END AS ns,
    -- A delay longer than the request: what is left is not known.
    CASE WHEN r.duration_ns >= coalesce(r.injected_delay_ns, 0) THEN r.duration_ns - coalesce(r.injected_delay_ns, 0) END AS net_ns,
    r.injected_delay_ns > 0 AS delayed,
    r.start_ns / 1000000000 / w.width_s AS slot
  FROM period AS p CROSS JOIN estimable AS e CROSS JOIN width AS w CROSS JOIN request AS r CROSS JOIN headline AS h
  WHERE p.start_ns >= e.from_ns AND r.start_ns >= e.from_ns
    AND r.start_ns >= min(coalesce(p.before_from_ns, 0), p.start_ns - coalesce((SELECT ns FROM longest), 0))
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
  WHERE p.start_ns < (SELECT from_ns FROM estimable) OR p.id NOT IN (SELECT id FROM phase) AND EXISTS (
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
  coalesce(max(x.requests) FILTER (WHERE x.phase = 0),
    CASE WHEN m.id IS NULL AND coalesce(p.before_from_ns, 0) >= (SELECT from_ns FROM estimable) THEN 0.0 END) AS requests_before,
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
