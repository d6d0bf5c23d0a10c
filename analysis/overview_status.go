package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// RequestStatus counts requests by status code, those that succeeded too. Only
// rows of single requests have it, so these counts are as good as the rows:
// exact where Complete, else an estimate from those that are kept.
type RequestStatus struct {
	KeptRows
	Codes []RequestStatusRow `json:"codes"` // most requests first
}

// RequestStatusRow counts the requests with one status code.
type RequestStatusRow struct {
	StatusCode *int64 `json:"status_code"` // nil: none is known
	Rows       int64  `json:"rows"`        // that are kept
	// Requests is the sum of their weights: how many requests they stand for.
	Requests float64 `json:"requests"`
	// ShareOfRequests is Requests over all that the rows stand for.
	ShareOfRequests float64 `json:"share_of_requests"`
	Errors          float64 `json:"errors"`            // every outcome but success, likewise weighted
	Injected        float64 `json:"requests_injected"` // likewise weighted
}

// readRequestStatus counts the rows of what are requests: the categories that
// were asked for, else those of the headline. It wants the rows by category.
func (r *reading) readRequestStatus(ctx context.Context, tx *sql.Tx, answer *Overview) (err error) {
	s := &answer.StatusCodes
	s.Codes = []RequestStatusRow{}
	from, to := r.scope.nanoseconds()
	if from == to || r.meta.SchemaVersion < firstWithRequests {
		return nil
	}
	if s.Kept, err = r.readKept(ctx, tx, from); err != nil {
		return err
	}
	if from, err = r.newestRows(ctx, tx, from, to, 1); err != nil {
		return err
	}
	of := *r
	of.query.Categories = r.categories()
	query, args := of.requestCondition(from, to)
	rows, err := tx.QueryContext(ctx, `SELECT status_code, count(*), sum(weight),
			coalesce(sum(weight) FILTER (WHERE outcome <> 'success'), 0), coalesce(sum(weight) FILTER (WHERE fault <> ''), 0)
		FROM requests WHERE `+query+" GROUP BY status_code", args...)
	if err != nil {
		return fmt.Errorf("read status codes: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var c RequestStatusRow
		if err := rows.Scan(&c.StatusCode, &c.Rows, &c.Requests, &c.Errors, &c.Injected); err != nil {
			return fmt.Errorf("read status codes: %w", err)
		}
		s.Codes = append(s.Codes, c)
	}
	if len(s.Codes) > 0 {
		s.FromUTC = utc(aggregator.UnixSeconds(from))
	}
	var requests int64
	for _, row := range answer.Rows {
		if c, ok := aggregator.ParseCategory(row.Category); ok && slices.Contains(of.query.Categories, c) {
			requests += row.Requests
		}
	}
	s.finish(requests)
	return rows.Err()
}

// finish sorts the rows and computes what depends on all of them.
func (s *RequestStatus) finish(requests int64) {
	slices.SortFunc(s.Codes, func(a, b RequestStatusRow) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), compareStatus(a.StatusCode, b.StatusCode))
	})
	for _, c := range s.Codes {
		s.Rows += c.Rows
		s.Estimated += c.Requests
	}
	for i := range s.Codes {
		s.Codes[i].ShareOfRequests = s.Codes[i].Requests / s.Estimated
	}
	// A file that others wrote may say nothing of what it lacks.
	s.Complete = s.Complete && s.Rows == requests
}

// compareStatus orders status codes, one that is not known first.
func compareStatus(a, b *int64) int {
	known := func(c *int64) int64 {
		if c == nil {
			return -1
		}
		return *c
	}
	return cmp.Compare(known(a), known(b))
}
