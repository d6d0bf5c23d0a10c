package spanbucketexporter

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// moreContent are attributes that instrumentations put content into, besides
// those of the golden spans.
var moreContent = []string{
	// the conventions, old and new
	"gen_ai.completion", "gen_ai.evaluation.explanation", "gen_ai.retrieval.documents", "gen_ai.output.text",
	"gen_ai.event.content", "gen_ai.memory.records", "gen_ai.prompt.template", "gen_ai.prompt.variables",
	"db.query.summary", "db.operation.parameter.0", "db.response.returned_rows.text", "db.user", "db.namespace.text",
	"exception.message", "exception.stacktrace", "error.message", "error.stack", "error.details", "otel.status_description",
	"http.request.header.authorization", "http.request.header.cookie", "http.response.header.set-cookie",
	"http.request.body", "http.response.body", "http.request.body.content", "http.client_ip", "client.address", "network.peer.address",
	"messaging.message.conversation_id", "messaging.header.x-secret", "rpc.response.metadata.set-cookie", "jsonrpc.request.id",
	"graphql.document", "faas.invocation_payload", "process.command_line", "process.command_args", "enduser.role", "log.message",
	// OpenLLMetry
	"gen_ai.prompt.0.tool_calls.0.arguments", "gen_ai.prompt.0.user", "gen_ai.completion.0.reasoning",
	"gen_ai.completion.0.tool_calls.0.id.text", "llm.request.functions.0.description", "llm.request.functions.0.parameters",
	"traceloop.prompt.template", "traceloop.prompt.template_variables", "traceloop.association.properties.user_input",
	"llm.prompts", "llm.completions", "llm.response.text", "vector_db.query.text", "db.query.result.document",
	// OpenInference
	"llm.input_messages.0.message.contents.0.message_content.text", "llm.input_messages.0.message.name",
	"llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments", "llm.prompt_template.variables",
	"llm.function_call", "llm.choices.0.completion.text", "llm.tools.0.tool.json_schema", "embedding.text",
	"retrieval.documents.0.document.metadata", "reranker.output_documents.0.document.content", "tool.json_schema",
	"tool_call.function.arguments", "input.audio.transcript", "image.url", "audio.url", "metadata", "tag.tags",
	// Vercel
	"ai.response.reasoning", "ai.request.headers.authorization", "ai.request.headers.user-agent", "ai.embedding", "ai.embeddings",
	"ai.telemetry.metadata.userId", "ai.settings.context.userPrompt", "ai.result.text", "ai.result.toolCalls",
	// Claude Code, Gemini CLI, agents
	"tool_result", "bash_command", "prompt", "response", "query", "url", "function_args", "prompt_text", "user.account_uuid",
	"hook_command", "stop_text", "description", "coding_agent.prompt", "coding_agent.edit.diff", "lines.added.text",
	// MCP
	"mcp.request.argument.city", "mcp.prompt.arguments", "mcp.response.value", "mcp.error.message", "mcp.notification.params",
	// Langfuse, LiteLLM, OpenLIT
	"langfuse.observation.metadata.user", "langfuse.trace.metadata.user", "langfuse.observation.prompt.text", "langfuse.trace.tags",
	"langfuse.observation.model.parameters", "litellm.metadata.user_api_key", "litellm.request.body", "litellm.response.body",
	"metadata.user_api_key_alias", "gen_ai.content.prompt", "gen_ai.content.completion", "gen_ai.content.reasoning",
	// fault injectors
	"fault.message", "chaos.fault.message", "chaos.note", "chaostoolkit.activity.arguments", "litmus.probe.output",
}

// namesNotContent hold the canary in some golden span where a template or a
// flag says that it is not to be taken; without these they name an operation.
var namesNotContent = []string{"messaging.destination.name"}

// contentNames returns the names of all attributes that hold content.
func contentNames(t *testing.T) []string {
	t.Helper()
	names := map[string]bool{}
	for _, name := range moreContent {
		names[name] = true
	}
	note := func(attributes pcommon.Map) {
		for name, value := range attributes.All() {
			if strings.Contains(value.AsString(), canary) {
				names[name] = true
			}
		}
	}
	for _, host := range goldenHosts(t) {
		note(host.resource.Attributes())
		note(host.span.Attributes())
		for _, event := range host.span.Events().All() {
			note(event.Attributes())
		}
	}
	for _, name := range namesNotContent {
		delete(names, name)
	}
	return slices.Sorted(maps.Keys(names))
}

// goldenHost is a golden span with what stands around it.
type goldenHost struct {
	resource pcommon.Resource
	scope    pcommon.InstrumentationScope
	span     ptrace.Span
}

// goldenHosts returns all golden spans.
func goldenHosts(t *testing.T) (hosts []goldenHost) {
	t.Helper()
	for _, c := range goldenCases(t) {
		for _, resourceSpans := range c.batch(t).ResourceSpans().All() {
			for _, scopeSpans := range resourceSpans.ScopeSpans().All() {
				for _, span := range scopeSpans.Spans().All() {
					hosts = append(hosts, goldenHost{resourceSpans.Resource(), scopeSpans.Scope(), span})
				}
			}
		}
	}
	return hosts
}

// guest is a copy of a golden span, alone in its batch.
type guest struct {
	resource ptrace.ResourceSpans
	scope    ptrace.ScopeSpans
	span     ptrace.Span
}

// addTo copies the span to the end of a batch, under ids of its own.
func (h *goldenHost) addTo(batch ptrace.Traces, id uint32) guest {
	g := guest{resource: batch.ResourceSpans().AppendEmpty()}
	h.resource.CopyTo(g.resource.Resource())
	g.scope = g.resource.ScopeSpans().AppendEmpty()
	h.scope.CopyTo(g.scope.Scope())
	g.span = g.scope.Spans().AppendEmpty()
	h.span.CopyTo(g.span)
	g.span.SetTraceID([16]byte{0xCA, 0xFE, byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)})
	g.span.SetSpanID([8]byte{0xCA, 0xFE, byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)})
	return g
}

// levels returns the maps of attributes that the guest has: its own, those of
// its resource and scope, of each event and of a further event and a link.
func (g *guest) levels() []pcommon.Map {
	levels := []pcommon.Map{g.span.Attributes(), g.resource.Resource().Attributes(), g.scope.Scope().Attributes()}
	for _, event := range g.span.Events().All() {
		levels = append(levels, event.Attributes())
	}
	event := g.span.Events().AppendEmpty()
	event.SetName("log")
	event.SetTimestamp(g.span.StartTimestamp())
	return append(levels, event.Attributes(), g.span.Links().AppendEmpty().Attributes())
}
