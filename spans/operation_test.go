package spans_test

import (
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// TestOperation: GenAI operation, MCP method, HTTP method and route, RPC
// method, database operation and collection, span name; the first there is.
func TestOperation(t *testing.T) {
	everything := attributes{
		"gen_ai.operation.name": "chat", "mcp.method.name": "tools/call", "http.request.method": "POST",
		"http.route": "/v1/users/{id}", "rpc.service": "users.Users", "rpc.method": "Get", "db.operation.name": "SELECT",
		"db.collection.name": "users", "url.path": "/v1/users/17", "url.full": "https://shop/v1/users/17",
		"http.target": "/v1/users/17", "db.query.text": "SELECT * FROM users WHERE id = 17",
	}
	without := func(names ...string) attributes {
		left := attributes{}
		for name, value := range everything {
			left[name] = value
		}
		for _, name := range names {
			delete(left, name)
		}
		return left
	}
	const op, mcp, http, rpc, db = "gen_ai.operation.name", "mcp.method.name", "http.request.method", "rpc.method", "db.operation.name"
	tests := []struct {
		name       string
		attributes attributes
		want       string
	}{
		{"everything", everything, "chat"},
		{"no GenAI", without(op), "tools/call"},
		{"no MCP", without(op, mcp), "POST /v1/users/{id}"},
		{"no route: never the raw path", without(op, mcp, "http.route"), "POST"},
		{"no HTTP method: the route alone is none", without(op, mcp, http), "users.Users/Get"},
		{"no RPC service", without(op, mcp, http, "rpc.service"), "Get"},
		{"no RPC method: the service alone is none", without(op, mcp, http, rpc), "SELECT users"},
		{"no collection", without(op, mcp, http, rpc, "db.collection.name"), "SELECT"},
		{"no database operation: the collection alone is none", without(op, mcp, http, rpc, db), "name of the span"},
		{"nothing", nil, "name of the span"},
		{"unknown GenAI operation", attributes{op: "summarize"}, "summarize"},
		{"empty values are missing", attributes{op: "", mcp: "", http: "", rpc: "", db: "INSERT"}, "INSERT"},
		{"an empty route is missing", attributes{http: "GET", "http.route": ""}, "GET"},
		{"arrays are missing", attributes{op: []any{"chat"}, http: map[string]any{"a": "b"}, rpc: "Get"}, "Get"},
		{"a number is a name", attributes{op: int64(7)}, "7"},
		{"a truth value is a name", attributes{op: true}, "true"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := observe(t, test.attributes).Series.Operation; got != test.want {
				t.Errorf("operation %q, want %q", got, test.want)
			}
		})
	}
}

// TestCategory: exactly one for each span; GenAI operations decide where they
// are known, the rest of the span where they are not.
func TestCategory(t *testing.T) {
	const (
		internal, server, client = ptrace.SpanKindInternal, ptrace.SpanKindServer, ptrace.SpanKindClient
		producer, consumer       = ptrace.SpanKindProducer, ptrace.SpanKindConsumer
		unspecified              = ptrace.SpanKindUnspecified
	)
	op := func(name string) attributes { return attributes{"gen_ai.operation.name": name} }
	tests := []struct {
		name       string
		kind       ptrace.SpanKind
		attributes attributes
		want       string
	}{
		{"chat", client, op("chat"), "llm"},
		{"chat in process", internal, op("chat"), "llm"},
		{"text completion", client, op("text_completion"), "llm"},
		{"generate content", client, op("generate_content"), "llm"},
		{"embeddings", client, op("embeddings"), "embedding"},
		{"retrieval", client, op("retrieval"), "retrieval"},
		{"tool", internal, op("execute_tool"), "tool"},
		{"agent created", client, op("create_agent"), "agent"},
		{"agent invoked", internal, op("invoke_agent"), "agent"},
		{"remote agent invoked", client, op("invoke_agent"), "agent"},
		{"workflow", internal, op("invoke_workflow"), "workflow"},
		{"GenAI over HTTP", client, attributes{"gen_ai.operation.name": "chat", "http.request.method": "POST"}, "llm"},
		{"retrieval from a database", client, attributes{"gen_ai.operation.name": "retrieval", "db.system.name": "qdrant"}, "retrieval"},
		{"an answer fetched again", client, op("fetch_response"), "client"},
		{"unknown operation", client, op("summarize"), "client"},
		{"unknown operation in process", internal, op("summarize"), "other"},
		{"operation in capitals is another one", internal, op("Chat"), "other"},
		{"MCP client without tool", client, attributes{"mcp.method.name": "tools/list"}, "client"},
		{"MCP server without tool", server, attributes{"mcp.method.name": "tools/call"}, "server"},
		{"MCP with tool", client, attributes{"mcp.method.name": "tools/call", "gen_ai.operation.name": "execute_tool"}, "tool"},
		{"HTTP server", server, attributes{"http.request.method": "GET"}, "server"},
		{"HTTP client", client, attributes{"http.request.method": "GET"}, "client"},
		{"gRPC server", server, attributes{"rpc.method": "Get"}, "server"},
		{"database", client, attributes{"db.system.name": "postgresql"}, "database"},
		{"database in process", internal, attributes{"db.system.name": "sqlite"}, "database"},
		{"messages sent", producer, attributes{"messaging.system": "kafka"}, "messaging"},
		{"messages polled", client, attributes{"messaging.system": "kafka"}, "messaging"},
		{"producer", producer, nil, "messaging"},
		{"consumer", consumer, nil, "messaging"},
		{"internal", internal, nil, "other"},
		{"unspecified", unspecified, nil, "other"},
		{"kind out of range", 99, nil, "other"},
		{"negative kind", -1, nil, "other"},
		{"tokens alone make no LLM span", client, attributes{"gen_ai.usage.input_tokens": int64(5)}, "client"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			batch, span := spanOf(nil, test.attributes)
			span.SetKind(test.kind)
			if got := readOne(t, batch).Series.Category.String(); got != test.want {
				t.Errorf("category %s, want %s", got, test.want)
			}
		})
	}
}

func TestKind(t *testing.T) {
	for kind, want := range map[ptrace.SpanKind]string{
		ptrace.SpanKindUnspecified: "unspecified", ptrace.SpanKindInternal: "internal", ptrace.SpanKindServer: "server",
		ptrace.SpanKindClient: "client", ptrace.SpanKindProducer: "producer", ptrace.SpanKindConsumer: "consumer",
		6: "unspecified", -1: "unspecified", 1 << 30: "unspecified", -1 << 31: "unspecified",
	} {
		batch, span := spanOf(nil, nil)
		span.SetKind(kind)
		if got := readOne(t, batch).Series.Kind.String(); got != want {
			t.Errorf("kind %d is %s, want %s", kind, got, want)
		}
	}
}

// TestFieldsOfASeries: the fields of a series come from where the dialect has
// them.
func TestFieldsOfASeries(t *testing.T) {
	resource := attributes{
		"service.name": "shop", "gen_ai.provider.name": "not read here", "gen_ai.request.model": "not read here",
		"error.type": "not read here", "gen_ai.operation.name": "not read here",
	}
	batch, span := spanOf(resource, attributes{
		"service.name": "not read here", "gen_ai.operation.name": "execute_tool", "gen_ai.provider.name": "openai",
		"gen_ai.request.model": "gpt-4o", "gen_ai.response.model": "gpt-4o-2024-11-20", "gen_ai.tool.name": "search",
		"gen_ai.agent.name": "planner", "gen_ai.conversation.id": "conversation 1", "error.type": "ToolException",
		"http.request.resend_count": int64(2), "gen_ai.input.messages": "never read",
	})
	span.SetKind(ptrace.SpanKindInternal)
	got := readOne(t, batch)
	want := aggregator.Series{
		Service: "shop", Operation: "execute_tool", Kind: aggregator.KindInternal, Category: aggregator.CategoryTool,
		Provider: "openai", Model: "gpt-4o", Tool: "search", Agent: "planner",
		Outcome: aggregator.OutcomeOtherError, ErrorType: "ToolException",
	}
	if got.Series != want {
		t.Errorf("series %+v, want %+v", got.Series, want)
	}
	if got.Session != "conversation 1" || got.Resends != 2 || got.Notes != 0 {
		t.Errorf("session %q, resends %d, notes %b", got.Session, got.Resends, got.Notes)
	}
	if got.TraceID != [16]byte{15: 1} || got.SpanID != [8]byte{7: 2} {
		t.Errorf("trace %x, span %x", got.TraceID, got.SpanID)
	}
	if got := observe(t, attributes{"gen_ai.response.model": "gpt-4o"}).Series.Model; got != "gpt-4o" {
		t.Errorf("where only the answer names it the model is %q", got)
	}
}
