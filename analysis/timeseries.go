package analysis

import (
	"context"
	"database/sql"
	"fmt"
)

// TimeseriesRow is one bucket of one run and category: a row of the relation
// timeseries, or one in between of which the relation has none. That has no
// spans: zeros, and nil for what does not exist.
type TimeseriesRow struct {
	RunID       string `json:"run_id"`
	BucketStart int64  `json:"bucket_start"` // Unix seconds
	BucketUTC   string `json:"bucket_utc"`
	Category    string `json:"category"`
	Settled     bool   `json:"settled"`
	// Partial: the data of the run and category, or the interval that was asked
	// for, begin or end inside the bucket, so its counts are not those of a whole
	// one.
	Partial      bool     `json:"partial"`
	Requests     int64    `json:"requests_total"`
	Success      int64    `json:"requests_success"`
	Errors       int64    `json:"errors"` // every outcome but success
	ErrorRate    *float64 `json:"error_rate"`
	RateLimited  int64    `json:"requests_rate_limited"`
	Injected     int64    `json:"requests_injected"`
	Completed    int64    `json:"completed_total"` // by end time
	LatencyCount int64    `json:"latency_count"`
	AvgMS        *float64 `json:"avg_latency_ms"`
	P50MS        *float64 `json:"p50_latency_ms"`
	P95MS        *float64 `json:"p95_latency_ms"`
	P99MS        *float64 `json:"p99_latency_ms"`
	MaxMS        *float64 `json:"max_latency_ms"`
	TTFTCount    int64    `json:"ttft_count"`
	TTFTP50MS    *float64 `json:"p50_ttft_ms"`
	TTFTP95MS    *float64 `json:"p95_ttft_ms"`
	InputTokens  *int64   `json:"input_tokens"`
	OutputTokens *int64   `json:"output_tokens"`
	CostUSD      *float64 `json:"cost_usd"`
}

// Timeseries is the course of the headline figures over time.
type Timeseries struct {
	Scope
	WidthS int64           `json:"width_s"` // of every row; 0 where there is none
	Rows   []TimeseriesRow `json:"rows"`    // by bucket, run, category
}

// maxTimeseriesBuckets is how many buckets a series is cut into at most, where
// the query leaves the width open.
const maxTimeseriesBuckets = 120

// AskTimeseries answers with the rows of one width: q.Width, or the narrowest
// that cuts the interval into at most 120 buckets. Between the first and the last
// row of a run and category no bucket is missing; more than 100,000 rows of
// buckets without spans are ErrQuery. It reads no histograms.
func AskTimeseries(ctx context.Context, tx *sql.Tx, q Query) (*Timeseries, error) {
	r, err := newReading(ctx, tx, q, false)
	if err != nil {
		return nil, fmt.Errorf("timeseries: %w", err)
	}
	r.narrow()
	if err := r.choose(ctx, tx, r.categories()); err != nil {
		return nil, fmt.Errorf("timeseries: %w", err)
	}
	answer := &Timeseries{Scope: r.scope, Rows: []TimeseriesRow{}}
	for _, s := range r.scope.Segments {
		answer.WidthS = s.WidthS
		if answer.Rows, err = r.timeseriesRows(ctx, tx, s, answer.Rows); err != nil {
			return nil, fmt.Errorf("timeseries: %w", err)
		}
	}
	if err := answer.fill(ctx, tx, r); err != nil {
		return nil, fmt.Errorf("timeseries: %w", err)
	}
	return answer, nil
}

// narrow leaves the width of a timeseries.
func (r *reading) narrow() { r.narrowTo(maxTimeseriesBuckets) }

// narrowTo leaves one width: the narrowest that cuts the interval into at most
// so many buckets, else the widest.
func (r *reading) narrowTo(buckets int64) {
	if len(r.widths) == 0 || r.from >= r.to {
		return
	}
	keep := r.widths[len(r.widths)-1]
	for _, w := range r.widths {
		start := max(r.from, w.completeFrom)
		if start == r.from && (r.to-start+w.seconds-1)/w.seconds <= buckets {
			keep = w
			break
		}
	}
	r.widths = []planWidth{keep}
}

func (r *reading) timeseriesRows(ctx context.Context, tx *sql.Tx, s Segment, out []TimeseriesRow) ([]TimeseriesRow, error) {
	filter := r.filter(s)
	where, args := filter.Condition(false)
	rows, err := tx.QueryContext(ctx, `SELECT run_id, bucket_start, category, requests_total,
		requests_success, requests_rate_limited, requests_injected, completed_total, latency_count, avg_latency_ms,
		p50_latency_ms, p95_latency_ms, p99_latency_ms, max_latency_ms, ttft_count, p50_ttft_ms, p95_ttft_ms,
		input_tokens, output_tokens, cost_usd
		FROM timeseries AS b WHERE `+where+` ORDER BY bucket_start, run_id, category`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var bucketUTC *string
	for rows.Next() {
		var t TimeseriesRow
		if err := rows.Scan(&t.RunID, &t.BucketStart, &t.Category, &t.Requests,
			&t.Success, &t.RateLimited, &t.Injected, &t.Completed, &t.LatencyCount, &t.AvgMS,
			&t.P50MS, &t.P95MS, &t.P99MS, &t.MaxMS, &t.TTFTCount, &t.TTFTP50MS, &t.TTFTP95MS,
			&t.InputTokens, &t.OutputTokens, &t.CostUSD); err != nil {
			return nil, err
		}
		if n := len(out); n == 0 || out[n-1].BucketStart != t.BucketStart {
			bucketUTC = utc(t.BucketStart)
		}
		t.BucketUTC = *bucketUTC
		// Without open ones, all are settled, wide ones that have not ended too.
		t.Settled = r.settled(t.BucketStart + s.WidthS)
		t.Errors = t.Requests - t.Success
		t.ErrorRate = share(t.Errors, t.Requests)
		out = append(out, t)
	}
	return out, rows.Err()
}
