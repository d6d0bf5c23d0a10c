package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// errorKind is what tells errors apart.
type errorKind struct{ outcome, errorType string }

// String returns the outcome, with the type where that says more.
func (k errorKind) String() string {
	if k.errorType == "" || k.errorType == k.outcome {
		return k.outcome
	}
	return k.outcome + " (" + k.errorType + ")"
}

// errorTotal counts the requests with one kind of error.
type errorTotal struct {
	kind     errorKind
	requests int64
	// first and last are the buckets with the first and the last of them, and
	// the widths of those.
	first, last   int64
	firstW, lastW int64
}

// errorSums are totals by kind.
type errorSums map[errorKind]*errorTotal

// sorted returns the totals, those of most requests first.
func (s errorSums) sorted() []*errorTotal {
	all := make([]*errorTotal, 0, len(s))
	for _, e := range s {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *errorTotal) int {
		return cmp.Or(cmp.Compare(b.requests, a.requests), strings.Compare(a.kind.outcome, b.kind.outcome),
			strings.Compare(a.kind.errorType, b.kind.errorType))
	})
	return all
}

// errorTotals counts the failed requests by kind, those of most requests first.
// A file without details by series has none.
func errorTotals(ctx context.Context, tx *sql.Tx, q Query) ([]*errorTotal, error) {
	q.Width = 0 // the details by series may not have it
	r, err := newReading(ctx, tx, q, true)
	if err == nil {
		err = r.choose(ctx, tx, r.categories())
	}
	if err != nil {
		return nil, err
	}
	totals := errorSums{}
	for _, segment := range r.scope.Segments {
		if err := r.addErrors(ctx, tx, segment, "", totals); err != nil {
			return nil, err
		}
	}
	return totals.sorted(), nil
}

// seriesCondition returns what selects the series s of the query, as SQL that
// goes on after another condition, and its arguments.
func (r *reading) seriesCondition() (where string, args []any) {
	if r.query.Run != nil {
		where, args = " AND s.run_id = ?", append(args, *r.query.Run)
	}
	if n := len(r.query.Categories); n > 0 {
		where += " AND s.category IN (?" + strings.Repeat(", ?", n-1) + ")"
		for _, c := range r.query.Categories {
			args = append(args, c.String())
		}
	}
	return where, args
}

// addErrors counts the failed requests of a segment; and selects among them.
func (r *reading) addErrors(ctx context.Context, tx *sql.Tx, segment Segment, and string, totals errorSums) error {
	where, args := r.seriesCondition()
	args = append([]any{segment.WidthS, segment.From, segment.To}, args...)
	rows, err := tx.QueryContext(ctx, `SELECT s.outcome, s.error_type, sum(b.requests), min(b.bucket_start), max(b.bucket_start)
		FROM series_bucket AS b CROSS JOIN series AS s ON s.series_id = b.series_id
		WHERE b.width_s = ? AND b.bucket_start >= ? AND b.bucket_start < ? AND b.requests > 0 AND s.outcome <> 'success'`+
		and+where+` GROUP BY s.outcome, s.error_type`, args...)
	if err != nil {
		return fmt.Errorf("count errors: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		e := errorTotal{firstW: segment.WidthS, lastW: segment.WidthS}
		if err := rows.Scan(&e.kind.outcome, &e.kind.errorType, &e.requests, &e.first, &e.last); err != nil {
			return fmt.Errorf("count errors: %w", err)
		}
		// Segments ascend.
		if sum := totals[e.kind]; sum != nil {
			sum.requests += e.requests
			sum.last, sum.lastW = e.last, e.lastW
			continue
		}
		totals[e.kind] = &e
	}
	return rows.Err()
}

// narrowError looks for the first and the last error of a kind that no fault
// has marked, within a bucket, among the narrowest buckets that are kept there.
// It returns where the first starts and the last ends, Unix seconds.
func (r *reading) narrowError(ctx context.Context, tx *sql.Tx, kind errorKind, start, width int64) (from, to int64, err error) {
	where, args := r.seriesCondition()
	for _, w := range r.widths {
		if w.seconds >= width {
			break
		}
		var first, last sql.NullInt64
		err := tx.QueryRowContext(ctx, `SELECT min(b.bucket_start), max(b.bucket_start)
			FROM series_bucket AS b CROSS JOIN series AS s ON s.series_id = b.series_id
			WHERE b.width_s = ? AND b.bucket_start >= ? AND b.bucket_start < ? AND b.requests > 0
				AND s.outcome = ? AND s.error_type = ? AND s.fault = ''`+where,
			append([]any{w.seconds, start, start + width, kind.outcome, kind.errorType}, args...)...).Scan(&first, &last)
		if err != nil {
			return 0, 0, fmt.Errorf("look up errors: %w", err)
		}
		if first.Valid && start >= w.completeFrom {
			return first.Int64, last.Int64 + w.seconds, nil
		}
	}
	return start, start + width, nil
}
