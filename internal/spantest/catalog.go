package spantest

import "time"

// model is one LLM as its clients see it.
type model struct {
	provider, address string
	request, response string        // the names asked for and answered
	median            time.Duration // of a whole answer
	sigma             float64       // of the logarithm of the duration
	firstChunk        time.Duration // median time to the first chunk
}

const (
	openAI    = "api.openai.com"
	anthropic = "api.anthropic.com"
	gemini    = "generativelanguage.googleapis.com"
	bedrock   = "bedrock-runtime.eu-central-1.amazonaws.com"
	azure     = "contoso.openai.azure.com"
)

// Medians and spreads are round figures of the order that public dashboards
// show; only their variety matters here.
var chatModels = []model{
	{"openai", openAI, "gpt-4o", "gpt-4o-2024-11-20", 2400 * time.Millisecond, 0.55, 420 * time.Millisecond},
	{"anthropic", anthropic, "claude-sonnet-4-5", "claude-sonnet-4-5-20250929", 4100 * time.Millisecond, 0.60, 900 * time.Millisecond},
	{"openai", openAI, "gpt-4o-mini", "gpt-4o-mini-2024-07-18", 1100 * time.Millisecond, 0.50, 310 * time.Millisecond},
	{"gcp.gemini", gemini, "gemini-2.5-flash", "gemini-2.5-flash", 1300 * time.Millisecond, 0.45, 350 * time.Millisecond},
	{"anthropic", anthropic, "claude-haiku-4-5", "claude-haiku-4-5-20251001", 1500 * time.Millisecond, 0.50, 400 * time.Millisecond},
	{"openai", openAI, "o4-mini", "o4-mini-2025-04-16", 6800 * time.Millisecond, 0.80, 3200 * time.Millisecond},
	{"azure.ai.openai", azure, "gpt-4.1", "gpt-4.1-2025-04-14", 2900 * time.Millisecond, 0.55, 500 * time.Millisecond},
	{"aws.bedrock", bedrock, "anthropic.claude-3-5-haiku-20241022-v1:0", "claude-3-5-haiku-20241022", 1700 * time.Millisecond, 0.55, 480 * time.Millisecond},
	{"gcp.gemini", gemini, "gemini-2.5-pro", "gemini-2.5-pro", 7500 * time.Millisecond, 0.70, 2600 * time.Millisecond},
	{"mistral_ai", "api.mistral.ai", "mistral-large-latest", "mistral-large-2411", 2600 * time.Millisecond, 0.50, 380 * time.Millisecond},
	{"groq", "api.groq.com", "llama-3.3-70b-versatile", "llama-3.3-70b-versatile", 620 * time.Millisecond, 0.40, 140 * time.Millisecond},
	{"deepseek", "api.deepseek.com", "deepseek-chat", "deepseek-chat", 5200 * time.Millisecond, 0.65, 1100 * time.Millisecond},
	{"anthropic", anthropic, "claude-opus-4-1", "claude-opus-4-1-20250805", 8800 * time.Millisecond, 0.60, 1500 * time.Millisecond},
	{"openai", openAI, "gpt-5-mini", "gpt-5-mini-2025-08-07", 3300 * time.Millisecond, 0.70, 1200 * time.Millisecond},
	{"cohere", "api.cohere.com", "command-r-plus", "command-r-plus-08-2024", 2200 * time.Millisecond, 0.45, 360 * time.Millisecond},
	{"x_ai", "api.x.ai", "grok-3-mini", "grok-3-mini", 2000 * time.Millisecond, 0.60, 450 * time.Millisecond},
}

var embeddingModels = []model{
	{"openai", openAI, "text-embedding-3-small", "text-embedding-3-small", 130 * time.Millisecond, 0.40, 0},
	{"openai", openAI, "text-embedding-3-large", "text-embedding-3-large", 210 * time.Millisecond, 0.40, 0},
	{"cohere", "api.cohere.com", "embed-v4.0", "embed-v4.0", 170 * time.Millisecond, 0.45, 0},
}

var serviceNames = []string{
	"llm-gateway", "support-assistant", "code-reviewer", "search-answers", "document-qa",
	"ticket-triage", "sales-copilot", "report-writer", "voice-agent", "moderation",
}

var toolNames = []string{
	"web_search", "read_file", "run_tests", "query_orders", "send_email", "create_ticket",
	"get_weather", "vector_lookup", "execute_sql", "fetch_url", "calendar_lookup", "translate_text",
}

var agentNames = []string{"planner", "researcher", "coder", "critic"}

var routes = []string{
	"/v1/chat/completions", "/v1/messages", "/v1/embeddings", "/v1/sessions/{session_id}/turns",
	"/v1/agents/{agent_id}/runs", "/healthz",
}

var upstreams = []string{"vector-store.internal", "feature-flags.internal", "billing.internal"}

// failure is one way in which a span fails.
type failure struct {
	status    int64         // HTTP status, 0: no answer came
	errorType string        // error.type; empty: the instrumentation sets none
	median    time.Duration // how long it takes until then
	sigma     float64
	answered  bool // an answer began: the span has a response model, and tokens or a first chunk
	unset     bool // the span status stays unset, as a server leaves it for a 4xx
}

var chatFailures = []failure{
	{status: 429, errorType: "RateLimitError", median: 90 * time.Millisecond, sigma: 0.4},
	{status: 529, errorType: "overloaded_error", median: 250 * time.Millisecond, sigma: 0.5},
	{errorType: "timeout", median: 30 * time.Second, sigma: 0.002, answered: true},
	{status: 500, errorType: "InternalServerError", median: 700 * time.Millisecond, sigma: 0.8},
	{status: 200, errorType: "json_decode_error", median: 2500 * time.Millisecond, sigma: 0.5, answered: true},
	{status: 503, errorType: "503", median: 120 * time.Millisecond, sigma: 0.5},
	{errorType: "APIConnectionError", median: 40 * time.Millisecond, sigma: 0.9},
	{status: 400, errorType: "BadRequestError", median: 60 * time.Millisecond, sigma: 0.3},
	{errorType: "circuit_open", median: 30 * time.Microsecond, sigma: 0.3},
	{errorType: "cancelled", median: 1800 * time.Millisecond, sigma: 0.7, answered: true},
}

var serverFailures = []failure{
	{status: 429, median: 3 * time.Millisecond, sigma: 0.4, unset: true},
	{status: 502, errorType: "502", median: 800 * time.Millisecond, sigma: 0.8},
	{status: 504, errorType: "timeout", median: 60 * time.Second, sigma: 0.002},
	{status: 400, median: 2 * time.Millisecond, sigma: 0.3, unset: true},
	{status: 500, errorType: "500", median: 300 * time.Millisecond, sigma: 0.9},
}

var clientFailures = []failure{
	{status: 503, errorType: "503", median: 15 * time.Millisecond, sigma: 0.6},
	{errorType: "ECONNRESET", median: 4 * time.Millisecond, sigma: 0.8},
	{status: 404, errorType: "404", median: 6 * time.Millisecond, sigma: 0.3},
	{errorType: "timeout", median: 5 * time.Second, sigma: 0.002},
}

var toolFailures = []failure{
	{errorType: "ToolException", median: 200 * time.Millisecond, sigma: 0.8},
	{errorType: "TimeoutError", median: 10 * time.Second, sigma: 0.002},
	{errorType: "ValidationError", median: 900 * time.Microsecond, sigma: 0.4},
	{errorType: "cancelled", median: 600 * time.Millisecond, sigma: 0.7},
}
