-- Schema version 4: which spans are in the file, and those that could not be.

-- The key of the fingerprints: from dedup.secret, else random. One row.
CREATE TABLE fingerprint_key (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  key BLOB NOT NULL CHECK (length(key) = 16),
  configured INTEGER NOT NULL CHECK (configured IN (0, 1))
) STRICT;

-- Keyed 64-bit hashes of the spans of the deduplication window, in the order of
-- their arrival. The newest row grows until it is full or old: a page holds one
-- full row.
CREATE TABLE fingerprint (
  id INTEGER PRIMARY KEY,
  first_arrival_s INTEGER NOT NULL,
  last_arrival_s INTEGER NOT NULL,
  fingerprints BLOB NOT NULL CHECK (length(fingerprints) % 8 = 0)
) STRICT;

-- Spans that could not be folded, as OTLP, without content attributes.
CREATE TABLE dead_letter (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  first_ns INTEGER NOT NULL,
  last_ns INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  reason TEXT NOT NULL,
  error TEXT NOT NULL,
  spans INTEGER NOT NULL CHECK (spans > 0),
  due INTEGER NOT NULL DEFAULT 0 CHECK (due IN (0, 1)), -- to be tried again
  payload BLOB NOT NULL
) STRICT;

-- Attempts to store a batch that failed for an unknown reason, until it is
-- stored or becomes a dead letter.
CREATE TABLE failed_batch (
  batch_key INTEGER PRIMARY KEY, -- keyed hash of the payload
  first_ns INTEGER NOT NULL,
  last_ns INTEGER NOT NULL,
  attempts INTEGER NOT NULL
) STRICT;

CREATE VIEW dead_letters AS
SELECT id,
  strftime('%Y-%m-%dT%H:%M:%SZ', first_ns / 1000000000, 'unixepoch') AS first_utc,
  strftime('%Y-%m-%dT%H:%M:%SZ', last_ns / 1000000000, 'unixepoch') AS last_utc,
  attempts, reason, error, spans, due, payload
FROM dead_letter;

-- How far back a second delivery of a span is noticed. One row. reach_s holds
-- for as many spans per second as arrived in the last minute that had any; up to
-- 504 of the spans may have left already, since rows leave as a whole.
CREATE VIEW deduplication AS
SELECT spans, max_spans, window_s,
  strftime('%Y-%m-%dT%H:%M:%SZ', since_s, 'unixepoch') AS since_utc,
  CASE WHEN recent > 0 THEN min(window_s, CAST(max(0, max_spans - 504) * 60.0 / recent AS INTEGER)) ELSE window_s END AS reach_s
FROM (
  SELECT coalesce(sum(length(fingerprints) / 8), 0) AS spans,
    min(first_arrival_s) AS since_s,
    sum(CASE WHEN last_arrival_s > (SELECT max(last_arrival_s) FROM fingerprint) - 60 THEN length(fingerprints) / 8 END) AS recent,
    (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'dedup_max_spans') AS max_spans,
    (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'dedup_window_s') AS window_s
  FROM fingerprint
);
