-- Schema version 2: single requests, what sessions, tools, circuits and fault
-- windows are made of, and the prices and marks that were still missing.
--
-- Rows here are keyed by what the span says, so that the order of arrival and
-- a second delivery change nothing.

-- Texts that many requests share.
CREATE TABLE dictionary (
  id    INTEGER PRIMARY KEY,
  value TEXT NOT NULL UNIQUE
) STRICT;

-- One row per span that is kept: as a request, as part of a session or a tool
-- call, as touched by a fault, or as several of these. Columns marked "dictionary" hold dictionary.id.
-- The key begins with the time, so that rows are appended. series_id is a row
-- of series; declared as a reference it would cost a third of what a row costs.
CREATE TABLE request (
  start_ns          INTEGER NOT NULL, -- Unix nanoseconds
  span_id           BLOB NOT NULL, -- 8 bytes; zeros: none
  trace_id          BLOB NOT NULL, -- 16 bytes; zeros: none
  kind              INTEGER NOT NULL, -- span kind as OTLP numbers it
  duration_ns       INTEGER NOT NULL, -- -1: none that is usable
  copy              INTEGER NOT NULL, -- tells spans without ids apart; 0 for all others
  series_id         INTEGER NOT NULL,
  kept              INTEGER NOT NULL CHECK (kept BETWEEN 1 AND 7), -- 1: as a request, 2: for sessions, turns and tools, 4: for fault windows and circuits, or their sum
  weight_micro      INTEGER, -- how many spans the row stands for, in millionths; NULL: one
  -- Only of rows that are kept as a request or for sessions: role, session_id,
  -- tool_call_id, decision and decision_source.
  role              INTEGER, -- 1: user turn, 2: tool call as a whole, 3: run of a tool, 4: wait for a human; NULL: none of them
  parent_span_id    BLOB,
  session_id        TEXT,
  tool_call_id      TEXT,
  decision          INTEGER, -- dictionary: accept, reject, auto or modify
  decision_source   INTEGER, -- dictionary
  input_tokens      INTEGER,
  output_tokens     INTEGER,
  cost_nano_usd     INTEGER,
  marked            INTEGER, -- 1: an injected fault touched the span; NULL: none
  target            INTEGER, -- dictionary: what the fault was aimed at
  experiment        INTEGER, -- dictionary: experiment_id
  circuit           INTEGER, -- dictionary: circuit breaker the call went through
  instance          INTEGER, -- dictionary; only of rows that are kept as a request or name a circuit
  -- Only of rows that are kept as a request.
  ttft_ns           INTEGER,
  injected_delay_ns INTEGER,
  span_name         INTEGER, -- dictionary
  response_model    INTEGER, -- dictionary
  deployment        INTEGER, -- dictionary
  endpoint          INTEGER, -- dictionary
  phase             INTEGER, -- dictionary
  finish_reason     INTEGER, -- dictionary
  message_count     INTEGER,
  status_code       INTEGER,
  resend_count      INTEGER,
  cache_read_tokens  INTEGER,
  cache_write_tokens INTEGER,
  reasoning_tokens   INTEGER,
  PRIMARY KEY (start_ns, span_id, trace_id, kind, duration_ns, copy)
) STRICT, WITHOUT ROWID;

CREATE INDEX request_marked ON request (start_ns) WHERE marked = 1;

-- Windows that were said, not seen: by spans of an injector, by the
-- configuration, by spanbucket faults import.
CREATE TABLE fault_window (
  source        TEXT NOT NULL CHECK (source IN ('injector', 'config', 'import')),
  run_id        TEXT NOT NULL, -- '': any
  fault         TEXT NOT NULL,
  target        TEXT NOT NULL,
  experiment_id TEXT NOT NULL,
  start_ns      INTEGER NOT NULL, -- Unix nanoseconds
  end_ns        INTEGER NOT NULL CHECK (end_ns >= start_ns),
  PRIMARY KEY (source, run_id, fault, target, experiment_id, start_ns, end_ns)
) STRICT, WITHOUT ROWID;

-- What spans and their events say of circuit breakers, one row per sighting of
-- a state. Every instance of a service has breakers of its own.
CREATE TABLE circuit_state (
  run_id     TEXT NOT NULL,
  service    TEXT NOT NULL,
  instance   TEXT NOT NULL, -- '': none is said
  circuit    TEXT NOT NULL,
  at_ns      INTEGER NOT NULL, -- Unix nanoseconds
  state      TEXT NOT NULL CHECK (state IN ('closed', 'open', 'half_open')),
  from_state TEXT NOT NULL CHECK (from_state IN ('', 'closed', 'open', 'half_open')), -- '': not said
  PRIMARY KEY (run_id, service, instance, circuit, at_ns, state, from_state)
) STRICT, WITHOUT ROWID;

CREATE TABLE evaluation (
  at_ns      INTEGER NOT NULL, -- Unix nanoseconds
  span_id    BLOB NOT NULL,
  trace_id   BLOB NOT NULL,
  ordinal    INTEGER NOT NULL, -- within the span
  run_id     TEXT NOT NULL,
  service    TEXT NOT NULL,
  session_id TEXT, -- as in request
  name       TEXT NOT NULL,
  label      TEXT,
  score      REAL,
  accepted   INTEGER CHECK (accepted IN (0, 1)), -- NULL: the label says neither
  source     TEXT,
  PRIMARY KEY (at_ns, span_id, trace_id, ordinal)
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
  (SELECT value FROM dictionary WHERE id = r.instance) AS instance,
  s.operation,
  s.kind,
  (SELECT value FROM dictionary WHERE id = r.span_name) AS span_name,
  s.category,
  s.provider,
  s.model,
  (SELECT value FROM dictionary WHERE id = r.response_model) AS response_model,
  (SELECT value FROM dictionary WHERE id = r.deployment) AS deployment,
  (SELECT value FROM dictionary WHERE id = r.endpoint) AS endpoint,
  s.tool,
  s.agent,
  r.session_id,
  r.message_count,
  s.outcome,
  r.status_code,
  s.error_type,
  s.fault,
  (SELECT value FROM dictionary WHERE id = r.phase) AS phase,
  (SELECT value FROM dictionary WHERE id = r.finish_reason) AS finish_reason,
  r.resend_count,
  r.tool_call_id,
  (SELECT value FROM dictionary WHERE id = r.decision) AS decision,
  (SELECT value FROM dictionary WHERE id = r.decision_source) AS decision_source,
  (SELECT value FROM dictionary WHERE id = r.experiment) AS experiment_id,
  (SELECT value FROM dictionary WHERE id = r.circuit) AS circuit,
  s.dimensions,
  r.input_tokens,
  r.output_tokens,
  r.cache_read_tokens,
  r.cache_write_tokens,
  r.reasoning_tokens,
  r.cost_nano_usd / 1e9 AS cost_usd,
  coalesce(r.weight_micro / 1e6, 1.0) AS weight
FROM request AS r
  JOIN series AS s ON s.series_id = r.series_id
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
