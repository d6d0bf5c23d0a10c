package analysis_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

// Where every request is kept, those by status code are counted here from the
// spans; of a sample the weights add up to all of them.
func TestRequestsByStatusCode(t *testing.T) {
	observations := filetest.Traffic(9_000)
	now := filetest.Begin.Add(time.Hour)
	path := fileWith(t, observations, now, everyRequest, statusOf)
	run, tool := "load-1", []aggregator.Category{aggregator.CategoryTool}
	for name, c := range map[string]struct {
		query analysis.Query
		holds func(*aggregator.Observation) bool
	}{
		"all":      {analysis.Query{}, isRequest},
		"a run":    {analysis.Query{Run: &run}, func(o *aggregator.Observation) bool { return isRequest(o) && o.Series.Run == run }},
		"tools":    {analysis.Query{Categories: tool}, func(o *aggregator.Observation) bool { return o.Series.Category == aggregator.CategoryTool }},
		"interval": {analysis.Query{From: filetest.Begin.Add(17 * time.Second), To: filetest.Begin.Add(333 * time.Second)}, func(o *aggregator.Observation) bool { return isRequest(o) && inBuckets(17, 333)(o) }},
	} {
		t.Run(name, func(t *testing.T) {
			c.query.Now = now
			type counts struct{ all, failed, injected float64 }
			want, all := map[int64]counts{}, pick(observations, c.holds)
			for _, o := range all {
				n := want[statusOf(o)]
				n.all++
				if failed(o) {
					n.failed++
				}
				if o.Series.Fault != "" {
					n.injected++
				}
				want[statusOf(o)] = n
			}
			s := ask(t, path, overview(c.query)).StatusCodes
			require.True(t, s.Complete)
			require.Equal(t, int64(len(all)), s.Rows)
			require.Len(t, s.Codes, len(want))
			for _, r := range s.Codes {
				var code int64
				if r.StatusCode != nil {
					code = *r.StatusCode
				}
				require.Equal(t, want[code], counts{r.Requests, r.Errors, r.Injected}, code)
				require.InDelta(t, want[code].all/float64(len(all)), r.ShareOfRequests, 1e-12)
			}
		})
	}
	sample := fileWith(t, observations, now, sampling.Policy{RatioMicro: sampling.Whole / 20, MaxForCause: 2}, statusOf)
	s := ask(t, sample, overview(analysis.Query{Now: now})).StatusCodes
	require.False(t, s.Complete)
	require.True(t, s.Estimable)
	require.Less(t, s.Rows, int64(1000))
	var errors float64
	for _, c := range s.Codes {
		errors += c.Errors
	}
	require.InDelta(t, float64(len(pick(observations, isRequest, failed))), errors, 1e-6, "what failed is weighted exactly")
	none := ask(t, makeFile(t, observations, now), overview(analysis.Query{Now: now})).StatusCodes
	require.Empty(t, none.Codes)
	require.NotNil(t, none.Codes)
	require.False(t, none.Complete)
}

// Of codes that are not among the newest 2,000 failures there are samples too.
func TestSamplesOfRareStatusCodes(t *testing.T) {
	observations := filetest.Traffic(9_000)
	for i := range observations {
		observations[i].Series.Category, observations[i].Series.Outcome = aggregator.CategoryLLM, aggregator.OutcomeServerError
		observations[i].Rejected = aggregator.NotRejected
	}
	rare := func(o *aggregator.Observation) int64 {
		switch at := seconds(o); {
		case at < 1:
			return 418
		case at < 2:
			return 0 // none
		case at == 100:
			return 503
		}
		return 500
	}
	now := filetest.Begin.Add(time.Hour)
	codes := ask(t, fileWith(t, observations, now, everyRequest, rare), askErrors(analysis.Query{Now: now})).StatusCodes.Codes
	require.Len(t, codes, 4)
	for _, c := range codes {
		var code int64
		if c.StatusCode != nil {
			code = *c.StatusCode
		}
		group := pick(observations, func(o *aggregator.Observation) bool { return rare(o) == code })
		slices.SortFunc(group, newestFirst)
		require.Len(t, c.Samples, 3, code)
		for i, s := range c.Samples {
			require.Equal(t, traceOf(group[i]), s.TraceID, "status %d: sample %d", code, i)
		}
	}
}
