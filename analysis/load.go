package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// LoadQuery asks for the figures that thresholds are set for.
type LoadQuery struct {
	Query
	// By names dimensions, as those of LatencyQuery; none reads the headline,
	// which is kept in narrower buckets.
	By []string
}

// LoadRow sums up the requests that agree in the dimensions asked for.
type LoadRow struct {
	Values    []string `json:"values"` // of the dimensions, in the order of Load.By
	Requests  int64    `json:"requests"`
	Errors    int64    `json:"errors"` // every outcome but success
	ErrorRate *float64 `json:"error_rate"`
	// RPS are requests over Load.RateS; nil where that is 0.
	RPS     *float64     `json:"requests_per_s"`
	Latency Distribution `json:"latency"` // with p50, p95 and p99
	TTFT    Distribution `json:"ttft"`
	Usage
}

// Load is the answer to LoadQuery.
type Load struct {
	Scope
	By   []string  `json:"by"`
	Rows []LoadRow `json:"rows"` // most requests first
	// RateS is the time that rates are computed of, in seconds: from the first
	// bucket with a request to the last one. These two, which requests fill only
	// in part, count neither as time nor as requests; 0 where there is no other. An
	// end that was asked for is an end of the time.
	RateS int64 `json:"rate_s"`
}

// loadGroup is a row in the making.
type loadGroup struct {
	values []string
	sum    aggregator.Cell
	errors int64
	rated  int64 // requests in the time that rates are computed of
}

// AskLoad answers for all requests or for each group of them.
func AskLoad(ctx context.Context, tx *sql.Tx, q LoadQuery) (*Load, error) {
	answer, err := askLoad(ctx, tx, q)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	return answer, nil
}

func askLoad(ctx context.Context, tx *sql.Tx, q LoadQuery) (*Load, error) {
	r, err := newReading(ctx, tx, q.Query, len(q.By) > 0)
	if err == nil {
		err = r.clipToRequests(ctx, tx)
	}
	if err == nil {
		err = r.choose(ctx, tx, r.query.Categories)
	}
	if err != nil {
		return nil, err
	}
	rate := r.rating()
	answer := &Load{Scope: r.scope, By: append([]string{}, q.By...), Rows: []LoadRow{}, RateS: rate.to - rate.from}
	groups := map[string]*loadGroup{}
	if len(q.By) == 0 {
		err = r.loadOfHeadline(ctx, tx, rate, groups)
	} else {
		err = r.loadOfSeries(ctx, tx, rate, q.By, groups)
	}
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		if g.sum.Counters[aggregator.Requests] > 0 {
			answer.Rows = append(answer.Rows, g.row(answer.RateS))
		}
	}
	slices.SortFunc(answer.Rows, func(a, b LoadRow) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), slices.Compare(a.Values, b.Values))
	})
	return answer, nil
}

// clipToRequests cuts the interval down to the buckets with requests, where its
// ends were left open.
func (r *reading) clipToRequests(ctx context.Context, tx *sql.Tx) error {
	r.query.Categories = r.categories()
	r.extents = map[int64]extent{}
	for _, w := range r.widths {
		if r.from >= r.to {
			break
		}
		filter := r.filter(Segment{w.seconds, aggregator.BucketStart(r.from, w.seconds), r.to})
		where, args := filter.Condition(false)
		var first, last sql.NullInt64
		query := "SELECT min(b.bucket_start), max(b.bucket_start) FROM headline_bucket AS b WHERE b.requests > 0 AND " + where
		if err := tx.QueryRowContext(ctx, query, args...).Scan(&first, &last); err != nil {
			return fmt.Errorf("look up buckets of %d s: %w", w.seconds, err)
		}
		if first.Valid {
			r.extents[w.seconds] = extent{first.Int64, last.Int64}
		}
	}
	from, to := r.dataEdges()
	if r.query.From.IsZero() {
		r.from = from
	}
	if r.query.To.IsZero() {
		r.to = to
	}
	return nil
}

// rating is the time [from, to) that rates are computed of.
type rating struct{ from, to int64 }

// rating returns that time, and cuts the segments at its ends: the finest
// buckets at ends that were left open are outside of it.
func (r *reading) rating() rating {
	n := len(r.scope.Segments)
	if n == 0 {
		return rating{}
	}
	from, to := r.scope.Segments[0].From, r.scope.Segments[n-1].To
	t := rating{from, to}
	for _, w := range slices.Backward(r.widths) {
		if r.query.From.IsZero() && from%w.seconds == 0 && from >= w.completeFrom {
			t.from = from + w.seconds
		}
		if r.query.To.IsZero() && to%w.seconds == 0 && to-w.seconds >= w.completeFrom {
			t.to = to - w.seconds
		}
	}
	if t.from >= t.to {
		return rating{from, from} // no bucket is whole
	}
	r.scope.Segments = slices.Concat(plan(r.widths, from, t.from), plan(r.widths, t.from, t.to), plan(r.widths, t.to, to))
	return t
}

func (r *reading) loadOfHeadline(ctx context.Context, tx *sql.Tx, rate rating, groups map[string]*loadGroup) error {
	for _, s := range r.scope.Segments {
		for row, err := range storage.HeadlineRows(ctx, tx, r.filter(s)) {
			if err != nil {
				return err
			}
			errors := row.Cell.Counters[aggregator.Requests] - row.Cell.Counters[aggregator.OutcomeCounter(aggregator.OutcomeSuccess)]
			if err := addLoad(groups, seriesValues{values: []string{}}, &row.Cell, errors, rate.holds(row.BucketStart)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reading) loadOfSeries(ctx context.Context, tx *sql.Tx, rate rating, by []string, groups map[string]*loadGroup) error {
	series, err := readSeries(ctx, tx, r.query, by)
	if err != nil {
		return err
	}
	for _, s := range r.scope.Segments {
		for row, err := range storage.SeriesRows(ctx, tx, r.filter(s)) {
			if err != nil {
				return err
			}
			values, errors := series[row.Series], int64(0)
			if !values.success {
				errors = row.Cell.Counters[aggregator.Requests]
			}
			if err := addLoad(groups, values, &row.Cell, errors, rate.holds(row.BucketStart)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t rating) holds(start int64) bool { return start >= t.from && start < t.to }

func addLoad(groups map[string]*loadGroup, values seriesValues, cell *aggregator.Cell, errors int64, rated bool) error {
	g, ok := groups[values.key]
	if !ok {
		g = &loadGroup{values: values.values}
		groups[values.key] = g
	}
	g.errors += errors
	if rated {
		g.rated += cell.Counters[aggregator.Requests]
	}
	return add(&g.sum, cell)
}

func (g *loadGroup) row(seconds int64) LoadRow {
	requests := g.sum.Counters[aggregator.Requests]
	return LoadRow{
		Values: g.values, Requests: requests, Errors: g.errors, ErrorRate: share(g.errors, requests), RPS: share(g.rated, seconds),
		Latency: newDistribution(&g.sum.Measures[aggregator.MeasureDuration], overviewPercentiles),
		TTFT:    newDistribution(&g.sum.Measures[aggregator.MeasureTimeToFirstToken], overviewPercentiles),
		Usage:   newUsage(&g.sum),
	}
}
