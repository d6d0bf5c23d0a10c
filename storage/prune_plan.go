package storage

import (
	"context"
	"fmt"
	"math"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// PlanPrune tells what PruneFile would remove for age and number, and changes
// nothing. What would leave for the size of the file, and what leaves with the
// rest, series, runs and what requests share, it does not tell. Rows of pinned
// runs that are too many count as if they could leave.
func PlanPrune(ctx context.Context, q Querier, b PruneBounds, now int64) (r PruneResult, err error) {
	size, err := readFileSize(ctx, q)
	if err != nil {
		return r, err
	}
	r.Before, r.After = size.used(), size.used()
	r.Over = b.Bytes > 0 && size.used() > b.Bytes
	age, ok, err := ageOf(ctx, q, b.Widths, now)
	if err != nil || !ok {
		return r, err
	}
	for _, w := range b.Widths {
		oldest := secondsBefore(age, w.Retention)
		if oldest == math.MinInt64 {
			continue
		}
		before := aggregator.BucketStart(oldest, w.Seconds)
		p := PrunedRows{Relation: prunedBuckets, WidthS: w.Seconds, CompleteFrom: before}
		for _, t := range w.tables() {
			var n int64
			query := "SELECT count(*) FROM " + t.name + " AS b WHERE b.width_s = ? AND b.bucket_start < ? AND NOT " + t.pinnedSQL()
			if err := q.QueryRowContext(ctx, query, w.Seconds, before).Scan(&n); err != nil {
				return r, fmt.Errorf("count %s: %w", t.name, err)
			}
			p.Rows += n
		}
		r.add(p)
	}
	if err := r.planRequests(ctx, q, &b, secondsBefore(age, b.RequestAge)); err != nil {
		return r, err
	}
	return r, r.planSweeps(ctx, q, &b, age)
}

func (r *PruneResult) add(p PrunedRows) {
	if p.Rows > 0 {
		r.Left = append(r.Left, p)
	}
}

func (r *PruneResult) planRequests(ctx context.Context, q Querier, b *PruneBounds, before int64) error {
	const query = `SELECT count(*) FILTER (WHERE old), count(*) FILTER (WHERE NOT old AND kept & 1), count(*) FILTER (WHERE NOT old AND NOT kept & 1)
		FROM (SELECT kept, start_ns < ? AND NOT EXISTS (SELECT 1 FROM series AS s JOIN run AS r ON r.run_id = s.run_id
			WHERE s.series_id = q.series_id AND r.pinned) AS old FROM request AS q)`
	var old, requests, others int64
	if err := q.QueryRowContext(ctx, query, nanoseconds(before)).Scan(&old, &requests, &others); err != nil {
		return fmt.Errorf("count request: %w", err)
	}
	if b.RequestRows > 0 {
		old += max(0, requests-b.RequestRows) + max(0, others-b.RequestRows)
	}
	r.add(PrunedRows{Relation: "request", CompleteFrom: before, Rows: old})
	return nil
}

func (r *PruneResult) planSweeps(ctx context.Context, q Querier, b *PruneBounds, age int64) error {
	for i := range sweptTables {
		t := &sweptTables[i]
		before := t.before(b, age)
		query := "SELECT count(*) FILTER (WHERE " + t.seconds + " < ?), count(*) FROM " + t.name + " AS t WHERE NOT (" + t.stays + ")"
		var old, all int64
		if err := q.QueryRowContext(ctx, query, before).Scan(&old, &all); err != nil {
			return fmt.Errorf("count %s: %w", t.name, err)
		}
		if b.RequestRows > 0 {
			old = max(old, all-b.RequestRows)
		}
		r.add(PrunedRows{Relation: t.name, CompleteFrom: before, Rows: old})
	}
	return nil
}
