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

func load(q analysis.Query, by ...string) func(context.Context, *sql.Tx) (*analysis.Load, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.Load, error) {
		return analysis.AskLoad(ctx, tx, analysis.LoadQuery{Query: q, By: by})
	}
}

func TestLoadAgainstOracle(t *testing.T) {
	observations := filetest.Traffic(9_000) // a quarter of an hour
	now := filetest.Begin.Add(time.Hour)
	path := makeFile(t, observations, now)
	run := "load-1"
	for _, c := range []struct {
		name                string
		query               analysis.Query
		by                  []string
		from, to            int64 // of the requests, seconds since Begin
		rateFrom, rateUntil int64
	}{
		{"all", analysis.Query{Now: now}, nil, 0, 900, 1, 899},
		{"one run", analysis.Query{Now: now, Run: &run}, nil, 0, 900, 1, 899},
		{"interval", analysis.Query{Now: now, From: filetest.Begin.Add(100 * time.Second), To: filetest.Begin.Add(200 * time.Second)}, nil, 100, 200, 100, 200},
		{"from", analysis.Query{Now: now, From: filetest.Begin.Add(100 * time.Second)}, nil, 100, 900, 100, 899},
		{"by model", analysis.Query{Now: now}, []string{"model"}, 0, 900, 10, 890},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := func(o *aggregator.Observation, from, to int64) bool {
				headline := o.Series.Category == aggregator.CategoryLLM || o.Series.Category == aggregator.CategoryEmbedding
				return headline && (c.query.Run == nil || o.Series.Run == run) && seconds(o) >= from && seconds(o) < to
			}
			key := func(o *aggregator.Observation) string {
				if c.by == nil {
					return ""
				}
				return o.Series.Model
			}
			want := expect(observations, func(o *aggregator.Observation) bool { return in(o, c.from, c.to) }, key)
			rated := expect(observations, func(o *aggregator.Observation) bool { return in(o, c.rateFrom, c.rateUntil) }, key)
			answer := ask(t, path, load(c.query, c.by...))
			require.Equal(t, c.rateUntil-c.rateFrom, answer.RateS)
			require.Len(t, answer.Rows, len(want))
			for i := range answer.Rows {
				r := &answer.Rows[i]
				k := ""
				if c.by != nil {
					k = r.Values[0]
				}
				require.Equal(t, []int64{want[k].requests, want[k].errors}, []int64{r.Requests, r.Errors}, k)
				require.Equal(t, float64(rated[k].requests)/float64(answer.RateS), *r.RPS, k)
				checkDistribution(t, k, &r.Latency, want[k].values[aggregator.MeasureDuration], standard)
				checkDistribution(t, k, &r.TTFT, want[k].values[aggregator.MeasureTimeToFirstToken], standard)
				checkUsage(t, k, &r.Usage, want[k])
			}
		})
	}
}

func TestLoadOfNothing(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	for name, c := range map[string]struct {
		observations []aggregator.Observation
		query        analysis.Query
	}{
		"empty file": {nil, analysis.Query{Now: now}},
		"elsewhere":  {filetest.Traffic(100), analysis.Query{Now: now, From: now.Add(-10 * time.Minute), To: now}},
	} {
		answer := ask(t, makeFile(t, c.observations, now), load(c.query))
		require.Empty(t, answer.Rows, name)
		require.NotNil(t, answer.Rows, name)
	}
	one := filetest.Traffic(1)
	one[0].Series.Category = aggregator.CategoryLLM
	answer := ask(t, makeFile(t, one, now), load(analysis.Query{Now: now}))
	require.Zero(t, answer.RateS, "no bucket is whole")
	require.Nil(t, answer.Rows[0].RPS)
	q := analysis.Query{Now: now, From: filetest.Begin, To: filetest.Begin.Add(10 * time.Second)}
	require.InDelta(t, 0.1, *ask(t, makeFile(t, one, now), load(q)).Rows[0].RPS, 0, "both ends were asked for")
}
