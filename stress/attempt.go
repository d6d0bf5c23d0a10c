package stress

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

var dialer = net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}

// attempted is what came of one HTTP request.
type attempted struct {
	reply
	outcome    Outcome
	errorType  string
	ttft       time.Duration
	retryAfter time.Duration
	after      time.Duration // how long it went on when the answer was whole
	again      bool          // it is worth another attempt
}

func failed(outcome Outcome, errorType string) attempted {
	return attempted{outcome: outcome, errorType: errorType}
}

// attributes is what is known of a call after it was made: what the answer does
// not say stays unknown.
func (a *attempted) attributes() []attribute.KeyValue {
	var all []attribute.KeyValue
	text := func(key, value string) {
		if value != "" {
			all = append(all, attribute.String(key, value))
		}
	}
	number := func(key string, n *int64) {
		if n != nil {
			all = append(all, attribute.Int64(key, *n))
		}
	}
	text("gen_ai.response.model", a.model)
	text("gen_ai.response.id", a.id)
	number("gen_ai.usage.input_tokens", a.inputTokens)
	number("gen_ai.usage.output_tokens", a.outputTokens)
	if a.finish != "" {
		all = append(all, attribute.StringSlice("gen_ai.response.finish_reasons", []string{a.finish}))
	}
	if a.ttft > 0 {
		all = append(all, attribute.Float64("gen_ai.response.time_to_first_chunk", a.ttft.Seconds()))
	}
	return all
}

// resendCount says on the span of an HTTP request how often it was sent before,
// and on that of a call how often it was sent again.
const resendCount = "http.request.resend_count"

// resendKey carries how often a request was sent before.
type resendKey struct{}

// resends says on the span of an HTTP request that it is not the first.
type resends struct{ http.RoundTripper }

func (t resends) RoundTrip(r *http.Request) (*http.Response, error) {
	if n, _ := r.Context().Value(resendKey{}).(int); n > 0 {
		trace.SpanFromContext(r.Context()).SetAttributes(attribute.Int(resendCount, n))
	}
	return t.RoundTripper.RoundTrip(r)
}

// attempt sends a request once. TTFT counts from the start of the call.
func (c *client) attempt(parent context.Context, r *request, before int, start time.Time) attempted {
	ctx, cancel := context.WithTimeout(context.WithValue(parent, resendKey{}, before), c.timeout)
	defer cancel()
	body, err := json.Marshal(r.body())
	if err != nil {
		panic(err) // texts and numbers
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath(r.path()).String(), bytes.NewReader(body))
	if err != nil {
		return failed(ClientError, "invalid_request_error")
	}
	req.Header.Set("Content-Type", "application/json")
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	answer, err := c.http.Do(req)
	if err != nil {
		return unreachable(ctx, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20)) // so that the connection can be used again
		return refused(answer)
	}
	var made attempted
	if r.stream {
		made = readStream(ctx, answer, start)
	} else {
		made = readWhole(ctx, answer, r.operation)
	}
	made.hide(c.key)
	return made
}

// hide sees to it that who is told what a model said does not learn a key that
// it repeats.
func (p *reply) hide(key string) {
	if key == "" {
		return
	}
	for _, text := range []*string{&p.id, &p.model, &p.finish, &p.tool, &p.toolCallID} {
		if strings.Contains(*text, key) {
			*text = ""
		}
	}
}

// unreachable sorts errors of the connection; ctx is the attempt's.
func unreachable(ctx context.Context, err error) attempted {
	a := failed(ConnectionError, "connection_error")
	var timeout net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return failed(Cancelled, "cancelled")
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		a.errorType = "timeout"
		return a // whoever waited this long does not wait again
	case errors.Is(err, syscall.ECONNRESET):
		a.errorType = "connection_reset"
	case errors.Is(err, syscall.ECONNREFUSED):
		a.errorType = "connection_refused"
	}
	a.again = true
	return a
}

// statusOverloaded is 529, which net/http has no name for.
const statusOverloaded = 529

// refused sorts answers that are errors.
func refused(answer *http.Response) attempted {
	a := attempted{errorType: strconv.Itoa(answer.StatusCode), retryAfter: retryAfter(answer.Header, time.Now())}
	switch status := answer.StatusCode; {
	case status == http.StatusTooManyRequests:
		a.outcome, a.again = RateLimited, true
	case status == statusOverloaded:
		a.outcome, a.again = CapacityError, true
	case status >= 500:
		a.outcome, a.again = ServerError, status != http.StatusInternalServerError
	case status >= 400:
		a.outcome = ClientError
	default:
		a.outcome, a.errorType = Malformed, "malformed_status"
	}
	return a
}

// longestRetry bounds what is believed of an answer that asks for patience.
const longestRetry = 24 * time.Hour

// retryAfter reads how long the server asks a client to wait; 0 where it asks
// for nothing. A date is compared with the server's own clock, where the answer
// tells it.
func retryAfter(h http.Header, now time.Time) time.Duration {
	said := h.Get("Retry-After")
	if d := times(h.Get("Retry-After-Ms"), time.Millisecond); d > 0 {
		return d
	}
	if d := times(said, time.Second); d > 0 {
		return d
	}
	at, err := http.ParseTime(said)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), longestRetry)
}

// times reads a number of units; 0 where it is none.
func times(text string, unit time.Duration) time.Duration {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n > 0) {
		return 0
	}
	return time.Duration(min(n*float64(unit), float64(longestRetry)))
}
