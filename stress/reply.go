package stress

import (
	"bufio"
	"bytes"
	"context"
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

// reply is what a model answered. What it did not say is empty, or nil.
type reply struct {
	id, model, finish         string
	text                      []byte
	tool, toolCallID          string
	inputTokens, outputTokens *int64
}

// Bounds of what is read of an answer. Models say far less.
const (
	maxAnswerBytes = 32 << 20 // of a stream, what surrounds each token included
	maxLineBytes   = 1 << 20  // of a stream
)

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
	Usage struct {
		PromptTokens     *int64 `json:"prompt_tokens"`
		CompletionTokens *int64 `json:"completion_tokens"`
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
	if n := a.Usage.PromptTokens; n != nil && *n >= 0 {
		p.inputTokens = n
	}
	if n := a.Usage.CompletionTokens; n != nil && *n >= 0 {
		p.outputTokens = n
	}
	for _, choice := range a.Choices {
		for _, s := range []said{choice.Message, choice.Delta} {
			p.text = append(p.text, s.Content...)
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

// errTooLarge ends an answer that goes on and on.
var errTooLarge = errors.New("the answer is too large")

// bounded reads so many bytes; where there are more it ends in errTooLarge.
type bounded struct {
	from io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > b.left+1 { // one more tells whether there are more
		p = p[:b.left+1]
	}
	n, err := b.from.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n - 1, errTooLarge
	}
	return n, err
}

// broken sorts what ended an answer before its end.
func broken(ctx context.Context, err error) attempted {
	switch {
	case errors.Is(err, errTooLarge), errors.Is(err, bufio.ErrTooLong):
		return malformed("too_large")
	case errors.Is(err, io.ErrUnexpectedEOF) && ctx.Err() == nil:
		return malformed("truncated")
	}
	return unreachable(ctx, err)
}

// readWhole reads an answer in one piece.
func readWhole(ctx context.Context, answer *http.Response, operation string) attempted {
	if kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return malformed("content_type")
	}
	body, err := io.ReadAll(&bounded{answer.Body, maxAnswerBytes})
	var got answered
	switch {
	case err != nil:
		return broken(ctx, err)
	case len(body) == 0:
		return malformed("empty_body")
	case json.Unmarshal(body, &got) != nil:
		return malformed("invalid_json")
	case operation == "chat" && len(got.Choices) == 0, operation == "embeddings" && len(got.Data) == 0:
		return malformed("missing_fields")
	}
	made := attempted{outcome: Success}
	made.take(&got)
	return made
}

// readStream reads server-sent events up to the one that ends them. TTFT counts
// from start.
func readStream(ctx context.Context, answer *http.Response, start time.Time) attempted {
	if kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type")); err != nil || kind != "text/event-stream" {
		return malformed("content_type")
	}
	made := attempted{outcome: Success}
	body := &bounded{answer.Body, maxAnswerBytes}
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLineBytes)
	for lines.Scan() {
		data, found := bytes.CutPrefix(lines.Bytes(), []byte("data:"))
		data = bytes.TrimPrefix(data, []byte(" ")) // one, if any
		if !found || len(data) == 0 {
			continue
		}
		if string(data) == "[DONE]" {
			whole := time.Now()
			_, _ = io.Copy(io.Discard, body) // its end; the connection is used again
			if made.finish == "" {
				made = malformed("missing_fields")
			}
			made.after = time.Since(whole) // some servers take their time
			return made
		}
		var chunk answered
		if json.Unmarshal(data, &chunk) != nil {
			if err := lines.Err(); err != nil { // this is the half of a line
				return broken(ctx, err)
			}
			return malformed("invalid_json")
		}
		if made.ttft == 0 {
			made.ttft = time.Since(start)
		}
		made.take(&chunk)
	}
	if err := lines.Err(); err != nil {
		return broken(ctx, err)
	}
	return malformed("truncated")
}
