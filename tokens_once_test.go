package spanbucketexporter

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// tracePart is a span of a trace that several instrumentations saw. Every one
// claims the tokens of the whole.
type tracePart struct {
	name       string
	kind       ptrace.SpanKind
	attributes map[string]any
	category   string
	input      int64 // what it really used; 0: it repeats others
	output     int64
}

const (
	internal = ptrace.SpanKindInternal
	client   = ptrace.SpanKindClient
	server   = ptrace.SpanKindServer
)

var agentTraces = map[string][]tracePart{
	"agent, calls and their HTTP requests": {
		{"invoke_agent a", internal, map[string]any{"gen_ai.operation.name": "invoke_agent", "gen_ai.usage.input_tokens": 300, "gen_ai.usage.output_tokens": 30}, "agent", 0, 0},
		{"chat gpt-4o", client, map[string]any{"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10}, "llm", 100, 10},
		{"POST", client, map[string]any{"http.request.method": "POST", "url.full": "https://api.openai.com/v1/chat/completions", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10}, "client", 0, 0},
		{"execute_tool t", internal, map[string]any{"gen_ai.operation.name": "execute_tool", "gen_ai.usage.input_tokens": 7}, "tool", 0, 0},
		{"chat gpt-4o", client, map[string]any{"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 200, "gen_ai.usage.output_tokens": 20}, "llm", 200, 20},
	},
	"Vercel, outer and inner": {
		{"ai.generateText", internal, map[string]any{"ai.operationId": "ai.generateText", "ai.usage.inputTokens": 50, "ai.usage.outputTokens": 5, "gen_ai.usage.input_tokens": 50}, "agent", 0, 0},
		{"ai.generateText.doGenerate", internal, map[string]any{"ai.operationId": "ai.generateText.doGenerate", "ai.usage.inputTokens": 50, "ai.usage.outputTokens": 5, "gen_ai.usage.input_tokens": 50}, "llm", 50, 5},
		{"ai.embed", internal, map[string]any{"ai.operationId": "ai.embed", "ai.usage.tokens": 9}, "workflow", 0, 0},
		{"ai.embed.doEmbed", internal, map[string]any{"ai.operationId": "ai.embed.doEmbed", "ai.usage.tokens": 9}, "embedding", 9, 0},
	},
	"LiteLLM proxy in front of a call": {
		{"POST /v1/chat/completions", server, map[string]any{"http.method": "POST", "http.route": "/v1/chat/completions", "gen_ai.usage.input_tokens": 40}, "server", 0, 0},
		{"chat gpt-4o", client, map[string]any{"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.usage.input_tokens": 40, "gen_ai.usage.output_tokens": 4, "litellm.cost.total": 0.1}, "llm", 40, 4},
		{"POST", client, map[string]any{"http.request.method": "POST", "server.address": "api.openai.com"}, "client", 0, 0},
	},
	"OpenInference chain": {
		{"agent", internal, map[string]any{"openinference.span.kind": "AGENT", "llm.token_count.prompt": 60, "llm.token_count.completion": 6}, "agent", 0, 0},
		{"chain", internal, map[string]any{"openinference.span.kind": "CHAIN", "llm.token_count.prompt": 60, "llm.token_count.completion": 6}, "workflow", 0, 0},
		{"ChatCompletion", internal, map[string]any{"openinference.span.kind": "LLM", "llm.token_count.prompt": 60, "llm.token_count.completion": 6}, "llm", 60, 6},
	},
	"traceloop workflow": {
		{"w.workflow", internal, map[string]any{"traceloop.span.kind": "workflow", "gen_ai.usage.prompt_tokens": 70}, "workflow", 0, 0},
		{"t.task", internal, map[string]any{"traceloop.span.kind": "task", "gen_ai.usage.prompt_tokens": 70}, "other", 0, 0},
		{"openai.chat", client, map[string]any{"llm.request.type": "chat", "gen_ai.usage.prompt_tokens": 70, "gen_ai.usage.completion_tokens": 7}, "llm", 70, 7},
	},
	"answer fetched later": {
		{"chat", client, map[string]any{"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 1}, "llm", 11, 1},
		{"fetch_response", client, map[string]any{"gen_ai.operation.name": "fetch_response", "gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 1}, "client", 0, 0},
	},
	"Claude Code": {
		{"claude_code.interaction", internal, map[string]any{"input_tokens": 80, "output_tokens": 8}, "agent", 0, 0},
		{"claude_code.llm_request", internal, map[string]any{"input_tokens": 80, "output_tokens": 8}, "llm", 80, 8},
		{"claude_code.tool", internal, map[string]any{"tool_name": "Bash", "output_tokens": 8}, "other", 0, 0},
		{"claude_code.tool.execution", internal, map[string]any{"tool_name": "Bash", "output_tokens": 8}, "tool", 0, 0},
		{"tools/call", client, map[string]any{"mcp.method.name": "tools/call", "output_tokens": 8}, "client", 0, 0},
	},
}

// TestTokensCountOnce: tokens and cost, summed over everything in the file, are
// those of the calls to models; and of the categories that saw the trace only
// one is what the file calls requests.
func TestTokensCountOnce(t *testing.T) {
	for name, parts := range agentTraces {
		t.Run(name, func(t *testing.T) {
			batch := ptrace.NewTraces()
			spans := batch.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
			var input, output, calls, priced int64
			for i, part := range parts {
				span := spans.AppendEmpty()
				span.SetTraceID(pcommon.TraceID{1})
				span.SetSpanID(pcommon.SpanID{byte(i + 1)})
				if i > 0 {
					span.SetParentSpanID(pcommon.SpanID{1})
				}
				span.SetName(part.name)
				span.SetKind(part.kind)
				span.SetStartTimestamp(pcommon.NewTimestampFromTime(pagesNow))
				span.SetEndTimestamp(span.StartTimestamp() + 1e9)
				require.NoError(t, span.Attributes().FromRaw(part.attributes))
				if part.category != "llm" && part.category != "embedding" {
					span.Attributes().PutDouble("gen_ai.usage.cost", 5)
				}
				input, output = input+part.input, output+part.output
				if part.category == "llm" {
					calls++
				}
				if part.input > 0 {
					priced++
				}
			}
			reader := fileAfter(t, newFile(t), `prices: [{model: "*", input: 1}]`, batch)
			require.Equal(t, []row{{"input": input, "output": output, "calls": priced}}, query(t, reader, `SELECT
				sum(input_tokens) AS input, sum(output_tokens) AS output, sum(usage_count) AS calls FROM timeseries WHERE width_s = 3600`))
			require.Less(t, query(t, reader, "SELECT total(cost_usd) AS usd FROM timeseries WHERE width_s = 3600")[0]["usd"], 1.0)
			for i, part := range parts {
				require.Equal(t, []row{{"category": part.category}}, query(t, reader, "SELECT category FROM requests WHERE span_id = ?",
					pcommon.SpanID{byte(i + 1)}.String()), part.name)
			}
			require.Equal(t, []row{{"n": calls}}, query(t, reader, `SELECT sum(requests_total) AS n FROM timeseries
				WHERE width_s = 3600 AND category = 'llm'`))
			require.Equal(t, []string{"llm,embedding"}, column(t, reader, "SELECT value FROM meta WHERE key = 'headline_category'"))
		})
	}
}
