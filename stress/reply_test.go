package stress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace/noop"
)

// answerOf is an answer of which the body ends in an error.
func answerOf(kind, body string, end error) *http.Response {
	return &http.Response{Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(io.MultiReader(strings.NewReader(body), failing{end}))}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// endless is a text again and again.
type endless struct {
	text string
	rest string
}

func (e *endless) Read(p []byte) (int, error) {
	if e.rest == "" {
		e.rest = e.text
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// ends are the ways in which an answer ends too early.
var ends = []struct {
	err       error
	outcome   Outcome
	errorType string
	again     bool
}{
	{io.ErrUnexpectedEOF, Malformed, "malformed_truncated", true},
	{fmt.Errorf("read tcp: %w", syscall.ECONNRESET), ConnectionError, "connection_reset", true},
	{errors.New("stream error: stream ID 1; INTERNAL_ERROR"), ConnectionError, "connection_error", true},
}

// toldBy is what an answer came to: its error type, or all that it says.
func toldBy(a *attempted) string {
	if a.outcome != Success {
		return a.errorType
	}
	var all []string
	for _, kv := range a.attributes() {
		name := string(kv.Key)
		if name == "gen_ai.response.time_to_first_chunk" {
			continue
		}
		all = append(all, name[strings.LastIndexByte(name, '.')+1:]+"="+textOf(kv.Value))
	}
	return strings.Join(append(all, "text="+string(a.text)), " ")
}

func textOf(v attribute.Value) string { return strings.Trim(v.String(), `[]"`) }

// TestReadWhole: what an answer in one piece comes to.
func TestReadWhole(t *testing.T) {
	const choice = `"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]`
	for _, c := range []struct{ name, kind, operation, body, want string }{
		{"all of it", "application/json; charset=utf-8", "chat", `{"id":"i","model":"m",` + choice + `,"usage":{"prompt_tokens":3,"completion_tokens":2}}`, "model=m id=i input_tokens=3 output_tokens=2 finish_reasons=stop text=hi"},
		{"nothing is known of its usage", "application/json", "chat", `{"id":"i","model":"m",` + choice + `}`, "model=m id=i finish_reasons=stop text=hi"},
		{"usage null", "application/json", "chat", `{` + choice + `,"usage":null}`, "finish_reasons=stop text=hi"},
		{"usage in part", "application/json", "chat", `{` + choice + `,"usage":{"prompt_tokens":0}}`, "input_tokens=0 finish_reasons=stop text=hi"},
		{"usage below nothing", "application/json", "chat", `{` + choice + `,"usage":{"prompt_tokens":-1,"completion_tokens":7}}`, "output_tokens=7 finish_reasons=stop text=hi"},
		{"no reason to end", "application/json", "chat", `{"choices":[{"message":{"content":"hi"}}]}`, "text=hi"},
		{"a tool", "application/json", "chat", `{"choices":[{"message":{"content":null,"tool_calls":[{"id":"c","function":{"name":"look"}}]},"finish_reason":"tool_calls"}]}`, "finish_reasons=tool_calls text="},
		{"embeddings", "application/json", "embeddings", `{"model":"e","data":[{}],"usage":{"prompt_tokens":5}}`, "model=e input_tokens=5 text="},
		{"no choices", "application/json", "chat", `{"id":"i","usage":{"prompt_tokens":3}}`, "malformed_missing_fields"},
		{"no data", "application/json", "embeddings", `{"usage":{"prompt_tokens":3}}`, "malformed_missing_fields"},
		{"nothing", "application/json", "chat", ``, "malformed_empty_body"},
		{"half", "application/json", "chat", `{"id":`, "malformed_invalid_json"},
		{"a page", "text/html", "chat", `{}`, "malformed_content_type"},
		{"of no kind", "", "chat", `{}`, "malformed_content_type"},
	} {
		got := readWhole(t.Context(), answerOf(c.kind, c.body, io.EOF), c.operation)
		require.Equal(t, c.want, toldBy(&got), c.name)
	}
	for _, end := range ends {
		got := readWhole(t.Context(), answerOf("application/json", `{"id":`, end.err), "chat")
		require.Equal(t, end.errorType, got.errorType)
		require.Equal(t, end.outcome, got.outcome)
		require.Equal(t, end.again, got.again)
	}
}

// TestReadStream: what a stream comes to.
func TestReadStream(t *testing.T) {
	const (
		hi    = `{"id":"i","model":"m","choices":[{"delta":{"content":"hi"}}]}`
		there = `{"choices":[{"delta":{"content":" there"},"finish_reason":"stop"}]}`
		usage = `{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}`
		all   = "model=m id=i input_tokens=3 output_tokens=2 finish_reasons=stop text=hi there"
	)
	for _, c := range []struct{ name, body, want string }{
		{"as OpenAI writes it", "data: " + hi + "\n\ndata: " + there + "\n\ndata: " + usage + "\n\ndata: [DONE]\n\n", all},
		{"without the space", "data:" + hi + "\n\ndata:" + there + "\n\ndata:" + usage + "\n\ndata:[DONE]\n\n", all},
		{"lines end as in Windows", "data: " + hi + "\r\n\r\ndata: " + there + "\r\n\r\ndata: " + usage + "\r\n\r\ndata: [DONE]\r\n\r\n", all},
		{"with other fields", ": hello\nretry: 3\nevent: x\nid: 7\ndata: " + hi + "\n\n:\n\ndata\ndata:\n\ndata: " + there + "\n\ndata: " + usage + "\n\ndata: [DONE]\n\n", all},
		{"nothing after the last line", "data: " + hi + "\n\ndata: " + there + "\n\ndata: " + usage + "\n\ndata: [DONE]", all},
		{"nothing is known of its usage", "data: " + hi + "\n\ndata: " + there + "\n\ndata: [DONE]\n\n", "model=m id=i finish_reasons=stop text=hi there"},
		{"usage null", "data: " + hi + "\n\n" + `data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":null}` + "\n\ndata: [DONE]\n\n", "model=m id=i finish_reasons=stop text=hi"},
		{"no reason to end", "data: " + hi + "\n\ndata: [DONE]\n\n", "malformed_missing_fields"},
		{"it ends before its end", "data: " + hi + "\n\ndata: " + there + "\n\n", "malformed_truncated"},
		{"nothing", "", "malformed_truncated"},
		{"half", "data: " + hi[:20] + "\n\ndata: [DONE]\n\n", "malformed_invalid_json"},
		{"a line too long", "data: " + strings.Repeat("x", maxLineBytes) + "\n\n", "malformed_too_large"},
	} {
		got := readStream(t.Context(), answerOf("text/event-stream", c.body, io.EOF), time.Now())
		require.Equal(t, c.want, toldBy(&got), c.name)
	}
	got := readStream(t.Context(), answerOf("application/json", "", io.EOF), time.Now())
	require.Equal(t, "malformed_content_type", got.errorType)
	for _, end := range ends {
		for _, before := range []string{"", "data: " + hi + "\n\n", "data: " + hi[:20]} {
			got := readStream(t.Context(), answerOf("text/event-stream", before, end.err), time.Now())
			require.Equal(t, end.errorType, got.errorType)
			require.Equal(t, end.outcome, got.outcome)
			require.Equal(t, end.again, got.again)
		}
	}
}

// TestWhoLeavesHasSeenNoBrokenAnswer: where an attempt ends in its timeout, or
// with the load, what it has read by then says nothing about the answer.
func TestWhoLeavesHasSeenNoBrokenAnswer(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	for want, ctx := range map[string]context.Context{"cancelled": cancelled, "timeout": late} {
		for _, err := range []error{ctx.Err(), io.ErrUnexpectedEOF, syscall.ECONNRESET} {
			whole := readWhole(ctx, answerOf("application/json", "{", err), "chat")
			require.Equal(t, want, whole.errorType)
			stream := readStream(ctx, answerOf("text/event-stream", "data: {}\n\n", err), time.Now())
			require.Equal(t, want, stream.errorType)
			require.False(t, whole.again || stream.again)
		}
	}
}

// TestEndlessAnswersAreNotRead to their end, as they have none.
func TestEndlessAnswersAreNotRead(t *testing.T) {
	body := func(kind, text string) *http.Response {
		return &http.Response{Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(&endless{text: text})}
	}
	whole := readWhole(t.Context(), body("application/json", " "), "chat")
	require.Equal(t, "malformed_too_large", whole.errorType)
	event := `data: {"choices":[{"delta":{"content":"` + strings.Repeat("why ", 1000) + `"}}]}` + "\n\n"
	stream := readStream(t.Context(), body("text/event-stream", event), time.Now())
	require.Equal(t, "malformed_too_large", stream.errorType)
}

// TestBoundedReadsAsMuchAsItMay, and no more.
func TestBoundedReadsAsMuchAsItMay(t *testing.T) {
	for length, want := range map[int]error{0: nil, 9: nil, 10: nil, 11: errTooLarge, 1000: errTooLarge} {
		got, err := io.ReadAll(&bounded{bytes.NewReader(make([]byte, length)), 10})
		require.ErrorIs(t, err, want)
		require.Len(t, got, min(length, 10))
	}
}

// roundTrip answers requests.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// lingering ends after a while.
type lingering time.Duration

func (l lingering) Read([]byte) (int, error) {
	time.Sleep(time.Duration(l))
	return 0, io.EOF
}

// TestAStreamIsOverWhenItSaysSo: a server that says so and then takes its time to
// close adds nothing to the latency.
func TestAStreamIsOverWhenItSaysSo(t *testing.T) {
	const longer = lingering(50 * time.Millisecond)
	var made Call
	c := newClient(&Config{
		Target: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, Tracing: noop.NewTracerProvider(), Timeout: time.Hour, Cooldown: time.Hour,
	}, newTally(func(c Call) { made = c }))
	c.http.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
		const said = "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}},
			Body: io.NopCloser(io.MultiReader(strings.NewReader(said), longer)),
		}, nil
	})
	began := time.Now()
	_, outcome := c.call(t.Context(), nil, &request{operation: "chat", stream: true})
	require.Equal(t, Success, outcome)
	require.GreaterOrEqual(t, time.Since(began)-made.End.Sub(made.Start), time.Duration(longer))
}
