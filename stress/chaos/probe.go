package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"

	"github.com/spanbucket/spanbucketexporter/stress/discreet"
)

// probe sends requests.
type probe struct {
	config    Config
	http      *http.Client
	transport *http.Transport // beneath http
}

func newProbe(c Config) *probe {
	if c.Model == "" {
		c.Model = "fake-small"
	}
	for _, d := range []struct {
		value   *time.Duration
		natural time.Duration
	}{{&c.Timeout, 10 * time.Second}, {&c.RapidLength, 5 * time.Second}, {&c.Recovery, time.Minute}} {
		if *d.value == 0 {
			*d.value = d.natural
		}
	}
	if c.RapidRate == 0 {
		c.RapidRate = 1000
	}
	transport := &http.Transport{MaxIdleConnsPerHost: burst}
	return &probe{config: c, transport: transport, http: &http.Client{Transport: otelhttp.NewTransport(discreet.Transport{RoundTripper: transport, Key: c.Key},
		otelhttp.WithTracerProvider(c.Tracing), otelhttp.WithPropagators(propagation.TraceContext{})),
		// A redirection may lead to somebody whom the key is not for.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// seen is what a case saw.
type seen struct {
	passed bool
	actual string
	err    error
}

// reply is an answer to a request.
type reply struct {
	status int // 0: there was none
	text   string
}

// maxReplyBytes bounds what is read of an answer.
const maxReplyBytes = 4 << 20

// send sends a request and returns the answer, as much of it as came.
func (p *probe) send(ctx context.Context, method, path, body string) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(p.config.Target, "/")+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	if p.config.Key != "" {
		req.Header.Set("Authorization", "Bearer "+p.config.Key)
	}
	answer, err := p.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxReplyBytes))
	return reply{answer.StatusCode, string(text)}, err
}

// chat sends a body as a request for a chat completion.
func (p *probe) chat(ctx context.Context, body string) (reply, error) {
	return p.send(ctx, http.MethodPost, "/v1/chat/completions", body)
}

// hello is a request that nothing is wrong with; more are further members of
// its object.
func (p *probe) hello(more string) string {
	return fmt.Sprintf(`{"model":%q,"max_tokens":1,"messages":[{"role":"user","content":"hello"}]%s}`, p.config.Model, more)
}

// oneOf passes where the status is among those that are allowed.
func oneOf(answer reply, err error) func(allowed ...int) seen {
	return func(allowed ...int) seen {
		if answer.status == 0 {
			return seen{actual: describe(err), err: err}
		}
		return seen{passed: slices.Contains(allowed, answer.status), actual: strconv.Itoa(answer.status)}
	}
}

const timeout = "timeout"

// describe tells what kept an answer from coming.
func describe(err error) string {
	var late net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &late) && late.Timeout() {
		return timeout
	}
	return "no answer"
}
