package spans

import (
	"strings"
)

// apiPaths are the ends of the paths of LLM APIs, and what they are stored as.
// A path that ends in none of them is not stored: it may hold anything. Of two
// that fit, the longer one stands first.
var apiPaths = []struct{ end, stored string }{
	{"/v1/chat/completions", "/v1/chat/completions"}, {"/chat/completions", "/chat/completions"},
	{"/v1/completions", "/v1/completions"}, {"/completions", "/completions"},
	{"/v1/embeddings", "/v1/embeddings"}, {"/embeddings", "/embeddings"},
	{"/v1/responses", "/v1/responses"}, {"/responses", "/responses"},
	{"/v1/messages", "/v1/messages"}, {"/v1/messages/count_tokens", "/v1/messages/count_tokens"},
	{"/v1/rerank", "/v1/rerank"}, {"/v2/rerank", "/v2/rerank"}, {"/v2/chat", "/v2/chat"}, {"/v2/embed", "/v2/embed"},
	{"/v1/images/generations", "/v1/images/generations"}, {"/v1/audio/speech", "/v1/audio/speech"},
	{"/v1/audio/transcriptions", "/v1/audio/transcriptions"}, {"/v1/moderations", "/v1/moderations"},
	{":generateContent", "/models/{model}:generateContent"},
	{":streamGenerateContent", "/models/{model}:streamGenerateContent"},
	{":embedContent", "/models/{model}:embedContent"}, {":predict", "/models/{model}:predict"},
	{"/converse", "/model/{model}/converse"}, {"/converse-stream", "/model/{model}/converse-stream"},
	{"/invoke", "/model/{model}/invoke"},
	{"/invoke-with-response-stream", "/model/{model}/invoke-with-response-stream"},
	{"/api/chat", "/api/chat"}, {"/api/generate", "/api/generate"}, {"/api/embed", "/api/embed"},
}

const azureDeployments = "/openai/deployments/"

// endpoint returns what was called: the route, the template, an API path that
// is known, else server and port; and the deployment, which is what Azure
// calls a model.
func (w *walker) endpoint() (endpoint, deployment string) {
	path := urlPath(w.text(&w.span, fieldURL))
	isAzure := strings.HasPrefix(w.observation.Series.Provider, "azure.")
	if _, rest, ok := strings.Cut(path, azureDeployments); ok {
		deployment, _, _ = strings.Cut(rest, "/")
	}
	if deployment == "" && isAzure {
		deployment = w.text(&w.span, fieldDeployment)
	}
	for _, f := range [...]field{fieldHTTPRoute, fieldURLTemplate} {
		if endpoint = w.text(&w.span, f); endpoint != "" && !isURL(endpoint) {
			return endpoint, deployment
		}
	}
	for _, known := range apiPaths {
		if !strings.HasSuffix(path, known.end) {
			continue
		}
		if strings.Contains(path, azureDeployments) {
			return azureDeployments + "{deployment}" + known.stored, deployment
		}
		return known.stored, deployment
	}
	if address := w.text(&w.span, fieldServerAddress); address != "" && !isURL(address) && !strings.ContainsAny(address, "/@") {
		return w.join(address, ':', w.text(&w.span, fieldServerPort)), deployment
	}
	return "", deployment
}

// isURL tells whether a text that should be a route or a name is a whole URL,
// or has a query: it may hold anything.
func isURL(text string) bool { return strings.Contains(text, "://") || strings.ContainsAny(text, "?#") }

// urlPath returns the path of a URL or of the target of a request.
func urlPath(url string) string {
	if i := strings.IndexAny(url, "?#"); i >= 0 {
		url = url[:i]
	}
	if _, rest, ok := strings.Cut(url, "://"); ok {
		i := strings.IndexByte(rest, '/')
		if i < 0 {
			return ""
		}
		return rest[i:]
	}
	return url
}
