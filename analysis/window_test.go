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
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

func window(q analysis.Query) func(context.Context, *sql.Tx) (*analysis.Window, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.Window, error) { return analysis.AskWindow(ctx, tx, q) }
}

// checkFigures compares a part of a window with the spans of it.
func checkFigures(t *testing.T, f *analysis.WindowFigures, observations []*aggregator.Observation) {
	t.Helper()
	all := &sum{}
	var outcomes analysis.Outcomes
	for _, o := range observations {
		all.add(o)
		outcomes[o.Series.Outcome]++
	}
	require.Equal(t, all.requests, f.Requests)
	require.Equal(t, all.errors, f.Errors)
	require.Equal(t, all.injected, f.Injected)
	require.Equal(t, outcomes, f.Outcomes)
	require.Equal(t, f.Requests, f.Outcomes.Requests(), "outcomes are a partition")
	checkDistribution(t, "latency", &f.Latency, all.values[aggregator.MeasureDuration], standard)
	checkDistribution(t, "TTFT", &f.TTFT, all.values[aggregator.MeasureTimeToFirstToken], standard)
	checkUsage(t, "usage", &f.Usage, all)
	if f.Seconds > 0 {
		require.InDelta(t, float64(all.requests)/float64(f.Seconds), *f.RPS, 1e-9)
	} else {
		require.Nil(t, f.RPS)
	}
}

// The interval and the rest are a partition of all requests, whatever the ends.
func TestWindowAgainstOracle(t *testing.T) {
	observations := filetest.Traffic(9_000) // 15 minutes
	end := filetest.Begin.Add(15 * time.Minute)
	path := makeFile(t, observations, end)
	rng := seedtest.Rand(t)
	run := "load-1"
	type interval struct{ from, to int64 }
	intervals := []interval{{60, 120}, {0, 900}, {0, 1}, {839, 840}, {7, 1003}, {-500, 30}, {800, 5000}}
	for range 8 {
		from := rng.Int64N(850)
		intervals = append(intervals, interval{from, from + 1 + rng.Int64N(400)})
	}
	for i, c := range intervals {
		q := analysis.Query{
			Now: end, From: filetest.Begin.Add(time.Duration(c.from) * time.Second), To: filetest.Begin.Add(time.Duration(c.to) * time.Second),
		}
		holds := []func(*aggregator.Observation) bool{isRequest, inBuckets(0, 840)} // the last minute is open
		if i%2 == 1 {
			q.Run = &run
			holds = append(holds, func(o *aggregator.Observation) bool { return o.Series.Run == run })
		}
		answer := ask(t, path, window(q))
		inside := inBuckets(c.from, c.to)
		checkFigures(t, &answer.Inside, pick(observations, append(holds, inside)...))
		checkFigures(t, &answer.Outside, pick(observations, append(holds, func(o *aggregator.Observation) bool { return !inside(o) })...))
		checkErrorTypes(t, answer, pick(observations, append(holds, failed)...))
		require.False(t, answer.Moved)
	}
	require.ErrorIs(t, second(try(t, path, window(analysis.Query{Now: end}))), analysis.ErrQuery)
}

// checkErrorTypes counts the spans that failed inside what the answer says, and
// outside.
func checkErrorTypes(t *testing.T, answer *analysis.Window, wrong []*aggregator.Observation) {
	t.Helper()
	e := &answer.ErrorTypes
	require.NotNil(t, e.FromUTC)
	from, err := time.Parse(time.RFC3339, *e.FromUTC)
	require.NoError(t, err)
	to, err := time.Parse(time.RFC3339, *e.ToUTC)
	require.NoError(t, err)
	counts := map[string]*analysis.WindowErrorRow{}
	for _, o := range wrong {
		row := counts[o.Series.ErrorType]
		if row == nil {
			row = &analysis.WindowErrorRow{ErrorType: o.Series.ErrorType}
			counts[o.Series.ErrorType] = row
		}
		if o.StartUnixNano >= from.UnixNano() && o.StartUnixNano < to.UnixNano() {
			row.Inside++
		} else {
			row.Outside++
		}
	}
	require.Len(t, e.Rows, len(counts))
	for _, row := range e.Rows {
		require.Equal(t, *counts[row.ErrorType], row)
	}
	require.Equal(t, *e.FromUTC != *answer.FromUTC || *e.ToUTC != *answer.ToUTC, e.Widened)
}

// What is gone in narrow buckets is answered from wide ones, and counted once.
func TestWindowAfterPruning(t *testing.T) {
	observations := filetest.Traffic(6_000)
	now := filetest.Begin.Add(time.Hour)
	path := makeFile(t, observations, now)
	all := int64(len(pick(observations, isRequest)))
	cut := filetest.Begin.Add(304 * time.Second)
	execute(t, path, "INSERT INTO pruned (relation, width_s, complete_from, rows) VALUES ('buckets', 1, ?, 1)", cut.Unix())
	prune(t, path, 1, cut)
	for from := int64(290); from < 320; from += 3 {
		for _, length := range []int64{1, 20, 200} {
			q := analysis.Query{Now: now, From: filetest.Begin.Add(time.Duration(from) * time.Second), To: filetest.Begin.Add(time.Duration(from+length) * time.Second)}
			answer := ask(t, path, window(q))
			require.Equal(t, all, answer.Inside.Requests+answer.Outside.Requests, "from %d for %d s", from, length)
			least := int64(len(pick(observations, isRequest, inBuckets(from, from+length))))
			require.GreaterOrEqual(t, answer.Inside.Requests, least)
		}
	}
}

// Fault windows touch an interval that they share an instant with.
func TestWindowShowsTheFaultsThatTouchIt(t *testing.T) {
	observations := filetest.Traffic(3_000)
	now := filetest.Begin.Add(time.Hour)
	at := func(seconds float64) int64 { return filetest.Begin.UnixNano() + int64(seconds*1e9) }
	path := makeFile(t, observations, now)
	for _, w := range []struct {
		fault, run string
		from, to   float64
	}{
		{"before", "", 10, 20}, {"into", "", 15, 25}, {"instant", "", 30, 30}, {"at the start", "", 20, 20}, {"until the start", "", 5, 20}, {"edge", "", 40, 50}, {"other", "load-2", 22, 23}, {"around", "load-1", 1, 200},
	} {
		execute(t, path, "INSERT INTO fault_window VALUES ('import', ?, ?, '', '', ?, ?)", w.run, w.fault, at(w.from), at(w.to))
	}
	run := "load-1"
	q := analysis.Query{Now: now, Run: &run, From: filetest.Begin.Add(20 * time.Second), To: filetest.Begin.Add(40 * time.Second)}
	var faults []string
	for _, w := range ask(t, path, window(q)).Faults {
		faults = append(faults, w.Fault)
	}
	require.Equal(t, []string{"around", "into", "at the start", "instant"}, faults)
}

func TestWindowOfNothing(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	q := analysis.Query{Now: now, From: filetest.Begin, To: filetest.Begin.Add(time.Minute)}
	empty := ask(t, makeFile(t, nil, now), window(q))
	require.Zero(t, empty.Inside.Requests)
	require.Zero(t, empty.Outside.Requests)
	require.NotNil(t, empty.Faults)
	require.NotNil(t, empty.ErrorTypes.Rows)

	one := filetest.Traffic(1)
	one[0].Series.Category = aggregator.CategoryLLM
	path := makeFile(t, one, now)
	require.Equal(t, int64(1), ask(t, path, window(q)).Inside.Requests)
	q.From, q.To = filetest.Begin.Add(time.Minute), time.Time{}
	later := ask(t, path, window(q))
	require.Zero(t, later.Inside.Requests)
	require.Equal(t, int64(1), later.Outside.Requests)
}
