package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// readResends counts attempts after the first. Many clients tell of them only
// on the spans of the HTTP requests inside a call.
func (answer *Bursts) readResends(ctx context.Context, tx *sql.Tx, t *ticks) error {
	if answer.AIMD == nil {
		return nil
	}
	counts := make([]int64, t.n)
	var total int64
	for i := range t.rows {
		counts[i] = t.rows[i].resends
		total += counts[i]
	}
	set := func(into func(*Burst) **int64, all **int64) {
		*all = &total
		for i := range answer.Rows {
			b := &answer.Rows[i]
			var n int64
			for _, of := range counts[b.from:b.to] {
				n += of
			}
			*into(b) = &n
		}
	}
	if total > 0 {
		set(func(b *Burst) **int64 { return &b.Resends }, &answer.AIMD.Resends)
		return nil
	}
	if slices.Contains(t.reading.query.Categories, aggregator.CategoryClient) {
		return nil
	}
	filter := t.reading.filter(t.segment)
	filter.Categories = []aggregator.Category{aggregator.CategoryClient}
	where, args := filter.Condition(false)
	rows, err := tx.QueryContext(ctx, "SELECT b.bucket_start, sum(b.resends) FROM headline_bucket AS b WHERE b.resends > 0 AND "+where+" GROUP BY b.bucket_start", args...)
	if err != nil {
		return fmt.Errorf("read resends: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var start, n int64
		if err := rows.Scan(&start, &n); err != nil {
			return fmt.Errorf("read resends: %w", err)
		}
		counts[t.index(start)] += n
		total += n
	}
	if total > 0 {
		set(func(b *Burst) **int64 { return &b.ClientResends }, &answer.AIMD.ClientResends)
	}
	return rows.Err()
}
