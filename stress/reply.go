package stress

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"
)

// message is a part of a conversation.
type message struct {
	Role       string `json:"role"`
	Content    string `json:"content"`
	ToolCallID string `json:"tool_call_id,omitempty"`
}

// reply is what a model answered.
type reply struct {
	id, model, text, finish   string
	tool, toolCallID          string
	inputTokens, outputTokens int
}

// path is the resource that a request is sent to.
func (r *request) path() string {
	if r.operation == "embeddings" {
		return "v1/embeddings"
	}
	return "v1/chat/completions"
}

// body is what is sent.
func (r *request) body() any {
	if r.operation == "embeddings" {
		return map[string]any{"model": r.model, "input": r.messages[0].Content}
	}
	body := map[string]any{"model": r.model, "messages": r.messages}
	if r.stream {
		body["stream"], body["stream_options"] = true, map[string]any{"include_usage": true}
	}
	var tools []any
	for _, name := range r.tools {
		tools = append(tools, map[string]any{"type": "function", "function": map[string]any{"name": name}})
	}
	if tools != nil {
		body["tools"] = tools
	}
	return body
}

// answered is a completion, a chunk of one, or embeddings.
type answered struct {
	ID      string `json:"id"`
	Model   string `json:"model"`
	Choices []struct {
		Message      said    `json:"message"`
		Delta        said    `json:"delta"`
		FinishReason *string `json:"finish_reason"`
	} `json:"choices"`
	Data  []json.RawMessage `json:"data"`
	Usage *struct {
		PromptTokens     int `json:"prompt_tokens"`
		CompletionTokens int `json:"completion_tokens"`
	} `json:"usage"`
}

type said struct {
	Content   string `json:"content"`
	ToolCalls []struct {
		ID       string `json:"id"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	} `json:"tool_calls"`
}

// take adds what an answer, or a chunk of one, says.
func (p *reply) take(a *answered) {
	if a.ID != "" {
		p.id = a.ID
	}
	if a.Model != "" {
		p.model = a.Model
	}
	if a.Usage != nil {
		p.inputTokens, p.outputTokens = a.Usage.PromptTokens, a.Usage.CompletionTokens
	}
	for _, choice := range a.Choices {
		for _, s := range []said{choice.Message, choice.Delta} {
			p.text += s.Content
			for _, call := range s.ToolCalls {
				p.tool, p.toolCallID = call.Function.Name, call.ID
			}
		}
		if choice.FinishReason != nil {
			p.finish = *choice.FinishReason
		}
	}
}

func malformed(why string) attempted {
	a := failed(Malformed, "malformed_"+why)
	a.again = true
	return a
}

// readWhole reads an answer in one piece.
func readWhole(answer *http.Response, operation string) attempted {
	if kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return malformed("content_type")
	}
	body, err := io.ReadAll(answer.Body)
	var got answered
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return malformed("truncated")
	case err != nil:
		return attempted{outcome: ConnectionError, errorType: "connection_reset", again: true}
	case len(body) == 0:
		return malformed("empty_body")
	case json.Unmarshal(body, &got) != nil:
		return malformed("invalid_json")
	case got.Usage == nil, operation == "chat" && len(got.Choices) == 0, operation == "embeddings" && len(got.Data) == 0:
		return malformed("missing_fields")
	}
	made := attempted{outcome: Success}
	made.take(&got)
	return made
}

// readStream reads server-sent events up to the one that ends them.
func readStream(answer *http.Response, start time.Time) attempted {
	if kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type")); err != nil || kind != "text/event-stream" {
		return malformed("content_type")
	}
	made := attempted{outcome: Success}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, found := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !found {
			continue
		}
		if string(data) == "[DONE]" {
			_, _ = io.Copy(io.Discard, answer.Body) // its end; the connection is used again
			if made.finish == "" {
				return malformed("missing_fields")
			}
			return made
		}
		var chunk answered
		if json.Unmarshal(data, &chunk) != nil {
			return malformed("invalid_json")
		}
		if made.ttft == 0 {
			made.ttft = time.Since(start)
		}
		made.take(&chunk)
	}
	return malformed("truncated")
}
