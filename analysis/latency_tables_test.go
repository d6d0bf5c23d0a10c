package analysis_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

// Each table is the one that AskLatency, which has an oracle, answers with.
func TestLatencyTablesAreThoseOfLatency(t *testing.T) {
	now := filetest.Begin.Add(48 * time.Hour)
	path := makeFile(t, filetest.Traffic(4_000), now)
	p99, err := analysis.ParsePercentile("p99")
	require.NoError(t, err)
	q := analysis.LatencyQuery{Query: analysis.Query{Now: now}, Percentiles: []analysis.Percentile{p99}}
	for _, from := range []time.Time{{}, filetest.Begin.Add(95 * time.Second)} {
		q.From, q.By = from, analysis.Dimensions
		q.Limit = 2
		tables := ask(t, path, func(ctx context.Context, tx *sql.Tx) ([]*analysis.Latency, error) {
			return analysis.AskLatencyTables(ctx, tx, q)
		})
		require.Len(t, tables, len(analysis.Dimensions))
		for i, by := range analysis.Dimensions {
			q.By = []string{by}
			want := ask(t, path, func(ctx context.Context, tx *sql.Tx) (*analysis.Latency, error) {
				return analysis.AskLatency(ctx, tx, q)
			})
			require.NotEmpty(t, want.Rows)
			require.Equal(t, want, tables[i], by)
		}
	}
	// Totals are those of the overview.
	for _, q := range []analysis.Query{{Now: now}, {Now: now, From: filetest.Begin.Add(95 * time.Second)}} {
		totals := ask(t, path, func(ctx context.Context, tx *sql.Tx) (*analysis.Totals, error) { return analysis.AskTotals(ctx, tx, q) })
		whole := ask(t, path, overview(q))
		require.Equal(t, whole.Rows, totals.Rows)
		require.Equal(t, whole.Total, totals.Headline)
		require.Equal(t, whole.Scope, totals.Scope)
	}
}
