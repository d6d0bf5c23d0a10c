package spans

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

type attributes = map[string]any

// happened is an event of a span, so long after its start.
type happened struct {
	name       string
	after      time.Duration
	attributes attributes
}

// spanWith returns a span of one second and its batch.
func spanWith(t *testing.T, resource, span attributes, events ...happened) (ptrace.Traces, ptrace.Span) {
	t.Helper()
	batch := ptrace.NewTraces()
	resourceSpans := batch.ResourceSpans().AppendEmpty()
	require.NoError(t, resourceSpans.Resource().Attributes().FromRaw(resource))
	s := resourceSpans.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	require.NoError(t, s.Attributes().FromRaw(span))
	s.SetName("name")
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(goldenNow))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(goldenNow.Add(time.Second)))
	for _, e := range events {
		event := s.Events().AppendEmpty()
		event.SetName(e.name)
		event.SetTimestamp(pcommon.NewTimestampFromTime(goldenNow.Add(e.after)))
		require.NoError(t, event.Attributes().FromRaw(e.attributes))
	}
	return batch, s
}

func requestWith(t *testing.T, resource, span attributes, events ...happened) aggregator.Request {
	t.Helper()
	batch, _ := spanWith(t, resource, span, events...)
	return requestsOf(NewReader(Options{}), batch)[0]
}

// TestFaultPrecedence: attributes of the span, then its events, then its
// resource; a denial on the span stands against both.
func TestFaultPrecedence(t *testing.T) {
	event := func(attributes attributes) happened { return happened{name: "fault.injected", attributes: attributes} }
	for name, c := range map[string]struct {
		resource, span attributes
		events         []happened
		want           string
		delay          time.Duration
		net            time.Duration // -1: none
	}{
		"none at all":        {nil, nil, nil, "", 0, -1},
		"span":               {nil, attributes{"chaos.fault": "a"}, nil, "a", 0, time.Second},
		"event":              {nil, nil, []happened{event(attributes{"chaos.fault": "b"})}, "b", 0, time.Second},
		"resource":           {attributes{"chaos.fault": "c"}, nil, nil, "c", 0, time.Second},
		"span before event":  {nil, attributes{"chaos.fault": "a"}, []happened{event(attributes{"chaos.fault": "b"})}, "a", 0, time.Second},
		"mark before event":  {nil, attributes{"fault.target_status": int64(503)}, []happened{event(attributes{"chaos.fault": "b"})}, "abort", 0, time.Second},
		"event before rest":  {attributes{"chaos.fault": "c"}, nil, []happened{event(attributes{"chaos.fault": "b"})}, "b", 0, time.Second},
		"the first event":    {nil, nil, []happened{event(attributes{"chaos.fault": "b"}), event(attributes{"chaos.fault": "d"})}, "b", 0, time.Second},
		"event of Polly":     {nil, nil, []happened{{name: "Chaos.OnOutcome"}}, "result", 0, time.Second},
		"event with nothing": {nil, nil, []happened{event(nil)}, "fault", 0, time.Second},
		"another event":      {nil, nil, []happened{{name: "retry", attributes: attributes{"chaos.fault": "b"}}}, "", 0, -1},
		"denied on the span": {attributes{"chaos.fault": "c"}, attributes{"chaos.fault": "none"}, []happened{event(nil)}, "", 0, -1},
		"true":               {nil, attributes{"chaos.fault": true}, nil, "fault", 0, time.Second},
		"false":              {attributes{"chaos.fault": "c"}, attributes{"chaos.fault": false}, nil, "", 0, -1},
		"empty":              {attributes{"chaos.fault": "c"}, attributes{"chaos.fault": ""}, nil, "c", 0, time.Second},
		"an array":           {nil, attributes{"chaos.fault": []any{"a"}, "fault.kind": "k"}, nil, "k", 0, time.Second},
		"delay alone":        {nil, attributes{"fault.latency_ms": int64(200)}, nil, "latency", 200 * time.Millisecond, 800 * time.Millisecond},
		"delay as text":      {nil, attributes{"fault.latency_ms": "0.5"}, nil, "latency", 500 * time.Microsecond, time.Second - 500*time.Microsecond},
		"delay is all":       {nil, attributes{"fault.latency_ms": int64(1000)}, nil, "latency", time.Second, 0},
		"delay is longer":    {nil, attributes{"fault.latency_ms": 1000.001}, nil, "latency", time.Second + time.Microsecond, -1},
		"delay of the event": {nil, attributes{"chaos.fault": "a"}, []happened{event(attributes{"chaos.delay_ms": 100.0})}, "a", 100 * time.Millisecond, 900 * time.Millisecond},
		"delay of resource":  {attributes{"chaos.delay_ms": 100.0}, attributes{"chaos.fault": "a"}, nil, "a", 100 * time.Millisecond, 900 * time.Millisecond},
		"denied, with delay": {nil, attributes{"chaos.fault": "none", "chaos.delay_ms": 100.0}, nil, "", 0, -1},
		"flags":              {nil, attributes{"response_flags": "UT,DI"}, nil, "latency", 0, time.Second},
		"flags with blanks":  {nil, attributes{"response_flags": " FI , DI "}, nil, "abort", 0, time.Second},
		"other flags":        {nil, attributes{"response_flags": "UT,DIX,XFI"}, nil, "", 0, -1},
		"headers are arrays": {nil, attributes{"http.request.header.x-envoy-fault-delay-request": []any{"100"}}, nil, "latency", 0, time.Second},
		"abort header":       {nil, attributes{"http.request.header.x-envoy-fault-abort-request": []any{"503"}}, nil, "abort", 0, time.Second},
		"attack":             {attributes{"gremlin.com.active_attack": "a1"}, nil, nil, "gremlin", 0, time.Second},
		"attack of no name":  {nil, attributes{"gremlin.com.active_attack": ""}, nil, "", 0, -1},
		"the injector":       {attributes{"chaos.fault": "c"}, attributes{"chaos.role": "injector", "chaos.delay_ms": 1.0}, nil, "", 0, -1},
	} {
		got := requestWith(t, c.resource, c.span, c.events...)
		assert.Equal(t, c.want, got.Series.Fault, name)
		assert.EqualValues(t, c.delay, got.InjectedDelayNano, name)
		assert.Equal(t, c.delay > 0, got.Known&aggregator.FactInjectedDelay != 0, name)
		net, present := got.Measure(aggregator.MeasureNetDuration)
		if !present {
			net = -1
		}
		assert.EqualValues(t, c.net, net, name)
	}
}

// TestFirstTokenOfEvents: the earliest one that can be.
func TestFirstTokenOfEvents(t *testing.T) {
	chunk := func(after time.Duration) happened { return happened{name: "gen_ai.content.chunk", after: after} }
	const day, attribute, timeOfDay = 24 * time.Hour, "ttft_ms", "langfuse.observation.completion_start_time"
	instant := func(at time.Time) attributes { return attributes{timeOfDay: at.Format(time.RFC3339Nano)} }
	for name, c := range map[string]struct {
		span   attributes
		events []happened
		want   time.Duration // -1: none
	}{
		"first of two":       {nil, []happened{chunk(200), chunk(300)}, 200},
		"out of order":       {nil, []happened{chunk(300), chunk(200)}, 200},
		"at the start":       {nil, []happened{chunk(0)}, 0},
		"before the start":   {nil, []happened{chunk(-1)}, -1},
		"after a day":        {nil, []happened{chunk(day)}, day},
		"later":              {nil, []happened{chunk(day + 1)}, -1},
		"attribute wins":     {attributes{attribute: 0.001}, []happened{chunk(200)}, 1000},
		"unusable attribute": {attributes{attribute: -1.0}, []happened{chunk(200)}, 200},
		"time of day":        {instant(goldenNow.Add(700)), []happened{chunk(200)}, 700},
		"in quotes":          {attributes{timeOfDay: `"` + goldenNow.Add(700).Format(time.RFC3339Nano) + `"`}, nil, 700},
		"in another zone":    {instant(goldenNow.Add(700).In(time.FixedZone("", 3600))), nil, 700},
		"time too early":     {instant(goldenNow.Add(-1)), []happened{chunk(200)}, 200},
		"time too late":      {instant(goldenNow.Add(day + 1)), nil, -1},
		"year 9999":          {attributes{timeOfDay: "9999-01-01T00:00:00Z"}, nil, -1},
		"year 0":             {attributes{timeOfDay: "0000-01-01T00:00:00Z"}, nil, -1},
		// 2^64 ns after the start: the difference would wrap.
		"year 2610": {instant(goldenNow.Add(1<<63 - 1).Add(1<<63 - 1).Add(2)), nil, -1},
		"no time":   {attributes{timeOfDay: "soon"}, nil, -1},
	} {
		got := requestWith(t, nil, c.span, c.events...)
		ttft, present := got.Measure(aggregator.MeasureTimeToFirstToken)
		if !present {
			ttft = -1
		}
		assert.EqualValues(t, c.want, ttft, name)
	}
	batch, span := spanWith(t, nil, nil, chunk(200), chunk(100))
	span.Events().At(0).SetTimestamp(0) // which says nothing
	ttft, _ := requestsOf(NewReader(Options{}), batch)[0].Measure(aggregator.MeasureTimeToFirstToken)
	assert.EqualValues(t, 100, ttft)
}

// TestResendsOfAttempts: the count, else the attempt less one, else the events
// less one.
func TestResendsOfAttempts(t *testing.T) {
	attempt := happened{name: "gen_ai.request.attempt"}
	for name, c := range map[string]struct {
		span   attributes
		events []happened
		want   int64 // -1: unknown
	}{
		"none":            {nil, nil, -1},
		"one event":       {nil, []happened{attempt}, 0},
		"three events":    {nil, []happened{attempt, attempt, attempt}, 2},
		"count wins":      {attributes{"retry.count": int64(5)}, []happened{attempt, attempt}, 5},
		"count of zero":   {attributes{"retry.count": int64(0)}, []happened{attempt, attempt}, 0},
		"unusable count":  {attributes{"retry.count": int64(-5)}, []happened{attempt, attempt}, 1},
		"attempt 1":       {attributes{"attempt": int64(1)}, nil, 0},
		"attempt 3":       {attributes{"attempt": int64(3)}, []happened{attempt, attempt}, 2},
		"attempt 0":       {attributes{"attempt": int64(0)}, nil, 0},
		"count, attempts": {attributes{"attempt": int64(3), "retry.count": "1"}, nil, 1},
	} {
		batch, span := spanWith(t, nil, c.span, c.events...)
		span.SetName("claude_code.llm_request")
		got := requestsOf(NewReader(Options{}), batch)[0]
		if got.Known&aggregator.FactResends == 0 {
			assert.Zero(t, got.Resends, name)
			got.Resends = -1
		}
		assert.Equal(t, c.want, got.Resends, name)
	}
}

// TestLastExceptionNamesTheError of a span that failed: the first may have been
// handled.
func TestLastExceptionNamesTheError(t *testing.T) {
	exceptions := []happened{
		{name: "exception", attributes: attributes{"exception.type": "A", "exception.message": "x"}},
		{name: "exception", attributes: attributes{"exception.type": "B"}}, {name: "log", attributes: attributes{"exception.type": "C"}},
	}
	for status, want := range map[ptrace.StatusCode]string{ptrace.StatusCodeError: "B", ptrace.StatusCodeOk: "", ptrace.StatusCodeUnset: ""} {
		batch, span := spanWith(t, nil, nil, exceptions...)
		span.Status().SetCode(status)
		assert.Equal(t, want, requestsOf(NewReader(Options{}), batch)[0].Series.ErrorType)
	}
}

// TestCircuits are those of events, else the one that the span names.
func TestCircuits(t *testing.T) {
	start := goldenNow.UnixNano()
	opened := happened{"circuit_breaker.opened", 5, attributes{"circuit.name": "c"}}
	state := func(circuit string, after int64, state, from string) aggregator.CircuitState {
		return aggregator.CircuitState{Circuit: circuit, AtUnixNano: start + after, State: state, From: from}
	}
	for name, c := range map[string]struct {
		span    attributes
		events  []happened
		circuit string
		want    []aggregator.CircuitState
	}{
		"event": {nil, []happened{opened}, "c", []aggregator.CircuitState{state("c", 5, "open", "")}},
		"event before attribute": {
			attributes{"circuit.name": "c", "circuit_breaker.state": "closed"}, []happened{opened}, "c",
			[]aggregator.CircuitState{state("c", 5, "open", "")},
		},
		"attribute, at the end": {
			attributes{"circuit.name": "c", "circuit_breaker.state": "HALF-OPEN"}, nil, "c",
			[]aggregator.CircuitState{state("c", 1e9, "half_open", "")},
		},
		"state of no circuit":   {attributes{"circuit_breaker.state": "closed"}, nil, "", nil},
		"circuit of no state":   {attributes{"circuit.name": "c"}, nil, "c", nil},
		"unknown state":         {attributes{"circuit.name": "c", "circuit_breaker.state": "ajar"}, nil, "c", nil},
		"event without a name":  {attributes{"circuit.name": "c"}, []happened{{"circuit_breaker.closed", 5, nil}}, "c", []aggregator.CircuitState{state("c", 5, "closed", "")}},
		"event of no circuit":   {nil, []happened{{"circuit_breaker.closed", 5, nil}}, "", nil},
		"change without states": {nil, []happened{{"circuit_breaker.state_change", 5, attributes{"circuit.name": "c"}}}, "c", nil},
		"change": {
			nil, []happened{{"circuit_breaker.state_change", 5, attributes{
				"circuit.name": "c", "circuit_breaker.from_state": "OPEN", "circuit_breaker.to_state": "HALF_OPEN",
			}}}, "c", []aggregator.CircuitState{state("c", 5, "half_open", "open")},
		},
		"Polly": {
			nil, []happened{{"OnCircuitOpened", 5, attributes{"pipeline.name": "p", "strategy.name": "s"}}}, "p/s",
			[]aggregator.CircuitState{state("p/s", 5, "open", "")},
		},
		"a name before the pipeline": {
			nil, []happened{{"OnCircuitOpened", 5, attributes{"circuit.name": "c", "pipeline.name": "p", "strategy.name": "s"}}}, "c",
			[]aggregator.CircuitState{state("c", 5, "open", "")},
		},
		"two": {
			nil, []happened{opened, {"circuit_breaker.closed", 7, attributes{"circuit.name": "d"}}}, "c",
			[]aggregator.CircuitState{state("c", 5, "open", ""), state("d", 7, "closed", "")},
		},
	} {
		got := requestWith(t, nil, c.span, c.events...)
		assert.Equal(t, c.circuit, got.Circuit, name)
		assert.Equal(t, c.want, got.Circuits, name)
	}
	batch, span := spanWith(t, nil, nil, opened)
	span.Events().At(0).SetTimestamp(0)
	assert.Empty(t, requestsOf(NewReader(Options{}), batch)[0].Circuits, "at no time")
}

// TestMessagesAreCounted as elements of an array, however it is written, or by
// their numbers.
func TestMessagesAreCounted(t *testing.T) {
	deep := strings.Repeat("[", 100_000)
	for text, want := range map[string]int64{
		"": 0, "[]": 0, "[ ]": 0, "[1]": 1, "[{}]": 1, "[{},{}]": 2, ` [ {"a": [1,2,3]} , "b,\"]" , null ] `: 3,
		`["a\\","b"]`: 2, `[{"a":"}],["},[[]]]`: 2, `[{"a":1}`: 0, `[{"a":"cut`: 0, `{"a":[1,2]}`: 0, "hello, [1]": 0, `"[1]"`: 0,
		deep: 0, deep + strings.Repeat("]", 100_000): 1, "[1,2] tail": 2,
	} {
		label := fmt.Sprintf("%.40q", text)
		got := requestWith(t, nil, attributes{"gen_ai.input.messages": text})
		assert.Equal(t, want, got.MessageCount, label)
		empty := strings.ReplaceAll(text, " ", "") == "[]"
		assert.Equal(t, want > 0 || empty, got.Known&aggregator.FactMessageCount != 0, label)
	}
	for want, span := range map[int64]attributes{
		3: {"gen_ai.input.messages": []any{"a", []any{}, nil}},
		2: {"llm.input_messages.0.message.role": "user", "llm.input_messages.1.message.role": "user", "llm.input_messages.1.message.content": "x"},
		1: {"gen_ai.prompt.3.role": "user", "gen_ai.prompt.x.role": "user", "gen_ai.prompt.-7.role": "user", "gen_ai.prompt.9": "x"},
		0: {"gen_ai.prompt": "[1,2]", "llm.input_messages": "[1,2]"},
	} {
		assert.Equal(t, want, requestWith(t, nil, span).MessageCount)
	}
}

// TestEndpointAndDeployment: of a URL, the end of a path that is known, and the
// deployment on Azure.
func TestEndpointAndDeployment(t *testing.T) {
	for _, c := range []struct {
		span                 attributes
		endpoint, deployment string
	}{
		{attributes{"url.full": "https://u:p@host/secret/v1/chat/completions?q=secret#secret"}, "/v1/chat/completions", ""},
		{attributes{"url.full": "https://host/v1/messages#/secret"}, "/v1/messages", ""},
		{attributes{"url.full": "https://host?q=/v1/messages"}, "", ""},
		{attributes{"url.path": "/secret", "server.address": "host", "server.port": int64(443)}, "host:443", ""},
		{attributes{"url.path": "/secret", "server.address": "host"}, "host", ""},
		{attributes{"server.port": int64(443)}, "", ""},
		{attributes{"http.target": "/v1beta/models/secret:generateContent?key=secret"}, "/models/{model}:generateContent", ""},
		{attributes{"http.route": "/a/{b}", "url.template": "/t", "url.path": "/v1/messages"}, "/a/{b}", ""},
		{attributes{"url.template": "/t", "url.path": "/v1/messages"}, "/t", ""},
		{
			attributes{"url.full": "https://h/openai/deployments/d1/chat/completions?api-version=1"},
			"/openai/deployments/{deployment}/chat/completions", "d1",
		},
		{attributes{"url.full": "https://h/openai/deployments/d1"}, "", "d1"},
		{attributes{"gen_ai.provider.name": "azure", "gen_ai.request.model": "d2"}, "", "d2"},
		{attributes{"gen_ai.provider.name": "azure", "gen_ai.request.model": "d2", "url.path": "/openai/deployments/d1/x"}, "", "d1"},
		{attributes{"gen_ai.provider.name": "openai", "gen_ai.request.model": "d2"}, "", ""},
	} {
		got := requestWith(t, nil, c.span)
		assert.Equal(t, c.endpoint, got.Endpoint, "%v", c.span)
		assert.Equal(t, c.deployment, got.Deployment, "%v", c.span)
	}
}

// TestEvaluationsAreBounded, and scores are numbers.
func TestEvaluationsAreBounded(t *testing.T) {
	many := attributes{}
	for i := range 2 * maxAnnotations {
		many[fmt.Sprintf("annotations.%d.annotation.name", i)] = "n"
		many[fmt.Sprintf("annotations.%d.annotation.label", i)] = "pass"
	}
	got := requestWith(t, nil, many).Evaluations
	require.Len(t, got, maxAnnotations)
	assert.Equal(t, aggregator.Evaluation{
		AtUnixNano: goldenNow.Add(time.Second).UnixNano(), Name: "n", Label: "pass", Verdict: aggregator.VerdictAccepted,
	}, got[0])
	assert.Len(t, requestWith(t, nil, attributes{
		"evaluations.7.evaluation.name": "n", "evaluations.7.evaluation.label": "l", "evaluations.7.evaluation.score": 0.5,
	}).Evaluations, 1)
	batch, span := spanWith(t, nil, nil, happened{"gen_ai.evaluation.result", 5, attributes{"gen_ai.evaluation.name": "n"}})
	span.Events().At(0).SetTimestamp(0)
	assert.Equal(t, goldenNow.UnixNano(), requestsOf(NewReader(Options{}), batch)[0].Evaluations[0].AtUnixNano)
	for _, c := range []struct {
		value  any
		score  float64
		scored bool
	}{{0.5, 0.5, true}, {int64(-3), -3, true}, {true, 0, false}, {[]any{1.0}, 0, false}, {math.NaN(), 0, false}, {math.Inf(1), 0, false}} {
		e := requestWith(t, nil, nil, happened{"gen_ai.evaluation.result", 5, attributes{
			"gen_ai.evaluation.name": "n", "gen_ai.evaluation.score.value": c.value, "gen_ai.evaluation.explanation": "secret",
		}}).Evaluations
		assert.Equal(t, []aggregator.Evaluation{{
			AtUnixNano: goldenNow.UnixNano() + 5, Name: "n", Score: c.score, Scored: c.scored, Source: "event",
		}}, e, "%v", c.value)
	}
}
