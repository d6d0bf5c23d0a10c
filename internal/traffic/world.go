package main

import "time"

// model is a language or embedding model as it is offered.
type model struct {
	provider string
	host     string
	path     string
	request  string // the alias that is asked for
	response string // the snapshot that answers

	firstChunk   time.Duration // median
	perToken     time.Duration // median
	inputTokens  float64       // median
	outputTokens float64       // median; 0 for embeddings

	inputNanoUSD, outputNanoUSD int64 // of a token
}

var (
	gpt = model{
		provider: "openai", host: "api.openai.com", path: "/v1/chat/completions",
		request: "gpt-4o", response: "gpt-4o-2024-08-06",
		firstChunk: 380 * time.Millisecond, perToken: 9 * time.Millisecond, inputTokens: 900, outputTokens: 110,
		inputNanoUSD: 2500, outputNanoUSD: 10_000,
	}
	gptMini = model{
		provider: "openai", host: "api.openai.com", path: "/v1/chat/completions",
		request: "gpt-4o-mini", response: "gpt-4o-mini-2024-07-18",
		firstChunk: 240 * time.Millisecond, perToken: 5 * time.Millisecond, inputTokens: 450, outputTokens: 60,
		inputNanoUSD: 150, outputNanoUSD: 600,
	}
	sonnet = model{
		provider: "anthropic", host: "api.anthropic.com", path: "/v1/messages",
		request: "claude-sonnet-4-5", response: "claude-sonnet-4-5-20250929",
		firstChunk: 450 * time.Millisecond, perToken: 10 * time.Millisecond, inputTokens: 1400, outputTokens: 90,
		inputNanoUSD: 3000, outputNanoUSD: 15_000,
	}
	gemini = model{
		provider: "gcp.gemini", host: "generativelanguage.googleapis.com", path: "/v1beta/models/gemini-2.5-flash:generateContent",
		request: "gemini-2.5-flash", response: "gemini-2.5-flash",
		firstChunk: 300 * time.Millisecond, perToken: 4 * time.Millisecond, inputTokens: 3000, outputTokens: 150,
		inputNanoUSD: 300, outputNanoUSD: 2500,
	}
	opus = model{
		provider: "anthropic", request: "claude-opus-4-5",
		firstChunk: 900 * time.Millisecond, perToken: 12 * time.Millisecond, inputTokens: 24_000, outputTokens: 120,
		inputNanoUSD: 500, outputNanoUSD: 25_000, // nearly all of the input is cached
	}
	embedder = model{
		provider: "openai", host: "api.openai.com", path: "/v1/embeddings",
		request: "text-embedding-3-small", response: "text-embedding-3-small",
		firstChunk: 70 * time.Millisecond, inputTokens: 24,
		inputNanoUSD: 20,
	}
)

// tools that the support agent calls.
var tools = []struct {
	name   string
	median time.Duration
}{
	{"search_orders", 60 * time.Millisecond},
	{"get_shipping_status", 140 * time.Millisecond},
	{"create_refund", 220 * time.Millisecond},
}

const (
	// callTimeout is the patience of every caller of a model.
	callTimeout = 5 * time.Second
	// longestRequest bounds what one user request can take: an agent's two
	// calls of two attempts each, its tool, and the pauses between.
	longestRequest = 30 * time.Second
)
