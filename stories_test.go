package spanbucketexporter

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// storyStart is second 0 of the stories below, whose figures were worked out by
// hand.
var storyStart = time.Date(2026, 1, 30, 10, 0, 0, 0, time.UTC)

// story is what happened in one run, told span by span.
type story struct{ spans ptrace.Traces }

func newStory() *story { return &story{ptrace.NewTraces()} }

func storyTime(second float64) pcommon.Timestamp {
	return pcommon.Timestamp(storyStart.UnixNano() + int64(second*1e9))
}

// span tells of a span that starts at a second and lasts some.
func (s *story) span(start, lasts float64, attributes map[string]any) ptrace.Span {
	resource := s.spans.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "app")
	resource.Resource().Attributes().PutStr("chaos.run.id", "run-1")
	span := resource.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	id := binary.BigEndian.AppendUint64(nil, uint64(s.spans.SpanCount()))
	span.SetTraceID(pcommon.TraceID(append(make([]byte, 8), id...)))
	span.SetSpanID(pcommon.SpanID(id))
	span.SetStartTimestamp(storyTime(start))
	span.SetEndTimestamp(storyTime(start + lasts))
	if err := span.Attributes().FromRaw(attributes); err != nil {
		panic(err)
	}
	return span
}

// chat tells of a chat with further attributes, by name and value.
func (s *story) chat(start, lasts float64, more ...any) ptrace.Span {
	attributes := map[string]any{"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
	for i := 0; i < len(more); i += 2 {
		attributes[more[i].(string)] = more[i+1]
	}
	return s.span(start, lasts, attributes)
}

// requireStory sends the spans and compares the only row of a query.
func (s *story) requireStory(t *testing.T, change func(*Config), text string, want row) {
	t.Helper()
	path := newFile(t)
	config := testConfig(path)
	change(config)
	e := startExporter(t, config)
	require.NoError(t, e.ConsumeTraces(t.Context(), s.spans))
	stopExporter(t, e)
	require.Equal(t, []row{want}, query(t, openReader(t, path), text))
}

func asItIs(*Config) {}

// TestStoryOfALatencyFault: a minute of calm with a call of 200 ms a second, a
// fault of 30 s that holds calls up for 2 s and fails every third, 20 s in which
// all calls fail, calm again. Calls of the fault end up to 1.7 s after it, which
// is no reason to look away meanwhile.
func TestStoryOfALatencyFault(t *testing.T) {
	s := newStory()
	for i := range 150 {
		start := float64(i) + 0.5
		switch {
		case i < 60 || i >= 110:
			s.chat(start, 0.2)
		case i >= 90:
			s.chat(start, 1, "error.type", "503")
		case i%3 == 0:
			s.chat(start, 2.2, "chaos.fault.type", "latency", "chaos.fault.latency_ms", 2000, "error.type", "504")
		default:
			s.chat(start, 2.2, "chaos.fault.type", "latency", "chaos.fault.latency_ms", 2000)
		}
	}
	s.span(60, 30, map[string]any{"chaos.role": "injector", "chaos.fault.type": "latency"})
	s.requireStory(t, asItIs, `SELECT i.requests_before, i.error_rate_before, i.p50_latency_ms_before, i.requests_during,
		round(i.error_rate_during * i.requests_during, 6) AS failed_during, i.avg_latency_ms_during, i.avg_net_latency_ms_during,
		i.requests_after, round(i.error_rate_after * i.requests_after, 6) AS failed_after, i.straddling, i.edge_share, i.recovery_s,
		w.requests, (SELECT count(*) FROM fault_windows) AS windows
		FROM fault_impact AS i JOIN fault_windows AS w USING (window_id) WHERE w.source = 'injector'`, row{
		"requests_before": 60.0, "error_rate_before": 0.0, "p50_latency_ms_before": 200.0,
		"requests_during": 30.0, "failed_during": 10.0, "avg_latency_ms_during": 2200.0, "avg_net_latency_ms_during": 200.0,
		"requests_after": 60.0, "failed_after": 20.0, "straddling": 0.0, "edge_share": 0.0, "recovery_s": 20.0,
		"requests": int64(30), "windows": int64(2),
	})
}

// TestStoryOfAStraggler: a minute of calm, a fault of 30 s, and all calls fail
// for 200 s after it. One call of the fault gives up after five minutes.
func TestStoryOfAStraggler(t *testing.T) {
	s := newStory()
	for i := range 600 {
		start := float64(i) + 0.5
		switch {
		case i >= 60 && i < 90:
			s.chat(start, 0.4, "chaos.fault.type", "latency")
		case i >= 90 && i < 290:
			s.chat(start, 0.4, "error.type", "503")
		default:
			s.chat(start, 0.2)
		}
	}
	s.chat(89, 300, "chaos.fault.type", "latency", "error.type", "timeout")
	s.span(60, 30, map[string]any{"chaos.role": "injector", "chaos.fault.type": "latency"})
	s.requireStory(t, asItIs, `SELECT requests_during, requests_after, round(error_rate_after * requests_after, 6) AS failed_after, recovery_s
		FROM fault_impact WHERE window_id LIKE 'injector%'`, row{
		"requests_during": 31.0, "requests_after": 510.0, "failed_after": 200.0, "recovery_s": 200.0,
	})
}

// TestStoryOfTwoFaults: the second begins before the first has ended, and all
// calls fail until it ends: when the first was over, nobody can say.
func TestStoryOfTwoFaults(t *testing.T) {
	s := newStory()
	for i := range 200 {
		if i >= 60 && i < 120 {
			s.chat(float64(i)+0.5, 0.2, "error.type", "503")
			continue
		}
		s.chat(float64(i)+0.5, 0.2)
	}
	s.span(60, 30, map[string]any{"chaos.role": "injector", "chaos.fault.type": "a"})
	s.span(85, 35, map[string]any{"chaos.role": "injector", "chaos.fault.type": "b"})
	s.requireStory(t, asItIs, `SELECT max(recovery_s) FILTER (WHERE fault = 'a') AS a, max(recovery_s) FILTER (WHERE fault = 'b') AS b,
		min(requests_after) AS requests_after FROM fault_impact`, row{"a": nil, "b": 0.0, "requests_after": 80.0})
}

// TestStoryWithoutRequests: at a sampling ratio of 0 what a fault did to
// requests is not known.
func TestStoryWithoutRequests(t *testing.T) {
	s := newStory()
	for i := range 150 {
		s.chat(float64(i)+0.5, 0.2)
	}
	s.span(60, 30, map[string]any{"chaos.role": "injector", "chaos.fault.type": "latency"})
	s.requireStory(t, func(c *Config) { c.Requests.SamplingRatio = 0 },
		"SELECT requests_before, requests_during, requests_after, straddling, edge_share, recovery_s FROM fault_impact", row{
			"requests_before": nil, "requests_during": nil, "requests_after": nil, "straddling": nil, "edge_share": 0.0, "recovery_s": nil,
		})
}

// TestStoryOfABreaker: a circuit breaker opens at 10 s, tries at 40 s, opens
// anew at 41 s, tries at 71 s and closes at 72 s. Meanwhile it rejects five
// calls, of which the file knows also where it keeps no requests.
func TestStoryOfABreaker(t *testing.T) {
	for _, ratio := range []float64{0, 1} {
		t.Run(fmt.Sprint("sampling_ratio ", ratio), func(t *testing.T) {
			s := newStory()
			for _, change := range []struct {
				at       float64
				from, to string
			}{{10, "closed", "open"}, {40, "open", "half_open"}, {41, "half_open", "open"}, {71, "open", "half_open"}, {72, "half_open", "closed"}} {
				event := s.chat(change.at-0.1, 0.2).Events().AppendEmpty()
				event.SetName("circuit_breaker.state_change")
				event.SetTimestamp(storyTime(change.at))
				event.Attributes().PutStr("circuit_breaker.name", "payments")
				event.Attributes().PutStr("circuit_breaker.from_state", change.from)
				event.Attributes().PutStr("circuit_breaker.to_state", change.to)
			}
			for i := range 5 {
				s.chat(20+float64(i), 0.001, "error.type", "CircuitOpenError", "circuit_breaker.name", "payments", "circuit_breaker.state", "open")
			}
			s.requireStory(t, func(c *Config) { c.Requests.SamplingRatio = ratio },
				"SELECT trips, reopened, open_s, recovery_s, rejected, state, (SELECT count(*) FROM circuits) AS changes FROM circuit_totals", row{
					"trips": int64(1), "reopened": int64(1), "open_s": 60.0, "recovery_s": 62.0, "rejected": int64(5), "state": "closed", "changes": int64(5),
				})
		})
	}
}

// TestStoryOfASession: two turns of half a minute with a minute of thought in
// between; six tool calls in the two minutes, one of which fails, and a chat
// that does.
func TestStoryOfASession(t *testing.T) {
	s := newStory()
	const session = "gen_ai.conversation.id"
	agent := map[string]any{"gen_ai.operation.name": "invoke_agent", session: "c-1"}
	s.span(0, 30, agent)
	s.span(90, 30, agent)
	s.chat(1, 4, session, "c-1", "gen_ai.usage.input_tokens", 10, "gen_ai.usage.output_tokens", 5)
	s.chat(91, 4, session, "c-1", "error.type", "429")
	for i, at := range []float64{6, 9, 100, 101, 102, 103} {
		attributes := map[string]any{
			"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "Bash", "gen_ai.tool.call.id": fmt.Sprint("call-", i), session: "c-1",
		}
		if at == 9 {
			attributes["error.type"] = "exit status 1"
		}
		s.span(at, 0.5, attributes)
	}
	s.requireStory(t, asItIs, `SELECT duration_s, requests, errors, tool_calls, tool_errors, tools_per_minute, prompts, think_time_s,
		response_time_s, acceptance_rate, productivity_score, input_tokens, output_tokens, cost_usd FROM sessions`, row{
		"duration_s": 120.0, "requests": int64(2), "errors": int64(1), "tool_calls": int64(6), "tool_errors": int64(1),
		"tools_per_minute": 3.0, "prompts": int64(2), "think_time_s": 60.0, "response_time_s": 30.0,
		"acceptance_rate": nil, "productivity_score": nil, "input_tokens": int64(10), "output_tokens": int64(5), "cost_usd": nil,
	})
}
