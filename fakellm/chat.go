package fakellm

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
)

// chatRequest is what is read of a request for a chat completion.
type chatRequest struct {
	Model    string `json:"model"`
	Messages []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	} `json:"messages"`
	Stream        bool `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	MaxTokens           *int `json:"max_tokens"`
	MaxCompletionTokens *int `json:"max_completion_tokens"`
	Tools               []struct {
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	} `json:"tools"`
	User *string `json:"user"`
}

// roles that a message may have.
var roles = map[string]bool{"system": true, "developer": true, "user": true, "assistant": true, "tool": true}

// guest is a user who may not ask for what an administrator may do.
const guest = "guest"

// chat answers a request for a chat completion.
func chat(r *http.Request, body []byte, seed uint64) (answer, *requestError) {
	var asked chatRequest
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, invalid("the body is no chat completion request: %s", oneLine(err))
	}
	if deployment := r.PathValue("deployment"); deployment != "" && asked.Model == "" {
		asked.Model = deployment
	}
	switch {
	case asked.Model == "":
		return nil, invalid("model: must be given")
	case len(asked.Messages) == 0:
		return nil, invalid("messages: must not be empty")
	}
	prompt := 0
	for i, m := range asked.Messages {
		if !roles[m.Role] {
			return nil, invalid("messages[%d].role: %q: is unknown", i, m.Role)
		}
		prompt += 4 + len(m.Content)/4
	}
	if asked.User != nil && *asked.User == guest && strings.Contains(string(asked.Messages[len(asked.Messages)-1].Content), "admin") {
		return nil, &requestError{http.StatusForbidden, "permission_error", "forbidden", "A guest has no permission for what an admin may do."}
	}
	most := 4096
	for _, limit := range []*int{asked.MaxTokens, asked.MaxCompletionTokens} {
		if limit != nil && *limit < 1 {
			return nil, invalid("max_tokens: %d: must be at least 1", *limit)
		}
		if limit != nil {
			most = min(most, *limit)
		}
	}
	return newCompletion(&asked, prompt, most, seed), nil
}

// completion is an answer.
type completion struct {
	id, model      string
	words          []string
	tool           string // that is called instead of saying something
	finish         string
	prompt, output int
	stream, usage  bool
}

// meanTokens is how many tokens an answer has on average, where nothing limits
// it.
const meanTokens = 40

func newCompletion(asked *chatRequest, prompt, most int, seed uint64) *completion {
	random := rand.New(rand.NewPCG(seed, 1))
	c := &completion{
		id: fmt.Sprintf("chatcmpl-%016x", seed), model: asked.Model, prompt: prompt, finish: "stop",
		stream: asked.Stream, usage: asked.StreamOptions.IncludeUsage,
	}
	last := asked.Messages[len(asked.Messages)-1].Role
	if len(asked.Tools) > 0 && last == "user" {
		c.tool, c.finish, c.output = asked.Tools[random.IntN(len(asked.Tools))].Function.Name, "tool_calls", 12
		return c
	}
	c.output = 1 + int(random.ExpFloat64()*meanTokens)
	if c.output > most {
		c.output, c.finish = most, "length"
	}
	for range c.output {
		c.words = append(c.words, vocabulary[random.IntN(len(vocabulary))])
	}
	return c
}

var vocabulary = strings.Fields("a the of to and is in it that for on with as this are be at from or by an was not have " +
	"time bucket span model token fault rate limit latency answer question number window file")

func (c *completion) tokens() int { return c.output - 1 }

func (c *completion) write(d *delivery) error {
	if c.stream {
		return d.stream(c.chunks())
	}
	return d.whole(map[string]any{
		"id": c.id, "object": "chat.completion", "created": 0, "model": c.model, "usage": c.usages(),
		"choices": []any{map[string]any{"index": 0, "finish_reason": c.finish, "message": c.message()}},
	}, c.tokens())
}

func (c *completion) usages() map[string]any {
	return map[string]any{"prompt_tokens": c.prompt, "completion_tokens": c.output, "total_tokens": c.prompt + c.output}
}

func (c *completion) message() map[string]any {
	if c.tool == "" {
		return map[string]any{"role": "assistant", "content": strings.Join(c.words, " ")}
	}
	return map[string]any{"role": "assistant", "content": nil, "tool_calls": []any{map[string]any{
		"id": "call_" + c.id[len("chatcmpl-"):], "type": "function",
		"function": map[string]any{"name": c.tool, "arguments": "{}"},
	}}}
}

// chunks are the parts of a stream: one for each token, then what ended it.
func (c *completion) chunks() []any {
	chunk := func(delta map[string]any, finish any) map[string]any {
		return map[string]any{
			"id": c.id, "object": "chat.completion.chunk", "created": 0, "model": c.model,
			"choices": []any{map[string]any{"index": 0, "delta": delta, "finish_reason": finish}},
		}
	}
	var all []any
	if c.tool != "" {
		all = append(all, chunk(c.message(), nil))
	}
	for i, word := range c.words {
		if i > 0 {
			word = " " + word
		}
		all = append(all, chunk(map[string]any{"content": word}, nil))
	}
	all = append(all, chunk(map[string]any{}, c.finish))
	if c.usage {
		last := chunk(nil, nil)
		last["choices"], last["usage"] = []any{}, c.usages()
		all = append(all, last)
	}
	return all
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", " ") }
