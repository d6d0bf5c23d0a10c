package analysis_test

import (
	"context"
	"database/sql"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

func askLatency(q analysis.LatencyQuery) func(context.Context, *sql.Tx) (*analysis.Latency, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.Latency, error) {
		return analysis.AskLatency(ctx, tx, q)
	}
}

// offered is what the command line offers.
func offered(t *testing.T) (all []analysis.Percentile) {
	for _, name := range []string{"p50", "p90", "p95", "p99", "p99.9"} {
		p, err := analysis.ParsePercentile(name)
		require.NoError(t, err)
		all = append(all, p)
	}
	return all
}

// calls are llm requests with these durations, one every hundred milliseconds.
func calls(durations ...int64) []aggregator.Observation {
	var all []aggregator.Observation
	for i, d := range durations {
		o := aggregator.Observation{
			Series:        aggregator.Series{Service: "gateway", Operation: "chat", Kind: aggregator.KindClient, Category: aggregator.CategoryLLM, Model: "m"},
			StartUnixNano: filetest.Begin.UnixNano() + int64(i)*100e6, AdjustedMicro: 1_000_000,
			TraceID: [16]byte{1, byte(i >> 8), byte(i)}, SpanID: [8]byte{2, byte(i >> 8), byte(i)},
		}
		o.SetMeasure(aggregator.MeasureDuration, d)
		o.EndUnixNano = o.StartUnixNano + d
		all = append(all, o)
	}
	return all
}

func ask1(t *testing.T, durations ...int64) analysis.LatencyRow {
	t.Helper()
	now := filetest.Begin.Add(24 * time.Hour)
	answer := ask(t, makeFile(t, calls(durations...), now), askLatency(analysis.LatencyQuery{Query: analysis.Query{Now: now}, Percentiles: offered(t)}))
	require.Len(t, answer.Rows, 1)
	return answer.Rows[0]
}

// Of 1 ms, 2 ms … 100 ms the 99th is 99 ms; it never is the maximum.
func TestLatencyOfOneToAHundred(t *testing.T) {
	var durations []int64
	for i := range int64(100) {
		durations = append(durations, (i+1)*1e6)
	}
	r := ask1(t, durations...)
	p99 := *r.Latency.Percentiles.Get("p99")
	require.GreaterOrEqual(t, p99, 98.2)
	require.LessOrEqual(t, p99, 99.8)
	require.InDelta(t, 50, *r.Latency.Percentiles.Get("p50"), 0.4)
	require.InDelta(t, 95, *r.Latency.Percentiles.Get("p95"), 0.75)
	require.Equal(t, 100.0, *r.Latency.Percentiles.Get("p99.9"))
	require.Zero(t, r.SlowCount)
}

func TestLatencyOfEqualAndSingleValues(t *testing.T) {
	for _, durations := range [][]int64{{1_234_567_891}, slices.Repeat([]int64{1_234_567_891}, 500)} {
		r := ask1(t, durations...)
		for _, p := range offered(t) {
			require.Equal(t, 1234.567891, *r.Latency.Percentiles.Get(p.Name))
		}
		require.Equal(t, 2*1234.567891, *r.SlowThresholdMS)
		require.Zero(t, r.SlowCount)
		require.Zero(t, *r.SlowShare)
	}
}

// All of 10,000 values count, not the first hundred.
func TestLatencyOfTenThousand(t *testing.T) {
	rng := seedtest.Rand(t)
	var durations []int64
	for range 10_000 {
		durations = append(durations, int64(1e8*math.Exp(rng.NormFloat64())))
	}
	r := ask1(t, durations...)
	checkDistribution(t, "latency", &r.Latency, durations, map[string][2]int{
		"p50": {50, 100}, "p90": {90, 100}, "p95": {95, 100}, "p99": {99, 100}, "p99.9": {999, 1000},
	})
	// The bin rule: as the percentiles, so within a bin of the true threshold.
	p95 := nearest(durations, 95, 100)
	var least, most int64
	for _, v := range durations {
		if float64(v) > 2*float64(p95)*(1+1.0/64) {
			least++
		}
		if float64(v) > 2*float64(p95)*(1-1.0/64) {
			most++
		}
	}
	require.GreaterOrEqual(t, r.SlowCount, least)
	require.LessOrEqual(t, r.SlowCount, most)
	require.Positive(t, least)
	// And exactly: each value stands as the middle of its bin.
	threshold := 2 * clampedMid(p95, durations)
	var slow int64
	for _, v := range durations {
		if clampedMid(v, durations) > threshold {
			slow++
		}
	}
	require.Equal(t, slow, r.SlowCount)
	require.Equal(t, float64(threshold)/1e6, *r.SlowThresholdMS)
	require.InDelta(t, float64(slow)/10_000, *r.SlowShare, 1e-12)
}

// clampedMid is the value that stands for a value of a sorted list.
func clampedMid(v int64, sorted []int64) int64 {
	return min(max(histogram.BinOf(v).Mid(), sorted[0]), sorted[len(sorted)-1])
}

// What a limit leaves out is one row, and no total changes.
func TestLatencyLimitKeepsTotals(t *testing.T) {
	observations := filetest.Traffic(3_000)
	now := filetest.Begin.Add(time.Hour)
	path := makeFile(t, observations, now)
	q := analysis.LatencyQuery{Query: analysis.Query{Now: now}, By: []string{"model", "outcome"}, Percentiles: offered(t)}
	all := ask(t, path, askLatency(q))
	require.Nil(t, all.Other)
	for _, limit := range []int{1, 3, len(all.Rows) - 1, len(all.Rows), 1000} {
		q.Limit = limit
		some := ask(t, path, askLatency(q))
		shown := min(limit, len(all.Rows))
		require.Equal(t, all.Rows[:shown], some.Rows)
		require.Equal(t, len(all.Rows)-shown, some.OtherGroups)
		if some.OtherGroups == 0 {
			require.Nil(t, some.Other)
			continue
		}
		left := map[[2]string]bool{}
		for _, r := range all.Rows[shown:] {
			left[[2]string{r.Values[0], r.Values[1]}] = true
		}
		want := expect(observations, func(o *aggregator.Observation) bool {
			return isRequest(o) && left[[2]string{o.Series.Model, o.Series.Outcome.String()}]
		}, func(*aggregator.Observation) bool { return true })[true]
		require.Equal(t, want.requests, some.Other.Requests)
		require.Equal(t, want.errors, some.Other.Errors)
		require.Equal(t, want.injected, some.Other.Injected)
		checkDistribution(t, "other", &some.Other.Latency, want.values[aggregator.MeasureDuration], standard)
		checkDistribution(t, "other net", &some.Other.NetLatency, want.net, standard)
		checkUsage(t, "other", &some.Other.Usage, want)
	}
}

// rejecting makes a request at a second of the file, with a latency.
func rejecting(second int, ms int64, outcome aggregator.Outcome) aggregator.Observation {
	o := calls(ms * 1e6)[0]
	o.Series.Outcome = outcome
	o.StartUnixNano += int64(second) * 1e9
	o.EndUnixNano += int64(second) * 1e9
	o.TraceID[3], o.TraceID[4], o.TraceID[5] = byte(second), byte(ms), byte(ms>>8)
	return o
}

// Sums over sums: a bucket with many requests weighs more than one with few.
func TestCorrelationWithRejections(t *testing.T) {
	const ok, limited, capacity, broken = aggregator.OutcomeSuccess, aggregator.OutcomeRateLimited, aggregator.OutcomeCapacityError, aggregator.OutcomeServerError
	type r struct {
		second  int
		ms      int64
		outcome aggregator.Outcome
	}
	many := func(n, second int, ms int64, outcome aggregator.Outcome) []r {
		return slices.Repeat([]r{{second, ms, outcome}}, n)
	}
	for name, c := range map[string]struct {
		requests         []r
		verdict          string
		rejecting, clean int64
		ratio            float64 // 0: none
	}{
		"one clean, one rejecting":    {[]r{{0, 100, ok}, {1, 300, limited}}, "INSUFFICIENT_DATA", 1, 1, 3},
		"nothing rejected":            {[]r{{0, 100, ok}, {1, 300, broken}, {2, 100, ok}}, "INSUFFICIENT_DATA", 0, 3, 0},
		"all rejected":                {[]r{{0, 100, limited}, {1, 300, capacity}, {2, 100, limited}}, "INSUFFICIENT_DATA", 3, 0, 0},
		"high":                        {[]r{{0, 100, ok}, {1, 151, capacity}, {2, 100, ok}}, "HIGH", 1, 2, 1.51},
		"exactly 1.5":                 {[]r{{0, 100, ok}, {1, 150, limited}, {2, 100, ok}}, "MODERATE", 1, 2, 1.5},
		"exactly 1.2":                 {[]r{{0, 100, ok}, {1, 120, limited}, {2, 100, ok}}, "LOW", 1, 2, 1.2},
		"faster":                      {[]r{{0, 100, ok}, {1, 10, limited}, {2, 100, ok}}, "LOW", 1, 2, 0.1},
		"other errors are clean":      {[]r{{0, 100, broken}, {1, 200, limited}, {2, 100, broken}}, "HIGH", 1, 2, 2},
		"a tenth is not more than it": {append(many(9, 1, 400, ok), r{1, 400, limited}, r{0, 100, ok}, r{2, 100, ok}), "INSUFFICIENT_DATA", 0, 3, 0},
		"sums, not averages":          {append(many(98, 0, 100, ok), r{1, 1000, ok}, r{1, 1000, ok}, r{2, 118, limited}), "LOW", 1, 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var observations []aggregator.Observation
			for i, x := range c.requests {
				o := rejecting(x.second, x.ms, x.outcome)
				o.SpanID[7] = byte(i)
				observations = append(observations, o)
			}
			now := filetest.Begin.Add(time.Hour)
			answer := ask(t, makeFile(t, observations, now), askLatency(analysis.LatencyQuery{Query: analysis.Query{Now: now}, Correlate: true})).Errors
			require.Equal(t, c.verdict, answer.Verdict)
			require.Equal(t, c.rejecting, answer.RejectingBuckets)
			require.Equal(t, c.clean, answer.CleanBuckets)
			require.Equal(t, int64(1), answer.WidthS)
			if c.ratio == 0 {
				require.Nil(t, answer.Ratio)
				return
			}
			require.InEpsilon(t, c.ratio, *answer.Ratio, 1e-9)
		})
	}
	now := filetest.Begin.Add(time.Hour)
	require.Nil(t, ask(t, makeFile(t, nil, now), askLatency(analysis.LatencyQuery{Query: analysis.Query{Now: now}})).Errors, "not asked for")
}
