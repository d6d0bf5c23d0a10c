package fakellm_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/spanbucket/spanbucketexporter/fakellm"
)

const hello = `{"model":"m","messages":[{"role":"user","content":"hello"}]}`

// always is a preset in which every request has one fault.
func always(f fakellm.Fault) fakellm.Preset {
	var p fakellm.Preset
	p.PerMillion[f] = 1_000_000
	return p
}

// serve starts a server that tells of its requests.
func serve(t *testing.T, c fakellm.Config) (base string, server *fakellm.Server, spans *tracetest.SpanRecorder) {
	t.Helper()
	server, spans = fakellm.New(c), tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	s := httptest.NewServer(otelhttp.NewHandler(server, "", otelhttp.WithTracerProvider(provider)))
	t.Cleanup(s.Close)
	return s.URL, server, spans
}

func post(t *testing.T, url, body string) (status int, header http.Header, text string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	return answer.StatusCode, answer.Header, string(all), err
}

// TestEveryFault: what a client sees of it, what its span says, and that it is
// counted.
func TestEveryFault(t *testing.T) {
	is := func(target error) func(*testing.T, string, error) {
		return func(t *testing.T, _ string, err error) { require.ErrorIs(t, err, target) }
	}
	plain := func(t *testing.T, text string, err error) {
		require.NoError(t, err)
		require.True(t, json.Valid([]byte(text)), text)
	}
	for _, c := range []struct {
		fault  fakellm.Fault
		status int
		check  func(*testing.T, string, error)
	}{
		{fakellm.NoFault, 200, plain},
		{fakellm.RateLimited, 429, plain},
		{fakellm.Overloaded, 529, plain},
		{fakellm.Unavailable, 503, plain},
		{fakellm.InternalError, 500, plain},
		{fakellm.BadGateway, 502, plain},
		{fakellm.GatewayTimeout, 504, plain},
		{fakellm.Forbidden, 403, plain},
		{fakellm.NotFound, 404, plain},
		{fakellm.Timeout, 0, is(io.EOF)},
		{fakellm.Reset, 0, is(syscall.ECONNRESET)},
		{fakellm.Slow, 200, plain},
		{fakellm.InvalidJSON, 200, func(t *testing.T, text string, err error) {
			require.NoError(t, err)
			require.False(t, json.Valid([]byte(text)), text)
		}},
		{fakellm.Truncated, 200, is(io.ErrUnexpectedEOF)},
		{fakellm.EmptyBody, 200, func(t *testing.T, text string, err error) {
			require.NoError(t, err)
			require.Empty(t, text)
		}},
		{fakellm.MissingFields, 200, func(t *testing.T, text string, err error) {
			plain(t, text, err)
			require.NotContains(t, text, "choices")
		}},
		{fakellm.WrongContentType, 200, func(t *testing.T, text string, err error) {
			require.NoError(t, err)
			require.Contains(t, text, "<!doctype html>")
		}},
	} {
		t.Run("fault "+c.fault.String(), func(t *testing.T) {
			base, server, spans := serve(t, fakellm.Config{Preset: always(c.fault), Hang: 20 * time.Millisecond, SlowBy: 30 * time.Millisecond, RetryAfter: 1500 * time.Millisecond})
			began := time.Now()
			status, header, text, err := post(t, base+"/v1/chat/completions", hello)
			require.Equal(t, c.status, status)
			require.Equal(t, c.fault.Status(), status)
			c.check(t, text, err)
			if c.fault == fakellm.Slow {
				require.GreaterOrEqual(t, time.Since(began), 30*time.Millisecond)
			}
			if asks := c.status == 429 || c.status == 529 || c.status == 503; asks {
				require.Equal(t, "2", header.Get("Retry-After"))
				require.Equal(t, "1500", header.Get("Retry-After-Ms"))
			} else {
				require.Empty(t, header.Get("Retry-After"))
			}
			truth := server.Truth()
			require.EqualValues(t, 1, truth.Answered)
			require.EqualValues(t, 1, truth.Injected[c.fault])
			require.Eventually(t, func() bool { return len(spans.Ended()) == 1 }, 5*time.Second, time.Millisecond)
			said := map[string]string{}
			for _, a := range spans.Ended()[0].Attributes() {
				said[string(a.Key)] = a.Value.String()
			}
			require.Equal(t, c.fault.String(), said["chaos.fault.type"])
			cut := map[fakellm.Fault]string{fakellm.Timeout: "timeout", fakellm.Reset: "connection_reset", fakellm.Truncated: "malformed_truncated"}[c.fault]
			if cut != "" {
				require.Equal(t, cut, said["error.type"])
			}
			require.Equal(t, cut != "" || c.status >= 500, spans.Ended()[0].Status().Code == codes.Error)
			if c.fault == fakellm.Slow {
				require.Equal(t, "30", said["chaos.fault.latency_ms"])
			}
		})
	}
}

// TestEveryPathOfTheDialect answers.
func TestEveryPathOfTheDialect(t *testing.T) {
	base, _, _ := serve(t, fakellm.Config{})
	const embed = `{"model":"m","input":["a","b"]}`
	for _, c := range []struct{ path, body, want string }{
		{"/v1/chat/completions", hello, `"model":"m"`},
		{"/v1/embeddings", embed, `"embedding":[`},
		{"/v1/embeddings", `{"model":"m","input":"a"}`, `"prompt_tokens":1`},
		{"/openai/deployments/d/chat/completions?api-version=2024-10-21", `{"messages":[{"role":"user","content":"x"}]}`, `"model":"d"`},
		{"/openai/deployments/d/embeddings", `{"input":"a"}`, `"model":"d"`},
		{"/v1/chat/completions", `{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}]}`, `"completion_tokens":1`},
		{"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[{"function":{"name":"look"}}]}`, `"name":"look"`},
	} {
		status, _, text, err := post(t, base+c.path, c.body)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status, text)
		require.Contains(t, text, c.want)
	}
	answer, err := http.Get(base + "/v1/models")
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusOK, answer.StatusCode)
}

// TestWrongRequestsAreRefused, and are no injected fault.
func TestWrongRequestsAreRefused(t *testing.T) {
	base, server, _ := serve(t, fakellm.Config{Preset: always(fakellm.InternalError), MaxBodyBytes: 1000})
	cases := []struct {
		path, body string
		status     int
		want       string
	}{
		{"/v1/chat/completions", `{`, 400, "no chat completion request"},
		{"/v1/chat/completions", ``, 400, "no chat completion request"},
		{"/v1/chat/completions", `{"model":"m"}`, 400, "messages: must not be empty"},
		{"/v1/chat/completions", `{"messages":[{"role":"user"}]}`, 400, "model: must be given"},
		{"/v1/chat/completions", `{"model":"m","messages":[{"role":"king"}]}`, 400, `messages[0].role: \"king\"`},
		{"/v1/chat/completions", `{"model":"m","max_tokens":0,"messages":[{"role":"user"}]}`, 400, "max_tokens: 0"},
		{"/v1/chat/completions", `{"model":"m","user":7,"messages":[{"role":"user"}]}`, 400, "user"},
		{"/v1/chat/completions", `{"model":"m","user":"guest","messages":[{"role":"user","content":"I am admin"}]}`, 403, "no permission"},
		{"/v1/chat/completions", strings.Repeat(" ", 1001), 413, "larger than 1000 bytes"},
		{"/v1/embeddings", `{"model":"m","input":7}`, 400, "input: must be a text"},
		{"/v1/embeddings", `{"model":"m","input":[]}`, 400, "input: must not be empty"},
	}
	for _, c := range cases {
		status, _, text, err := post(t, base+c.path, c.body)
		require.NoError(t, err)
		require.Equal(t, c.status, status, text)
		require.Contains(t, text, c.want)
	}
	truth := server.Truth()
	require.EqualValues(t, len(cases), truth.Refused)
	require.Zero(t, truth.Answered)
	status, _, _, err := post(t, base+"/v2/unknown", hello)
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, status)
}

// TestAStreamComesTokenByToken: the first after the latency of the preset, the
// others each a while later.
func TestAStreamComesTokenByToken(t *testing.T) {
	preset := fakellm.Preset{Latency: 50 * time.Millisecond}
	base, _, _ := serve(t, fakellm.Config{Preset: preset, TokenEvery: 5 * time.Millisecond, Seed: 4})
	began := time.Now()
	answer, err := http.Post(base+"/v1/chat/completions", "application/json",
		strings.NewReader(`{"model":"m","stream":true,"max_tokens":20,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"x"}]}`))
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, "text/event-stream", answer.Header.Get("Content-Type"))
	lines := bufio.NewScanner(answer.Body)
	var first, last time.Duration
	var events []string
	for lines.Scan() {
		if data, found := strings.CutPrefix(lines.Text(), "data: "); found {
			if events = append(events, data); len(events) == 1 {
				first = time.Since(began)
			}
			last = time.Since(began)
		}
	}
	require.NoError(t, lines.Err())
	require.Equal(t, "[DONE]", events[len(events)-1])
	require.Contains(t, events[len(events)-2], `"completion_tokens":`)
	require.GreaterOrEqual(t, first, 50*time.Millisecond)
	// From the beginning: whoever reads may be late for the first, not for all.
	require.GreaterOrEqual(t, last, 50*time.Millisecond+time.Duration(len(events)-2)*5*time.Millisecond)
}

// TestBrokenStreams end without the event that ends them, or in what is none.
func TestBrokenStreams(t *testing.T) {
	body := strings.Replace(hello, "{", `{"stream":true,`, 1)
	for _, f := range []fakellm.Fault{fakellm.Truncated, fakellm.InvalidJSON, fakellm.EmptyBody, fakellm.MissingFields, fakellm.WrongContentType} {
		base, _, _ := serve(t, fakellm.Config{Preset: always(f)})
		_, _, text, err := post(t, base+"/v1/chat/completions", body)
		whole := err == nil && strings.HasSuffix(text, "data: [DONE]\n\n")
		for line := range strings.Lines(text) {
			if data, found := strings.CutPrefix(strings.TrimSpace(line), "data: "); found && data != "[DONE]" {
				whole = whole && json.Valid([]byte(data))
			}
		}
		require.False(t, whole, "%s: %q, %v", f, text, err)
	}
}

// TestAClientThatLeavesIsNotWaitedFor: the handler ends with its client.
func TestAClientThatLeavesIsNotWaitedFor(t *testing.T) {
	base, server, spans := serve(t, fakellm.Config{Preset: always(fakellm.Timeout), Hang: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/chat/completions", strings.NewReader(hello))
	require.NoError(t, err)
	_, err = http.DefaultClient.Do(req) //nolint:bodyclose // there is none
	require.True(t, errors.Is(err, context.DeadlineExceeded), "%v", err)
	require.Eventually(t, func() bool { return len(spans.Ended()) == 1 }, 5*time.Second, time.Millisecond)
	require.EqualValues(t, 1, server.Truth().Injected[fakellm.Timeout])
}

// TestFaultsCanBeTurnedOff and on again.
func TestFaultsCanBeTurnedOff(t *testing.T) {
	base, server, _ := serve(t, fakellm.Config{Preset: always(fakellm.Unavailable)})
	for _, on := range []bool{true, false, true} {
		server.SetFaults(on)
		status, _, _, err := post(t, base+"/v1/chat/completions", hello)
		require.NoError(t, err)
		require.Equal(t, map[bool]int{true: 503, false: 200}[on], status)
	}
}

// TestBurstsBeginWithTheFaults: where faults were off, the first burst begins
// when they are turned on, however old the server is.
func TestBurstsBeginWithTheFaults(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	burst := fakellm.Preset{Burst: fakellm.Burst{Interval: time.Minute, Length: time.Second, RateLimitedPerMillion: 1_000_000}}
	base, server, _ := serve(t, fakellm.Config{Preset: burst, Now: func() time.Time { return now }})
	ask := func() int {
		status, _, _, err := post(t, base+"/v1/chat/completions", hello)
		require.NoError(t, err)
		return status
	}
	now = now.Add(2 * time.Second)
	require.Equal(t, 200, ask())
	server.SetFaults(false)
	server.SetFaults(true)
	require.Equal(t, 429, ask())
	now = now.Add(2 * time.Second)
	server.SetFaults(true) // they are on
	require.Equal(t, 200, ask())
}
