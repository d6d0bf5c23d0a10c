//go:build !race

// One goroutine reads: the race detector has nothing to find, and makes SQLite in
// Go twenty times slower.

package storage

import (
	"cmp"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

type sessionName struct{ run, service, session string }

type wantedTurn struct {
	start, end, think int64 // think unstated for the first
	requests, calls   int
}

// wantedTurns follows one session through time.
func wantedTurns(spans []*activitySpan, calls []*toolCall) (turns []*wantedTurn) {
	var outer []*activitySpan
	for _, s := range spans {
		if s.category == "agent" || s.category == "workflow" || s.role == 1 {
			outer = append(outer, s)
		}
	}
	slices.SortFunc(outer, func(a, b *activitySpan) int {
		return cmp.Or(cmp.Compare(a.start, b.start), -cmp.Compare(a.end(), b.end()))
	})
	for _, s := range outer {
		last := len(turns) - 1
		// Those that start at one instant are one, however long they are.
		if last >= 0 && (s.start < turns[last].end || s.start == turns[last].start) {
			turns[last].end = max(turns[last].end, s.end())
			continue
		}
		turns = append(turns, &wantedTurn{start: s.start, end: s.end()})
	}
	firstOf := func(c *toolCall) (start int64, trace uint64) {
		start, trace = 1<<62, 1<<62
		for _, s := range c.spans {
			if slices.Contains(spans, s) {
				start, trace = min(start, s.start), min(trace, s.trace)
			}
		}
		return start, trace
	}
	if len(outer) > 0 {
		in := func(start int64) *wantedTurn {
			for _, turn := range slices.Backward(turns) {
				if turn.start <= start {
					return turn
				}
			}
			return &wantedTurn{}
		}
		for _, s := range spans {
			if s.isRequest() {
				in(s.start).requests++
			}
		}
		for _, c := range calls {
			start, _ := firstOf(c)
			in(start).calls++
		}
	} else {
		traces := map[uint64]*wantedTurn{}
		for _, s := range spans {
			if s.category != "llm" && !s.isToolPart() {
				continue
			}
			turn := traces[s.trace]
			if turn == nil {
				turn = &wantedTurn{start: s.start, end: s.end()}
				traces[s.trace] = turn
			}
			turn.start, turn.end = min(turn.start, s.start), max(turn.end, s.end())
		}
		for _, s := range spans {
			if turn := traces[s.trace]; turn != nil && s.isRequest() {
				turn.requests++
			}
		}
		for _, c := range calls {
			_, trace := firstOf(c)
			traces[trace].calls++
		}
		ids := slices.Sorted(maps.Keys(traces))
		slices.SortStableFunc(ids, func(a, b uint64) int { return cmp.Compare(traces[a].start, traces[b].start) })
		for _, id := range ids {
			turns = append(turns, traces[id])
		}
	}
	for i, turn := range turns {
		turn.think = unstated
		for _, earlier := range turns[:i] {
			gap := max(0, turn.start-earlier.end)
			if turn.think == unstated || gap < turn.think {
				turn.think = gap
			}
		}
	}
	return turns
}

func secondsOrNull(ns int64) any {
	if ns == unstated {
		return nil
	}
	return float64(ns) / 1e9
}

func sumOrNull(sum *any, n int64) {
	if n == unstated {
		return
	}
	if *sum == nil {
		*sum = int64(0)
	}
	*sum = (*sum).(int64) + n
}

func wantedSessions(a *activity) (sessions, turns []row) {
	of, callsOf := map[sessionName][]*activitySpan{}, map[sessionName]map[*toolCall]bool{}
	for i := range a.spans {
		if s := &a.spans[i]; s.kept&2 != 0 && s.session != "" {
			name := sessionName{s.run, s.service, s.session}
			of[name] = append(of[name], s)
		}
	}
	for _, c := range wantedCalls(a) {
		for _, s := range c.spans {
			name := sessionName{s.run, s.service, s.session}
			if callsOf[name] == nil {
				callsOf[name] = map[*toolCall]bool{}
			}
			callsOf[name][c] = true
		}
	}
	for name, spans := range of {
		calls := slices.Collect(maps.Keys(callsOf[name]))
		first, last := spans[0].start, spans[0].end()
		requests, errors, toolErrors, accepted, rejected, auto := 0, 0, 0, 0, 0, 0
		var input, output, cost any
		for _, s := range spans {
			first, last = min(first, s.start), max(last, s.end())
			if s.isRequest() {
				requests++
				if s.failed() {
					errors++
				}
			}
			sumOrNull(&input, s.input)
			sumOrNull(&output, s.output)
			sumOrNull(&cost, s.cost)
		}
		for _, c := range calls {
			if c.failed() {
				toolErrors++
			}
			if c.accepted() {
				accepted++
			}
			if c.decision() == "reject" {
				rejected++
			}
			if c.decision() == "auto" {
				auto++
			}
		}
		for _, j := range a.judged {
			if (sessionName{j.run, j.service, j.session}) == name {
				switch j.accepted {
				case 1:
					accepted++
				case 0:
					rejected++
				}
			}
		}
		var prompts any
		var response, think, thinks float64
		own := wantedTurns(spans, calls)
		for i, turn := range own {
			response += float64(turn.end-turn.start) / 1e9
			if turn.think != unstated {
				think += float64(turn.think) / 1e9
				thinks++
			}
			turns = append(turns, row{
				"run_id": name.run, "service": name.service, "session_id": name.session, "turn": i + 1, "start_ns": at(turn.start),
				"start_utc": utc(turn.start), "end_ns": at(turn.end), "response_time_s": float64(turn.end-turn.start) / 1e9,
				"think_time_s": secondsOrNull(turn.think), "requests": turn.requests, "tool_calls": turn.calls,
			})
		}
		if len(own) > 0 {
			prompts = len(own)
		}
		if cost != nil {
			cost = float64(cost.(int64)) / 1e9
		}
		var score any
		if len(calls) > 0 && accepted+rejected > 0 {
			failing := float64(toolErrors) / float64(len(calls))
			score = 50 + 25*(1-failing) - 15*failing + 10*float64(accepted)/float64(accepted+rejected)
		}
		sessions = append(sessions, row{
			"run_id": name.run, "service": name.service, "session_id": name.session, "first_utc": utc(first), "last_utc": utc(last),
			"duration_s": float64(last-first) / 1e9, "requests": requests, "errors": errors, "tool_calls": len(calls), "tool_errors": toolErrors,
			"tools_per_minute": ratio(float64(len(calls))*60e9, float64(last-first)), "prompts": prompts,
			"think_time_s": ratio(think, thinks), "response_time_s": ratio(response, float64(len(own))),
			"accepted": accepted, "rejected": rejected, "auto_accepted": auto, "acceptance_rate": ratio(float64(accepted), float64(accepted+rejected)),
			"productivity_score": score, "input_tokens": input, "output_tokens": output, "cost_usd": cost,
		})
	}
	return sessions, turns
}

func TestSessions(t *testing.T) {
	eachActivity(t, func(t *testing.T, a *activity, path string) {
		sessions, turns := wantedSessions(a)
		requireView(t, path, "turns", []string{"run_id", "service", "session_id", "turn"}, turns)
		requireView(t, path, "sessions", []string{"run_id", "service", "session_id"}, sessions)
	})
}

// TestToolsPerMinute: six tools in 120 s.
func TestToolsPerMinute(t *testing.T) {
	spans := toolSpans(6, func(i int, s *activitySpan) { s.start, s.duration = int64(i)*20*second, 20*second })
	got := only(t, activity{spans: spans}, "sessions")
	require.InDelta(t, 3.0, got["tools_per_minute"], 1e-12)
	require.InDelta(t, 120.0, got["duration_s"], 1e-12)
	require.Nil(t, only(t, activity{spans: toolSpans(1, func(_ int, s *activitySpan) { s.duration = -1 })}, "sessions")["tools_per_minute"])
}

// TestWithoutSignals: nothing is assumed, and every call counts.
func TestWithoutSignals(t *testing.T) {
	a := activity{spans: toolSpans(10, func(i int, s *activitySpan) {
		if i%2 == 0 {
			s.outcome = "other_error"
		}
	})}
	got := only(t, a, "sessions")
	require.Equal(t, int64(10), got["tool_calls"])
	require.Equal(t, int64(5), got["tool_errors"])
	for _, column := range []string{"acceptance_rate", "productivity_score", "think_time_s", "input_tokens", "output_tokens", "cost_usd"} {
		require.Nil(t, got[column], column)
	}
}

// TestTurnsOfAgents: a subagent is part of the turn it starts in.
func TestTurnsOfAgents(t *testing.T) {
	agent := func(start, duration int64) activitySpan {
		return aSpan(func(s *activitySpan) {
			s.category, s.role, s.session, s.start, s.duration, s.trace, s.span = "agent", 1, "s", start*second, duration*second, 1, uint64(start+1)
		})
	}
	a := activity{spans: []activitySpan{agent(0, 10), agent(2, 3), agent(10, 5), agent(35, 5)}}
	got := only(t, a, "sessions")
	for column, want := range map[string]any{"prompts": int64(3), "think_time_s": 10.0, "response_time_s": 20.0 / 3} {
		requireClose(t, want, got[column], column)
	}
}

func TestSingleSpanOfASession(t *testing.T) {
	a := activity{spans: []activitySpan{aSpan(func(s *activitySpan) { s.session, s.duration = "s", -1 })}}
	sessions, turns := wantedSessions(&a)
	path := a.file(t, seedtest.Rand(t))
	requireView(t, path, "sessions", []string{"session_id"}, sessions)
	requireView(t, path, "turns", []string{"turn"}, turns)
	require.Equal(t, 0.0, sessions[0]["duration_s"])
	require.Equal(t, 1, sessions[0]["prompts"])
}
