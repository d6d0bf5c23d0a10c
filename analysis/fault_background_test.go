package analysis_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// scattered tells of a chat every half second for ten minutes, of which one in
// twelve, while injecting says so, is marked on the server's span with one of
// some faults; and of how many marks there are of each.
func scattered(r *rand.Rand, injecting func(at float64) bool, faults ...string) (s *story, marks map[string]int64, first, last float64) {
	s, marks, first = newStory(), map[string]int64{}, -1
	for i := range 1200 {
		at := float64(i) / 2
		s.chat(at, 0.2)
		if !injecting(at) || r.IntN(12) > 0 {
			continue
		}
		fault := faults[r.IntN(len(faults))]
		s.span(at+0.05, 0.1, "http.request.method", "POST", "chaos.fault.type", fault, "chaos.experiment.id", "preset").SetKind(2)
		marks[fault]++
		if last = at + 0.15; first < 0 {
			first = at + 0.05
		}
	}
	return s, marks, first, last
}

// TestMarksAllThroughARunAreOneFault: what is injected into single requests now
// and then is one fault, and leaves others their before and after. What has
// times without it is not.
func TestMarksAllThroughARunAreOneFault(t *testing.T) {
	r := seedtest.Rand(t)
	always := func(float64) bool { return true }
	q := analysis.Query{Now: later}
	t.Run("several kinds", func(t *testing.T) {
		s, marks, first, last := scattered(r, always, "timeout", "reset", "overload")
		answer := ask(t, s.file(t, asItIs), faultImpact(q))
		require.Len(t, answer.Rows, 1)
		f := &answer.Rows[0]
		require.True(t, f.Background)
		require.Equal(t, "preset", f.Fault)
		require.InDelta(t, first, float64(f.StartNS-storyStart.UnixNano())/1e9, 1e-6)
		require.InDelta(t, last, float64(f.EndNS-storyStart.UnixNano())/1e9, 1e-6)
		var all int64
		for _, k := range f.KindRows {
			require.Equal(t, marks[k.Fault], *k.MarkedSpans, k.Fault)
			all += marks[k.Fault]
		}
		require.Len(t, f.KindRows, len(marks))
		require.Equal(t, all, *f.MarkedSpans)
		chats := 0.0
		for i := range 1200 {
			if at := float64(i) / 2; at >= first && at <= last {
				chats++
			}
		}
		require.Equal(t, chats, *f.During.Requests)
		require.True(t, f.Before.Requests == nil && f.After.Requests == nil)
		require.Contains(t, ask(t, s.file(t, asItIs), diagnosis(q)).Text, " 1 fault (preset): there all the time.")
	})
	t.Run("and an experiment besides", func(t *testing.T) {
		s, _, _, _ := scattered(r, always, "timeout")
		s.injector(200.3, 30, "kill")
		answer := ask(t, s.file(t, asItIs), faultImpact(q))
		require.Len(t, answer.Rows, 2)
		require.Equal(t, []any{"timeout", true}, []any{answer.Rows[0].Fault, answer.Rows[0].Background})
		kill := &answer.Rows[1]
		require.Equal(t, []any{"kill", 120.0, 60.0, 120.0}, []any{kill.Fault, *kill.Before.Requests, *kill.During.Requests, *kill.After.Requests})
		require.Equal(t, []any{analysis.Recovered, "data"}, []any{kill.Recovery, kill.WatchEnds})
	})
	for _, c := range []struct {
		name      string
		injecting func(float64) bool
	}{
		{"in the middle third", func(at float64) bool { return at >= 200 && at < 400 }},
		{"up to the middle", func(at float64) bool { return at < 300 }},
		{"two minutes of every five", func(at float64) bool { return int(at/60)%5 < 2 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _, _, _ := scattered(r, c.injecting, "timeout", "reset", "overload")
			for _, f := range ask(t, s.file(t, asItIs), faultImpact(q)).Rows {
				require.False(t, f.Background)
			}
		})
	}
}
