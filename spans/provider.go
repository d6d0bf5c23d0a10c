package spans

import "strings"

// providers gives every way to write a provider the name that the GenAI
// conventions have for it.
var providers = func() *nameTable[string] {
	names := map[string]string{}
	for name, written := range map[string][]string{
		"openai": {"OpenAI"}, "anthropic": {"Anthropic"}, "cohere": {"Cohere"}, "deepseek": {"DeepSeek"},
		"groq": {"Groq"}, "perplexity": {"Perplexity"},
		"aws.bedrock":        {"aws", "AWS", "bedrock", "Bedrock", "amazon-bedrock", "aws_bedrock", "amazon_bedrock"},
		"azure.ai.inference": {"az.ai.inference", "azure_ai"},
		"azure.ai.openai": {
			"az.ai.openai", "azure", "Azure", "azure-openai", "azure_openai", "azure_openai_chat",
		},
		"gcp.gemini": {"gemini", "google.generative-ai", "google-gla"},
		"gcp.gen_ai": {"google", "Google", "google_genai"},
		"gcp.vertex_ai": {
			"vertex_ai", "vertexai", "VertexAI", "google_vertexai", "google.vertex", "google-vertex",
			"vertex", "googlevertex",
		},
		"ibm.watsonx.ai": {"watsonx", "Watsonx", "WatsonX"},
		"mistral_ai":     {"mistral", "mistralai", "MistralAI"},
		"moonshot_ai":    {"moonshot"},
		"x_ai":           {"xai", "xAI", "x.ai"},
	} {
		names[name] = name
		for _, other := range written {
			names[other] = name
		}
	}
	return tableOf(names)
}()

// provider returns who serves the model. Of names with parts, such as
// openai.chat, the longest beginning that is known counts; but aws and azure
// alone do not say which of their services it is.
func (w *walker) provider() string {
	written := w.text(&w.span, fieldProvider)
	if written == "" {
		return ""
	}
	if known := providers.find(written); known != nil {
		return *known
	}
	lower := w.lower(written)
	for rest := lower; rest != ""; {
		if known := providers.find(rest); known != nil && (rest == lower || rest != "aws" && rest != "azure") {
			return *known
		}
		rest = rest[:max(0, strings.LastIndexByte(rest, '.'))]
	}
	return lower
}

// lower returns text in lower case, and remembers what it made.
func (w *walker) lower(text string) string {
	if len(text) > maxRemembered {
		return text
	}
	if lower, ok := w.lowered[text]; ok {
		return lower
	}
	lower := strings.ToLower(text)
	if len(w.lowered) < maxJoined {
		w.lowered[strings.Clone(text)] = strings.Clone(lower)
	}
	return lower
}
