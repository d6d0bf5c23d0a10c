package analysis

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"time"
)

// SlowQuery asks for the slowest requests.
type SlowQuery struct {
	Query
	// Threshold is the least duration; 0: any.
	Threshold time.Duration
	// Limit is how many are answered with at most; 0 is 20.
	Limit int64
}

// Slow is the answer to SlowQuery.
type Slow struct {
	Scope
	// Source is requests, or buckets where no request of the interval is kept:
	// then the rows are the slowest of each bucket, which may hide others as
	// slow.
	Source string `json:"source"`
	// Kept says whether rows may be missing, where Source is requests.
	Kept        Kept      `json:"kept"`
	ThresholdMS *float64  `json:"threshold_ms"` // nil: none
	Rows        []SlowRow `json:"rows"`         // slowest first
}

// SlowRow is a slow request. Of one that a bucket remembers only the ids, the
// latency, the run, the category and the bucket are known.
type SlowRow struct {
	TraceID  *string `json:"trace_id"`
	SpanID   *string `json:"span_id"`
	RunID    string  `json:"run_id"`
	Category string  `json:"category"`
	// StartUTC is that of the request, StartNS likewise; of one that a bucket
	// remembers, that of the bucket.
	StartUTC  string  `json:"start_utc"`
	StartNS   int64   `json:"start_ns"`
	LatencyMS float64 `json:"latency_ms"`
	// Request is nil for one that only a bucket remembers.
	Request *Request `json:"request"`
}

// maxSlowBuckets bounds how fine the buckets are that are looked through for
// slow requests.
const maxSlowBuckets = 10_000

// AskSlow answers with the slowest requests that are kept.
func AskSlow(ctx context.Context, tx *sql.Tx, q SlowQuery) (*Slow, error) {
	answer, err := askSlow(ctx, tx, q)
	if err != nil {
		return nil, fmt.Errorf("slow: %w", err)
	}
	return answer, nil
}

func askSlow(ctx context.Context, tx *sql.Tx, q SlowQuery) (*Slow, error) {
	if q.Limit == 0 {
		q.Limit = 20
	}
	if q.Limit < 1 || q.Limit > MaxRequests {
		return nil, fmt.Errorf("limit %d: must be 1 to %d: %w", q.Limit, MaxRequests, ErrQuery)
	}
	r, err := newReading(ctx, tx, q.Query, false)
	if err != nil {
		return nil, err
	}
	r.narrowTo(maxSlowBuckets)
	if err := r.choose(ctx, tx, r.categories()); err != nil {
		return nil, err
	}
	answer := &Slow{Scope: r.scope, Source: "requests", Rows: []SlowRow{}}
	if q.Threshold > 0 {
		threshold := float64(q.Threshold) / 1e6
		answer.ThresholdMS = &threshold
	}
	from, to := r.scope.nanoseconds()
	if from == to {
		return answer, nil
	}
	kept, err := r.hasRequests(ctx, tx, from, to)
	if err != nil {
		return nil, err
	}
	if !kept {
		answer.Source = "buckets"
		return answer, r.slowBuckets(ctx, tx, &q, answer)
	}
	if answer.Kept, err = r.readKept(ctx, tx, from); err != nil {
		return nil, err
	}
	return answer, r.slowRequests(ctx, tx, &q, from, to, answer)
}

// hasRequests tells whether a request of an interval is kept.
func (r *reading) hasRequests(ctx context.Context, tx *sql.Tx, from, to int64) (kept bool, err error) {
	if r.meta.SchemaVersion < firstWithRequests {
		return false, nil
	}
	where, args := r.requestCondition(from, to)
	err = tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM requests WHERE "+where+")", args...).Scan(&kept)
	if err != nil {
		return false, fmt.Errorf("look up requests: %w", err)
	}
	return kept, nil
}

func (r *reading) slowRequests(ctx context.Context, tx *sql.Tx, q *SlowQuery, from, to int64, answer *Slow) error {
	where, args := r.requestCondition(from, to)
	where += " AND duration_ns >= ? ORDER BY duration_ns DESC, trace_id, span_id, start_ns, series_id LIMIT ?"
	rows, err := readRequests(ctx, tx, where, append(args, int64(q.Threshold), q.Limit))
	for i := range rows {
		row := &rows[i]
		answer.Rows = append(answer.Rows, SlowRow{
			row.TraceID, row.SpanID, row.RunID, row.Category, row.StartUTC, row.StartNS, *row.LatencyMS, row,
		})
	}
	return err
}

func (r *reading) slowBuckets(ctx context.Context, tx *sql.Tx, q *SlowQuery, answer *Slow) error {
	for _, segment := range r.scope.Segments {
		filter := r.filter(segment)
		where, args := filter.Condition(false)
		rows, err := tx.QueryContext(ctx, `SELECT b.slowest_trace_id, b.slowest_span_id, b.run_id, b.category, b.bucket_start, b.max_latency_ns
			FROM headline_bucket AS b WHERE `+where+` AND b.max_latency_ns >= ? AND b.slowest_trace_id IS NOT NULL
			ORDER BY b.max_latency_ns DESC, b.slowest_trace_id, b.slowest_span_id, b.bucket_start, b.run_id, b.category LIMIT ?`,
			append(args, int64(q.Threshold), q.Limit)...)
		if err != nil {
			return fmt.Errorf("read slowest of buckets: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var row SlowRow
			var trace, span []byte
			var start, latency int64
			if err := rows.Scan(&trace, &span, &row.RunID, &row.Category, &start, &latency); err != nil {
				return fmt.Errorf("read slowest of buckets: %w", err)
			}
			traceID, spanID := hex.EncodeToString(trace), hex.EncodeToString(span)
			row.TraceID, row.SpanID = &traceID, &spanID
			row.StartUTC, row.StartNS, row.LatencyMS = *utc(start), saturated(start), milliseconds(latency)
			answer.Rows = append(answer.Rows, row)
		}
		if err := rows.Err(); err != nil {
			return fmt.Errorf("read slowest of buckets: %w", err)
		}
	}
	return nil
}
