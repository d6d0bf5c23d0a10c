package analysis_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

func diagnosis(q analysis.Query) func(context.Context, *sql.Tx) (*analysis.Diagnosis, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.Diagnosis, error) {
		return analysis.AskDiagnosis(ctx, tx, q)
	}
}

func TestDiagnosis(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	steady := filetest.Stretch{Seconds: 60, PerSecond: 50}
	failing := func(seconds, share int, outcome aggregator.Outcome) filetest.Stretch {
		return filetest.Stretch{Seconds: seconds, PerSecond: 50, Failed: share, Outcome: outcome}
	}
	for _, c := range []struct {
		name    string
		traffic []filetest.Stretch
		status  string
		text    string
	}{
		{"nothing", nil, analysis.StatusNoData, "No requests in this interval."},
		{"one span", []filetest.Stretch{{Seconds: 1, PerSecond: 1}}, analysis.StatusOK,
			"1 request in 1 s: 100 % succeeded, p95 50 ms."},
		{"one span that failed", []filetest.Stretch{{Seconds: 1, PerSecond: 1, Failed: 10, Outcome: aggregator.OutcomeServerError}}, analysis.StatusCritical,
			"1 request in 1 s: 0 % succeeded, p95 50 ms. Most errors: 1 × error server_error (server_error)."},
		{"steady", []filetest.Stretch{steady}, analysis.StatusOK, "3,000 requests in 60 s: 100 % succeeded, p95 50 ms."},
		{"a burst that is over", []filetest.Stretch{steady, failing(5, 5, refusedOutcome), steady}, analysis.StatusOK,
			"6,250 requests in 125 s: 98 % succeeded, p95 50 ms. Most errors: 125 × error rate_limited (rate_limited). " +
				"2 % were refused, in 1 burst, over at once; back-off looks EFFECTIVE."},
		{"a burst at the end", []filetest.Stretch{steady, failing(5, 4, refusedOutcome)}, analysis.StatusWarning, ""},
		{"four fifths", []filetest.Stretch{failing(60, 2, aggregator.OutcomeServerError)}, analysis.StatusOK, ""},
		{"less than four fifths", []filetest.Stretch{failing(60, 3, aggregator.OutcomeServerError)}, analysis.StatusWarning, ""},
		{"half", []filetest.Stretch{failing(60, 5, aggregator.OutcomeServerError)}, analysis.StatusWarning, ""},
		{"less than half", []filetest.Stretch{failing(60, 6, aggregator.OutcomeServerError)}, analysis.StatusCritical, ""},
		{"a severe anomaly", []filetest.Stretch{steady, {Seconds: 400}, steady}, analysis.StatusWarning, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := makeFile(t, filetest.Load(c.traffic...), now)
			answer := ask(t, path, diagnosis(analysis.Query{Now: now}))
			require.Equal(t, c.status, answer.Status, answer.Text)
			if c.text != "" {
				require.Equal(t, c.text, answer.Text)
			}
			require.Equal(t, answer.Status == analysis.StatusOK || answer.Status == analysis.StatusNoData, len(answer.Reasons) == 0)
		})
	}
}

// The figures are those of the other answers.
func TestDiagnosisAgreesWithTheOtherAnswers(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	observations := filetest.Traffic(9_000)
	path := makeFile(t, observations, now)
	answer := ask(t, path, diagnosis(analysis.Query{Now: now}))
	want := expect(observations, isRequest, func(*aggregator.Observation) bool { return true })[true]
	require.Equal(t, want.requests, answer.Requests)
	require.Equal(t, want.errors, answer.Errors)
	require.InDelta(t, 1-float64(want.errors)/float64(want.requests), *answer.SuccessShare, 1e-12)
	types := map[[2]string]int64{}
	for i := range observations {
		if s := &observations[i].Series; isRequest(&observations[i]) && observations[i].Rejected == aggregator.NotRejected && s.Outcome != aggregator.OutcomeSuccess {
			types[[2]string{s.Outcome.String(), s.ErrorType}]++
		}
	}
	require.Len(t, answer.TopErrors, 3)
	for i, e := range answer.TopErrors {
		require.Equal(t, types[[2]string{e.Outcome, e.ErrorType}], e.Count)
		higher := 0
		for _, n := range types {
			if n > e.Count {
				higher++
			}
		}
		require.LessOrEqual(t, higher, i)
	}
	require.Equal(t, ask(t, path, bursts(analysis.BurstsQuery{Query: analysis.Query{Now: now}})).AIMD, answer.AIMD)
}

// TestDiagnosisOfAnIntervalInsideBuckets: what is by series comes from buckets
// that are wider than the interval, and must not bring in errors of others.
func TestDiagnosisOfAnIntervalInsideBuckets(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	observations := filetest.Traffic(3_000)
	path := makeFile(t, observations, now)
	for from := 3; from < 270; from += 19 {
		q := analysis.Query{Now: now, From: filetest.Begin.Add(time.Duration(from) * time.Second)}
		q.To = q.From.Add(time.Duration(from%13+1) * time.Second)
		want := map[string]int64{}
		for i := range observations {
			o := &observations[i]
			if start := time.Unix(0, o.StartUnixNano); !isRequest(o) || o.Rejected != aggregator.NotRejected || start.Before(q.From) || !start.Before(q.To) {
				continue
			}
			if s := &o.Series; s.Outcome != aggregator.OutcomeSuccess {
				want[s.Outcome.String()]++
			}
		}
		answer := ask(t, path, diagnosis(q))
		for _, e := range answer.TopErrors {
			require.Equal(t, want[e.Outcome], e.Count, "%s from %d s", e.Outcome, from)
		}
		require.Len(t, answer.TopErrors, min(3, len(want)), "from %d s", from)
		for _, a := range ask(t, path, anomalies(analysis.AnomaliesQuery{Query: q})).Rows {
			require.GreaterOrEqual(t, a.Start, q.From.Unix(), a.Text)
			require.LessOrEqual(t, a.End, q.To.Unix(), a.Text)
		}
	}
}

// Whatever names a file holds, the paragraph keeps its length.
func TestDiagnosisIsShort(t *testing.T) {
	now := filetest.Begin.Add(2 * time.Hour)
	long := strings.Repeat("ä", 120)
	observations := filetest.Load(filetest.Stretch{Seconds: 60, PerSecond: 50}, filetest.Stretch{Seconds: 30, PerSecond: 50, Failed: 10, Outcome: refusedOutcome},
		filetest.Stretch{Seconds: 90}, filetest.Stretch{Seconds: 60, PerSecond: 50, Fault: long}, filetest.Stretch{Seconds: 20, PerSecond: 50, Failed: 9, Outcome: refusedOutcome})
	for i := range observations {
		if o := &observations[i]; o.Series.Outcome != aggregator.OutcomeSuccess {
			o.Series.ErrorType = long + string(rune('a'+i%7))
		}
	}
	path := makeFile(t, observations, now)
	answer := ask(t, path, diagnosis(analysis.Query{Now: now}))
	require.LessOrEqual(t, utf8.RuneCountInString(answer.Text), 600)
	require.Contains(t, answer.Text, "still active when the data ended")
	require.Equal(t, analysis.StatusWarning, answer.Status)
	require.Contains(t, strings.Join(answer.Patterns, " "), "burst_periods(2) diverse_errors(7)")
}
