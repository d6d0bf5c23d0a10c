package analysis_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

func askUsage(q analysis.UsageQuery) func(context.Context, *sql.Tx) (*analysis.UsageAnswer, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.UsageAnswer, error) {
		return analysis.AskUsage(ctx, tx, q)
	}
}

func TestUsageAgainstOracle(t *testing.T) {
	observations := filetest.Traffic(9_000)
	now := filetest.Begin.Add(time.Hour)
	path := makeFile(t, observations, now)
	from, to := filetest.Begin.Add(20*time.Second), filetest.Begin.Add(800*time.Second)
	want := expect(observations, func(o *aggregator.Observation) bool { return isRequest(o) && inBuckets(20, 800)(o) },
		func(o *aggregator.Observation) string { return o.Series.Model })
	answer := ask(t, path, askUsage(analysis.UsageQuery{Query: analysis.Query{Now: now, From: from, To: to}, By: []string{"model"}}))
	require.Len(t, answer.Rows, len(want))
	total := &sum{}
	for i := range answer.Rows {
		r := &answer.Rows[i]
		s := want[r.Values[0]]
		require.Equal(t, s.requests, r.Requests)
		checkUsage(t, r.Values[0], &r.Usage, s)
		require.Equal(t, s.usage-s.priced, r.UnpricedCount)
		require.InDelta(t, float64(s.output)/780, *r.OutputTokensPerS, 1e-9)
		if s.priced > 0 {
			require.InDelta(t, float64(s.cost)/1e6/float64(s.priced), *r.CostPer1000USD, 1e-9)
		} else {
			require.Nil(t, r.CostPer1000USD)
		}
		if perToken := s.values[aggregator.MeasureTimePerOutputToken]; len(perToken) > 0 {
			var ns int64
			for _, v := range perToken {
				ns += v
			}
			require.InEpsilon(t, float64(ns)/1e6/float64(len(perToken)), *r.AvgTimePerOutputTokenMS, 1e-12)
		} else {
			require.Nil(t, r.AvgTimePerOutputTokenMS)
		}
		if i > 0 {
			require.GreaterOrEqual(t, cost(&answer.Rows[i-1]), cost(r), "the dearest come first")
		}
		total.requests += s.requests
		total.usage, total.input, total.output = total.usage+s.usage, total.input+s.input, total.output+s.output
		total.priced, total.cost = total.priced+s.priced, total.cost+s.cost
	}
	require.Equal(t, total.requests, answer.Total.Requests)
	checkUsage(t, "total", &answer.Total.Usage, total)
}

func cost(r *analysis.UsageRow) float64 {
	if r.CostUSD == nil {
		return 0
	}
	return *r.CostUSD
}

func TestUsageOfNothing(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	empty := ask(t, makeFile(t, nil, now), askUsage(analysis.UsageQuery{Query: analysis.Query{Now: now}}))
	require.Empty(t, empty.Rows)
	require.NotNil(t, empty.Rows)
	require.Nil(t, empty.Total)
	tools := analysis.Query{Now: now, Categories: []aggregator.Category{aggregator.CategoryTool}}
	path := makeFile(t, filetest.Traffic(100), now)
	answer := ask(t, path, askUsage(analysis.UsageQuery{Query: tools}))
	require.Len(t, answer.Rows, 1)
	require.Nil(t, answer.Rows[0].OutputTokensPerS)
	require.Nil(t, answer.Rows[0].InputTokens)
	require.Nil(t, answer.Rows[0].CostUSD)
	require.ErrorIs(t, second(try(t, path, askUsage(analysis.UsageQuery{Query: tools, By: []string{"colour"}}))), analysis.ErrQuery)
}
