package analysis_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/folding"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// steady tells of ten chats a second, of 50 ms each, for as long; while a fault
// is injected they are held up by 400 ms.
func steady(lasts float64, faults ...[2]float64) *story {
	s := newStory()
	for i := range int(lasts * 10) {
		at, marked := float64(i)/10, false
		for _, f := range faults {
			marked = marked || at >= f[0] && at < f[1]
		}
		if marked {
			s.chat(at, 0.45, "chaos.fault.type", "latency", "chaos.fault.latency_ms", 400)
		} else {
			s.chat(at, 0.05)
		}
	}
	for _, f := range faults {
		s.injector(f[0], f[1]-f[0], "latency")
	}
	return s
}

func keep(ratio int64, forCause int) func(*folding.Settings) {
	return func(o *folding.Settings) {
		policy := sampling.Default()
		policy.RatioMicro, policy.MaxForCause = ratio, forCause
		o.Storage.Sampling = &policy
		o.Storage.DropSessions = ratio == 0
	}
}

func onlyFault(t *testing.T, path string, q analysis.Query) *analysis.Fault {
	t.Helper()
	answer := ask(t, path, faultImpact(q))
	require.Len(t, answer.Rows, 1)
	return &answer.Rows[0]
}

// Counts come from buckets: exact, however few requests are kept. What only
// requests tell is left out, or estimated where there is nothing else.
func TestFaultImpactWhereNotEveryRequestIsKept(t *testing.T) {
	t.Run("a sample", func(t *testing.T) {
		f := onlyFault(t, steady(150, [2]float64{60, 90}).file(t, keep(500_000, 100)), analysis.Query{Now: later})
		require.Equal(t, 590.0, *f.Before.Requests) // without the last second: some of it might straddle
		require.Equal(t, 59.0, f.Before.CoveredS)
		require.Equal(t, []float64{300, 300}, []float64{*f.During.Requests, *f.During.Injected})
		require.InDelta(t, 450, *f.During.Latency.AvgMS, 1e-6)
		require.InDelta(t, 50, *f.During.NetLatency.AvgMS, 1e-6)
		require.InEpsilon(t, 50, *f.During.NetLatency.P99MS, 1.0/127)
		require.False(t, f.Before.Estimated || f.During.Estimated || f.After.Estimated)
		require.True(t, f.Straddling == nil || *f.Straddling == 0)
		require.Equal(t, 0.0, *f.RecoveryS)
	})
	t.Run("none", func(t *testing.T) {
		f := onlyFault(t, steady(150, [2]float64{60.5, 89.5}).file(t, keep(0, 0)), analysis.Query{Now: later})
		require.Equal(t, []float64{59, 590}, []float64{f.Before.CoveredS, *f.Before.Requests}) // half a second at either end is not known
		require.Equal(t, []float64{28, 280}, []float64{f.During.CoveredS, *f.During.Requests})
		require.Nil(t, f.Straddling)
		require.InDelta(t, 2.0/3, *f.EdgeShare, 1e-9)
		require.Equal(t, analysis.Recovered, f.Recovery)
		require.Equal(t, 0.5, *f.RecoveryS) // the rest of its last bucket is not known
	})
	t.Run("none of a short fault", func(t *testing.T) {
		f := onlyFault(t, steady(150, [2]float64{60.25, 60.75}).file(t, keep(0, 0)), analysis.Query{Now: later})
		require.Nil(t, f.During.Requests)
		require.Zero(t, f.During.CoveredS)
		require.Nil(t, f.DuringBefore.ErrorRate)
	})
	t.Run("a sample of a short fault", func(t *testing.T) {
		f := onlyFault(t, steady(150, [2]float64{60.25, 62.75}).file(t, func(o *folding.Settings) {
			keep(200_000, 5)(o)
			o.Storage.Widths = []storage.Width{{Seconds: 10}}
		}), analysis.Query{Now: later})
		// An estimate, but what is kept for cause stands for all of its minute.
		require.True(t, f.During.Estimated)
		require.InDelta(t, 25, *f.During.Requests, 1e-4)
		require.InDelta(t, 450, *f.During.Latency.AvgMS, 1e-6)
	})
	t.Run("a sample, and buckets with series that the fault cuts", func(t *testing.T) {
		f := onlyFault(t, steady(150, [2]float64{63, 87}).file(t, keep(500_000, 5)), analysis.Query{Now: later})
		require.Equal(t, []float64{240, 24}, []float64{*f.During.Requests, f.During.CoveredS})
		require.True(t, f.During.Estimated) // of the delays at its ends there is a sample
		require.InEpsilon(t, 50, *f.During.NetLatency.P50MS, 1.0/127)
	})
	t.Run("buckets without series", func(t *testing.T) {
		headline := func(change func(*folding.Settings)) func(*folding.Settings) {
			return func(o *folding.Settings) {
				change(o)
				o.Storage.Widths = []storage.Width{{Seconds: 10, Detail: storage.DetailHeadline}}
			}
		}
		s := steady(150, [2]float64{60, 90})
		f := onlyFault(t, s.file(t, headline(asItIs)), analysis.Query{Now: later})
		require.Equal(t, 300.0, *f.During.Requests)
		require.InDelta(t, 50, *f.During.NetLatency.AvgMS, 1e-6)
		f = onlyFault(t, s.file(t, headline(keep(0, 0))), analysis.Query{Now: later})
		require.Equal(t, 300.0, *f.During.Requests)
		require.Nil(t, f.During.NetLatency.AvgMS) // nothing tells the delays
		require.InDelta(t, 450, *f.During.Latency.AvgMS, 1e-6)
	})
}

// Nine requests in the ten milliseconds before a fault are no 900 a second.
func TestLessThanASecondHasNoRate(t *testing.T) {
	s := newStory()
	for i := range 9 {
		s.chat(float64(i)/1000, 0.05)
	}
	s.injector(0.01, 2, "latency")
	s.chat(1, 0.05)
	f := onlyFault(t, s.file(t, asItIs), analysis.Query{Now: later})
	require.Equal(t, []float64{0, 9}, []float64{*f.Before.Requests, *f.Straddling})
	require.Nil(t, f.Before.RequestsPerS)
	require.Nil(t, f.DuringBefore.RequestsPerS)
	require.InDelta(t, 1/f.During.CoveredS, *f.During.RequestsPerS, 1e-9)
}

func TestFaultsAtTheEndsOfTheData(t *testing.T) {
	path := steady(100, [2]float64{30, 60}).file(t, asItIs)
	say := func(run string, from, to time.Duration) {
		_, err := storage.ImportFaultWindows(context.Background(), path, []aggregator.FaultWindow{{
			Run: run, Fault: "kill", StartUnixNano: storyStart.Add(from).UnixNano(), EndUnixNano: storyStart.Add(to).UnixNano(),
		}})
		require.NoError(t, err)
	}
	say("run-1", -2*time.Hour, -time.Hour)
	say("run-1", time.Hour, 2*time.Hour)
	say("", -2*time.Hour, -time.Hour) // met no run
	say("run-1", 90*time.Second, 3*time.Minute)
	say("run-1", -time.Minute, 10*time.Second)
	answer := ask(t, path, faultImpact(analysis.Query{Now: later}))
	require.Len(t, answer.Rows, 3)
	require.Len(t, answer.Unmet, 3) // before all data, of the run and of none, and after it
	for i := range answer.Rows {
		f := &answer.Rows[i]
		switch {
		case f.DurationS == 90: // goes on when the data end
			require.True(t, f.OpenEnd)
			require.Equal(t, 100.0, *f.During.Requests)
			require.InDelta(t, 9.95, f.During.CoveredS, 1e-6)
			require.Nil(t, f.After.Requests)
			require.Equal(t, analysis.RecoveryUnknown, f.Recovery)
		case f.DurationS == 70: // had begun before
			require.Nil(t, f.Before.Requests)
			require.Equal(t, []float64{100, 10}, []float64{*f.During.Requests, f.During.CoveredS})
			require.Equal(t, 200.0, *f.After.Requests) // until the next fault
			require.Equal(t, analysis.RecoveryUnknown, f.Recovery)
		}
	}
	run, other := "run-1", "run-2"
	ofRun := ask(t, path, faultImpact(analysis.Query{Now: later, Run: &run}))
	require.Equal(t, []int{3, 2}, []int{len(ofRun.Rows), len(ofRun.Unmet)})
	_, err := try(t, path, faultImpact(analysis.Query{Now: later, Run: &other}))
	require.ErrorIs(t, err, analysis.ErrQuery)
	part := ask(t, path, faultImpact(analysis.Query{Now: later, From: storyStart.Add(20 * time.Second), To: storyStart.Add(90 * time.Second)}))
	require.Len(t, part.Rows, 1)
	require.Len(t, part.Windows, 2)
	require.Equal(t, []string{"injector", "requests"}, part.Rows[0].Sources)
}

// What has not settled is in no phase, unless asked for.
func TestFaultsThatHaveNotSettled(t *testing.T) {
	path := steady(100, [2]float64{30, 90}).file(t, asItIs)
	q := analysis.Query{Now: storyStart.Add(110 * time.Second)} // settled: 50 s
	f := onlyFault(t, path, q)
	require.True(t, f.OpenEnd)
	require.Equal(t, []float64{200, 20}, []float64{*f.During.Requests, f.During.CoveredS})
	require.Nil(t, f.After.Requests)
	q.IncludeOpen = true
	f = onlyFault(t, path, q)
	require.False(t, f.OpenEnd)
	require.Equal(t, []float64{600, 100}, []float64{*f.During.Requests, *f.After.Requests})
}

// Where the fine buckets and the requests are gone, wider ones tell what they
// can.
func TestFaultImpactAfterPruning(t *testing.T) {
	path := steady(150, [2]float64{60, 90}).file(t, asItIs)
	gone := later.Unix()
	prune(t, path, 1, later)
	execute(t, path, "INSERT INTO pruned VALUES ('buckets', 1, ?, 1), ('request', 0, ?, 1)", gone, gone)
	execute(t, path, "DELETE FROM request WHERE marked IS NULL")
	execute(t, path, "UPDATE request SET kept = 4")
	execute(t, path, "INSERT INTO meta VALUES ('requests_estimable_from_ns', ?)", later.UnixNano())
	f := onlyFault(t, path, analysis.Query{Now: later})
	require.Equal(t, []float64{300, 30}, []float64{*f.During.Requests, f.During.CoveredS})
	require.InDelta(t, 50, *f.During.NetLatency.AvgMS, 1e-6)
	require.Equal(t, []float64{500, 50}, []float64{*f.Before.Requests, f.Before.CoveredS}) // in the last bucket some might straddle
	require.Nil(t, f.Straddling)
	require.Equal(t, 0.0, *f.RecoveryS)
	execute(t, path, "INSERT INTO pruned VALUES ('buckets', 10, ?1, 1), ('buckets', 300, ?1, 1), ('buckets', 3600, ?1, 1)", gone)
	f = onlyFault(t, path, analysis.Query{Now: later})
	require.Nil(t, f.During.Requests) // an hour is too wide
	require.Equal(t, analysis.RecoveryUnknown, f.Recovery)
}

// A long fault is compared with an hour, a short one with a minute.
func TestBeforeAndAfterAreBounded(t *testing.T) {
	for length, want := range map[float64]float64{2 * 3600: 3600, 1800: 1800, 5: 60} {
		s := newStory()
		for at := -6.0 * 3600; at < 3500; at += 10 {
			s.chat(at, 0.1)
		}
		s.injector(-4*3600, length, "latency")
		f := onlyFault(t, s.file(t, asItIs), analysis.Query{Now: later})
		require.Equal(t, []float64{want / 10, want / 10, length}, []float64{*f.Before.Requests, *f.After.Requests, f.During.CoveredS})
	}
}

func TestFaultsThatNeverRecover(t *testing.T) {
	s := newStory()
	for i := range 200 {
		if i < 60 {
			s.chat(float64(i), 0.1)
		} else {
			s.chat(float64(i), 0.1, "error.type", "503")
		}
	}
	s.injector(60, 30, "kill")
	f := onlyFault(t, s.file(t, asItIs), analysis.Query{Now: later})
	require.Equal(t, []any{analysis.NotRecovered, "data"}, []any{f.Recovery, f.WatchEnds})
	require.Nil(t, f.RecoveryS)
	require.InDelta(t, 109.1, f.WatchedS, 1e-6)
	require.InDelta(t, 1, *f.DuringBefore.ErrorRate, 1e-9)
	s.injector(150, 10, "latency")
	rows := ask(t, s.file(t, asItIs), faultImpact(analysis.Query{Now: later})).Rows
	require.Equal(t, []any{analysis.NotRecovered, "fault", 60.0}, []any{rows[0].Recovery, rows[0].WatchEnds, rows[0].WatchedS})
}

// With enough requests recovery is known to the second, whatever the width with
// series; with fewer, a second of them is chance.
func TestRecoveryOfDenseTraffic(t *testing.T) {
	for perSecond, want := range map[int]float64{40: 4, 10: 8} {
		s := newStory()
		for i := range 60 * perSecond {
			at, took := float64(i)/float64(perSecond), 0.1
			if at >= 20 && at < 36 {
				took = 1 // four seconds longer than the fault
			}
			s.chat(at, took)
		}
		s.injector(20, 12, "latency")
		f := onlyFault(t, s.file(t, asItIs), analysis.Query{Now: later})
		require.Equal(t, analysis.Recovered, f.Recovery, perSecond)
		require.Equal(t, want, *f.RecoveryS, perSecond)
	}
}

func TestFaultImpactOfLittle(t *testing.T) {
	empty := ask(t, newStory().file(t, asItIs), faultImpact(analysis.Query{Now: later}))
	require.Equal(t, []any{0, 0}, []any{len(empty.Rows), len(empty.Windows)})
	text, err := json.Marshal(empty)
	require.NoError(t, err)
	require.Contains(t, string(text), `"windows":[],"rows":[]`)

	one := newStory()
	one.chat(5, 1, "chaos.fault.type", "latency", "chaos.fault.latency_ms", 900)
	f := onlyFault(t, one.file(t, asItIs), analysis.Query{Now: later})
	require.Equal(t, []string{"requests"}, f.Sources)
	require.Equal(t, []float64{1, 1000, 100}, []float64{*f.During.Requests, *f.During.Latency.P99MS, *f.During.NetLatency.AvgMS})
	require.Nil(t, f.Before.Requests)
	require.Equal(t, analysis.RecoveryUnknown, f.Recovery)

	// The marked request that begins as the others end is part of the fault.
	two := newStory()
	two.chat(5, 1, "chaos.fault.type", "abort")
	two.chat(6, 0, "chaos.fault.type", "abort")
	require.Equal(t, 2.0, *onlyFault(t, two.file(t, asItIs), analysis.Query{Now: later}).During.Requests)
}

// Of many faults the longest are answered, in the order of their start.
func TestManyFaults(t *testing.T) {
	s := newStory()
	for i := range 120 {
		s.injector(float64(i*10), 1+float64(i%2), "latency")
		s.chat(float64(i*10), 0.1)
	}
	answer := ask(t, s.file(t, asItIs), faultImpact(analysis.Query{Now: later}))
	require.Equal(t, []any{100, int64(20), 120}, []any{len(answer.Rows), answer.Left, len(answer.Windows)})
	answer.KeepLongest(60)
	require.Equal(t, []any{60, int64(60)}, []any{len(answer.Rows), answer.Left})
	for i := range answer.Rows {
		require.Equal(t, 2.0, answer.Rows[i].DurationS)
		require.True(t, i == 0 || answer.Rows[i].StartNS > answer.Rows[i-1].StartNS)
	}
	answer.KeepLongest(0)
	require.Len(t, answer.Rows, 60)
}

// Equal spans give equal bytes, in whatever order they came.
func TestFaultImpactIsDeterministic(t *testing.T) {
	s := steady(120, [2]float64{20, 40}, [2]float64{30, 50}, [2]float64{80, 90.5})
	answer := func(batches ...ptrace.Traces) string {
		text, err := json.Marshal(ask(t, fileOf(t, asItIs, batches...), faultImpact(analysis.Query{Now: later})))
		require.NoError(t, err)
		return string(text)
	}
	want := answer(s.spans)
	var batches []ptrace.Traces
	all := s.spans.ResourceSpans()
	for i := all.Len() - 1; i >= 0; i -= 97 {
		batch := ptrace.NewTraces()
		for j := i; j > i-97 && j >= 0; j-- {
			all.At(j).CopyTo(batch.ResourceSpans().AppendEmpty())
		}
		batches = append(batches, batch)
	}
	require.Equal(t, want, answer(batches...))
	require.Equal(t, want, answer(batches...))
}
