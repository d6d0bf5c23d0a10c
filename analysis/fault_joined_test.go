package analysis_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
)

// brownout tells of a chat of 200 ms every half second for 150 s; in the 30 s
// from 60 on the server marks half of them, half of these as refused. Long
// after the end of it an injector acts for a moment that no chat meets.
func brownout() *story {
	s := newStory()
	for i := range 300 {
		at := float64(i) / 2
		switch {
		case at < 60 || at >= 90 || i%2 == 0:
			s.chat(at, 0.2)
		case i%4 == 1:
			s.chat(at, 0.2, "error.type", "429")
			s.span(at, 0.1, "http.request.method", "POST", "chaos.fault.type", "rate_limit", "chaos.experiment.id", "e").SetKind(2)
		default:
			s.chat(at, 2)
			s.span(at, 1.9, "http.request.method", "POST", "chaos.fault.type", "latency", "chaos.experiment.id", "e").SetKind(2)
		}
	}
	s.injector(60, 30, "brownout", "chaos.experiment.id", "e")
	s.injector(100.25, 0.2, "kill")
	return s
}

// TestFaultsAreJoined: what one injector does is one fault with the marks as its
// kinds, counted span by span; a fault that no request met is told apart, and
// does not end the watch of another.
func TestFaultsAreJoined(t *testing.T) {
	path := brownout().file(t, asItIs)
	answer := ask(t, path, faultImpact(analysis.Query{Now: later}))
	require.Len(t, answer.Rows, 1)
	f := &answer.Rows[0]
	require.Equal(t, []any{"brownout", int64(0), int64(30)}, []any{f.Fault, f.Marked, *f.MarkedSpans})
	require.Equal(t, []string{"server"}, f.MarkedCategories)
	require.Equal(t, []string{"latency", "rate_limit"}, f.Kinds)
	require.Len(t, f.KindRows, 2)
	for i, want := range []struct {
		fault          string
		start, seconds float64
	}{{"rate_limit", 60.5, 28.1}, {"latency", 61.5, 29.9}} {
		k := &f.KindRows[i]
		require.Equal(t, []any{want.fault, 1, int64(0), int64(15)}, []any{k.Fault, k.Windows, k.Marked, *k.MarkedSpans})
		require.Equal(t, []int64{int64(storyTime(want.start)), int64(storyTime(want.start + want.seconds))}, []int64{k.StartNS, k.EndNS})
	}
	require.Equal(t, analysis.Recovered, f.Recovery)
	require.Equal(t, "data", f.WatchEnds)
	require.Equal(t, 120.0, *f.After.Requests) // up to the end of the data, past the other fault

	require.Len(t, answer.Unmet, 1)
	require.Equal(t, []any{"kill", int64(0)}, []any{answer.Unmet[0].Fault, *answer.Unmet[0].MarkedSpans})

	server := ask(t, path, faultImpact(analysis.Query{Now: later, Categories: []aggregator.Category{aggregator.CategoryServer}}))
	require.Equal(t, []float64{30, 30}, []float64{*server.Rows[0].During.Requests, *server.Rows[0].During.Injected})

	joined := ask(t, path, func(ctx context.Context, tx *sql.Tx) ([]analysis.JoinedFault, error) {
		windows, err := analysis.AskFaultWindows(ctx, tx)
		if err != nil {
			return nil, err
		}
		return analysis.AskJoinedFaults(ctx, tx, analysis.Query{Now: later}, windows)
	})
	require.Equal(t, []analysis.JoinedFault{f.JoinedFault, answer.Unmet[0]}, joined)
}
