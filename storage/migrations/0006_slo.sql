-- Schema version 6: service level objectives, counted exactly.

-- Every objective that was ever configured. slo_id: the first 63 bits of the
-- SHA-256 of name, category, service, operation, model and latency_ns in decimal,
-- each preceded by its length as four bytes big-endian; NULL counts as empty. So
-- another latency under the same name is another objective, and another
-- objective_nano is not.
CREATE TABLE slo (
  slo_id         INTEGER PRIMARY KEY,
  name           TEXT NOT NULL,
  category       TEXT NOT NULL,
  service        TEXT, -- service, operation and model: of spans with this value only; NULL: any
  operation      TEXT,
  model          TEXT,
  latency_ns     INTEGER, -- the longest duration of a good span; NULL: any
  objective_nano INTEGER NOT NULL, -- the share of good spans that is aimed at, in 1e-9, as last configured
  configured     INTEGER NOT NULL, -- 1: by the last collector that opened the file, which counts for it
  since_s        INTEGER NOT NULL, -- Unix seconds: since when it is, or is not, configured so
  complete_from  INTEGER NOT NULL, -- Unix seconds: of spans that start earlier some were not counted; 0: all were
  CHECK (objective_nano BETWEEN 1 AND 999999999),
  CHECK (configured IN (0, 1)),
  CHECK (latency_ns > 0)
) STRICT;

-- How many spans of a bucket count towards an objective of its category, and how
-- many of them are good; no row where none counts.
CREATE TABLE slo_bucket (
  bucket_id INTEGER NOT NULL REFERENCES headline_bucket (id),
  slo_id    INTEGER NOT NULL REFERENCES slo (slo_id),
  good      INTEGER NOT NULL,
  total     INTEGER NOT NULL,
  PRIMARY KEY (bucket_id, slo_id),
  CHECK (total > 0 AND good BETWEEN 0 AND total)
) STRICT, WITHOUT ROWID;

CREATE VIEW slos AS
SELECT
  s.name,
  b.width_s,
  b.bucket_start,
  strftime('%Y-%m-%dT%H:%M:%SZ', b.bucket_start, 'unixepoch') AS bucket_utc,
  b.bucket_start + b.width_s + (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'settle_after_s') <= unixepoch() AS settled,
  b.run_id,
  s.category,
  s.service,
  s.operation,
  s.model,
  s.latency_ns / 1e6 AS latency_ms,
  s.objective_nano / 1e9 AS objective,
  n.good,
  n.total,
  s.slo_id,
  s.configured,
  b.version
FROM headline_bucket AS b
  JOIN slo_bucket AS n ON n.bucket_id = b.id
  JOIN slo AS s ON s.slo_id = n.slo_id;

-- What came of the tests that spans tell of (test.case.name).
CREATE TABLE chaos_result (
  at_ns       INTEGER NOT NULL, -- Unix nanoseconds: the start of the span
  span_id     BLOB NOT NULL,
  trace_id    BLOB NOT NULL,
  ordinal     INTEGER NOT NULL, -- 0; counts spans without ids
  run_id      TEXT NOT NULL,
  service     TEXT NOT NULL,
  suite       TEXT,
  name        TEXT NOT NULL,
  passed      INTEGER NOT NULL CHECK (passed IN (0, 1)),
  expected    TEXT, -- the rule by which it passes
  actual      TEXT, -- what was seen
  error       TEXT, -- error_type of the span
  duration_ns INTEGER, -- NULL: none usable
  PRIMARY KEY (at_ns, span_id, trace_id, ordinal)
) STRICT, WITHOUT ROWID;

CREATE VIEW chaos_results AS
SELECT run_id, name, passed, expected, actual, duration_ns / 1e6 AS duration_ms, error, suite, service,
  strftime('%Y-%m-%dT%H:%M:%SZ', at_ns / 1000000000, 'unixepoch') AS at_utc,
  at_ns,
  CASE WHEN trace_id <> zeroblob(16) THEN lower(hex(trace_id)) END AS trace_id,
  CASE WHEN span_id <> zeroblob(8) THEN lower(hex(span_id)) END AS span_id
FROM chaos_result;
