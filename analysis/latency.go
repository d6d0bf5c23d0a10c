package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// LatencyQuery asks how long requests took, by some dimensions.
type LatencyQuery struct {
	Query
	// By names dimensions: columns of the relation latency, or configured
	// dimensions.
	By []string
	// Percentiles to answer with.
	Percentiles []Percentile
}

// LatencyRow sums up the series that agree in the dimensions asked for.
type LatencyRow struct {
	// Values of the dimensions, in the order of Latency.By; "" where missing.
	Values     []string `json:"values"`
	Requests   int64    `json:"requests"`
	Errors     int64    `json:"errors"` // every outcome but success
	ErrorShare *float64 `json:"error_share"`
	Injected   int64    `json:"requests_injected"`
	// Latency is the duration; NetLatency the duration without the injected
	// delay, which differs only where a fault was injected.
	Latency            Distribution `json:"latency"`
	NetLatency         Distribution `json:"net_latency"`
	TTFT               Distribution `json:"ttft"`
	TimePerOutputToken Distribution `json:"time_per_output_token"`
	Usage
}

// Latency is the answer to LatencyQuery.
type Latency struct {
	Scope
	By          []string     `json:"by"`
	Percentiles []string     `json:"percentiles"`
	Rows        []LatencyRow `json:"rows"` // most requests first
}

// group is a row in the making.
type group struct {
	values   []string
	sum      aggregator.Cell
	net      histogram.Histogram
	errors   int64
	injected int64
}

// AskLatency answers from the histograms by series, which it merges.
func AskLatency(ctx context.Context, tx *sql.Tx, q LatencyQuery) (*Latency, error) {
	r, err := newReading(ctx, tx, q.Query, true)
	if err == nil {
		err = r.choose(ctx, tx, r.categories())
	}
	if err != nil {
		return nil, fmt.Errorf("latency: %w", err)
	}
	series, err := readSeries(ctx, tx, r.query, q.By)
	if err != nil {
		return nil, fmt.Errorf("latency: %w", err)
	}
	groups := map[string]*group{}
	for _, s := range r.scope.Segments {
		for row, err := range storage.SeriesRows(ctx, tx, r.filter(s)) {
			if err != nil {
				return nil, fmt.Errorf("latency: %w", err)
			}
			if err := addToGroup(groups, series[row.Series], &row.Cell); err != nil {
				return nil, fmt.Errorf("latency: %w", err)
			}
		}
	}
	answer := &Latency{Scope: r.scope, By: q.By, Rows: []LatencyRow{}}
	for _, p := range q.Percentiles {
		answer.Percentiles = append(answer.Percentiles, p.Name)
	}
	for _, g := range groups {
		answer.Rows = append(answer.Rows, g.row(q.Percentiles))
	}
	slices.SortFunc(answer.Rows, func(a, b LatencyRow) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), slices.Compare(a.Values, b.Values))
	})
	return answer, nil
}

func addToGroup(groups map[string]*group, s seriesValues, cell *aggregator.Cell) error {
	g, ok := groups[s.key]
	if !ok {
		g = &group{values: s.values}
		groups[s.key] = g
	}
	if err := add(&g.sum, cell); err != nil {
		return err
	}
	if !s.success {
		g.errors += cell.Counters[aggregator.Requests]
	}
	// Where there is no fault the net duration is the duration, and is not
	// stored.
	net := &cell.Measures[aggregator.MeasureDuration]
	if s.faulty {
		g.injected += cell.Counters[aggregator.Requests]
		net = &cell.Measures[aggregator.MeasureNetDuration]
	}
	return g.net.Merge(net)
}

func (g *group) row(percentiles []Percentile) LatencyRow {
	requests := g.sum.Counters[aggregator.Requests]
	return LatencyRow{
		Values: g.values, Requests: requests, Errors: g.errors, ErrorShare: share(g.errors, requests), Injected: g.injected,
		Latency:            newDistribution(&g.sum.Measures[aggregator.MeasureDuration], percentiles),
		NetLatency:         newDistribution(&g.net, percentiles),
		TTFT:               newDistribution(&g.sum.Measures[aggregator.MeasureTimeToFirstToken], percentiles),
		TimePerOutputToken: newDistribution(&g.sum.Measures[aggregator.MeasureTimePerOutputToken], percentiles),
		Usage:              newUsage(&g.sum),
	}
}
