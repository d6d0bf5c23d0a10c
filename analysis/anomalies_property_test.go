package analysis_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// ordinary returns requests that come at random, perSecond on average, with
// skewed latencies, of which one in twenty fails.
func ordinary(rng *rand.Rand, perSecond float64, length time.Duration) (all []aggregator.Observation) {
	for at := rng.ExpFloat64() / perSecond; at < length.Seconds(); at += rng.ExpFloat64() / perSecond {
		all = append(all, requestsAt([]int64{int64(at * 1000)}, func(_ int, o *aggregator.Observation) {
			o.EndUnixNano = o.StartUnixNano + int64(800e6*math.Exp(0.8*rng.NormFloat64())) + 1
			if rng.IntN(20) == 0 {
				o.Series.Outcome, o.Series.ErrorType = aggregator.OutcomeServerError, "500"
			}
		})...)
	}
	return all
}

// Traffic in which nothing happens has no anomalies.
func TestOrdinaryTrafficHasNoAnomalies(t *testing.T) {
	rng := seedtest.Rand(t)
	now := filetest.Begin.Add(4 * time.Hour)
	for _, c := range []struct {
		perSecond float64
		length    time.Duration
	}{{0.05, 3 * time.Hour}, {0.5, time.Hour}, {5, 30 * time.Minute}, {40, 10 * time.Minute}, {200, 90 * time.Second}} {
		t.Run(fmt.Sprint(c.perSecond), func(t *testing.T) {
			path := makeFile(t, ordinary(rng, c.perSecond, c.length), now)
			answer := ask(t, path, anomalies(analysis.AnomaliesQuery{Query: analysis.Query{Now: now}}))
			require.Empty(t, answer.Rows)
			require.Zero(t, ask(t, path, bursts(analysis.BurstsQuery{Query: analysis.Query{Now: now}})).Count)
		})
	}
}

// Silence is found to the second, whatever lies between.
func TestSilencesAgainstOracle(t *testing.T) {
	rng := seedtest.Rand(t)
	now := filetest.Begin.Add(4 * time.Hour)
	for range 5 {
		var stretches []filetest.Stretch
		for range 3 + rng.IntN(4) {
			stretches = append(stretches, filetest.Stretch{Seconds: 5 + rng.IntN(60), PerSecond: 1 + rng.IntN(30)},
				filetest.Stretch{Seconds: rng.IntN(90)})
		}
		observations := filetest.Load(stretches...)
		var want []anomaly
		for i := 1; i < len(observations); i++ {
			from, to := seconds(&observations[i-1])+1, seconds(&observations[i])
			if to-from >= 30 {
				want = append(want, anomaly{kind: analysis.AnomalySilence, from: from, to: to})
			}
		}
		path := makeFile(t, observations, now)
		var got []anomaly
		for _, a := range seen(ask(t, path, anomalies(analysis.AnomaliesQuery{Query: analysis.Query{Now: now}}))) {
			if a.kind == analysis.AnomalySilence {
				got = append(got, a)
			}
		}
		require.Equal(t, want, got, "%+v", stretches)
	}
}

// The time between two runs is no silence, and the end of one no cliff; within
// each it is.
func TestRunsExplainSilenceAndCliffs(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	two := filetest.Load(filetest.Stretch{Seconds: 60, PerSecond: 50}, filetest.Stretch{Seconds: 120}, filetest.Stretch{Seconds: 60, PerSecond: 50})
	overlap := filetest.Load(filetest.Stretch{Seconds: 60, PerSecond: 100}, filetest.Stretch{Seconds: 60, PerSecond: 20})
	for _, c := range []struct {
		name         string
		observations []aggregator.Observation
		run          func(i int, second int64) string
		kinds        []string
	}{
		{"one run pauses", two, func(int, int64) string { return "a" }, []string{analysis.AnomalySilence}},
		{"one after the other", two, func(_ int, second int64) string { return map[bool]string{true: "a", false: "b"}[second < 100] }, nil},
		{"one slows down", overlap, func(int, int64) string { return "a" }, []string{analysis.AnomalyThroughputCliff}},
		{"one ends, the other goes on", overlap, func(i int, second int64) string {
			return map[bool]string{true: "a", false: "b"}[second < 60 && i%5 != 0]
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			observations := append([]aggregator.Observation(nil), c.observations...)
			for i := range observations {
				observations[i].Series.Run = c.run(i, seconds(&observations[i]))
			}
			path := makeFile(t, observations, now)
			var kinds []string
			for _, a := range ask(t, path, anomalies(analysis.AnomaliesQuery{Query: analysis.Query{Now: now}})).Rows {
				kinds = append(kinds, a.Kind)
			}
			require.Equal(t, c.kinds, kinds)
		})
	}
}

// What a known fault explains is told apart from what nothing explains, whether
// windows were imported or requests are marked.
func TestKnownFaultsExplainAnomalies(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	steady := filetest.Stretch{Seconds: 60, PerSecond: 50}
	failing := filetest.Stretch{Seconds: 10, PerSecond: 50, Failed: 10, Outcome: aggregator.OutcomeServerError}
	window := func(from, to float64) aggregator.FaultWindow {
		at := func(s float64) int64 { return filetest.Begin.UnixNano() + int64(s*1e9) }
		return aggregator.FaultWindow{Fault: "brownout", StartUnixNano: at(from), EndUnixNano: at(to)}
	}
	marked := failing
	marked.Fault = "brownout"
	for _, c := range []struct {
		name       string
		traffic    []filetest.Stretch
		windows    []aggregator.FaultWindow
		unexpected []string
	}{
		{"no fault is known", []filetest.Stretch{steady, failing, steady}, nil, []string{analysis.AnomalyErrorCluster, analysis.AnomalyZeroSuccess}},
		{"a window around it", []filetest.Stretch{steady, failing, steady}, []aggregator.FaultWindow{window(58, 72)}, nil},
		{"a window that opens inside its first bucket", []filetest.Stretch{steady, failing, steady}, []aggregator.FaultWindow{window(60.2, 70.1)}, nil},
		{"a window elsewhere", []filetest.Stretch{steady, failing, steady}, []aggregator.FaultWindow{window(10, 20)},
			[]string{analysis.AnomalyErrorCluster, analysis.AnomalyUnexpectedError, analysis.AnomalyZeroSuccess}},
		{"a window that opens too late, but in the next bucket of errors",
			[]filetest.Stretch{{Seconds: 57, PerSecond: 50}, {Seconds: 13, PerSecond: 50, Failed: 10, Outcome: aggregator.OutcomeServerError}, steady},
			[]aggregator.FaultWindow{window(60, 70)}, []string{analysis.AnomalyErrorCluster, analysis.AnomalyZeroSuccess}},
		{"marked requests", []filetest.Stretch{steady, marked, steady}, nil, nil},
		{"marked requests, and others that are not", []filetest.Stretch{steady, marked, steady, failing, steady}, nil,
			[]string{analysis.AnomalyErrorCluster, analysis.AnomalyUnexpectedError, analysis.AnomalyZeroSuccess}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file.db")
			require.NoError(t, filetest.MakeWithRequests(filetest.Options(path, now), filetest.Load(c.traffic...)))
			if c.windows != nil {
				_, err := storage.ImportFaultWindows(context.Background(), path, c.windows)
				require.NoError(t, err)
			}
			answer := ask(t, path, anomalies(analysis.AnomaliesQuery{Query: analysis.Query{Now: now}}))
			var unexpected []string
			kinds := map[string]bool{}
			for _, a := range answer.Rows {
				kinds[a.Kind] = true
				if a.Expected {
					require.Equal(t, []string{"brownout"}, a.Faults)
				} else {
					require.Empty(t, a.Faults)
					unexpected = append(unexpected, a.Kind)
				}
			}
			require.ElementsMatch(t, c.unexpected, unexpected)
			require.True(t, kinds[analysis.AnomalyZeroSuccess], "it is found, explained or not")
			require.Equal(t, len(unexpected), answer.Unexpected)
			require.Equal(t, len(answer.Rows)-len(unexpected), answer.Expected)
		})
	}
}

// A long fault is compared with the time clear of it, not with itself; where
// that is too short there is nothing to compare with.
func TestSpikesAreComparedWithTheTimeClearOfFaults(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	steady := func(seconds int) filetest.Stretch { return filetest.Stretch{Seconds: seconds, PerSecond: 50} }
	slow := func(seconds, perSecond int, fault string) filetest.Stretch {
		return filetest.Stretch{Seconds: seconds, PerSecond: perSecond, Duration: 400 * time.Millisecond, Fault: fault}
	}
	for _, c := range []struct {
		name    string
		traffic []filetest.Stretch
		want    []anomaly // spikes
	}{
		{"a fault of a minute", []filetest.Stretch{steady(30), slow(60, 50, "latency"), steady(30)}, []anomaly{{analysis.AnomalyLatencySpike, 30, 90, true}}},
		{"with few requests in the middle", []filetest.Stretch{steady(30), slow(28, 50, "latency"), slow(4, 5, "latency"), slow(28, 50, "latency"), steady(30)},
			[]anomaly{{analysis.AnomalyLatencySpike, 30, 90, true}}},
		{"which goes on after the fault", []filetest.Stretch{steady(30), slow(60, 50, "latency"), slow(2, 50, ""), steady(30)},
			[]anomaly{{analysis.AnomalyLatencySpike, 30, 92, true}}},
		{"a fault from the beginning to the end", []filetest.Stretch{slow(60, 50, "latency")}, nil},
		{"hardly anything else", []filetest.Stretch{steady(4), slow(60, 50, "latency"), steady(4)}, []anomaly{}},
		{"and nobody knows of a fault", []filetest.Stretch{steady(30), slow(60, 50, ""), steady(30)}, []anomaly{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file.db")
			observations := filetest.Load(c.traffic...)
			require.NoError(t, filetest.MakeWithRequests(filetest.Options(path, now), observations))
			answer := ask(t, path, anomalies(analysis.AnomaliesQuery{Query: analysis.Query{Now: now}}))
			var spikes []anomaly
			for i, a := range seen(answer) {
				if a.kind != analysis.AnomalyLatencySpike {
					continue
				}
				spikes = append(spikes, a)
				require.InEpsilon(t, 400, *answer.Rows[i].Figure, 1.0/127) // of every request in it
				require.InEpsilon(t, 50, *answer.Rows[i].Reference, 1.0/127)
			}
			if c.want == nil || len(c.want) > 0 {
				require.Equal(t, c.want, spikes)
				return
			}
			for _, a := range spikes { // at its ends, as far as it is compared with others
				require.Less(t, a.to-a.from, int64(60))
			}
		})
	}
}
