package analysis_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

func bursts(q analysis.BurstsQuery) func(context.Context, *sql.Tx) (*analysis.Bursts, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.Bursts, error) {
		return analysis.AskBursts(ctx, tx, q)
	}
}

const refusedOutcome = aggregator.OutcomeRateLimited

// oracleBursts finds bursts in spans, second by second, in the plainest way:
// pairs of start and recovery (-1: still active), in seconds since Begin.
func oracleBursts(observations []aggregator.Observation, start, end float64) (found [][2]int64) {
	type second struct{ refused, all float64 }
	seen := map[int64]*second{}
	last := int64(0)
	for i := range observations {
		at := seconds(&observations[i])
		last = max(last, at)
		if seen[at] == nil {
			seen[at] = &second{}
		}
		seen[at].all++
		if o := observations[i].Series.Outcome; o == aggregator.OutcomeRateLimited || o == aggregator.OutcomeCapacityError {
			seen[at].refused++
		}
	}
	open := int64(-1)
	for at := int64(0); at <= last; at++ {
		s := seen[at]
		switch {
		case s == nil:
		case open < 0 && s.refused/s.all > start:
			open = at
		case open >= 0 && s.refused/s.all < end:
			found = append(found, [2]int64{open, at})
			open = -1
		}
	}
	if open >= 0 {
		found = append(found, [2]int64{open, -1})
	}
	return found
}

func TestBursts(t *testing.T) {
	ok := filetest.Stretch{Seconds: 20, PerSecond: 20}
	refused := filetest.Stretch{Seconds: 7, PerSecond: 20, Failed: 8, Outcome: refusedOutcome}
	tail := filetest.Stretch{Seconds: 3, PerSecond: 20, Failed: 2, Outcome: aggregator.OutcomeCapacityError}
	silence := filetest.Stretch{Seconds: 30}
	now := filetest.Begin.Add(time.Hour)
	for _, c := range []struct {
		name      string
		traffic   []filetest.Stretch
		durations []int64
		recovery  []int64 // -1: still active
	}{
		{"none", []filetest.Stretch{ok}, nil, nil},
		{"nothing", nil, nil, nil},
		{"one", []filetest.Stretch{ok, refused, ok}, []int64{7}, []int64{0}},
		{"dying away", []filetest.Stretch{ok, refused, tail, ok}, []int64{10}, []int64{3}},
		{"at the end of the data", []filetest.Stretch{ok, refused}, []int64{7}, []int64{-1}},
		{"dying away at the end of the data", []filetest.Stretch{ok, refused, tail}, []int64{10}, []int64{-1}},
		{"from the start", []filetest.Stretch{refused, ok}, []int64{7}, []int64{0}},
		{"all of it", []filetest.Stretch{refused}, []int64{7}, []int64{-1}},
		{"then silence, which is no recovery", []filetest.Stretch{ok, refused, silence, ok}, []int64{7}, []int64{30}},
		{"silence inside", []filetest.Stretch{ok, refused, silence, refused, ok}, []int64{44}, []int64{0}},
		{"silence alone is no burst", []filetest.Stretch{ok, silence, ok}, nil, nil},
		{"two", []filetest.Stretch{ok, refused, ok, refused, ok}, []int64{7, 7}, []int64{0, 0}},
		{"a share between the thresholds starts nothing", []filetest.Stretch{ok, tail, ok}, nil, nil},
		{"server errors are not refused", []filetest.Stretch{ok, {Seconds: 5, PerSecond: 20, Failed: 10, Outcome: aggregator.OutcomeServerError}, ok}, nil, nil},
		{"too few", []filetest.Stretch{ok, {Seconds: 1, PerSecond: 2, Failed: 10, Outcome: refusedOutcome}, ok}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			observations := filetest.Load(c.traffic...)
			path := makeFile(t, observations, now)
			answer := ask(t, path, bursts(analysis.BurstsQuery{Query: analysis.Query{Now: now, Width: 1}}))
			require.Len(t, answer.Rows, len(c.durations))
			require.Equal(t, len(answer.Rows), answer.Count)
			want := oracleBursts(observations, 0.3, 0.1)
			if c.durations != nil {
				require.Len(t, want, len(answer.Rows), "the oracle agrees with the table")
			}
			for i, b := range answer.Rows {
				require.Equal(t, want[i][0], b.Start-filetest.Begin.Unix(), "start")
				require.Equal(t, c.durations[i], b.DurationS, "duration")
				require.Equal(t, b.End-b.Start, b.DurationS)
				require.Equal(t, c.recovery[i] < 0, b.StillActive, "still active")
				require.Equal(t, want[i][1] < 0, b.StillActive, "still active")
				if b.StillActive {
					require.Nil(t, b.RecoveryS)
					require.Nil(t, b.After)
					continue
				}
				require.Equal(t, c.recovery[i], *b.RecoveryS, "recovery")
			}
		})
	}
}

// phaseOracle sums up the spans of some seconds.
func checkPhase(t *testing.T, what string, p *analysis.BurstPhase, observations []aggregator.Observation, from, to int64) {
	t.Helper()
	require.NotNil(t, p, what)
	require.Equal(t, filetest.Begin.Add(time.Duration(from)*time.Second).Format("2006-01-02T15:04:05Z"), p.FromUTC, what)
	require.Equal(t, to-from, p.DurationS, what)
	var values []int64
	counts := analysis.Outcomes{}
	for i := range observations {
		if at := seconds(&observations[i]); at >= from && at < to {
			v, _ := observations[i].Measure(aggregator.MeasureDuration)
			values = append(values, v)
			counts[observations[i].Series.Outcome]++
		}
	}
	require.Equal(t, counts.Requests(), p.Requests, what)
	require.Equal(t, counts.Success(), p.Success, what)
	require.InDelta(t, float64(counts.Success())/float64(to-from), p.SuccessPerS, 1e-9, what)
	require.Equal(t, counts[aggregator.OutcomeRateLimited], p.RateLimited, what)
	require.Equal(t, counts[aggregator.OutcomeCapacityError], p.CapacityErrors, what)
	d := analysis.Distribution{Count: int64(len(values)), AvgMS: p.AvgMS, Percentiles: analysis.Values{{Name: "p95", MS: *p.P95MS}}}
	var sum int64
	low, high := values[0], values[0]
	for _, v := range values {
		sum, low, high = sum+v, min(low, v), max(high, v)
	}
	lowMS, highMS := float64(low)/1e6, float64(high)/1e6
	d.SumNS, d.MinMS, d.MaxMS = &sum, &lowMS, &highMS
	checkDistribution(t, what, &d, values, map[string][2]int{"p95": {95, 100}})
}

func TestBurstPhasesAndBehaviour(t *testing.T) {
	observations := filetest.Load(
		filetest.Stretch{Seconds: 30, PerSecond: 20, Duration: 40 * time.Millisecond},
		filetest.Stretch{Seconds: 10, PerSecond: 20, Failed: 5, Outcome: refusedOutcome, Duration: 90 * time.Millisecond},
		filetest.Stretch{Seconds: 30, PerSecond: 20, Duration: 60 * time.Millisecond},
	)
	now := filetest.Begin.Add(time.Hour)
	path := makeFile(t, observations, now)
	answer := ask(t, path, bursts(analysis.BurstsQuery{Query: analysis.Query{Now: now}}))
	require.EqualValues(t, 1, answer.WidthS, "20 requests a second are enough to look at seconds")
	require.Len(t, answer.Rows, 1)
	b := answer.Rows[0]
	checkPhase(t, "before", b.Before, observations, 20, 30)
	checkPhase(t, "during", b.During, observations, 30, 40)
	checkPhase(t, "after", b.After, observations, 40, 50)
	require.InDelta(t, 0.5, *b.RefusedShare, 1e-9)
	a := answer.AIMD
	require.InDelta(t, 20, *a.NormalSuccessPerS, 1e-9)
	require.InDelta(t, 10, *a.BurstSuccessPerS, 1e-9)
	require.InDelta(t, 0.5, *a.DegradationShare, 1e-9)
	require.InDelta(t, 100.0/1400, *a.BackoffRatio, 1e-9)
	require.Equal(t, analysis.BackoffEffective, a.Backoff)
	require.Equal(t, 1, a.Recovered)
	require.Empty(t, a.Trend, "one burst has no trend")
}

// Buckets in which the data begin or end hold less than whole ones do: they say
// nothing of what was usual.
func TestBurstPhasesLeaveOutWhatIsCut(t *testing.T) {
	observations := filetest.Load(filetest.Stretch{Seconds: 20, PerSecond: 20},
		filetest.Stretch{Seconds: 20, PerSecond: 20, Failed: 8, Outcome: refusedOutcome}, filetest.Stretch{Seconds: 20, PerSecond: 20})
	observations = observations[100 : len(observations)-100] // five seconds less at each end
	now := filetest.Begin.Add(time.Hour)
	answer := ask(t, makeFile(t, observations, now), bursts(analysis.BurstsQuery{Query: analysis.Query{Now: now, Width: 10}}))
	require.Len(t, answer.Rows, 1)
	checkPhase(t, "before", answer.Rows[0].Before, observations, 10, 20)
	checkPhase(t, "after", answer.Rows[0].After, observations, 40, 50)
	require.InDelta(t, 20, *answer.AIMD.NormalSuccessPerS, 1e-9)
}

func TestBackoffAndTrend(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	series := func(refused ...int) (all []filetest.Stretch) {
		for _, r := range refused {
			all = append(all, filetest.Stretch{Seconds: 10, PerSecond: 20}, filetest.Stretch{Seconds: 5, PerSecond: 20, Failed: r, Outcome: refusedOutcome})
		}
		return append(all, filetest.Stretch{Seconds: 10, PerSecond: 20})
	}
	for _, c := range []struct {
		refused []int
		trend   string
		backoff string
	}{
		{[]int{9, 6, 4}, analysis.TrendImproving, analysis.BackoffModerate},
		{[]int{4, 6, 9}, analysis.TrendWorsening, analysis.BackoffModerate},
		{[]int{8, 8, 8, 8}, analysis.TrendSteady, analysis.BackoffModerate},
		{[]int{4}, "", analysis.BackoffEffective},
	} {
		t.Run(fmt.Sprint(c.refused), func(t *testing.T) {
			path := makeFile(t, filetest.Load(series(c.refused...)...), now)
			answer := ask(t, path, bursts(analysis.BurstsQuery{Query: analysis.Query{Now: now}}))
			require.Len(t, answer.Rows, len(c.refused))
			require.Equal(t, c.trend, answer.AIMD.Trend)
			require.Equal(t, c.backoff, answer.AIMD.Backoff)
		})
	}
	path := makeFile(t, filetest.Load(filetest.Stretch{Seconds: 10, PerSecond: 20, Failed: 9, Outcome: refusedOutcome}), now)
	require.Equal(t, analysis.BackoffIneffective, ask(t, path, bursts(analysis.BurstsQuery{Query: analysis.Query{Now: now}})).AIMD.Backoff)
}

// The word is about clients that were told to slow down: without enough such
// answers there is none.
func TestBackoffNeedsAnswersOverARateLimit(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	calm := filetest.Stretch{Seconds: 20, PerSecond: 20}
	refused := func(seconds, share int, outcome aggregator.Outcome) filetest.Stretch {
		return filetest.Stretch{Seconds: seconds, PerSecond: 20, Failed: share, Outcome: outcome}
	}
	for name, c := range map[string]struct {
		traffic []filetest.Stretch
		word    string
	}{
		"nothing was refused":      {[]filetest.Stretch{calm, calm}, ""},
		"eight over a rate limit":  {[]filetest.Stretch{calm, refused(1, 4, refusedOutcome), calm}, ""},
		"ten":                      {[]filetest.Stretch{calm, refused(1, 5, refusedOutcome), calm}, analysis.BackoffEffective},
		"only a lack of capacity":  {[]filetest.Stretch{calm, refused(10, 9, aggregator.OutcomeCapacityError), calm}, ""},
		"mostly a lack of it":      {[]filetest.Stretch{calm, refused(10, 9, aggregator.OutcomeCapacityError), calm, refused(10, 8, refusedOutcome)}, ""},
		"as much over a limit":     {[]filetest.Stretch{calm, refused(5, 8, aggregator.OutcomeCapacityError), refused(5, 8, refusedOutcome), calm}, analysis.BackoffEffective},
		"all of it, over a limit":  {[]filetest.Stretch{refused(10, 9, refusedOutcome)}, analysis.BackoffIneffective},
		"server errors are nobody": {[]filetest.Stretch{calm, refused(10, 9, aggregator.OutcomeServerError), calm}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := makeFile(t, filetest.Load(c.traffic...), now)
			require.Equal(t, c.word, ask(t, path, bursts(analysis.BurstsQuery{Query: analysis.Query{Now: now}})).AIMD.Backoff)
			text := ask(t, path, diagnosis(analysis.Query{Now: now})).Text
			require.Equal(t, c.word != "", strings.Contains(text, "back-off"), text)
		})
	}
}

// Resends are those that requests tell of, else those of HTTP clients, by a name
// of their own; where nobody tells of any they are missing, not none.
func TestResends(t *testing.T) {
	for name, c := range map[string]struct{ chat, client int }{"nobody tells": {}, "calls": {2, 0}, "HTTP clients": {0, 3}, "both": {1, 1}} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			var inBurst, all int64
			for i := range 1200 {
				at, told := float64(i)/20, []any{}
				if refused := at >= 20 && at < 30; refused {
					told = append(told, "error.type", "429")
				}
				n := c.chat
				if c.chat > 0 {
					s.chat(at, 0.04, append(told, "http.request.resend_count", n)...)
				} else {
					n = c.client
					s.chat(at, 0.04, told...)
				}
				all += int64(n)
				if at >= 20 && at < 30 {
					inBurst += int64(n)
				}
				if c.client > 0 {
					s.span(at, 0.03, "http.request.method", "POST", "http.request.resend_count", c.client).SetKind(ptrace.SpanKindClient)
				}
			}
			answer := ask(t, s.file(t, asItIs), bursts(analysis.BurstsQuery{Query: analysis.Query{Now: later}}))
			require.Len(t, answer.Rows, 1)
			b, a := answer.Rows[0], answer.AIMD
			switch {
			case c.chat > 0:
				require.Equal(t, []int64{inBurst, all}, []int64{*b.Resends, *a.Resends})
				require.True(t, b.ClientResends == nil && a.ClientResends == nil)
			case c.client > 0:
				require.Equal(t, []int64{inBurst, all}, []int64{*b.ClientResends, *a.ClientResends})
				require.True(t, b.Resends == nil && a.Resends == nil)
			default:
				require.True(t, b.Resends == nil && a.Resends == nil && b.ClientResends == nil && a.ClientResends == nil)
			}
		})
	}
}

func TestBurstsThatCannotBeAsked(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	path := makeFile(t, nil, now)
	for _, q := range []analysis.BurstsQuery{
		{StartShare: 0.1, EndShare: 0.3}, {StartShare: 0.3}, {EndShare: 0.1}, {StartShare: 1, EndShare: 0.5},
		{StartShare: -1, EndShare: -2}, {MinRefused: -1},
	} {
		q.Now = now
		_, err := try(t, path, bursts(q))
		require.ErrorIs(t, err, analysis.ErrQuery, "%+v", q)
	}
	require.Nil(t, ask(t, path, bursts(analysis.BurstsQuery{Query: analysis.Query{Now: now}})).AIMD)
}
