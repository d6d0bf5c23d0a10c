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
