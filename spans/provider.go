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
			"vertex_ai", "vertexai", "VertexAI", "google_vertexai", "google.vertex", "google-vertex", "google.vertex.chat",
			"vertex", "googleVertex",
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
// openai.chat, the first counts where it is known and the whole is not.
func (w *walker) provider() string {
	written := w.text(&w.span, fieldProvider)
	if written == "" {
		return ""
	}
	if known := providers.find(written); known != nil {
		return *known
	}
	first, _, _ := strings.Cut(written, ".")
	if known := providers.find(first); known != nil {
		return *known
	}
	return w.lower(written)
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
		w.lowered[strings.Clone(text)] = lower
	}
	return lower
}
