package analysis_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// state tells of a call that shows the state of a circuit at its end.
func (s *story) state(second float64, circuit, state string, more ...any) {
	s.chat(second, 0, append([]any{"circuit_breaker.name", circuit, "circuit_breaker.state", state}, more...)...)
}

func TestCircuitsOfAStory(t *testing.T) {
	s := newStory()
	s.state(0, "openai", "closed")
	s.state(10, "openai", "open")
	s.chat(12, 0, "circuit_breaker.name", "openai", "error.type", "circuit_open")
	s.chat(13, 0, "circuit_breaker.name", "openai", "error.type", "circuit_open")
	s.state(20, "openai", "half_open")
	s.state(21, "openai", "open") // the probe failed
	s.state(31, "openai", "half_open")
	s.state(32, "openai", "closed")
	s.state(50, "openai", "open")
	s.state(53, "openai", "closed")
	s.state(60, "search", "open")
	s.state(65, "search", "open")
	s.chat(70, 0, "circuit_breaker.name", "mail", "error.type", "circuit_open")
	path := s.file(t, asItIs)

	answer := ask(t, path, circuits(analysis.CircuitsQuery{}))
	require.Equal(t, []int64{3, 3, 1}, []int64{answer.Trips, answer.Rejected, answer.StillOpen})
	require.Len(t, answer.Rows, 3)
	openai, search, mail := answer.Rows[0], answer.Rows[1], answer.Rows[2]
	require.Equal(t, []any{"openai", int64(2), int64(1), int64(2), int64(2), int64(2), "closed", false},
		[]any{openai.Circuit, openai.Trips, openai.Reopened, openai.Probes, openai.Closed, openai.Rejected, openai.State, openai.StillOpen})
	require.InDelta(t, 10+10+3, *openai.OpenS, 1e-9)
	require.InDelta(t, (22+3)/2.0, *openai.RecoveryS, 1e-9)
	require.InDelta(t, 22, *openai.MaxRecoveryS, 1e-9)
	require.Equal(t, []any{"search", int64(1), "open", true, "2026-01-30T10:01:00Z"},
		[]any{search.Circuit, search.Trips, search.State, search.StillOpen, *search.SinceUTC})
	require.InDelta(t, 5, *search.OpenS, 1e-9) // since then it is not known
	require.Nil(t, search.RecoveryS)
	require.Equal(t, []any{"mail", int64(0), int64(1), ""}, []any{mail.Circuit, mail.Trips, mail.Rejected, mail.State})
	require.Nil(t, mail.OpenS)

	// In the interval it is open from the beginning, for six seconds more.
	part := ask(t, path, circuits(analysis.CircuitsQuery{Query: analysis.Query{From: storyStart.Add(14 * time.Second), To: storyStart.Add(31 * time.Second)}}))
	require.Len(t, part.Rows, 1)
	openai = part.Rows[0]
	require.Equal(t, []int64{0, 1, 1, 0, 0}, []int64{openai.Trips, openai.Reopened, openai.Probes, openai.Closed, openai.Rejected})
	require.InDelta(t, 6, *openai.OpenS, 1e-9)
	require.True(t, openai.StillOpen)
	require.Len(t, part.Transitions, 2)

	few := ask(t, path, circuits(analysis.CircuitsQuery{Limit: 2}))
	require.Equal(t, answer.Transitions[len(answer.Transitions)-2:], few.Transitions)
	require.Equal(t, int64(len(answer.Transitions)-2), few.Left)
}

func randomCircuits(r *rand.Rand) *story {
	s := newStory()
	for range 10 + r.IntN(120) {
		s.run = oneOf(r, "run-1", "run-2", "")
		at, circuit := float64(r.IntN(40)), oneOf(r, "a", "b")
		more := []any{"circuit_breaker.name", circuit}
		if r.IntN(6) == 0 {
			s.chat(at, 0, append(more, "error.type", "circuit_open")...)
			continue
		}
		state := oneOf(r, "open", "half_open", "closed")
		if r.IntN(3) > 0 {
			s.state(at, circuit, state)
			continue
		}
		e := s.chat(at, 0).Events().AppendEmpty()
		e.SetName("circuit_breaker.state_change")
		e.SetTimestamp(storyTime(at))
		e.Attributes().PutStr("circuit_breaker.name", circuit)
		e.Attributes().PutStr("circuit_breaker.state", state)
		e.Attributes().PutStr("circuit_breaker.from_state", oneOf(r, "open", "half_open", "closed"))
	}
	return s
}

func TestCircuitsAgreeWithTheRelations(t *testing.T) {
	r := seedtest.Rand(t)
	for range 25 {
		path := randomCircuits(r).file(t, asItIs)
		answer := ask(t, path, circuits(analysis.CircuitsQuery{}))
		rows := view(t, path, "SELECT * FROM circuit_totals")
		require.Len(t, answer.Rows, len(rows))
		for _, row := range rows {
			i := slices.IndexFunc(answer.Rows, func(c analysis.Circuit) bool {
				return c.RunID == row["run_id"] && c.Service == row["service"] && c.Circuit == row["circuit"] && c.Instance == row["instance"]
			})
			require.GreaterOrEqual(t, i, 0)
			c := answer.Rows[i]
			what := fmt.Sprintf("circuit %q of run %q: ", c.Circuit, c.RunID)
			for column, figure := range map[string]any{
				"trips": c.Trips, "reopened": c.Reopened, "open_s": c.OpenS, "recovery_s": c.RecoveryS, "rejected": c.Rejected,
			} {
				sameAs(t, row[column], figure, what+column)
			}
			if row["state"] != nil {
				require.Equal(t, row["state"], c.State, what)
			}
		}
		changes := view(t, path, "SELECT * FROM circuits")
		require.Len(t, answer.Transitions, len(changes))
		for _, row := range changes {
			require.True(t, slices.ContainsFunc(answer.Transitions, func(c analysis.CircuitTransition) bool {
				return c.RunID == row["run_id"] && c.Circuit == row["circuit"] && c.AtNS == row["at_ns"] && c.AtUTC == row["at_utc"] &&
					c.FromState == row["from_state"] && c.ToState == row["to_state"] && c.Service == row["service"] && c.Instance == row["instance"]
			}), "%v", row)
		}
		require.True(t, slices.IsSortedFunc(answer.Transitions, func(a, b analysis.CircuitTransition) int { return int(a.AtNS - b.AtNS) }))
	}
}
