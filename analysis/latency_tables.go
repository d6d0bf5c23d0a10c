package analysis

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// AskLatencyTables answers with one table for each dimension of q.By, in this
// order: what AskLatency answers for each of them alone, for the price of one.
// q.Correlate says nothing here.
func AskLatencyTables(ctx context.Context, tx *sql.Tx, q LatencyQuery) ([]*Latency, error) {
	r, err := newReading(ctx, tx, q.Query, true)
	if err == nil {
		err = r.choose(ctx, tx, r.categories())
	}
	if err != nil {
		return nil, fmt.Errorf("latency tables: %w", err)
	}
	series, err := readSeries(ctx, tx, r.query, q.By)
	if err != nil {
		return nil, fmt.Errorf("latency tables: %w", err)
	}
	sums, err := r.sumSeries(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("latency tables: %w", err)
	}
	var tables []*Latency
	for i, by := range q.By {
		groups := map[string]*group{}
		for id, cell := range sums {
			of := series[id]
			of.key, of.values = of.values[i], of.values[i:i+1]
			if err := addToGroup(groups, of, cell); err != nil {
				return nil, fmt.Errorf("latency tables: %w", err)
			}
		}
		table := &Latency{Scope: r.scope, By: []string{by}, Percentiles: []string{}, Rows: []LatencyRow{}}
		for _, p := range q.Percentiles {
			table.Percentiles = append(table.Percentiles, p.Name)
		}
		if err := table.addRows(sortGroups(groups), &q); err != nil {
			return nil, fmt.Errorf("latency tables: %w", err)
		}
		tables = append(tables, table)
	}
	return tables, nil
}

// sumSeries adds up the rows of each series.
func (r *reading) sumSeries(ctx context.Context, tx *sql.Tx) (map[aggregator.SeriesID]*aggregator.Cell, error) {
	sums := map[aggregator.SeriesID]*aggregator.Cell{}
	for _, s := range r.scope.Segments {
		for row, err := range storage.SeriesRows(ctx, tx, r.filter(s)) {
			if err != nil {
				return nil, err
			}
			if sums[row.Series] == nil {
				sums[row.Series] = &aggregator.Cell{}
			}
			if err := add(sums[row.Series], &row.Cell); err != nil {
				return nil, err
			}
		}
	}
	return sums, nil
}
