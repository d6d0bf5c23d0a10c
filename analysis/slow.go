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
	return answer, r.findSlow(ctx, tx, &q, answer)
}

// findSlow fills the rows.
func (r *reading) findSlow(ctx context.Context, tx *sql.Tx, q *SlowQuery, answer *Slow) error {
	from, to := r.scope.nanoseconds()
	if from == to {
		return nil
	}
	peaks, err := r.readPeaks(ctx, tx, int64(q.Threshold))
	if err != nil {
		return err
	}
	if answer.Kept, err = r.readKept(ctx, tx, from); err != nil {
		return err
	}
	rows, err := r.slowestRequests(ctx, tx, q, &answer.Kept, peaks)
	if err != nil {
		return err
	}
	for i := range rows {
		row := &rows[i]
		answer.Rows = append(answer.Rows, SlowRow{
			row.TraceID, row.SpanID, row.RunID, row.Category, row.StartUTC, row.StartNS, *row.LatencyMS, row,
		})
	}
	if len(rows) > 0 || len(peaks) == 0 {
		return nil
	}
	answer.Source, answer.Kept = "buckets", Kept{}
	for _, p := range peaks[:min(int64(len(peaks)), q.Limit)] {
		trace, span := hex.EncodeToString(p.trace), hex.EncodeToString(p.span)
		answer.Rows = append(answer.Rows, SlowRow{
			&trace, &span, p.run, p.category, *utc(p.start), saturated(p.start), milliseconds(p.longestNS), nil,
		})
	}
	return nil
}
