package analysis_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/folding"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// settled asks when all has settled, unless it is said when.
func settled(q analysis.Query) analysis.Query {
	if q.Now.IsZero() {
		q.Now = later
	}
	return q
}

func sessions(q analysis.SessionsQuery) func(context.Context, *sql.Tx) (*analysis.Sessions, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.Sessions, error) {
		q.Query = settled(q.Query)
		return analysis.AskSessions(ctx, tx, q)
	}
}

func tools(q analysis.Query) func(context.Context, *sql.Tx) (*analysis.Tools, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.Tools, error) {
		return analysis.AskTools(ctx, tx, settled(q))
	}
}

func circuits(q analysis.CircuitsQuery) func(context.Context, *sql.Tx) (*analysis.Circuits, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.Circuits, error) {
		q.Query = settled(q.Query)
		return analysis.AskCircuits(ctx, tx, q)
	}
}

func oneOf[T any](r *rand.Rand, values ...T) T { return values[r.IntN(len(values))] }

// randomActivity tells of agents, chats and parts of tool calls that belong
// together in all the ways there are: ids from small spaces, or none.
func randomActivity(r *rand.Rand) *story {
	s := newStory()
	for range 20 + r.IntN(120) {
		s.run = oneOf(r, "run-1", "run-1", "run-2", "")
		var a []any
		name := ""
		switch r.IntN(8) {
		case 0:
			name = "claude_code.tool"
		case 1:
			name = "claude_code.tool.blocked_on_user"
		case 2:
			name = "claude_code.tool.execution"
		case 3, 4:
			a = append(a, "gen_ai.operation.name", "execute_tool")
		case 5:
			a = append(a, "gen_ai.operation.name", "invoke_agent")
		default:
			a = append(a, "gen_ai.operation.name", "chat", "gen_ai.usage.input_tokens", r.Int64N(100), "gen_ai.usage.cost", float64(r.IntN(9)))
		}
		if r.IntN(3) > 0 {
			a = append(a, "gen_ai.tool.name", oneOf(r, "search", "edit", "Bash"))
		}
		if r.IntN(3) == 0 {
			a = append(a, "gen_ai.tool.call.id", oneOf(r, "c1", "c2", "c3"))
		}
		if r.IntN(4) > 0 {
			a = append(a, "gen_ai.conversation.id", oneOf(r, "s1", "s2", "s3"))
		}
		if r.IntN(4) == 0 {
			a = append(a, "coding_agent.edit.decision", oneOf(r, "accept", "reject", "auto", "modify"))
		}
		if r.IntN(5) == 0 {
			a = append(a, "error.type", "TimeoutError")
		}
		span := s.span(float64(r.IntN(60)), oneOf(r, 0, 1, 2.5, 10)*oneOf(r, 1, 1, 0.001), a...)
		span.SetName(name)
		span.SetTraceID(pcommon.TraceID(append(make([]byte, 8), binary.BigEndian.AppendUint64(nil, r.Uint64N(5))...)))
		span.SetSpanID(pcommon.SpanID(binary.BigEndian.AppendUint64(nil, r.Uint64N(30))))
		span.SetParentSpanID(pcommon.SpanID(binary.BigEndian.AppendUint64(nil, r.Uint64N(30))))
		if r.IntN(9) == 0 {
			e := span.Events().AppendEmpty()
			e.SetName("gen_ai.evaluation.result")
			e.SetTimestamp(span.StartTimestamp())
			e.Attributes().PutStr("gen_ai.evaluation.name", "quality")
			e.Attributes().PutStr("gen_ai.evaluation.score.label", oneOf(r, "pass", "fail", "perhaps"))
		}
	}
	return s
}

// sameAs compares a figure with the column of a relation.
func sameAs(t *testing.T, want any, got any, what string) {
	t.Helper()
	switch v := got.(type) {
	case *float64:
		if want == nil || v == nil {
			require.True(t, want == nil && v == nil, "%s: %v, want %v", what, v, want)
			return
		}
		require.InDelta(t, want, *v, 1e-9, what)
	case *int64:
		if want == nil || v == nil {
			require.True(t, want == nil && v == nil, "%s: %v, want %v", what, v, want)
			return
		}
		require.Equal(t, want, *v, what)
	case float64:
		require.InDelta(t, want, v, 1e-9, what)
	default:
		require.Equal(t, want, got, what)
	}
}

func TestSessionsAndToolsAgreeWithTheRelations(t *testing.T) {
	r := seedtest.Rand(t)
	for round := range 25 {
		path := randomActivity(r).file(t, func(o *folding.Settings) {
			if round%2 == 0 {
				o.Storage.DedupWindow = 0 // several spans of one id
			}
		})
		for _, run := range []string{"run-1", "run-2", ""} {
			if len(view(t, path, "SELECT 1 FROM run WHERE run_id = ?", run)) == 0 {
				continue
			}
			answer := ask(t, path, tools(analysis.Query{Run: &run}))
			rows := view(t, path, "SELECT * FROM tools WHERE run_id = ? ORDER BY calls DESC, tool", run)
			require.Len(t, answer.Rows, len(rows))
			for i, row := range rows {
				got := answer.Rows[i]
				what := fmt.Sprintf("tool %q of run %q: ", got.Tool, run)
				for column, figure := range map[string]any{
					"tool": got.Tool, "calls": got.Calls, "errors": got.Errors, "error_rate": got.ErrorRate, "share": got.Share,
					"avg_latency_ms": got.AvgMS, "p50_latency_ms": got.P50MS, "p95_latency_ms": got.P95MS, "p99_latency_ms": got.P99MS,
					"wait_ms_avg": got.WaitAvgMS, "accepted": got.Accepted, "rejected": got.Rejected, "auto_accepted": got.AutoAccepted,
					"acceptance_rate": got.AcceptanceRate,
				} {
					sameAs(t, row[column], figure, what+column)
				}
			}
		}
		answer := ask(t, path, sessions(analysis.SessionsQuery{Sort: "start"}))
		rows := view(t, path, "SELECT * FROM sessions")
		require.Len(t, answer.Rows, len(rows))
		require.Equal(t, int64(len(rows)), answer.Total.Sessions)
		byKey := map[[3]string]map[string]any{}
		for _, row := range rows {
			byKey[[3]string{row["run_id"].(string), row["service"].(string), row["session_id"].(string)}] = row
		}
		for _, s := range answer.Rows {
			row := byKey[[3]string{s.RunID, s.Service, s.SessionID}]
			what := fmt.Sprintf("session %q of run %q: ", s.SessionID, s.RunID)
			for column, figure := range map[string]any{
				"first_utc": s.FirstUTC, "last_utc": s.LastUTC, "duration_s": s.DurationS, "requests": s.Requests, "errors": s.Errors,
				"tool_calls": s.ToolCalls, "tool_errors": s.ToolErrors, "tools_per_minute": s.ToolsPerMinute, "prompts": s.Prompts,
				"think_time_s": s.ThinkTimeS, "response_time_s": s.ResponseTimeS, "accepted": s.Accepted, "rejected": s.Rejected,
				"auto_accepted": s.AutoAccepted, "acceptance_rate": s.AcceptanceRate, "productivity_score": s.Productivity,
				"input_tokens": s.InputTokens, "output_tokens": s.OutputTokens, "cost_usd": s.CostUSD,
			} {
				sameAs(t, row[column], figure, what+column)
			}
		}
	}
}

// The totals are those of all sessions, and every order puts the most first.
func TestSessionsAreSortedAndLimited(t *testing.T) {
	r := seedtest.Rand(t)
	path := randomActivity(r).file(t, asItIs)
	all := ask(t, path, sessions(analysis.SessionsQuery{}))
	require.Equal(t, "requests", all.Sort)
	var requests, calls int64
	for _, s := range all.Rows {
		requests += s.Requests
		calls += s.ToolCalls
	}
	require.Equal(t, []int64{requests, calls}, []int64{all.Total.Requests, all.Total.ToolCalls})
	value := map[string]func(*analysis.Session) float64{
		"requests": func(s *analysis.Session) float64 { return float64(s.Requests) }, "errors": func(s *analysis.Session) float64 { return float64(s.Errors) },
		"tool_calls": func(s *analysis.Session) float64 { return float64(s.ToolCalls) }, "duration": func(s *analysis.Session) float64 { return s.DurationS },
		"start": func(s *analysis.Session) float64 { return float64(s.FirstNS) },
		"cost": func(s *analysis.Session) float64 {
			if s.CostUSD == nil {
				return 0
			}
			return *s.CostUSD
		},
		"tokens": func(s *analysis.Session) float64 {
			sum := int64(0)
			for _, n := range []*int64{s.InputTokens, s.OutputTokens} {
				if n != nil {
					sum += *n
				}
			}
			return float64(sum)
		},
	}
	for _, sort := range analysis.SessionSorts {
		sorted := ask(t, path, sessions(analysis.SessionsQuery{Sort: sort}))
		require.Len(t, sorted.Rows, len(all.Rows))
		for i := 1; i < len(sorted.Rows); i++ {
			require.GreaterOrEqual(t, value[sort](&sorted.Rows[i-1]), value[sort](&sorted.Rows[i]), sort)
		}
		few := ask(t, path, sessions(analysis.SessionsQuery{Sort: sort, Limit: 3}))
		require.Equal(t, sorted.Rows[:3], few.Rows, sort)
		require.Equal(t, all.Total, few.Total, sort)
	}
	for _, row := range all.Rows {
		one := ask(t, path, sessions(analysis.SessionsQuery{SessionID: &row.SessionID, Service: &row.Service, Query: analysis.Query{Run: &row.RunID}}))
		require.Equal(t, []analysis.Session{row}, one.Rows)
		require.Equal(t, []int64{1, row.Requests, row.ToolCalls}, []int64{one.Total.Sessions, one.Total.Requests, one.Total.ToolCalls})
	}
	nobody := "nobody"
	require.Empty(t, ask(t, path, sessions(analysis.SessionsQuery{SessionID: &nobody})).Rows)
	_, err := try(t, path, sessions(analysis.SessionsQuery{Sort: "fame"}))
	require.ErrorIs(t, err, analysis.ErrQuery)
}

// Of an interval only the spans that start in it count: its end is not in it.
func TestSessionsAndToolsOfAnInterval(t *testing.T) {
	s := newStory()
	for i := range 6 {
		s.span(float64(i*10), 2, "gen_ai.operation.name", "execute_tool", "gen_ai.tool.name", "search", "gen_ai.conversation.id", "s")
		s.chat(float64(i*10), 1, "gen_ai.conversation.id", "s")
	}
	path := s.file(t, asItIs)
	q := analysis.Query{From: storyStart.Add(10 * time.Second), To: storyStart.Add(30 * time.Second)}
	require.Equal(t, int64(2), ask(t, path, tools(q)).Total.Calls)
	got := ask(t, path, sessions(analysis.SessionsQuery{Query: q})).Rows
	require.Len(t, got, 1)
	// Without an agent every trace is a turn.
	require.Equal(t, []any{int64(2), int64(2), 12.0, int64(4)}, []any{got[0].Requests, got[0].ToolCalls, got[0].DurationS, *got[0].Prompts})
	// Six tools in 120 s are three a minute.
	s.span(60, 60, "gen_ai.operation.name", "chat", "gen_ai.conversation.id", "s")
	require.Equal(t, 3.0, *ask(t, s.file(t, asItIs), sessions(analysis.SessionsQuery{})).Rows[0].ToolsPerMinute)
}
