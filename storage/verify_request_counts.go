package storage

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
)

// checkRequestCounts: a span has at most one row.
func (v *verifier) checkRequestCounts(ctx context.Context) error {
	if v.broken["request"] || v.broken["run_category"] {
		return nil
	}
	var rows, folded int64
	const count = "SELECT (SELECT count(*) FROM request), coalesce((SELECT spans FROM ledger WHERE reason = 'folded'), 0)"
	if err := v.tx.QueryRowContext(ctx, count).Scan(&rows, &folded); err != nil {
		return err
	}
	purged, err := v.purged(ctx)
	if err != nil {
		return err
	}
	folded -= purged
	const byCategory = `SELECT s.run_id, s.category, count(*) FROM request AS r JOIN series AS s ON s.series_id = r.series_id
		WHERE r.kept & 1 GROUP BY s.run_id, s.category`
	over := false
	err = v.each(ctx, byCategory, func(rows *sql.Rows) error {
		var run, category string
		var have, spans int64
		if err := rows.Scan(&run, &category, &have); err != nil {
			return err
		}
		if t := v.totals[totalKey{0, run, category}]; t != nil {
			spans = t.requests
		}
		if have <= spans {
			return nil
		}
		over = true
		return v.report(Problem{
			Relation: "request", Row: fmt.Sprintf("run_id=%q category=%q", run, category), Rule: ruleOneRow,
			Stored: fmt.Sprintf("%d rows", have), Expected: fmt.Sprintf("%d or less", spans),
		})
	})
	if err != nil || over {
		return err
	}
	if err := v.checkRowsOfBuckets(ctx); err != nil || rows <= folded || v.broken["ledger"] {
		return err
	}
	return v.report(Problem{
		Relation: "request", Rule: ruleOneRow, Stored: fmt.Sprintf("%d rows", rows), Expected: fmt.Sprintf("%d or less", folded),
	})
}

// checkRowsOfBuckets: what a bucket of the finest width with series counts are
// the requests in it, and those that were not kept.
func (v *verifier) checkRowsOfBuckets(ctx context.Context) error {
	i := slices.IndexFunc(v.meta.Widths, func(w Width) bool { return w.Detail == DetailSeries })
	if i < 0 || v.broken[seriesTable.name] {
		return nil
	}
	w := v.meta.Widths[i]
	const query = `SELECT r.series_id, r.bucket_start, r.n, coalesce(b.requests, 0)
		FROM (
			SELECT series_id, start_ns / 1000000000 / ?1 * ?1 AS bucket_start, count(*) AS n FROM request
			WHERE kept & 1 GROUP BY 1, 2
		) AS r
			LEFT JOIN series_bucket AS b ON b.width_s = ?1 AND b.bucket_start = r.bucket_start AND b.series_id = r.series_id
		WHERE r.n > coalesce(b.requests, 0) AND r.bucket_start >= ?2`
	return eachRow(ctx, v.tx, query, func(rows *sql.Rows) error {
		var series, start, n, requests int64
		if err := rows.Scan(&series, &start, &n, &requests); err != nil {
			return err
		}
		return v.report(Problem{
			Relation: seriesTable.name, Row: fmt.Sprintf("width_s=%d bucket_start=%d series_id=%d", w.Seconds, start, series),
			Column: "requests", Rule: ruleCounted, Stored: fmt.Sprint(requests), Expected: fmt.Sprintf("%d or more", n),
		})
	}, w.Seconds, v.keptFrom(w))
}
