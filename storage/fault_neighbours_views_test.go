//go:build !race

// One goroutine reads: the race detector has nothing to find, and makes SQLite in
// Go twenty times slower.

package storage

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// TestNeighbours: before and after reach to the next window and no further,
// and keep clear of one that overlaps.
func TestNeighbours(t *testing.T) {
	a := activity{
		spans:   steady(0, 200, func(int64) bool { return false }),
		windows: []statedWindow{window(50, 60), window(55, 70), window(100, 110), window(110, 120)},
	}
	count := func(start int64) (n [3]float64) {
		r := impactOf(t, &a, start)
		return [3]float64{r["requests_before"].(float64), r["requests_during"].(float64), r["requests_after"].(float64)}
	}
	require.Equal(t, [3]float64{50, 10, 30}, count(50))
	require.Equal(t, [3]float64{50, 15, 30}, count(55))
	require.Equal(t, [3]float64{30, 10, 0}, count(100), "the next one begins at its end")
	require.Equal(t, [3]float64{0, 10, 80}, count(110))
}

// TestWindowOfNoRun applies to every run that was going on.
func TestWindowOfNoRun(t *testing.T) {
	early := steady(0, 10, func(int64) bool { return false })
	for i := range early {
		early[i].run, early[i].trace = "early", 2
	}
	everywhere := window(20, 30)
	everywhere.run = ""
	a := activity{spans: append(early, steady(5, 40, func(int64) bool { return false })...), windows: []statedWindow{everywhere}}
	rows := readView(t, a.file(t, seedtest.Rand(t)), "fault_impact")
	require.Len(t, rows, 1)
	require.Equal(t, "r", rows[0]["run_id"])
	require.Equal(t, 15.0, rows[0]["requests_before"])
	a.spans = nil
	rows = readView(t, a.file(t, seedtest.Rand(t)), "fault_impact")
	require.Len(t, rows, 1, "a window that met no run is shown all the same")
	require.Nil(t, rows[0]["p99_latency_ms_during"])
}

// TestLateMarkJoinsWindows: two windows, and one span between them makes them
// one.
func TestLateMarkJoinsWindows(t *testing.T) {
	mark := func(start int64) activitySpan {
		return aSpan(func(s *activitySpan) {
			s.marked, s.fault, s.start, s.span = true, "latency", start*second, uint64(start+1)
		})
	}
	a := activity{spans: []activitySpan{mark(0), mark(11)}}
	require.Len(t, readView(t, a.file(t, seedtest.Rand(t)), "fault_windows"), 2)
	a.spans = append(a.spans, mark(5))
	rows := readView(t, a.file(t, seedtest.Rand(t)), "fault_windows")
	require.Len(t, rows, 1)
	require.Equal(t, at(12*second), rows[0]["end_ns"])
	require.Equal(t, int64(3), rows[0]["requests"])
}

// TestStragglerHidesNothing: one call of the fault that lasts for minutes after
// it says nothing of the others. The time after the window is after, and the
// system was ill for 30 s of it.
func TestStragglerHidesNothing(t *testing.T) {
	sick := func(at int64) bool { return at >= 90 && at < 120 }
	a := activity{spans: steady(0, 300, sick), windows: []statedWindow{window(60, 90)}}
	for i := range a.spans {
		s := &a.spans[i]
		s.marked = s.start >= 60*second && s.start < 90*second
	}
	a.spans[89].duration = 180 * second
	path := a.file(t, seedtest.Rand(t))
	for _, r := range readView(t, path, "fault_impact") {
		if r["fault"] == "latency" {
			require.Equal(t, 30.0, r["recovery_s"])
			require.Equal(t, 210.0, r["requests_after"])
			continue
		}
		require.Equal(t, 60.0, r["requests_before"], "of what the marks say")
		require.Equal(t, 31.0, r["requests_after"], "after the last of them")
	}
}

// TestRecoveryBehindAnotherWindow: where another window goes on, or nobody
// asks, nobody knows when it was over.
func TestRecoveryBehindAnotherWindow(t *testing.T) {
	sick := func(at int64) bool { return at >= 60 && at < 120 }
	a := activity{spans: steady(0, 200, sick), windows: []statedWindow{window(60, 90), window(85, 120)}}
	require.Nil(t, impactOf(t, &a, 60)["recovery_s"])
	require.Equal(t, 0.0, impactOf(t, &a, 85)["recovery_s"])
	a.windows[1] = window(90, 120)
	require.Nil(t, impactOf(t, &a, 60)["recovery_s"], "the next one begins at its end")
	a = activity{spans: append(steady(0, 90, sick), steady(140, 200, sick)...), windows: []statedWindow{window(60, 90)}}
	require.Equal(t, 50.0, impactOf(t, &a, 60)["recovery_s"], "no request for 50 s")
}

// TestMarksOfNoRun concern the traffic of no run; what was said of no run
// concerns all.
func TestMarksOfNoRun(t *testing.T) {
	spans := steady(0, 100, func(int64) bool { return false })
	for i := range 10 {
		spans = append(spans, aSpan(func(s *activitySpan) {
			s.run, s.marked, s.fault, s.trace, s.span, s.start = "", true, "abort", 2, uint64(i+1), int64(50+i)*second
		}))
	}
	runs := map[any]int{}
	for _, r := range readView(t, (&activity{spans: spans}).file(t, seedtest.Rand(t)), "fault_impact") {
		runs[r["run_id"]]++
	}
	require.Equal(t, map[any]int{"": 1}, runs)
}

// TestImpactWithoutRequests: where none is kept, how many there were is not
// known. Where there were none, it is 0.
func TestImpactWithoutRequests(t *testing.T) {
	columns := []string{"requests_before", "requests_during", "requests_after", "straddling"}
	a := activity{spans: steady(0, 200, func(int64) bool { return false }), windows: []statedWindow{window(60, 90)}}
	for i := range a.spans {
		a.spans[i].kept = 6
	}
	for _, column := range columns {
		require.Nil(t, impactOf(t, &a, 60)[column], column)
	}
	a.spans = steady(0, 1, func(int64) bool { return false })
	a.windows = []statedWindow{window(60, 90), window(30, 40), window(90, 100)}
	for _, column := range columns {
		require.Equal(t, 0.0, impactOf(t, &a, 60)[column], column)
	}
}

// TestEndOfAWindow is no part of it, unless the last request with the fault
// starts and ends there.
func TestEndOfAWindow(t *testing.T) {
	a := activity{spans: steady(0, 100, func(int64) bool { return false }), windows: []statedWindow{window(60, 90)}}
	for i := range a.spans {
		s := &a.spans[i]
		s.marked = s.start >= 60*second && s.start <= 90*second
		if s.start == 90*second {
			s.duration = unstated
		}
	}
	for _, r := range readView(t, a.file(t, seedtest.Rand(t)), "fault_windows AS w JOIN fault_impact AS i USING (window_id)") {
		want := 31
		if r["source"] == "injector" {
			want = 30
		}
		require.EqualValues(t, want, r["requests"], r["source"])
		require.EqualValues(t, want, r["requests_during"], r["source"])
		require.EqualValues(t, 100-60-want, r["requests_after"], r["source"])
	}
}

// TestRequestsOfAWindow: a call and the HTTP call in it are one request. A
// window counts those of its fault, if the spans call it so at all.
func TestRequestsOfAWindow(t *testing.T) {
	var spans []activitySpan
	for i := range 6 {
		for _, category := range []string{"llm", "client"} {
			spans = append(spans, aSpan(func(s *activitySpan) {
				s.category, s.marked, s.fault, s.start, s.span = category, true, []string{"latency", "abort"}[i%2], int64(60+i)*second, uint64(len(spans)+1)
			}))
		}
	}
	other := window(60, 90)
	other.fault = "pod_delete"
	none := spans[1]
	none.run, none.start = "other", 200*second
	a := activity{spans: append(spans, none), windows: []statedWindow{window(60, 90), other}}
	got := map[any]any{}
	for _, r := range readView(t, a.file(t, seedtest.Rand(t)), "fault_windows") {
		got[fmt.Sprint(r["source"], " ", r["fault"], " ", r["run_id"])] = r["requests"]
	}
	require.Equal(t, map[any]any{
		"requests latency r": int64(3), "requests abort r": int64(3), "requests latency other": int64(0),
		"injector latency r": int64(3), "injector pod_delete r": int64(6),
	}, got)
}
