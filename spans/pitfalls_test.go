package spans

// These are ways in which spans were once misread.

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

type say = map[string]any

var serviceOnly = say{"service.name": "shop"}

func pitfallSpan(resource, span say) (ptrace.Traces, ptrace.Span) {
	b := ptrace.NewTraces()
	rs := b.ResourceSpans().AppendEmpty()
	_ = rs.Resource().Attributes().FromRaw(resource)
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	_ = s.Attributes().FromRaw(span)
	s.SetName("name")
	s.SetTraceID(pcommon.TraceID{1})
	s.SetSpanID(pcommon.SpanID{1})
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(goldenNow))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(goldenNow.Add(time.Second)))
	return b, s
}

func pitfallEvent(s ptrace.Span, name string, attributes say) {
	e := s.Events().AppendEmpty()
	e.SetName(name)
	e.SetTimestamp(s.StartTimestamp() + 1000)
	_ = e.Attributes().FromRaw(attributes)
}

func full(o Options, b ptrace.Traces) (got aggregator.Request) {
	for r := range NewReader(o).Requests(b, goldenNow, nil) {
		got = *r
	}
	return got
}

func chatWith(extra say) say {
	a := say{"gen_ai.operation.name": "chat"}
	for k, v := range extra {
		a[k] = v
	}
	return a
}

// TestDimensionHidesNoField: a dimension of the same name takes nothing
// from the fields of Claude Code.
func TestDimensionHidesNoField(t *testing.T) {
	b, s := pitfallSpan(serviceOnly, say{"model": "claude-x", "input_tokens": int64(10), "cache_read_tokens": int64(3), "success": false})
	s.SetName("claude_code.llm_request")
	got := full(Options{Dimensions: []Dimension{{Name: "model"}, {Name: "input_tokens"}, {Name: "success"}}}, b)
	assert.Equal(t, "claude-x", got.Series.Model)
	assert.EqualValues(t, 13, got.InputTokens)
	assert.Equal(t, aggregator.OutcomeOtherError, got.Series.Outcome)
}

// TestFinishReasonIsAWord: what is no word is no finish reason, and does not hide the next name.
func TestFinishReasonIsAWord(t *testing.T) {
	for _, v := range []any{
		[]any{say{"message": "canary"}}, []any{[]any{"canary"}}, `{"a":"canary"}`, `[{"canary":"x"}]`, []any{[]byte("canary")},
	} {
		b, _ := pitfallSpan(serviceOnly, chatWith(say{"gen_ai.response.finish_reasons": v}))
		assert.Empty(t, full(Options{}, b).FinishReason, "%v", v)
	}
}

// TestTokensDescribeNoRun: other fields do not look like a description of the run.
func TestTokensDescribeNoRun(t *testing.T) {
	resource := say{"service.name": "s", "service.version": "1.2.3"}
	a, _ := pitfallSpan(resource, say{"chaos.run.id": "r"})
	b, _ := pitfallSpan(resource, chatWith(say{"chaos.run.id": "r", "gen_ai.usage.input_tokens": int64(1)}))
	x, y := full(Options{}, a), full(Options{}, b)
	assert.Equal(t, x.RunFacts, y.RunFacts)
	assert.Zero(t, y.Details)
}

// TestNoDelayIsNoFault: a delay or status of nothing marks no fault.
func TestNoDelayIsNoFault(t *testing.T) {
	for _, name := range []string{"chaos.fault.latency_ms", "injected_delay_ms", "fault.target_status", "http.request.header.x-envoy-fault-delay-request"} {
		for _, v := range []any{"", int64(0), 0.0, "none", []any{}, false} {
			b, _ := pitfallSpan(serviceOnly, say{name: v})
			assert.Empty(t, full(Options{}, b).Series.Fault, "%s=%v", name, v)
		}
	}
}

// TestFaultEvents: an event is read as attributes are, also where it denies.
func TestFaultEvents(t *testing.T) {
	for want, attributes := range map[string]say{
		"latency": {"fault.latency_ms": int64(200)}, "abort": {"fault.target_status": int64(503)}, "": {"chaos.fault.type": "none"},
	} {
		b, s := pitfallSpan(serviceOnly, nil)
		pitfallEvent(s, "fault.injected", attributes)
		assert.Equal(t, want, full(Options{}, b).Series.Fault)
	}
}

// TestLangfuseCached: cached tokens are added however the rest is counted.
func TestLangfuseCached(t *testing.T) {
	const details = "langfuse.observation.usage_details"
	for name, a := range map[string]say{
		"usage of Anthropic": {details: `{"input_tokens":10,"output_tokens":5,"cache_read_input_tokens":100}`},
		"half in attributes": {details: `{"cache_read_input_tokens":100}`, "gen_ai.usage.input_tokens": int64(10)},
		"empty text":         {details: "", "gen_ai.usage.input_tokens": int64(10), "gen_ai.usage.cache_read.input_tokens": int64(100)},
		"no JSON":            {details: "{", "gen_ai.usage.input_tokens": int64(10), "gen_ai.usage.cache_read.input_tokens": int64(100)},
	} {
		b, _ := pitfallSpan(serviceOnly, chatWith(a))
		assert.EqualValues(t, 110, full(Options{}, b).InputTokens, name)
	}
}

// TestUsageDetailsAreDeterministic: of two entries of one name, that of the object itself counts.
func TestUsageDetailsAreDeterministic(t *testing.T) {
	b, _ := pitfallSpan(serviceOnly, chatWith(say{"langfuse.observation.usage_details": `{"prompt_tokens":10,` +
		`"prompt_tokens_details.cached_tokens":5,"prompt_tokens_details":{"cached_tokens":7}}`}))
	seen := map[int64]int{}
	for range 200 {
		seen[full(Options{}, b).CacheReadTokens]++
	}
	assert.Len(t, seen, 1)
}

// TestErrorsOfVercel: the errors of the Vercel AI SDK begin with AI_.
func TestErrorsOfVercel(t *testing.T) {
	for _, name := range []string{"AI_JSONParseError", "AI_TypeValidationError", "AI_InvalidResponseDataError"} {
		b, s := pitfallSpan(serviceOnly, say{"ai.operationId": "ai.generateObject.doGenerate"})
		s.Status().SetCode(ptrace.StatusCodeError)
		pitfallEvent(s, "exception", say{"exception.type": name})
		assert.Equal(t, aggregator.OutcomeMalformed, full(Options{}, b).Series.Outcome, name)
	}
}

// TestConnectionErrors: names of errors that clients have for a lost connection.
func TestConnectionErrors(t *testing.T) {
	for _, name := range []string{
		"*net.OpError", "aiohttp.client_exceptions.ClientConnectorError", "urllib3.exceptions.NewConnectionError",
		"aiohttp.client_exceptions.ServerDisconnectedError", "name_resolution_error", "secure_connection_error", "BrokenPipeError",
		"java.net.NoRouteToHostException", "EAI_AGAIN", "UND_ERR_SOCKET",
	} {
		b, _ := pitfallSpan(serviceOnly, say{"error.type": name})
		assert.Equal(t, aggregator.OutcomeConnectionError, full(Options{}, b).Series.Outcome, name)
	}
}

// TestNotesOfRequests: what only rows need is not noted, since folding does not see it.
func TestNotesOfRequests(t *testing.T) {
	b, _ := pitfallSpan(say{"service.name": "s", "host.name": []any{"x"}}, say{"url.path": []any{"x"}})
	for o := range NewReader(Options{}).Observations(b, goldenNow) {
		assert.Equal(t, *o, full(Options{}, b).Observation)
	}
}

// TestNumberedMessages: messages are counted, not measured by their highest number.
func TestNumberedMessages(t *testing.T) {
	for want, a := range map[int64]say{
		2: {"gen_ai.input.messages": "", "ai.prompt.messages": `[{"a":1},{"b":2}]`},
		1: {"llm.input_messages.2147483647.message.role": "user"},
		3: {"gen_ai.input.messages": `[{"cut o`, "llm.input_messages.0.x": "", "llm.input_messages.1.x": "", "llm.input_messages.2.x": ""},
	} {
		b, _ := pitfallSpan(serviceOnly, chatWith(a))
		assert.Equal(t, want, full(Options{}, b).MessageCount)
	}
}

// TestEndpointHoldsNoPathAndNoQuery: an endpoint is no URL, wherever that is written.
func TestEndpointHoldsNoPathAndNoQuery(t *testing.T) {
	for _, name := range []string{"server.address", "http.host", "http.route", "url.template"} {
		b, _ := pitfallSpan(serviceOnly, say{name: "https://user:canary@host/v1/canary?q=canary"})
		assert.NotContains(t, full(Options{}, b).Endpoint, "canary", name)
	}
}

// TestProvidersHoweverWritten: in any case, and with parts.
func TestProvidersHoweverWritten(t *testing.T) {
	for written, want := range map[string]string{
		"Gemini": "gcp.gemini", "Mistral": "mistral_ai", "AZURE": "azure.ai.openai", "XAI": "x_ai", "aws.sagemaker": "aws.sagemaker",
		"google.generative-ai.chat": "gcp.gemini", "google.vertex.x": "gcp.vertex_ai", "azure.ai.agents": "azure.ai.agents",
	} {
		b, _ := pitfallSpan(serviceOnly, chatWith(say{"gen_ai.system": written}))
		assert.Equal(t, want, full(Options{}, b).Series.Provider, written)
	}
}

// TestPriceOfALongModelIsCheap: matching patterns takes time; no model has a name of megabytes.
func TestPriceOfALongModelIsCheap(t *testing.T) {
	var prices []Price
	for range 50 {
		prices = append(prices, Price{Model: "*claude-3-5-sonnet*"})
	}
	b, _ := pitfallSpan(serviceOnly, chatWith(say{"gen_ai.request.model": strings.Repeat("c", 4<<20), "gen_ai.usage.input_tokens": int64(1)}))
	reader, begin := NewReader(Options{Prices: prices}), time.Now()
	for range reader.Observations(b, goldenNow) {
		continue
	}
	assert.Less(t, time.Since(begin), 200*time.Millisecond)
}

// TestGlobCountsCharacters: not bytes, also after a star.
func TestGlobCountsCharacters(t *testing.T) {
	assert.False(t, matches("*??bc", "金bc"))
}

// TestNothingHappensInTheFuture: what happens in the future is not believed.
func TestNothingHappensInTheFuture(t *testing.T) {
	b, s := pitfallSpan(serviceOnly, nil)
	pitfallEvent(s, "circuit_breaker.opened", say{"circuit.name": "c"})
	pitfallEvent(s, "gen_ai.evaluation.result", say{"gen_ai.evaluation.name": "e"})
	for i := range 2 {
		s.Events().At(i).SetTimestamp(1<<63 - 1) // the year 2262; a span that starts there is rejected
	}
	got := full(Options{}, b)
	assert.Empty(t, got.Circuits)
	assert.Less(t, got.Evaluations[0].AtUnixNano, goldenNow.Add(48*time.Hour).UnixNano())
}

// TestInjectorsMayOnlyProbe: a fault on the resource does not make every span of an injector a window.
func TestInjectorsMayOnlyProbe(t *testing.T) {
	b, s := pitfallSpan(say{"service.name": "chaos_experiment_job", "chaos.fault": "pod-delete"}, nil)
	s.SetName("RunProbes")
	assert.Nil(t, full(Options{}, b).Window, "the fault of the resource")
	b, s = pitfallSpan(say{"service.name": "chaos_experiment_job"}, say{"chaos.role": "observer"})
	s.SetName("RunProbes")
	assert.Nil(t, full(Options{}, b).Window, "another role")
}

// TestCircuitOfConfiguredField: events are read by the configured names, too.
func TestCircuitOfConfiguredField(t *testing.T) {
	b, s := pitfallSpan(serviceOnly, nil)
	pitfallEvent(s, "circuit_breaker.opened", say{"my.circuit": "c"})
	assert.Len(t, full(Options{Fields: map[string][]string{"circuit": {"my.circuit"}}}, b).Circuits, 1)
}

// TestClaudeCodeInputAsConfigured: a configured name that counts without cached tokens still does.
func TestClaudeCodeInputAsConfigured(t *testing.T) {
	b, s := pitfallSpan(serviceOnly, say{"input_tokens": int64(10), "cache_read_tokens": int64(3)})
	s.SetName("claude_code.llm_request")
	assert.EqualValues(t, 13, full(Options{Fields: map[string][]string{"input_tokens": {"input_tokens"}}}, b).InputTokens)
}

// TestEmptyAttributesDecideNoCategory: an empty name of a system is none.
func TestEmptyAttributesDecideNoCategory(t *testing.T) {
	for _, name := range []string{"db.system.name", "messaging.system"} {
		b, _ := pitfallSpan(serviceOnly, say{name: ""})
		assert.Equal(t, aggregator.CategoryOther, full(Options{}, b).Series.Category, name)
	}
}

// TestDetailsAnnounceWhatARequestHolds: a batch is read in full only where an observation says so.
func TestDetailsAnnounceWhatARequestHolds(t *testing.T) {
	for name, batch := range goldenCases(t) {
		for r := range NewReader(Options{}).Requests(batch, goldenNow, nil) {
			if r.Rejected != aggregator.NotRejected {
				continue
			}
			if r.SpanName == "out_of_band" {
				continue // its judgements are numbered from 3 on: only full rows have them
			}
			if len(r.Circuits)+len(r.Evaluations) > 0 || r.Window != nil || r.Series.Fault != "" || r.Circuit != "" || r.RunFacts != (aggregator.RunFacts{}) {
				assert.NotZero(t, r.Details&aggregator.DetailsOfEvents, "%s: %s", name, r.SpanName)
			}
			if r.Session != "" || r.Role != aggregator.RoleNone || r.ToolCallID != "" || r.Decision != "" {
				assert.NotZero(t, r.Details&aggregator.DetailsOfSession, "%s: %s", name, r.SpanName)
			}
		}
	}
}
