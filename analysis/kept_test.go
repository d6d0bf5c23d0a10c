package analysis_test

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/hex"
	"iter"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// everyRequest keeps all requests.
var everyRequest = sampling.Policy{RatioMicro: sampling.Whole}

// fileWith writes observations as if at the instant now, with the requests that
// a policy keeps. statusOf tells the status code of a request, 0 for none.
func fileWith(
	t *testing.T, observations []aggregator.Observation, now time.Time, policy sampling.Policy, statusOf func(*aggregator.Observation) int64,
) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file.db")
	o := filetest.Options(path, now)
	o.Sampling = &policy
	s, err := storage.Open(context.Background(), o)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	for batch := range slices.Chunk(observations, 1000) {
		delta := aggregator.NewDelta(storage.FinestWidths(o.Widths), o.Objectives...)
		for i := range batch {
			delta.Fold(&batch[i])
		}
		requests := func(wanted func(int) bool) iter.Seq[*aggregator.Request] {
			return func(yield func(*aggregator.Request) bool) {
				for i := range batch {
					if !wanted(i) {
						continue
					}
					r := aggregator.Request{Observation: batch[i]}
					if r.StatusCode = statusOf(&batch[i]); r.StatusCode != 0 {
						r.Known |= aggregator.FactStatusCode
					}
					if !yield(&r) {
						return
					}
				}
			}
		}
		require.NoError(t, s.Write(context.Background(), storage.Batch{
			Delta: delta, Requests: requests, Observations: func(yield func(*aggregator.Observation) bool) {
				for i := range batch {
					if !yield(&batch[i]) {
						return
					}
				}
			},
		}))
	}
	return path
}

func noStatus(*aggregator.Observation) int64 { return 0 }

// statusOf is a code for every error type of filetest.Traffic but one.
func statusOf(o *aggregator.Observation) int64 {
	return map[string]int64{"429": 429, "500": 500, "ConnectionResetError": 0, "cancelled": 499, "": 200}[o.Series.ErrorType]
}

// pick returns the observations that all conditions hold for.
func pick(observations []aggregator.Observation, conditions ...func(*aggregator.Observation) bool) (picked []*aggregator.Observation) {
	for i := range observations {
		if observations[i].Rejected == aggregator.NotRejected && !slices.ContainsFunc(conditions, func(holds func(*aggregator.Observation) bool) bool { return !holds(&observations[i]) }) {
			picked = append(picked, &observations[i])
		}
	}
	return picked
}

func traceOf(o *aggregator.Observation) string { return hex.EncodeToString(o.TraceID[:]) }

func tracesOf(rows []analysis.Request) (traces []string) {
	for _, r := range rows {
		traces = append(traces, *r.TraceID)
	}
	return traces
}

func newestFirst(a, b *aggregator.Observation) int {
	return cmp.Or(cmp.Compare(b.StartUnixNano, a.StartUnixNano), cmp.Compare(traceOf(a), traceOf(b)))
}

func requests(q analysis.RequestsQuery) func(context.Context, *sql.Tx) (*analysis.Requests, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.Requests, error) {
		return analysis.AskRequests(ctx, tx, q)
	}
}

func TestRequestsAgainstOracle(t *testing.T) {
	observations := filetest.Traffic(3_000)
	now := filetest.Begin.Add(time.Hour)
	path := fileWith(t, observations, now, everyRequest, statusOf)
	run, model, errorType, none := "load-1", "gpt-4o", "429", ""
	some := observations[40]
	from, to := filetest.Begin.Add(60_100*time.Millisecond), filetest.Begin.Add(90*time.Second)
	for name, c := range map[string]struct {
		query analysis.RequestsQuery
		holds func(*aggregator.Observation) bool
	}{
		"all":     {analysis.RequestsQuery{}, func(*aggregator.Observation) bool { return true }},
		"run":     {analysis.RequestsQuery{Query: analysis.Query{Run: &run}}, func(o *aggregator.Observation) bool { return o.Series.Run == run }},
		"outside": {analysis.RequestsQuery{Query: analysis.Query{Run: &none}}, func(o *aggregator.Observation) bool { return o.Series.Run == "" }},
		"outcome": {analysis.RequestsQuery{Outcome: "cancelled"}, func(o *aggregator.Observation) bool { return o.Series.Outcome == aggregator.OutcomeCancelled }},
		"type":    {analysis.RequestsQuery{ErrorType: &errorType}, func(o *aggregator.Observation) bool { return o.Series.ErrorType == errorType }},
		"no type": {analysis.RequestsQuery{ErrorType: &none}, func(o *aggregator.Observation) bool { return o.Series.ErrorType == "" }},
		"model":   {analysis.RequestsQuery{Model: &model}, func(o *aggregator.Observation) bool { return o.Series.Model == model }},
		"trace":   {analysis.RequestsQuery{TraceID: traceOf(&some)}, func(o *aggregator.Observation) bool { return o.TraceID == some.TraceID }},
		"session": {analysis.RequestsQuery{SessionID: "nobody"}, func(*aggregator.Observation) bool { return false }},
		"latency": {analysis.RequestsQuery{MinLatency: 3 * time.Second}, func(o *aggregator.Observation) bool { return duration(o) >= 3e9 }},
		"exactly": {analysis.RequestsQuery{MinLatency: time.Duration(duration(&some))}, func(o *aggregator.Observation) bool { return duration(o) >= duration(&some) }},
		"interval": {analysis.RequestsQuery{Query: analysis.Query{From: from, To: to}}, func(o *aggregator.Observation) bool {
			return o.StartUnixNano >= from.UnixNano() && o.StartUnixNano < to.UnixNano()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c.query.Now, c.query.Limit = now, analysis.MaxRequests
			want := pick(observations, isRequest, c.holds)
			slices.SortFunc(want, newestFirst)
			answer := ask(t, path, requests(c.query))
			require.Len(t, answer.Rows, len(want))
			require.False(t, answer.More)
			require.True(t, answer.Kept.Complete)
			for i, o := range want {
				r := &answer.Rows[i]
				require.Equal(t, traceOf(o), *r.TraceID)
				require.Equal(t, o.StartUnixNano, r.StartNS)
				require.Equal(t, o.Series.Model, r.Model)
				require.Equal(t, o.Series.Outcome.String(), r.Outcome)
				require.Equal(t, 1.0, r.Weight)
				require.Equal(t, duration(o) < 0, r.DurationNS == nil)
				require.Equal(t, statusOf(o) != 0, r.StatusCode != nil)
			}
		})
	}
}

// duration of an observation, -1 where none is usable.
func duration(o *aggregator.Observation) int64 {
	if v, ok := o.Measure(aggregator.MeasureDuration); ok {
		return v
	}
	return -1
}

// Pages join to the whole, each row once.
func TestRequestsInPages(t *testing.T) {
	observations := filetest.Traffic(400)
	now := filetest.Begin.Add(time.Hour)
	path := fileWith(t, observations, now, everyRequest, noStatus)
	whole := ask(t, path, requests(analysis.RequestsQuery{Query: analysis.Query{Now: now}, Limit: 1000}))
	var joined []string
	for offset := int64(0); ; offset += 37 {
		page := ask(t, path, requests(analysis.RequestsQuery{Query: analysis.Query{Now: now}, Limit: 37, Offset: offset}))
		joined = append(joined, tracesOf(page.Rows)...)
		if !page.More {
			break
		}
		require.Len(t, page.Rows, 37)
	}
	require.Equal(t, tracesOf(whole.Rows), joined)
	require.Len(t, ask(t, path, requests(analysis.RequestsQuery{Query: analysis.Query{Now: now}})).Rows, 100, "the default")
	for _, bad := range []analysis.RequestsQuery{{Limit: -1}, {Limit: analysis.MaxRequests + 1}, {Offset: -1}} {
		require.ErrorIs(t, second(try(t, path, requests(bad))), analysis.ErrQuery)
	}
}

func slow(q analysis.SlowQuery) func(context.Context, *sql.Tx) (*analysis.Slow, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.Slow, error) { return analysis.AskSlow(ctx, tx, q) }
}

func TestSlowAgainstOracle(t *testing.T) {
	observations := filetest.Traffic(6_000)
	// Many are equally slow, over the whole time.
	for i := range observations {
		if o := &observations[i]; i%97 == 0 && duration(o) >= 0 {
			o.SetMeasure(aggregator.MeasureDuration, 8e9)
			o.EndUnixNano = o.StartUnixNano + 8e9
		}
	}
	now := filetest.Begin.Add(time.Hour)
	path := fileWith(t, observations, now, everyRequest, noStatus)
	for _, c := range []struct {
		limit     int64
		threshold time.Duration
	}{{0, 0}, {1, 0}, {40, 0}, {300, 0}, {10_000, 0}, {10_000, 8 * time.Second}, {5, 9 * time.Second}, {5, time.Hour}} {
		want := pick(observations, isRequest, func(o *aggregator.Observation) bool { return duration(o) >= int64(c.threshold) })
		slices.SortFunc(want, func(a, b *aggregator.Observation) int {
			return cmp.Or(cmp.Compare(duration(b), duration(a)), cmp.Compare(traceOf(a), traceOf(b)))
		})
		limit := c.limit
		if limit == 0 {
			limit = 20
		}
		want = want[:min(int64(len(want)), limit)]
		answer := ask(t, path, slow(analysis.SlowQuery{Query: analysis.Query{Now: now}, Limit: c.limit, Threshold: c.threshold}))
		require.Len(t, answer.Rows, len(want), "%+v", c)
		require.Equal(t, "requests", answer.Source)
		require.True(t, answer.Kept.Complete)
		for i, o := range want {
			r := &answer.Rows[i]
			require.Equal(t, traceOf(o), *r.TraceID, "%+v: %d", c, i)
			require.Equal(t, float64(duration(o))/1e6, r.LatencyMS)
			require.Equal(t, o.StartUnixNano, r.StartNS)
			require.Equal(t, *r.TraceID, *r.Request.TraceID)
		}
	}
	require.ErrorIs(t, second(try(t, path, slow(analysis.SlowQuery{Limit: analysis.MaxRequests + 1}))), analysis.ErrQuery)
}

// Of a sample, the slowest rows that there are: buckets name slower requests
// that have none.
func TestSlowOfASample(t *testing.T) {
	observations := filetest.Traffic(6_000)
	now := filetest.Begin.Add(time.Hour)
	policy := sampling.Policy{RatioMicro: sampling.Whole / 50}
	path := fileWith(t, observations, now, policy, noStatus)
	want := pick(observations, isRequest, func(o *aggregator.Observation) bool {
		return policy.Decide(o) != sampling.NotKept && duration(o) >= 0
	})
	slices.SortFunc(want, func(a, b *aggregator.Observation) int {
		return cmp.Or(cmp.Compare(duration(b), duration(a)), cmp.Compare(traceOf(a), traceOf(b)))
	})
	for _, limit := range []int64{3, 20, 500} {
		answer := ask(t, path, slow(analysis.SlowQuery{Query: analysis.Query{Now: now}, Limit: limit}))
		require.Len(t, answer.Rows, min(len(want), int(limit)))
		require.False(t, answer.Kept.Complete)
		require.True(t, answer.Kept.Estimable)
		for i := range answer.Rows {
			require.Equal(t, traceOf(want[i]), *answer.Rows[i].TraceID)
			require.InDelta(t, 50, answer.Rows[i].Request.Weight, 1e-9)
		}
	}
}

// Without rows, each bucket remembers its slowest request.
func TestSlowWithoutRows(t *testing.T) {
	observations := filetest.Traffic(3_000)
	now := filetest.Begin.Add(time.Hour)
	path := makeFile(t, observations, now)
	type key struct {
		second        int64
		run, category string
	}
	longest := map[key]*aggregator.Observation{}
	for _, o := range pick(observations, isRequest) {
		k := key{seconds(o), o.Series.Run, o.Series.Category.String()}
		if best := longest[k]; duration(o) >= 0 && (best == nil || duration(o) > duration(best)) {
			longest[k] = o
		}
	}
	var want []*aggregator.Observation
	for _, o := range longest {
		want = append(want, o)
	}
	slices.SortFunc(want, func(a, b *aggregator.Observation) int { return cmp.Compare(duration(b), duration(a)) })
	answer := ask(t, path, slow(analysis.SlowQuery{Query: analysis.Query{Now: now}, Limit: 50}))
	require.Equal(t, "buckets", answer.Source)
	require.Len(t, answer.Rows, 50)
	for i, r := range answer.Rows {
		require.Equal(t, traceOf(want[i]), *r.TraceID)
		require.Equal(t, float64(duration(want[i]))/1e6, r.LatencyMS)
		require.Equal(t, aggregator.UnixSeconds(want[i].StartUnixNano)*1e9, r.StartNS)
		require.Nil(t, r.Request)
	}
}

// Files that lack what is asked for answer with nothing, or say why not.
func TestSingleRequestsOfBareFiles(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	empty := makeFile(t, nil, now)
	q := analysis.Query{Now: now}
	require.Empty(t, ask(t, empty, requests(analysis.RequestsQuery{Query: q})).Rows)
	require.Empty(t, ask(t, empty, slow(analysis.SlowQuery{Query: q})).Rows)
	plain := makeFile(t, filetest.Traffic(100), now)
	require.Empty(t, ask(t, plain, requests(analysis.RequestsQuery{Query: q})).Rows)
	require.False(t, ask(t, plain, requests(analysis.RequestsQuery{Query: q})).Kept.Complete)
}
