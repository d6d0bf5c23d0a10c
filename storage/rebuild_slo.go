package storage

import (
	"context"
	"fmt"
	"math"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// loseNarrowed notes that the values of a series are lost, which objectives that
// are narrowed to some would have to know.
func (f *refolder) loseNarrowed(s *aggregator.Series) {
	if s.Operation == aggregator.Overflow || s.Service == aggregator.Overflow {
		f.rebuild.overflowed[s.Category] = true
	}
}

// recomputed returns the objectives whose counts the requests decide: those that
// are configured, and for which every request tells whether it counts. Others
// stay as they are.
func (r *rebuild) recomputed() (all []aggregator.ObjectiveID) {
	for i := range r.objectives {
		if j := &r.objectives[i]; !j.IsNarrowed() || !r.overflowed[j.Category] {
			all = append(all, j.ID())
		}
	}
	return all
}

// rebuildObjectives makes what the buckets count for objectives equal to what
// the requests say. The buckets are.
func (r *rebuild) rebuildObjectives(ctx context.Context) error {
	all := r.recomputed()
	if len(all) == 0 {
		return nil
	}
	const create = "CREATE TEMP TABLE recomputed_slo (slo_id INTEGER PRIMARY KEY)"
	if _, err := r.conn.ExecContext(ctx, create); err != nil {
		return fmt.Errorf("compare slo_bucket: %w", err)
	}
	for _, id := range all {
		if _, err := r.conn.ExecContext(ctx, "INSERT INTO temp.recomputed_slo VALUES (?)", int64(id)); err != nil {
			return fmt.Errorf("compare slo_bucket: %w", err)
		}
	}
	for i := range r.ranges {
		if err := r.rebuildCounts(ctx, &r.ranges[i]); err != nil {
			return fmt.Errorf("compare slo_bucket: %w", err)
		}
	}
	if r.options.DryRun {
		return nil
	}
	completeFrom := int64(0)
	if r.from > math.MinInt64 {
		completeFrom = ceilSecond(r.from)
	}
	const complete = "UPDATE main.slo SET complete_from = ?1 WHERE complete_from > ?1 AND slo_id IN (SELECT slo_id FROM temp.recomputed_slo)"
	if _, err := r.exec(ctx, complete, completeFrom); err != nil {
		return fmt.Errorf("write slo: %w", err)
	}
	return nil
}

// Rows of the file, o, and counts that were folded, n, of the same bucket and
// objective: width, from.
const (
	storedCounts = `SELECT b.bucket_start, b.run_id, b.category, c.bucket_id, c.slo_id, c.good, c.total
		FROM main.headline_bucket AS b JOIN main.slo_bucket AS c ON c.bucket_id = b.id
		WHERE b.width_s = ?1 AND b.bucket_start >= ?2 AND c.slo_id IN (SELECT slo_id FROM temp.recomputed_slo)`
	foldedCounts = `SELECT b.bucket_start, b.run_id, b.category, c.slo_id, c.good, c.total
		FROM temp.headline_bucket AS b JOIN temp.slo_bucket AS c ON c.bucket_id = b.id
		WHERE b.width_s = ?1 AND b.bucket_start >= ?2 AND c.slo_id IN (SELECT slo_id FROM temp.recomputed_slo)`
	// differentCounts are those that the file has not, has otherwise, or has and
	// should not: then good and total are NULL.
	differentCounts = `CREATE TEMP TABLE different_count AS
		SELECT coalesce(n.bucket_start, o.bucket_start) AS bucket_start, coalesce(n.run_id, o.run_id) AS run_id,
			coalesce(n.category, o.category) AS category, coalesce(n.slo_id, o.slo_id) AS slo_id, n.good, n.total
		FROM (` + foldedCounts + `) AS n FULL JOIN (` + storedCounts + `) AS o
			ON (n.bucket_start, n.run_id, n.category, n.slo_id) = (o.bucket_start, o.run_id, o.category, o.slo_id)
		WHERE (n.good, n.total) IS NOT (o.good, o.total)`
	bucketOfCount = ` FROM temp.different_count AS d JOIN main.headline_bucket AS b
		ON b.width_s = ?1 AND b.bucket_start = d.bucket_start AND b.run_id = d.run_id AND b.category = d.category`
)

// rebuildCounts does so for one width.
func (r *rebuild) rebuildCounts(ctx context.Context, span *rebuildRange) error {
	if _, err := r.conn.ExecContext(ctx, differentCounts, span.Seconds, span.from); err != nil {
		return err
	}
	var rows int64
	if err := r.conn.QueryRowContext(ctx, "SELECT count(*) FROM temp.different_count").Scan(&rows); err != nil {
		return err
	}
	r.done.Objectives += rows
	if !r.options.DryRun && rows > 0 {
		for _, step := range []struct {
			statement string
			args      []any
		}{
			{"DELETE FROM main.slo_bucket WHERE (bucket_id, slo_id) IN (SELECT b.id, d.slo_id" + bucketOfCount + " WHERE d.total IS NULL)", []any{span.Seconds}},
			{"INSERT OR REPLACE INTO main.slo_bucket (bucket_id, slo_id, good, total) SELECT b.id, d.slo_id, d.good, d.total" +
				bucketOfCount + " WHERE d.total IS NOT NULL", []any{span.Seconds}},
			{"UPDATE main.headline_bucket SET version = ?2 WHERE id IN (SELECT b.id" + bucketOfCount + ")", []any{span.Seconds, r.version}},
		} {
			if _, err := r.exec(ctx, step.statement, step.args...); err != nil {
				return err
			}
		}
	}
	_, err := r.conn.ExecContext(ctx, "DROP TABLE temp.different_count")
	return err
}
