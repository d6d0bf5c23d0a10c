package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
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
	// Limit is how many rows are answered with at most, the others summed up
	// in Latency.Other; 0 is all.
	Limit int
	// Correlate asks for Latency.Errors too.
	Correlate bool
}

// LatencyRow sums up the series that agree in the dimensions asked for.
type LatencyRow struct {
	// Values of the dimensions, in the order of Latency.By; "" where missing.
	Values    []string `json:"values"`
	Requests  int64    `json:"requests"`
	Errors    int64    `json:"errors"` // every outcome but success
	ErrorRate *float64 `json:"error_rate"`
	Injected  int64    `json:"requests_injected"`
	// Latency is the duration; NetLatency the duration without the injected
	// delay, which differs only where a fault was injected.
	Latency            Distribution `json:"latency"`
	NetLatency         Distribution `json:"net_latency"`
	TTFT               Distribution `json:"ttft"`
	TimePerOutputToken Distribution `json:"time_per_output_token"`
	SlowTail
	Usage
}

// Latency is the answer to LatencyQuery.
type Latency struct {
	Scope
	By          []string     `json:"by"`
	Percentiles []string     `json:"percentiles"`
	Rows        []LatencyRow `json:"rows"` // most requests first
	// Other sums up the groups beyond the limit; nil where there is none.
	Other       *LatencyRow `json:"other"`
	OtherGroups int         `json:"other_groups"` // so many are in it
	// Errors compares latency while requests were rejected with that otherwise;
	// nil where LatencyQuery.Correlate is not set.
	Errors *Correlation `json:"error_correlation"`
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
	groups, err := r.readGroups(ctx, tx, series)
	if err != nil {
		return nil, fmt.Errorf("latency: %w", err)
	}
	answer := &Latency{Scope: r.scope, By: q.By, Percentiles: []string{}, Rows: []LatencyRow{}}
	for _, p := range q.Percentiles {
		answer.Percentiles = append(answer.Percentiles, p.Name)
	}
	if err := answer.addRows(groups, &q); err != nil {
		return nil, fmt.Errorf("latency: %w", err)
	}
	if q.Correlate {
		answer.Errors, err = AskCorrelation(ctx, tx, q.Query)
	}
	return answer, err
}

// readGroups merges the histograms of series that agree in what is asked for.
func (r *reading) readGroups(ctx context.Context, tx *sql.Tx, series map[aggregator.SeriesID]seriesValues) ([]*group, error) {
	groups := map[string]*group{}
	for _, s := range r.scope.Segments {
		for row, err := range storage.SeriesRows(ctx, tx, r.filter(s)) {
			if err == nil {
				err = addToGroup(groups, series[row.Series], &row.Cell)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return sortGroups(groups), nil
}

// sortGroups puts the groups with the most requests first.
func sortGroups(groups map[string]*group) []*group {
	return slices.SortedFunc(maps.Values(groups), func(a, b *group) int {
		return cmp.Or(cmp.Compare(b.requests(), a.requests()), slices.Compare(a.values, b.values))
	})
}

// addRows adds the rows of groups, most requests first.
func (l *Latency) addRows(groups []*group, q *LatencyQuery) error {
	shown := len(groups)
	if q.Limit > 0 {
		shown = min(shown, q.Limit)
	}
	for _, g := range groups[:shown] {
		l.Rows = append(l.Rows, g.row(q.Percentiles))
	}
	if l.OtherGroups = len(groups) - shown; l.OtherGroups == 0 {
		return nil
	}
	other := &group{values: []string{}}
	for _, g := range groups[shown:] {
		if err := other.merge(g); err != nil {
			return err
		}
	}
	row := other.row(q.Percentiles)
	l.Other = &row
	return nil
}

func (g *group) requests() int64 { return g.sum.Counters[aggregator.Requests] }

// merge adds another group.
func (g *group) merge(o *group) error {
	if err := add(&g.sum, &o.sum); err != nil {
		return err
	}
	g.errors += o.errors
	g.injected += o.injected
	return g.net.Merge(&o.net)
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
	requests := g.requests()
	return LatencyRow{
		Values: g.values, Requests: requests, Errors: g.errors, ErrorRate: share(g.errors, requests), Injected: g.injected,
		Latency:            newDistribution(&g.sum.Measures[aggregator.MeasureDuration], percentiles),
		NetLatency:         newDistribution(&g.net, percentiles),
		TTFT:               newDistribution(&g.sum.Measures[aggregator.MeasureTimeToFirstToken], percentiles),
		TimePerOutputToken: newDistribution(&g.sum.Measures[aggregator.MeasureTimePerOutputToken], percentiles),
		SlowTail:           newSlowTail(&g.sum.Measures[aggregator.MeasureDuration]),
		Usage:              newUsage(&g.sum),
	}
}
