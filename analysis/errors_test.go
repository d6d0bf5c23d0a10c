package analysis_test

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

func askErrors(q analysis.Query) func(context.Context, *sql.Tx) (*analysis.Errors, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.Errors, error) { return analysis.AskErrors(ctx, tx, q) }
}

func failed(o *aggregator.Observation) bool { return o.Series.Outcome != aggregator.OutcomeSuccess }

// inBuckets tells whether a span starts in [from, to), seconds since Begin,
// which are edges of buckets.
func inBuckets(from, to int64) func(*aggregator.Observation) bool {
	return func(o *aggregator.Observation) bool { return seconds(o) >= from && seconds(o) < to }
}

// checkErrorRows compares rows with the spans that failed, grouped by name.
// kept tells whether all of them are, seenWithin how exactly it is known when
// they were seen.
func checkErrorRows(t *testing.T, rows []analysis.ErrorRow, wrong []*aggregator.Observation, requests int, name func(*aggregator.Observation) string, kept bool, seenWithin int64) {
	t.Helper()
	groups := map[string][]*aggregator.Observation{}
	for _, o := range wrong {
		groups[name(o)] = append(groups[name(o)], o)
	}
	require.Len(t, rows, len(groups))
	require.True(t, slices.IsSortedFunc(rows, func(a, b analysis.ErrorRow) int {
		return cmp.Or(cmp.Compare(b.Errors, a.Errors), cmp.Compare(a.Name, b.Name))
	}))
	for _, r := range rows {
		group := groups[r.Name]
		slices.SortFunc(group, newestFirst)
		var injected int64
		for _, o := range group {
			if o.Series.Fault != "" {
				injected++
			}
		}
		require.Equal(t, int64(len(group)), r.Errors, r.Name)
		require.Equal(t, injected, r.Injected, r.Name)
		require.InDelta(t, float64(len(group))/float64(len(wrong)), r.ShareOfErrors, 1e-12)
		require.InDelta(t, float64(len(group))/float64(requests), r.ShareOfRequests, 1e-12)
		require.Equal(t, seenAt(group[len(group)-1], seenWithin), r.FirstSeenUTC, r.Name)
		require.Equal(t, seenAt(group[0], seenWithin), r.LastSeenUTC, r.Name)
		require.Equal(t, seenWithin, r.SeenWithinS)
		if !kept {
			require.NotEmpty(t, r.Samples)
			for _, s := range r.Samples {
				require.Equal(t, "bucket", s.Source)
				require.True(t, slices.ContainsFunc(group, func(o *aggregator.Observation) bool { return traceOf(o) == s.TraceID }), r.Name)
			}
			continue
		}
		require.Len(t, r.Samples, min(3, len(group)))
		for i, s := range r.Samples {
			require.Equal(t, "request", s.Source)
			require.Equal(t, traceOf(group[i]), s.TraceID, "%s: sample %d", r.Name, i)
		}
	}
}

// seenAt is the start of the bucket of some seconds that a span starts in.
func seenAt(o *aggregator.Observation, width int64) string {
	return time.Unix(aggregator.BucketStart(aggregator.UnixSeconds(o.StartUnixNano), width), 0).UTC().Format("2006-01-02T15:04:05Z")
}

func TestErrorsAgainstOracle(t *testing.T) {
	observations := filetest.Traffic(45_000) // 75 minutes: wide buckets take part
	end := filetest.Begin.Add(75 * time.Minute)
	files := map[bool]string{
		true:  fileWith(t, observations, end, everyRequest, statusOf),
		false: makeFile(t, observations, end),
	}
	run := "load-2"
	for _, c := range []struct {
		name  string
		query analysis.Query
		holds []func(*aggregator.Observation) bool
	}{
		{"all", analysis.Query{Now: end.Add(time.Hour)}, []func(*aggregator.Observation) bool{isRequest}},
		{"settled", analysis.Query{Now: end}, []func(*aggregator.Observation) bool{isRequest, inBuckets(0, 4440)}},
		{"interval", analysis.Query{Now: end, From: filetest.Begin.Add(33 * time.Second), To: filetest.Begin.Add(3701 * time.Second)}, []func(*aggregator.Observation) bool{isRequest, inBuckets(30, 3710)}},
		{"run", analysis.Query{Now: end.Add(time.Hour), Run: &run}, []func(*aggregator.Observation) bool{isRequest, func(o *aggregator.Observation) bool { return o.Series.Run == run }}},
		{"tools", analysis.Query{Now: end.Add(time.Hour), Categories: []aggregator.Category{aggregator.CategoryTool}}, []func(*aggregator.Observation) bool{func(o *aggregator.Observation) bool { return o.Series.Category == aggregator.CategoryTool }}},
	} {
		for kept, path := range files {
			t.Run(c.name+map[bool]string{true: " with requests", false: ""}[kept], func(t *testing.T) {
				holds := c.holds
				if c.name == "interval" && kept { // rows make it exact
					holds = []func(*aggregator.Observation) bool{isRequest, inBuckets(33, 3701)}
				}
				all := pick(observations, holds...)
				wrong := pick(observations, append(slices.Clone(holds), failed)...)
				answer := ask(t, path, askErrors(c.query))
				require.Equal(t, int64(len(all)), answer.Requests)
				require.Equal(t, c.name == "interval" && !kept, answer.Moved)
				require.Equal(t, int64(len(wrong)), answer.Errors)
				require.InDelta(t, float64(len(wrong))/float64(len(all)), *answer.ErrorRate, 1e-12)
				checkErrorRows(t, answer.ByOutcome, wrong, len(all), func(o *aggregator.Observation) string { return o.Series.Outcome.String() }, kept, 1)
				checkErrorRows(t, answer.ByType, wrong, len(all), func(o *aggregator.Observation) string { return o.Series.ErrorType }, kept, map[bool]int64{true: 1, false: 10}[kept])
				checkStatusCodes(t, &answer.StatusCodes, wrong, kept)
			})
		}
	}
}

// checkStatusCodes compares exact counts.
func checkStatusCodes(t *testing.T, s *analysis.StatusCodes, wrong []*aggregator.Observation, kept bool) {
	t.Helper()
	require.Equal(t, kept, s.Complete)
	if !kept {
		require.Empty(t, s.Codes)
		return
	}
	groups, counts, injected := map[int64][]*aggregator.Observation{}, map[int64]int64{}, map[int64]float64{}
	for _, o := range wrong {
		counts[statusOf(o)]++
		groups[statusOf(o)] = append(groups[statusOf(o)], o)
		if o.Series.Fault != "" {
			injected[statusOf(o)]++
		}
	}
	require.Equal(t, int64(len(wrong)), s.Rows)
	require.Len(t, s.Codes, len(counts))
	for _, r := range s.Codes {
		var code int64
		if r.StatusCode != nil {
			code = *r.StatusCode
		}
		require.Equal(t, counts[code], r.Rows)
		require.InDelta(t, float64(counts[code]), r.Requests, 1e-9)
		require.InDelta(t, float64(counts[code])/float64(len(wrong)), r.ShareOfErrors, 1e-12)
		require.InDelta(t, injected[code], r.Injected, 1e-9)
		group := groups[code]
		slices.SortFunc(group, newestFirst)
		require.Equal(t, seenAt(group[len(group)-1], 1), r.FirstSeenUTC)
		require.Equal(t, seenAt(group[0], 1), r.LastSeenUTC)
		require.Len(t, r.Samples, min(3, len(group)))
		for i, s := range r.Samples {
			require.Equal(t, traceOf(group[i]), s.TraceID, "status %d: sample %d", code, i)
		}
	}
}

// Rows tell the second where every request of the series in the bucket is kept,
// and only there: of a sample the first row need not be the first request.
func TestSeenWithinABucket(t *testing.T) {
	observations := filetest.Traffic(600)
	for i := range observations {
		observations[i].Series = observations[0].Series
		observations[i].Series.Category, observations[i].Series.Outcome = aggregator.CategoryLLM, aggregator.OutcomeServerError
	}
	now := filetest.Begin.Add(time.Hour)
	path := fileWith(t, observations, now, everyRequest, statusOf)
	execute(t, path, "DELETE FROM headline_bucket WHERE width_s = 1")
	first, last := seenAt(&observations[0], 1), seenAt(&observations[599], 1)
	row := ask(t, path, askErrors(analysis.Query{Now: now})).ByOutcome[0]
	require.Equal(t, []any{first, last, int64(1)}, []any{row.FirstSeenUTC, row.LastSeenUTC, row.SeenWithinS})
	execute(t, path, "DELETE FROM request WHERE start_ns < ?", filetest.Begin.Add(5*time.Second).UnixNano())
	row = ask(t, path, askErrors(analysis.Query{Now: now})).ByOutcome[0]
	require.Equal(t, []any{seenAt(&observations[0], 10), last, int64(10)}, []any{row.FirstSeenUTC, row.LastSeenUTC, row.SeenWithinS})
}

// Of a sample, the weights of what failed add up to the exact number, and the
// answer says that codes are estimates.
func TestStatusCodesOfASample(t *testing.T) {
	observations := filetest.Traffic(18_000)
	now := filetest.Begin.Add(2 * time.Hour)
	policy := sampling.Policy{RatioMicro: sampling.Whole / 20, MaxForCause: 2}
	path := fileWith(t, observations, now, policy, statusOf)
	wrong := pick(observations, isRequest, failed)
	s := ask(t, path, askErrors(analysis.Query{Now: now})).StatusCodes
	require.False(t, s.Complete)
	require.True(t, s.Estimable)
	require.NotNil(t, s.CompleteFromUTC)
	require.Less(t, s.Rows, int64(len(wrong)))
	require.InDelta(t, float64(len(wrong)), s.Estimated, 1e-6)
	var sum, shares float64
	for _, c := range s.Codes {
		sum, shares = sum+c.Requests, shares+c.ShareOfErrors
	}
	require.InDelta(t, s.Estimated, sum, 1e-6)
	require.InDelta(t, 1, shares, 1e-9)
}

// Once rows have left, nothing stands for them.
func TestStatusCodesOfWhatIsLeft(t *testing.T) {
	observations := filetest.Traffic(3_000)
	now := filetest.Begin.Add(2 * time.Hour)
	path := fileWith(t, observations, now, everyRequest, statusOf)
	gone := filetest.Begin.Add(2 * time.Minute)
	execute(t, path, "DELETE FROM request WHERE start_ns < ?", gone.UnixNano())
	execute(t, path, "INSERT INTO meta (key, value) VALUES ('requests_complete_from_ns', ?)", gone.UnixNano())
	execute(t, path, "INSERT INTO pruned (relation, width_s, complete_from, rows) VALUES ('request', 0, ?, 1)", gone.Unix())
	s := ask(t, path, askErrors(analysis.Query{Now: now})).StatusCodes
	require.False(t, s.Complete)
	require.False(t, s.Estimable)
	require.Equal(t, "2026-01-30T10:02:00Z", *s.CompleteFromUTC)
	require.Equal(t, int64(len(pick(observations, isRequest, failed, inBuckets(120, 1<<40)))), s.Rows)
	later := ask(t, path, askErrors(analysis.Query{Now: now, From: gone})).StatusCodes
	require.True(t, later.Complete)
}

// Counts come from counters: no histogram is read.
func TestErrorsReadNoHistograms(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	path := makeFile(t, filetest.Traffic(3_000), now)
	before := ask(t, path, askErrors(analysis.Query{Now: now}))
	usage := ask(t, path, askUsage(analysis.UsageQuery{Query: analysis.Query{Now: now}}))
	execute(t, path, "UPDATE series_histogram SET duration = 'garbage'")
	execute(t, path, "UPDATE headline_histogram SET duration = 'garbage'")
	require.Equal(t, before, ask(t, path, askErrors(analysis.Query{Now: now})))
	require.Equal(t, usage, ask(t, path, askUsage(analysis.UsageQuery{Query: analysis.Query{Now: now}})))
}

func TestErrorsOfSmallFiles(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	empty := ask(t, makeFile(t, nil, now), askErrors(analysis.Query{Now: now}))
	require.Zero(t, empty.Requests)
	require.Nil(t, empty.ErrorRate)
	require.NotNil(t, empty.ByOutcome)
	require.NotNil(t, empty.ByType)
	require.NotNil(t, empty.StatusCodes.Codes)

	one := filetest.Traffic(1)
	one[0].Series.Category = aggregator.CategoryLLM
	one[0].Series.Outcome, one[0].Series.ErrorType = aggregator.OutcomeSuccess, ""
	fine := ask(t, fileWith(t, one, now, everyRequest, statusOf), askErrors(analysis.Query{Now: now}))
	require.Equal(t, int64(1), fine.Requests)
	require.Zero(t, *fine.ErrorRate)
	require.Empty(t, fine.ByType)

	one[0].Series.Outcome = aggregator.OutcomeMalformed
	wrong := ask(t, fileWith(t, one, now, everyRequest, statusOf), askErrors(analysis.Query{Now: now}))
	require.Equal(t, 1.0, *wrong.ErrorRate)
	require.Equal(t, []analysis.ErrorRow{{
		Name: "", Errors: 1, ShareOfErrors: 1, ShareOfRequests: 1, FirstSeenUTC: "2026-01-30T10:00:00Z",
		LastSeenUTC: "2026-01-30T10:00:00Z", SeenWithinS: 1, Samples: wrong.ByOutcome[0].Samples,
	}}, wrong.ByType)
	require.Equal(t, traceOf(&one[0]), wrong.ByType[0].Samples[0].TraceID)
}

// Of very many rows the newest are counted, and the answer says from when on.
func TestStatusCodesOfTheNewest(t *testing.T) {
	observations := filetest.Traffic(100)
	now := filetest.Begin.Add(3 * time.Hour)
	path := fileWith(t, observations, now, everyRequest, statusOf)
	const rows = 50_050
	// One failed request, a millisecond apart.
	execute(t, path, `DELETE FROM request WHERE id <> (SELECT min(r.id) FROM request AS r JOIN series AS s ON s.series_id = r.series_id
		WHERE s.category = 'llm' AND s.outcome <> 'success')`)
	execute(t, path, "UPDATE request SET start_ns = ?", filetest.Begin.UnixNano())
	execute(t, path, `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
		INSERT INTO request (start_ns, duration_ns, trace_id, span_id, series_id, kept, profile_id)
		SELECT start_ns + i * 1000000, duration_ns, trace_id, span_id, series_id, kept, profile_id FROM request, n`, rows-1)
	s := ask(t, path, askErrors(analysis.Query{Now: now, From: filetest.Begin, To: filetest.Begin.Add(time.Hour)})).StatusCodes
	require.Equal(t, int64(50_000), s.Rows)
	require.False(t, s.Complete)
	require.Equal(t, "2026-01-30T10:00:00Z", *s.FromUTC) // the 50th millisecond
	require.Len(t, s.Codes, 1)
	s = ask(t, path, askErrors(analysis.Query{Now: now, From: filetest.Begin.Add(30 * time.Second), To: filetest.Begin.Add(time.Hour)})).StatusCodes
	require.Equal(t, int64(rows-30_000), s.Rows)
}
