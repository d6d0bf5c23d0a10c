package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// maxSilentRows bounds how many rows a timeseries is filled up with.
const maxSilentRows = 100_000

// seriesName is what the rows of a timeseries are of.
type seriesName struct{ run, category string }

// fill adds the buckets without a row between the first and the last of each run
// and category, and marks those that are partial. Rows ascend by bucket.
func (a *Timeseries) fill(ctx context.Context, tx *sql.Tx, r *reading) error {
	ends, silent := map[seriesName]*extent{}, int64(0)
	for i := range a.Rows {
		row := &a.Rows[i]
		name := seriesName{row.RunID, row.Category}
		e := ends[name]
		if e == nil {
			ends[name] = &extent{row.BucketStart, row.BucketStart}
			continue
		}
		silent += (row.BucketStart-e.last)/a.WidthS - 1
		e.last = row.BucketStart
	}
	if silent > maxSilentRows {
		return fmt.Errorf("width %d s: %d rows would be of buckets without spans, more than %d: ask for wider ones or for a shorter interval: %w",
			a.WidthS, silent, maxSilentRows, ErrQuery)
	}
	partial, err := r.partialEnds(ctx, tx, a.WidthS, ends)
	if err != nil {
		return err
	}
	a.addSilence(r, silent)
	for i := range a.Rows {
		row := &a.Rows[i]
		name, end := seriesName{row.RunID, row.Category}, row.BucketStart+a.WidthS
		p := partial[name]
		row.Partial = time.Unix(row.BucketStart, 0).Before(r.query.From) || !r.query.To.IsZero() && time.Unix(end, 0).After(r.query.To) ||
			row.BucketStart == ends[name].first && p.first || row.BucketStart == ends[name].last && p.last
	}
	return nil
}

// addSilence adds the rows of nothing.
func (a *Timeseries) addSilence(r *reading, silent int64) {
	if silent == 0 {
		return
	}
	rows := make([]TimeseriesRow, 0, int64(len(a.Rows))+silent)
	next := map[seriesName]int64{} // the bucket that should follow
	for _, row := range a.Rows {
		name := seriesName{row.RunID, row.Category}
		start, known := next[name]
		for ; known && start < row.BucketStart; start += a.WidthS {
			rows = append(rows, TimeseriesRow{
				RunID: row.RunID, BucketStart: start, BucketUTC: *utc(start), Category: row.Category, Settled: r.settled(start + a.WidthS),
			})
		}
		next[name] = row.BucketStart + a.WidthS
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b TimeseriesRow) int {
		return cmp.Or(cmp.Compare(a.BucketStart, b.BucketStart), cmp.Compare(a.RunID, b.RunID), cmp.Compare(a.Category, b.Category))
	})
	a.Rows = rows
}

// partialEnd tells of which end buckets a series fills only a part.
type partialEnd struct{ first, last bool }

// partialEnds finds out whether data begin or end inside the first and the last
// bucket: by the finest buckets within these, and as a run knows its first start
// and its last end to the nanosecond.
func (r *reading) partialEnds(ctx context.Context, tx *sql.Tx, width int64, ends map[seriesName]*extent) (map[seriesName]partialEnd, error) {
	runs, err := readRunTimes(ctx, tx)
	if err != nil {
		return nil, err
	}
	widths, err := r.headlineWidths(ctx, tx)
	if err != nil {
		return nil, err
	}
	within := map[int64]map[seriesName]period{}
	for _, e := range ends {
		within[e.first], within[e.last] = nil, nil
	}
	for start := range within {
		fine := slices.IndexFunc(widths, func(w planWidth) bool { return w.completeFrom <= start })
		if fine < 0 || widths[fine].seconds >= width {
			continue
		}
		if within[start], err = r.dataWithin(ctx, tx, Segment{widths[fine].seconds, start, start + width}); err != nil {
			return nil, err
		}
	}
	partial := map[seriesName]partialEnd{}
	for name, e := range ends {
		var p partialEnd
		if fine, ok := within[e.first][name]; ok {
			p.first = fine.from > e.first
		}
		if fine, ok := within[e.last][name]; ok {
			p.last = fine.to < e.last+width
		}
		if run, ok := runs[name.run]; ok {
			first, last := saturated(e.first), saturated(e.last+width)
			p.first = p.first || run.first > first && run.first < saturated(e.first+width)
			p.last = p.last || run.last < last && run.last >= saturated(e.last)
		}
		partial[name] = p
	}
	return partial, nil
}

// readRunTimes reads the first start and the last end of every run, in Unix
// nanoseconds.
func readRunTimes(ctx context.Context, tx *sql.Tx) (map[string]extent, error) {
	rows, err := tx.QueryContext(ctx, "SELECT run_id, first_ns, last_ns FROM run WHERE first_ns IS NOT NULL AND last_ns IS NOT NULL")
	if err != nil {
		return nil, fmt.Errorf("look up runs: %w", err)
	}
	defer rows.Close()
	runs := map[string]extent{}
	for rows.Next() {
		var run string
		var e extent
		if err := rows.Scan(&run, &e.first, &e.last); err != nil {
			return nil, fmt.Errorf("look up runs: %w", err)
		}
		runs[run] = e
	}
	return runs, rows.Err()
}

// dataWithin finds from the first to the last bucket of every run and category;
// the index alone tells.
func (r *reading) dataWithin(ctx context.Context, tx *sql.Tx, s Segment) (map[seriesName]period, error) {
	filter := r.filter(s)
	where, args := filter.Condition(false)
	rows, err := tx.QueryContext(ctx, `SELECT b.run_id, b.category, min(b.bucket_start), max(b.bucket_start) + ?
		FROM headline_bucket AS b WHERE `+where+" GROUP BY b.run_id, b.category", append([]any{s.WidthS}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("look up buckets of %d s: %w", s.WidthS, err)
	}
	defer rows.Close()
	found := map[seriesName]period{}
	for rows.Next() {
		var name seriesName
		var p period
		if err := rows.Scan(&name.run, &name.category, &p.from, &p.to); err != nil {
			return nil, fmt.Errorf("look up buckets of %d s: %w", s.WidthS, err)
		}
		found[name] = p
	}
	return found, rows.Err()
}
