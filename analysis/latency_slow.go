package analysis

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
)

// SlowTail says how many requests took much longer than most: more than twice
// the p95.
//
// A bin counts as a whole, and does where the value that stands for it, its
// middle clamped to minimum and maximum, is above the threshold. As with
// percentiles, a request within 0.79 % of the threshold may fall on either side.
type SlowTail struct {
	// SlowThresholdMS is 2 * p95; nil, as the share, without latencies.
	SlowThresholdMS *float64 `json:"slow_threshold_ms"`
	SlowCount       int64    `json:"slow_count"`
	SlowShare       *float64 `json:"slow_share"` // of the requests with a latency
}

func newSlowTail(h *histogram.Histogram) SlowTail {
	p95, ok := h.Percentile(histogram.P95)
	if !ok {
		return SlowTail{}
	}
	ms := 2 * milliseconds(p95)
	s := SlowTail{SlowThresholdMS: &ms}
	for _, b := range h.Bins() {
		// In halves: twice the p95 might overflow.
		if value := min(max(b.Bin.Mid(), h.Min()), h.Max()); value-p95 > p95 {
			s.SlowCount += b.Count
		}
	}
	s.SlowShare = share(s.SlowCount, h.Count())
	return s
}

// Correlation compares the latency in buckets in which requests were rejected
// (outcome rate_limited or capacity_error, more than a tenth of them) with that
// in all others.
type Correlation struct {
	// WidthS is the width of the buckets, seconds; 0 without any.
	WidthS int64 `json:"width_s"`
	// RejectingBuckets and CleanBuckets have at least one latency.
	RejectingBuckets int64 `json:"rejecting_buckets"`
	CleanBuckets     int64 `json:"clean_buckets"`
	// RejectingAvgMS and CleanAvgMS are the sum of all latencies over their
	// number, of the buckets together; nil where there are none.
	RejectingAvgMS *float64 `json:"rejecting_avg_ms"`
	CleanAvgMS     *float64 `json:"clean_avg_ms"`
	Ratio          *float64 `json:"ratio"` // of the two; nil where one is missing or CleanAvgMS is 0
	// Verdict is HIGH where Ratio > 1.5, MODERATE where it is > 1.2, else LOW;
	// INSUFFICIENT_DATA where there are fewer than three buckets or no Ratio.
	Verdict string `json:"verdict"`
}

// rejectingShare is the share of rejected requests above which a bucket counts
// as rejecting; maxCorrelationBuckets bounds how fine the buckets are.
const (
	rejectingShare         = 0.1
	minCorrelationBuckets  = 3
	maxCorrelationBuckets  = 10_000
	highRatio, medianRatio = 1.5, 1.2
)

// AskCorrelation answers whether requests were slower while others were
// rejected, from counters of the headline; it reads no histograms. q.Width says
// nothing: the buckets are the narrowest of which there are at most 10,000.
func AskCorrelation(ctx context.Context, tx *sql.Tx, q Query) (*Correlation, error) {
	c, err := askCorrelation(ctx, tx, q)
	if err != nil {
		return nil, fmt.Errorf("correlation: %w", err)
	}
	return &c, nil
}

func askCorrelation(ctx context.Context, tx *sql.Tx, q Query) (c Correlation, err error) {
	q.Width = 0
	r, err := newReading(ctx, tx, q, false)
	if err != nil {
		return c, err
	}
	r.narrowTo(maxCorrelationBuckets)
	if err := r.choose(ctx, tx, r.categories()); err != nil {
		return c, err
	}
	var count, sum [2]float64 // clean, rejecting
	var buckets [2]int64
	for _, s := range r.scope.Segments {
		c.WidthS = s.WidthS
		filter := r.filter(s)
		where, args := filter.Condition(false)
		rows, err := tx.QueryContext(ctx, `SELECT sum(b.rate_limited + b.capacity_error) * 1.0 > sum(b.requests) * ?, sum(b.latency_count),
				sum(b.sum_latency_ns)
			FROM headline_bucket AS b WHERE `+where+" GROUP BY b.bucket_start HAVING sum(b.latency_count) > 0 ORDER BY b.bucket_start",
			append([]any{rejectingShare}, args...)...)
		if err != nil {
			return c, fmt.Errorf("read buckets: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var rejecting int
			var n, ns int64
			if err := rows.Scan(&rejecting, &n, &ns); err != nil {
				return c, fmt.Errorf("read buckets: %w", err)
			}
			buckets[rejecting]++
			count[rejecting] += float64(n)
			sum[rejecting] += float64(ns)
		}
		if err := rows.Err(); err != nil {
			return c, fmt.Errorf("read buckets: %w", err)
		}
	}
	c.CleanBuckets, c.RejectingBuckets = buckets[0], buckets[1]
	c.judge(count, sum)
	return c, nil
}

func (c *Correlation) judge(count, sum [2]float64) {
	average := func(i int) *float64 {
		if count[i] == 0 {
			return nil
		}
		avg := sum[i] / 1e6 / count[i]
		return &avg
	}
	c.CleanAvgMS, c.RejectingAvgMS = average(0), average(1)
	c.Verdict = "INSUFFICIENT_DATA"
	if c.CleanAvgMS == nil || c.RejectingAvgMS == nil || *c.CleanAvgMS == 0 {
		return
	}
	ratio := *c.RejectingAvgMS / *c.CleanAvgMS
	c.Ratio = &ratio
	switch {
	case c.CleanBuckets+c.RejectingBuckets < minCorrelationBuckets:
	case ratio > highRatio:
		c.Verdict = "HIGH"
	case ratio > medianRatio:
		c.Verdict = "MODERATE"
	default:
		c.Verdict = "LOW"
	}
}
