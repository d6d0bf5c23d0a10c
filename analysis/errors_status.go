package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// StatusCodes counts failed requests by status code. Only rows of single
// requests have it, so these counts are as good as the rows: exact where
// Complete, else an estimate from those that are kept.
type StatusCodes struct {
	Kept
	// FromUTC is when the counted errors begin, later than the interval where
	// there are more than 50,000 that failed, carry a fault or were slow: then
	// only the newest of them are counted. nil where none is kept.
	FromUTC *string `json:"from_utc"`
	// Rows is how many failed requests are kept, Estimated how many they stand
	// for. The exact number is Errors.Errors.
	Rows      int64       `json:"rows"`
	Estimated float64     `json:"estimated"`
	Codes     []StatusRow `json:"codes"` // most requests first
}

// StatusRow counts the failed requests with one status code.
type StatusRow struct {
	StatusCode *int64 `json:"status_code"` // nil: none is known
	Rows       int64  `json:"rows"`        // that are kept
	// Requests is the sum of their weights: how many requests they stand for.
	Requests float64 `json:"requests"`
	// ShareOfErrors is Requests over all that the rows stand for.
	ShareOfErrors float64 `json:"share_of_errors"`
	Injected      float64 `json:"requests_injected"` // likewise weighted
}

// readStatusCodes reads the failed requests that are kept; failed is how many
// there were.
func (r *reading) readStatusCodes(ctx context.Context, tx *sql.Tx, failed int64) (s StatusCodes, err error) {
	s.Codes = []StatusRow{}
	from, to := r.scope.nanoseconds()
	if from == to || r.meta.SchemaVersion < firstWithRequests {
		return s, nil
	}
	if s.Kept, err = r.readKept(ctx, tx, from); err != nil {
		return s, err
	}
	if from, err = r.newestForCause(ctx, tx, from, to); err != nil {
		return s, err
	}
	query, args := r.requestCondition(from, to)
	if r.meta.SchemaVersion >= firstWithWeights {
		query += " AND for_cause" // which all that failed are; it is in the index
	}
	rows, err := tx.QueryContext(ctx, `SELECT status_code, count(*), sum(weight), coalesce(sum(weight) FILTER (WHERE fault <> ''), 0)
		FROM requests WHERE outcome <> 'success' AND `+query+" GROUP BY status_code", args...)
	if err != nil {
		return s, fmt.Errorf("read status codes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var c StatusRow
		if err := rows.Scan(&c.StatusCode, &c.Rows, &c.Requests, &c.Injected); err != nil {
			return s, fmt.Errorf("read status codes: %w", err)
		}
		s.Rows += c.Rows
		s.Codes = append(s.Codes, c)
	}
	if len(s.Codes) > 0 {
		s.FromUTC = utc(aggregator.UnixSeconds(from))
	}
	s.finish(failed)
	return s, rows.Err()
}

// maxRowsForStatus bounds how many rows are counted.
const maxRowsForStatus = maxRowsForSamples

// newestForCause returns the instant from which on there are at most so many
// rows that are kept for cause; the index alone tells.
func (r *reading) newestForCause(ctx context.Context, tx *sql.Tx, from, to int64) (int64, error) {
	if r.meta.SchemaVersion < firstWithWeights {
		return from, nil
	}
	var last int64
	const query = `SELECT start_ns FROM request WHERE start_ns >= ? AND start_ns < ? AND kept & 9 = 9
		ORDER BY start_ns DESC LIMIT 1 OFFSET ?`
	err := tx.QueryRowContext(ctx, query, from, to, maxRowsForStatus).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return from, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read status codes: %w", err)
	}
	return last + 1, nil
}

// finish sorts the rows and computes what depends on all of them.
func (s *StatusCodes) finish(failed int64) {
	slices.SortFunc(s.Codes, func(a, b StatusRow) int {
		known := func(c *int64) int64 {
			if c == nil {
				return -1
			}
			return *c
		}
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(known(a.StatusCode), known(b.StatusCode)))
	})
	for _, c := range s.Codes {
		s.Estimated += c.Requests
	}
	for i := range s.Codes {
		s.Codes[i].ShareOfErrors = s.Codes[i].Requests / s.Estimated
	}
	// A file that others wrote may say nothing of what it lacks.
	s.Complete = s.Complete && s.Rows == failed
}

// requestCondition returns the condition, and its values, for rows of the view
// requests that start in an interval, Unix nanoseconds, and that the query
// selects.
func (r *reading) requestCondition(from, to int64) (string, []any) {
	text, args := "start_ns >= ? AND start_ns < ?", []any{from, to}
	if r.query.Run != nil {
		text += " AND run_id = ?"
		args = append(args, *r.query.Run)
	}
	if len(r.query.Categories) > 0 {
		text += " AND category IN (?" + strings.Repeat(", ?", len(r.query.Categories)-1) + ")"
		for _, c := range r.query.Categories {
			args = append(args, c.String())
		}
	}
	return text, args
}
