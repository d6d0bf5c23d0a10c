package spans

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestScales go by the ending of a name, but for costs; else by the field.
func TestScales(t *testing.T) {
	for name, want := range map[string]float64{
		"my.ttft_ms": 1e6, "my.ttft_us": 1e3, "my.ttft_ns": 1, "my.ttft_s": 1e9, "my.ttft_seconds": 1e9, "my.ttft": 1e9,
		"ai.stream.msToFirstChunk": 1e6,
	} {
		assert.InDelta(t, want, scaleOf(fieldTimeToFirstToken, name), 0, name)
	}
	assert.InDelta(t, 1e6, scaleOf(fieldFaultDelay, "my.delay"), 0)
	assert.InDelta(t, 1e9, scaleOf(fieldFaultDelay, "my.delay_s"), 0)
	assert.InDelta(t, 1e9, scaleOf(fieldCost, "my.costs_s"), 0)
}

// TestConfiguredNamesReplaceAll that a field was read from, also those of
// Claude Code.
func TestConfiguredNamesReplaceAll(t *testing.T) {
	options := Options{Fields: map[string][]string{"model": {"my.model", "my.other"}}}
	for want, span := range map[string]attributes{
		"":  {"model": "a", "gen_ai.request.model": "b"},
		"c": {"model": "a", "my.model": "c", "my.other": "d"},
		"d": {"model": "a", "my.model": []any{"c"}, "my.other": "d"},
	} {
		batch, s := spanWith(t, nil, span)
		s.SetName("claude_code.llm_request")
		assert.Equal(t, want, requestsOf(NewReader(options), batch)[0].Series.Model)
	}
}

// TestNextNameOfClaudeCode is asked where the first says nothing.
func TestNextNameOfClaudeCode(t *testing.T) {
	batch, s := spanWith(t, nil, attributes{"gen_ai.request.model": []any{"a"}, "model": "b"})
	s.SetName("claude_code.llm_request")
	assert.Equal(t, "b", requestsOf(NewReader(Options{}), batch)[0].Series.Model)
}

// TestEntityNames a tool or an agent that nothing else names.
func TestEntityNames(t *testing.T) {
	for kind, field := range map[string]string{"tool": "gen_ai.tool.name", "agent": "gen_ai.agent.name"} {
		alone := requestWith(t, nil, attributes{"traceloop.span.kind": kind, "traceloop.entity.name": "e"}).Series
		both := requestWith(t, nil, attributes{"traceloop.span.kind": kind, "traceloop.entity.name": "e", field: "n"}).Series
		assert.Equal(t, "e", alone.Tool+alone.Agent)
		assert.Equal(t, "n", both.Tool+both.Agent)
	}
	other := requestWith(t, nil, attributes{"traceloop.span.kind": "workflow", "traceloop.entity.name": "e"}).Series
	assert.Empty(t, other.Tool+other.Agent)
}
