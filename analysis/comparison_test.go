package analysis_test

import (
	"context"
	"database/sql"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

func compare(q analysis.ComparisonQuery) func(context.Context, *sql.Tx) (*analysis.Comparison, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.Comparison, error) {
		return analysis.AskComparison(ctx, tx, tx, q)
	}
}

// Two windows of one length, one stratum: the figures are those of all spans in
// them.
func TestComparisonAgainstOracle(t *testing.T) {
	observations := filetest.Traffic(18_000) // half an hour
	now := filetest.Begin.Add(time.Hour)
	path := makeFile(t, observations, now)
	window := func(from, to time.Duration) analysis.Query {
		return analysis.Query{Now: now, From: filetest.Begin.Add(from), To: filetest.Begin.Add(to), Categories: []aggregator.Category{aggregator.CategoryLLM}}
	}
	answer := ask(t, path, compare(analysis.ComparisonQuery{
		Baseline: window(10*time.Second, 10*time.Minute), Candidate: window(15*time.Minute, 30*time.Minute), By: []string{},
	}))
	require.Equal(t, int64(10), answer.WidthS)
	require.Equal(t, int64(590), answer.DurationS)
	for i, side := range []*analysis.ComparedSide{&answer.Baseline, &answer.Candidate} {
		from := []int64{10, 900}[i]
		want := expect(observations, func(o *aggregator.Observation) bool {
			return o.Series.Category == aggregator.CategoryLLM && seconds(o) >= from && seconds(o) < from+590
		}, func(*aggregator.Observation) bool { return true })[true]
		require.Equal(t, want.requests, side.Requests)
		get := func(name string) float64 {
			m := answer.Metric(name)
			return *[]*float64{m.Baseline, m.Candidate}[i]
		}
		for name, p := range map[string]int{"p50_latency_ms": 50, "p95_latency_ms": 95, "p99_latency_ms": 99} {
			sorted := sortedCopy(want.values[aggregator.MeasureDuration])
			require.InEpsilon(t, float64(nearest(sorted, p, 100))/1e6, get(name), 1.0/128, name)
		}
		require.InEpsilon(t, float64(nearest(sortedCopy(want.values[aggregator.MeasureTimeToFirstToken]), 95, 100))/1e6, get("p95_ttft_ms"), 1.0/128)
		require.InEpsilon(t, float64(want.errors)/float64(want.requests), get("error_rate"), 1e-12)
		require.InEpsilon(t, float64(want.requests)/590, get("requests_per_s"), 1e-12)
		require.InEpsilon(t, float64(want.cost)/1e9/float64(want.priced), get("cost_usd_per_request"), 1e-12)
		require.InEpsilon(t, float64(want.output)/590, get("output_tokens_per_s"), 1e-12)
	}
}

// The very same spans on both sides: nothing has changed.
func TestComparisonOfARunWithItself(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	path := makeFile(t, filetest.Traffic(9_000), now)
	run := "load-1"
	q := analysis.Query{Now: now, Run: &run}
	answer := ask(t, path, compare(analysis.ComparisonQuery{Baseline: q, Candidate: q}))
	require.Equal(t, answer, ask(t, path, compare(analysis.ComparisonQuery{Baseline: q, Candidate: q})), "the same again")
	require.Contains(t, answer.Notes, "the two sides have requests in common, which cannot differ")
	for _, m := range answer.Metrics {
		require.Zero(t, *m.Change, m.Name)
		require.NotEqual(t, analysis.VerdictWorse, m.Verdict, m.Name)
		require.NotEqual(t, analysis.VerdictBetter, m.Verdict, m.Name)
	}
}

func sortedCopy(values []int64) []int64 {
	return slices.Sorted(slices.Values(values))
}
