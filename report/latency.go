package report

import (
	"context"
	"database/sql"
	"slices"

	"github.com/spanbucket/spanbucketexporter/analysis"
)

// tableDimensions are those that a pick has tables of.
var tableDimensions = []string{"model", "provider", "operation", "service", "tool", "agent", "outcome", "error_type", "fault", "run_id"}

// tablePercentiles are those of every table.
var tablePercentiles = func() (all []analysis.Percentile) {
	for _, name := range []string{"p50", "p90", "p95", "p99", "p99.9"} {
		p, err := analysis.ParsePercentile(name)
		if err != nil {
			panic(err)
		}
		all = append(all, p)
	}
	return all
}()

// readTables reads the tables of latency; a dimension that is empty everywhere
// has none.
func (p *Pick) readTables(ctx context.Context, tx *sql.Tx, q analysis.Query) error {
	p.Tables = []Table{}
	answers, err := analysis.AskLatencyTables(ctx, tx, analysis.LatencyQuery{Query: q, By: tableDimensions, Percentiles: tablePercentiles,
		Limit: MaxTableRows})
	if err != nil {
		return err
	}
	for i, answer := range answers {
		by := tableDimensions[i]
		named := slices.ContainsFunc(answer.Rows, func(r analysis.LatencyRow) bool { return r.Values[0] != "" })
		if !named || by == "run_id" && p.RunID != nil {
			continue
		}
		p.Tables = append(p.Tables, Table{
			By: by, Rows: answer.Rows, Other: answer.Other, OtherGroups: answer.OtherGroups,
			RowsTotal: len(answer.Rows) + answer.OtherGroups,
		})
	}
	return nil
}
