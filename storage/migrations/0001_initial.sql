-- Schema version 1.
--
-- Tables hold integers: nanoseconds (_ns), whole seconds, counts, millionths
-- (_micro), 1e-9 US dollars (_nano_usd). Views turn them into what people read.
-- NULL means: there is none. Views use nothing newer than SQLite 3.40.

CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What became of every span received: received = the sum of all other rows.
CREATE TABLE ledger (
  reason TEXT PRIMARY KEY,
  spans  INTEGER NOT NULL CHECK (spans >= 0)
) STRICT, WITHOUT ROWID;

-- What is remarkable about folded spans; one span may have several notes.
CREATE TABLE notes (
  reason TEXT PRIMARY KEY,
  spans  INTEGER NOT NULL CHECK (spans >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
  run_id      TEXT PRIMARY KEY, -- '' for spans outside any run
  name        TEXT,
  mode        TEXT,
  profile     TEXT,
  preset      TEXT,
  config_json TEXT,
  pinned      INTEGER NOT NULL DEFAULT 0,
  attributes  TEXT,
  first_ns    INTEGER, -- earliest span start, Unix nanoseconds
  last_ns     INTEGER, -- latest span end, Unix nanoseconds
  version     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE run_category (
  run_id   TEXT NOT NULL REFERENCES run (run_id),
  category TEXT NOT NULL,
  spans    INTEGER NOT NULL,
  PRIMARY KEY (run_id, category)
) STRICT, WITHOUT ROWID;

-- series_id: the first 63 bits of the SHA-256 of the dimension values in the
-- order of the columns, each preceded by its length as four bytes big-endian
-- (dimensions: as in the column, but nothing for {}).
CREATE TABLE series (
  series_id  INTEGER PRIMARY KEY,
  run_id     TEXT NOT NULL,
  service    TEXT NOT NULL,
  operation  TEXT NOT NULL,
  kind       TEXT NOT NULL,
  category   TEXT NOT NULL,
  provider   TEXT NOT NULL,
  model      TEXT NOT NULL,
  tool       TEXT NOT NULL,
  agent      TEXT NOT NULL,
  outcome    TEXT NOT NULL,
  error_type TEXT NOT NULL,
  fault      TEXT NOT NULL,
  dimensions TEXT NOT NULL, -- JSON object
  version    INTEGER NOT NULL
) STRICT;

-- One row per width, bucket, run and category.
CREATE TABLE headline_bucket (
  id           INTEGER PRIMARY KEY,
  width_s      INTEGER NOT NULL CHECK (width_s > 0), -- seconds
  bucket_start INTEGER NOT NULL CHECK (bucket_start % width_s = 0), -- Unix seconds
  run_id       TEXT NOT NULL,
  category     TEXT NOT NULL,
  version      INTEGER NOT NULL, -- the commit that last changed the row
  requests INTEGER NOT NULL, -- spans whose start lies in the bucket
  adjusted_micro INTEGER NOT NULL, -- spans they stand for under sampling, in millionths
  late INTEGER NOT NULL, -- of them, committed after the bucket had settled
  resends INTEGER NOT NULL, -- sum of resend counts
  usage_count INTEGER NOT NULL, -- spans the token sums come from
  input_tokens INTEGER NOT NULL, -- cached ones included
  output_tokens INTEGER NOT NULL, -- reasoning ones included
  cache_read_tokens INTEGER NOT NULL,
  cache_write_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL,
  priced_count INTEGER NOT NULL, -- spans the cost comes from
  cost_nano_usd INTEGER NOT NULL, -- 1e-9 US dollars
  completed INTEGER NOT NULL, -- spans whose end lies in the bucket
  injected INTEGER NOT NULL, -- spans that carry a fault
  success INTEGER NOT NULL,
  rate_limited INTEGER NOT NULL,
  capacity_error INTEGER NOT NULL,
  server_error INTEGER NOT NULL,
  client_error INTEGER NOT NULL,
  connection_error INTEGER NOT NULL,
  malformed INTEGER NOT NULL,
  cancelled INTEGER NOT NULL,
  circuit_open INTEGER NOT NULL,
  other_error INTEGER NOT NULL,
  latency_count INTEGER NOT NULL,
  sum_latency_ns INTEGER NOT NULL,
  min_latency_ns INTEGER,
  max_latency_ns INTEGER,
  p50_latency_ns INTEGER,
  p90_latency_ns INTEGER,
  p95_latency_ns INTEGER,
  p99_latency_ns INTEGER,
  ttft_count INTEGER NOT NULL,
  sum_ttft_ns INTEGER NOT NULL,
  min_ttft_ns INTEGER,
  max_ttft_ns INTEGER,
  p50_ttft_ns INTEGER,
  p90_ttft_ns INTEGER,
  p95_ttft_ns INTEGER,
  p99_ttft_ns INTEGER,
  slowest_trace_id BLOB, -- 16 bytes, of the longest span
  slowest_span_id  BLOB, -- 8 bytes
  CHECK (requests = success + rate_limited + capacity_error + server_error + client_error + connection_error + malformed + cancelled + circuit_open + other_error),
  UNIQUE (width_s, bucket_start, run_id, category)
) STRICT;

-- The histograms of headline_bucket: {"bin":count,…}, bins ascending.
CREATE TABLE headline_histogram (
  bucket_id           INTEGER PRIMARY KEY REFERENCES headline_bucket (id),
  duration            TEXT,
  time_to_first_token TEXT
) STRICT;

-- One row per width, bucket and series.
CREATE TABLE series_bucket (
  id           INTEGER PRIMARY KEY,
  width_s      INTEGER NOT NULL CHECK (width_s > 0), -- seconds
  bucket_start INTEGER NOT NULL CHECK (bucket_start % width_s = 0), -- Unix seconds
  series_id    INTEGER NOT NULL REFERENCES series (series_id),
  version      INTEGER NOT NULL, -- the commit that last changed the row
  requests INTEGER NOT NULL, -- spans whose start lies in the bucket
  adjusted_micro INTEGER NOT NULL, -- spans they stand for under sampling, in millionths
  late INTEGER NOT NULL, -- of them, committed after the bucket had settled
  resends INTEGER NOT NULL, -- sum of resend counts
  usage_count INTEGER NOT NULL, -- spans the token sums come from
  input_tokens INTEGER NOT NULL, -- cached ones included
  output_tokens INTEGER NOT NULL, -- reasoning ones included
  cache_read_tokens INTEGER NOT NULL,
  cache_write_tokens INTEGER NOT NULL,
  reasoning_tokens INTEGER NOT NULL,
  priced_count INTEGER NOT NULL, -- spans the cost comes from
  cost_nano_usd INTEGER NOT NULL, -- 1e-9 US dollars
  latency_count INTEGER NOT NULL,
  sum_latency_ns INTEGER NOT NULL,
  min_latency_ns INTEGER,
  max_latency_ns INTEGER,
  p50_latency_ns INTEGER,
  p90_latency_ns INTEGER,
  p95_latency_ns INTEGER,
  p99_latency_ns INTEGER,
  net_latency_count INTEGER NOT NULL,
  sum_net_latency_ns INTEGER NOT NULL,
  min_net_latency_ns INTEGER,
  max_net_latency_ns INTEGER,
  p50_net_latency_ns INTEGER,
  p90_net_latency_ns INTEGER,
  p95_net_latency_ns INTEGER,
  p99_net_latency_ns INTEGER,
  ttft_count INTEGER NOT NULL,
  sum_ttft_ns INTEGER NOT NULL,
  min_ttft_ns INTEGER,
  max_ttft_ns INTEGER,
  p50_ttft_ns INTEGER,
  p90_ttft_ns INTEGER,
  p95_ttft_ns INTEGER,
  p99_ttft_ns INTEGER,
  time_per_output_token_count INTEGER NOT NULL,
  sum_time_per_output_token_ns INTEGER NOT NULL,
  min_time_per_output_token_ns INTEGER,
  max_time_per_output_token_ns INTEGER,
  p50_time_per_output_token_ns INTEGER,
  p90_time_per_output_token_ns INTEGER,
  p95_time_per_output_token_ns INTEGER,
  p99_time_per_output_token_ns INTEGER,
  slowest_trace_id BLOB, -- 16 bytes, of the longest span
  slowest_span_id  BLOB, -- 8 bytes
  UNIQUE (width_s, bucket_start, series_id)
) STRICT;

-- The histograms of series_bucket: {"bin":count,…}, bins ascending.
CREATE TABLE series_histogram (
  bucket_id             INTEGER PRIMARY KEY REFERENCES series_bucket (id),
  duration              TEXT,
  net_duration          TEXT,
  time_to_first_token   TEXT,
  time_per_output_token TEXT
) STRICT;

CREATE VIEW timeseries AS
SELECT
  run_id,
  width_s,
  bucket_start,
  strftime('%Y-%m-%dT%H:%M:%SZ', bucket_start, 'unixepoch') AS bucket_utc,
  category,
  bucket_start + width_s + (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'settle_after_s') <= unixepoch() AS settled,
  late,
  requests AS requests_total,
  success AS requests_success,
  rate_limited AS requests_rate_limited,
  capacity_error AS requests_capacity_error,
  server_error AS requests_server_error,
  client_error AS requests_client_error,
  connection_error AS requests_connection_error,
  malformed AS requests_malformed,
  cancelled AS requests_cancelled,
  circuit_open AS requests_circuit_open,
  other_error AS requests_other_error,
  injected AS requests_injected,
  adjusted_micro / 1e6 AS adjusted_requests,
  completed AS completed_total,
  resends,
  latency_count,
  CASE WHEN latency_count > 0 THEN sum_latency_ns END AS sum_latency_ns,
  sum_latency_ns / 1e6 / latency_count AS avg_latency_ms,
  min_latency_ns / 1e6 AS min_latency_ms,
  max_latency_ns / 1e6 AS max_latency_ms,
  p50_latency_ns / 1e6 AS p50_latency_ms,
  p90_latency_ns / 1e6 AS p90_latency_ms,
  p95_latency_ns / 1e6 AS p95_latency_ms,
  p99_latency_ns / 1e6 AS p99_latency_ms,
  ttft_count,
  CASE WHEN ttft_count > 0 THEN sum_ttft_ns END AS sum_ttft_ns,
  sum_ttft_ns / 1e6 / ttft_count AS avg_ttft_ms,
  p50_ttft_ns / 1e6 AS p50_ttft_ms,
  p95_ttft_ns / 1e6 AS p95_ttft_ms,
  p99_ttft_ns / 1e6 AS p99_ttft_ms,
  usage_count,
  CASE WHEN usage_count > 0 THEN input_tokens END AS input_tokens,
  CASE WHEN usage_count > 0 THEN output_tokens END AS output_tokens,
  CASE WHEN usage_count > 0 THEN cache_read_tokens END AS cache_read_tokens,
  CASE WHEN usage_count > 0 THEN cache_write_tokens END AS cache_write_tokens,
  CASE WHEN usage_count > 0 THEN reasoning_tokens END AS reasoning_tokens,
  priced_count,
  CASE WHEN priced_count > 0 THEN cost_nano_usd / 1e9 END AS cost_usd,
  CASE WHEN slowest_trace_id IS NOT NULL THEN lower(hex(slowest_trace_id)) END AS slowest_trace_id,
  CASE WHEN slowest_span_id IS NOT NULL THEN lower(hex(slowest_span_id)) END AS slowest_span_id,
  version
FROM headline_bucket;

CREATE VIEW latency AS
SELECT
  b.width_s,
  b.bucket_start,
  strftime('%Y-%m-%dT%H:%M:%SZ', b.bucket_start, 'unixepoch') AS bucket_utc,
  b.bucket_start + b.width_s + (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'settle_after_s') <= unixepoch() AS settled,
  b.late,
  b.series_id,
  s.run_id,
  s.service,
  s.operation,
  s.kind,
  s.category,
  s.provider,
  s.model,
  s.tool,
  s.agent,
  s.outcome,
  s.error_type,
  s.fault,
  s.dimensions,
  b.requests,
  CASE WHEN s.fault = '' THEN 0 ELSE b.requests END AS requests_injected,
  b.adjusted_micro / 1e6 AS adjusted_requests,
  b.resends,
  b.latency_count,
  CASE WHEN b.latency_count > 0 THEN b.sum_latency_ns END AS sum_latency_ns,
  b.sum_latency_ns / 1e6 / b.latency_count AS avg_latency_ms,
  b.min_latency_ns / 1e6 AS min_latency_ms,
  b.max_latency_ns / 1e6 AS max_latency_ms,
  b.p50_latency_ns / 1e6 AS p50_latency_ms,
  b.p90_latency_ns / 1e6 AS p90_latency_ms,
  b.p95_latency_ns / 1e6 AS p95_latency_ms,
  b.p99_latency_ns / 1e6 AS p99_latency_ms,
  CASE WHEN s.fault = '' THEN b.sum_latency_ns ELSE b.sum_net_latency_ns END / 1e6 / CASE WHEN s.fault = '' THEN b.latency_count ELSE b.net_latency_count END AS avg_net_latency_ms,
  CASE WHEN s.fault = '' THEN b.p50_latency_ns ELSE b.p50_net_latency_ns END / 1e6 AS p50_net_latency_ms,
  CASE WHEN s.fault = '' THEN b.p99_latency_ns ELSE b.p99_net_latency_ns END / 1e6 AS p99_net_latency_ms,
  b.ttft_count,
  CASE WHEN b.ttft_count > 0 THEN b.sum_ttft_ns END AS sum_ttft_ns,
  b.sum_ttft_ns / 1e6 / b.ttft_count AS avg_ttft_ms,
  b.p50_ttft_ns / 1e6 AS p50_ttft_ms,
  b.p95_ttft_ns / 1e6 AS p95_ttft_ms,
  b.p99_ttft_ns / 1e6 AS p99_ttft_ms,
  b.p50_time_per_output_token_ns / 1e6 AS p50_time_per_output_token_ms,
  b.p99_time_per_output_token_ns / 1e6 AS p99_time_per_output_token_ms,
  b.usage_count,
  CASE WHEN b.usage_count > 0 THEN b.input_tokens END AS input_tokens,
  CASE WHEN b.usage_count > 0 THEN b.output_tokens END AS output_tokens,
  CASE WHEN b.usage_count > 0 THEN b.cache_read_tokens END AS cache_read_tokens,
  CASE WHEN b.usage_count > 0 THEN b.cache_write_tokens END AS cache_write_tokens,
  CASE WHEN b.usage_count > 0 THEN b.reasoning_tokens END AS reasoning_tokens,
  b.priced_count,
  CASE WHEN b.priced_count > 0 THEN b.cost_nano_usd / 1e9 END AS cost_usd,
  CASE WHEN b.slowest_trace_id IS NOT NULL THEN lower(hex(b.slowest_trace_id)) END AS slowest_trace_id,
  CASE WHEN b.slowest_span_id IS NOT NULL THEN lower(hex(b.slowest_span_id)) END AS slowest_span_id,
  b.version
FROM series_bucket AS b JOIN series AS s ON s.series_id = b.series_id;

CREATE VIEW histograms AS
SELECT b.width_s, b.bucket_start, b.series_id, 'duration' AS measure, b.latency_count AS count,
  b.min_latency_ns AS min_ns, b.max_latency_ns AS max_ns, h.duration AS histogram
FROM series_bucket AS b JOIN series_histogram AS h ON h.bucket_id = b.id WHERE b.latency_count > 0
UNION ALL
SELECT b.width_s, b.bucket_start, b.series_id, 'net_duration' AS measure, b.net_latency_count AS count,
  b.min_net_latency_ns AS min_ns, b.max_net_latency_ns AS max_ns, h.net_duration AS histogram
FROM series_bucket AS b JOIN series_histogram AS h ON h.bucket_id = b.id WHERE b.net_latency_count > 0
UNION ALL
SELECT b.width_s, b.bucket_start, b.series_id, 'time_to_first_token' AS measure, b.ttft_count AS count,
  b.min_ttft_ns AS min_ns, b.max_ttft_ns AS max_ns, h.time_to_first_token AS histogram
FROM series_bucket AS b JOIN series_histogram AS h ON h.bucket_id = b.id WHERE b.ttft_count > 0
UNION ALL
SELECT b.width_s, b.bucket_start, b.series_id, 'time_per_output_token' AS measure, b.time_per_output_token_count AS count,
  b.min_time_per_output_token_ns AS min_ns, b.max_time_per_output_token_ns AS max_ns, h.time_per_output_token AS histogram
FROM series_bucket AS b JOIN series_histogram AS h ON h.bucket_id = b.id WHERE b.time_per_output_token_count > 0;

CREATE VIEW timeseries_histograms AS
SELECT b.run_id, b.width_s, b.bucket_start, b.category, 'duration' AS measure, b.latency_count AS count,
  b.min_latency_ns AS min_ns, b.max_latency_ns AS max_ns, h.duration AS histogram
FROM headline_bucket AS b JOIN headline_histogram AS h ON h.bucket_id = b.id WHERE b.latency_count > 0
UNION ALL
SELECT b.run_id, b.width_s, b.bucket_start, b.category, 'time_to_first_token' AS measure, b.ttft_count AS count,
  b.min_ttft_ns AS min_ns, b.max_ttft_ns AS max_ns, h.time_to_first_token AS histogram
FROM headline_bucket AS b JOIN headline_histogram AS h ON h.bucket_id = b.id WHERE b.ttft_count > 0;

-- Bins below 128 hold one integer each; above, every octave has 64 bins.
CREATE VIEW bins AS
SELECT width_s, bucket_start, series_id, measure, bin, lower_ns,
  lower_ns + (bin_width_ns - 1) AS upper_ns, lower_ns + bin_width_ns / 2 AS mid_ns, count
FROM (
  SELECT h.width_s, h.bucket_start, h.series_id, h.measure, CAST(j.key AS INTEGER) AS bin, j.value AS count,
    CASE WHEN CAST(j.key AS INTEGER) < 128 THEN CAST(j.key AS INTEGER)
      ELSE ((CAST(j.key AS INTEGER) & 63) + 64) << ((CAST(j.key AS INTEGER) >> 6) - 1) END AS lower_ns,
    CASE WHEN CAST(j.key AS INTEGER) < 128 THEN 1
      ELSE 1 << ((CAST(j.key AS INTEGER) >> 6) - 1) END AS bin_width_ns
  FROM histograms AS h, json_each(h.histogram) AS j
);

-- requests: spans of the headline categories of the file.
CREATE VIEW runs AS
SELECT run_id, name, mode, profile, preset, config_json, pinned,
  strftime('%Y-%m-%dT%H:%M:%SZ', first_ns / 1000000000, 'unixepoch') AS first_utc,
  strftime('%Y-%m-%dT%H:%M:%SZ', last_ns / 1000000000, 'unixepoch') AS last_utc,
  first_ns, last_ns,
  (SELECT coalesce(sum(c.spans), 0) FROM run_category AS c WHERE c.run_id = run.run_id AND c.category IN (
    SELECT value FROM json_each((SELECT '["' || replace(value, ',', '","') || '"]' FROM meta WHERE key = 'headline_category'))
  )) AS requests,
  attributes
FROM run;
