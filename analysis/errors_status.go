package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
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
	KeptRows
	Codes []StatusRow `json:"codes"` // most requests first
}

// KeptRows says which rows of single requests were counted.
type KeptRows struct {
	Kept
	// FromUTC is when the counted rows begin, later than the interval where there
	// are too many: then only the newest of them are counted. nil where none is.
	// Of failed requests these are the newest 50,000 that failed, carry a fault or
	// were slow; of all requests the newest 50,000.
	FromUTC *string `json:"from_utc"`
	// Rows is how many were counted, Estimated how many requests they stand for.
	Rows      int64   `json:"rows"`
	Estimated float64 `json:"estimated"`
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
	// FirstSeenUTC and LastSeenUTC are the seconds in which the first and the
	// last of the rows began, Samples up to three of them, the newest.
	FirstSeenUTC string   `json:"first_seen_utc"`
	LastSeenUTC  string   `json:"last_seen_utc"`
	Samples      []Sample `json:"samples"`
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
	if from, err = r.newestRows(ctx, tx, from, to, r.failedBits()); err != nil {
		return s, err
	}
	query, args := r.requestCondition(from, to)
	if r.meta.SchemaVersion >= firstWithWeights {
		query += " AND for_cause" // which all that failed are; it is in the index
	}
	query = "outcome <> 'success' AND " + query
	if err := s.count(ctx, tx, query, args); err != nil {
		return s, fmt.Errorf("read status codes: %w", err)
	}
	if err := s.sample(ctx, tx, query, args); err != nil {
		return s, fmt.Errorf("read status codes: %w", err)
	}
	if len(s.Codes) > 0 {
		s.FromUTC = utc(aggregator.UnixSeconds(from))
	}
	s.finish(failed)
	return s, nil
}

// count counts the rows of the view requests that meet a condition.
func (s *StatusCodes) count(ctx context.Context, tx *sql.Tx, condition string, args []any) error {
	rows, err := tx.QueryContext(ctx, `SELECT status_code, count(*), sum(weight), coalesce(sum(weight) FILTER (WHERE fault <> ''), 0),
		min(start_ns), max(start_ns) FROM requests WHERE `+condition+" GROUP BY status_code", args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		c := StatusRow{Samples: []Sample{}}
		var first, last int64
		if err := rows.Scan(&c.StatusCode, &c.Rows, &c.Requests, &c.Injected, &first, &last); err != nil {
			return err
		}
		c.FirstSeenUTC, c.LastSeenUTC = *utc(aggregator.UnixSeconds(first)), *utc(aggregator.UnixSeconds(last))
		s.Rows += c.Rows
		s.Codes = append(s.Codes, c)
	}
	return rows.Err()
}

// sample finds the newest rows of each code: most are among the newest of all,
// and the others are looked for by themselves.
func (s *StatusCodes) sample(ctx context.Context, tx *sql.Tx, condition string, args []any) error {
	const recent = 2_000
	if err := s.sampleOf(ctx, tx, condition, args, recent); err != nil || s.Rows <= recent {
		return err
	}
	wanted, none := []int64{}, false
	for i := range s.Codes {
		switch c := &s.Codes[i]; {
		case len(c.Samples) == samplesPerRow:
		case c.StatusCode == nil:
			none, c.Samples = true, []Sample{}
		default:
			wanted, c.Samples = append(wanted, *c.StatusCode), []Sample{}
		}
	}
	if len(wanted) == 0 && !none {
		return nil
	}
	list, err := json.Marshal(wanted)
	if err != nil {
		return err
	}
	condition += " AND (status_code IN (SELECT value FROM json_each(?)) OR status_code IS NULL AND ?)"
	return s.sampleOf(ctx, tx, condition, append(slices.Clone(args), string(list), none), -1)
}

// sampleOf looks at so many rows, the newest (-1: all), until each code has as
// many samples as it may.
func (s *StatusCodes) sampleOf(ctx context.Context, tx *sql.Tx, condition string, args []any, limit int) error {
	open, of := 0, map[int64]*StatusRow{}
	var without *StatusRow
	for i := range s.Codes {
		c := &s.Codes[i]
		open += int(min(samplesPerRow, c.Rows)) - len(c.Samples)
		if c.StatusCode == nil {
			without = c
		} else {
			of[*c.StatusCode] = c
		}
	}
	rows, err := tx.QueryContext(ctx, "SELECT status_code, trace_id, coalesce(span_id, '') FROM requests WHERE "+condition+
		" AND trace_id IS NOT NULL ORDER BY start_ns DESC, trace_id, span_id LIMIT ?", append(slices.Clone(args), limit)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for open > 0 && rows.Next() {
		var code *int64
		sample := Sample{Source: "request"}
		if err := rows.Scan(&code, &sample.TraceID, &sample.SpanID); err != nil {
			return err
		}
		c := without
		if code != nil {
			c = of[*code]
		}
		if len(c.Samples) < samplesPerRow {
			c.Samples = append(c.Samples, sample)
			open--
		}
	}
	return rows.Err()
}

// maxRowsForStatus bounds how many rows are counted.
const maxRowsForStatus = maxRowsForSamples

// newestRows returns the instant from which on there are at most so many rows
// that are kept for all these bits; the index alone tells.
func (r *reading) newestRows(ctx context.Context, tx *sql.Tx, from, to int64, bits int) (int64, error) {
	var last int64
	const query = `SELECT start_ns FROM request WHERE start_ns >= ? AND start_ns < ? AND kept & ? = ?
		ORDER BY start_ns DESC LIMIT 1 OFFSET ?`
	err := tx.QueryRowContext(ctx, query, from, to, bits, bits, maxRowsForStatus).Scan(&last)
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
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), compareStatus(a.StatusCode, b.StatusCode))
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
