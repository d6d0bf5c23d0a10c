package analysis_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

// unevenTraffic has requests from second 13 to 2,046, tools from 4 on, agents
// only in the middle, and none in a gap.
func unevenTraffic() []aggregator.Observation {
	observations := filetest.Traffic(21_000)
	return slices.DeleteFunc(observations, func(o aggregator.Observation) bool {
		at := seconds(&o)
		switch {
		case o.Series.Category == aggregator.CategoryTool:
			return at < 4
		case o.Series.Category == aggregator.CategoryAgent:
			return at < 1000 || at > 1010
		}
		return at < 13 || at > 2046 || at > 300 && at < 700
	})
}

// lasting is the time from the first to the last second in which one starts.
func lasting(of []*aggregator.Observation) int64 {
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for _, o := range of {
		first, last = min(first, seconds(o)), max(last, seconds(o))
	}
	return last + 1 - first
}

// Every rate of a query is over the same time: from the first to the last second
// with a request.
func TestRatesAreOverOneTime(t *testing.T) {
	observations := unevenTraffic()
	now := filetest.Begin.Add(10 * time.Hour)
	path := makeFile(t, observations, now)
	requests := pick(observations, isRequest)
	q := analysis.Query{Now: now}
	require.Equal(t, int64(2034), lasting(requests), "the test must have edges within buckets")

	o := ask(t, path, overview(q))
	require.Equal(t, lasting(requests), o.Total.Seconds)
	require.InDelta(t, float64(len(requests))/2034, *o.Total.RPS, 1e-9)
	for _, r := range o.Rows {
		of := pick(observations, func(o *aggregator.Observation) bool { return o.Series.Category.String() == r.Category })
		require.Equal(t, lasting(of), r.Seconds, r.Category)
		require.InDelta(t, float64(len(of))/float64(lasting(of)), *r.RPS, 1e-9, r.Category)
	}

	u := ask(t, path, askUsage(analysis.UsageQuery{Query: q}))
	require.Equal(t, int64(2034), u.Seconds)
	require.InDelta(t, float64(*u.Total.OutputTokens)/2034, *u.Total.OutputTokensPerS, 1e-9)

	q.From, q.To = filetest.Begin.Add(20*time.Second), filetest.Begin.Add(80*time.Second)
	w := ask(t, path, window(q))
	require.Equal(t, []int64{60, 2034 - 60}, []int64{w.Inside.Seconds, w.Outside.Seconds})
	q.From, q.To = filetest.Begin.Add(2000*time.Second), time.Time{}
	w = ask(t, path, window(q))
	require.Equal(t, []int64{47, 2034 - 47}, []int64{w.Inside.Seconds, w.Outside.Seconds})
	require.InDelta(t, float64(w.Outside.Requests)/float64(w.Outside.Seconds), *w.Outside.RPS, 1e-9)
	q.From, q.To = filetest.Begin.Add(-100*time.Second), filetest.Begin.Add(23*time.Second)
	w = ask(t, path, window(q))
	require.Equal(t, []int64{123, 2034 - 10}, []int64{w.Inside.Seconds, w.Outside.Seconds}, "an end that was asked for is an end")
}

// What has not settled is not in the time, and where seconds are gone, wider
// buckets say it as well as they can.
func TestRatesOfWhatIsThere(t *testing.T) {
	observations := unevenTraffic()
	end := filetest.Begin.Add(2050 * time.Second)
	path := makeFile(t, observations, end)
	settled := ask(t, path, overview(analysis.Query{Now: end}))
	to, err := time.Parse(time.RFC3339, *settled.ToUTC)
	require.NoError(t, err)
	of := pick(observations, isRequest, func(o *aggregator.Observation) bool { return o.StartUnixNano < to.UnixNano() })
	require.Less(t, lasting(of), int64(2034))
	require.Equal(t, lasting(of), settled.Total.Seconds)
	cut := filetest.Begin.Add(600 * time.Second)
	execute(t, path, "INSERT INTO pruned (relation, width_s, complete_from, rows) VALUES ('buckets', 1, ?, 1)", cut.Unix())
	prune(t, path, 1, cut)
	whole := ask(t, path, overview(analysis.Query{Now: end.Add(time.Hour)}))
	require.Equal(t, int64(2047-10), whole.Total.Seconds, "it begins with a bucket of 10 s")
}
