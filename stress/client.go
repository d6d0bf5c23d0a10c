package stress

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanbucket/spanbucketexporter/stress/discreet"
)

// client calls one API, for all users.
type client struct {
	base *url.URL
	key  string // empty: none
	http *http.Client
	// transport is beneath http, whose layers do not let its connections be closed.
	transport *http.Transport
	tracer    trace.Tracer
	timeout   time.Duration // of an attempt
	patience  time.Duration // with an API that asks for it
	attempts  int           // of a call, at most
	breaker   *breaker
	pace      pace
	tally     *Tally
}

// Limits of a client.
const (
	defaultTimeout  = 30 * time.Second
	defaultAttempts = 3
	// The circuit opens after so many failures in a row, for so long.
	tripFailures = 5
	cooldown     = 2 * time.Second
)

func newClient(c *Config, tally *Tally) *client {
	transport := &http.Transport{
		MaxIdleConnsPerHost: max(c.Profile.Users, 1), MaxConnsPerHost: 0, ForceAttemptHTTP2: true,
		DialContext: dialer.DialContext, IdleConnTimeout: 30 * time.Second,
	}
	traced := otelhttp.NewTransport(resends{discreet.Transport{RoundTripper: transport, Key: c.Key}}, otelhttp.WithTracerProvider(c.Tracing),
		otelhttp.WithPropagators(propagation.TraceContext{}))
	return &client{
		base: c.Target, key: c.Key, transport: transport,
		// A redirection would be a request that nobody counts, and may lead to
		// somebody whom the key is not for.
		http: &http.Client{Transport: traced, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}},
		tracer:  c.Tracing.Tracer("github.com/spanbucket/spanbucketexporter/stress"),
		timeout: c.Timeout, patience: c.MaxRetryAfter, attempts: defaultAttempts, tally: tally, pace: pace{longest: c.MaxPause},
		breaker: newBreaker(c.Target.Host, tripFailures, c.Cooldown, tally),
	}
}

// close closes idle connections.
func (c *client) close() { c.transport.CloseIdleConnections() }

// request is a call that somebody wants made.
type request struct {
	operation string // chat or embeddings
	model     string
	messages  []message
	stream    bool
	tools     []string
	session   string
	// due is when it should have begun; zero: now.
	due time.Time
}

// call makes a call: as many attempts as it takes. The reply says nothing where
// the outcome is not Success.
func (c *client) call(ctx context.Context, random *rand.Rand, r *request) (reply, Outcome) {
	began := time.Now()
	start := began
	if !r.due.IsZero() && r.due.Before(began) {
		start = r.due
	}
	ctx, span := c.tracer.Start(ctx, r.operation+" "+r.model, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithTimestamp(start), trace.WithAttributes(c.describe(r)...))
	made, attempts := c.try(ctx, random, r, start)
	// The monotonic clock measures; the wall clock only says when it began.
	end := start.Add(began.Sub(start) + time.Since(began) - made.after)
	done := Call{
		Operation: r.operation, Outcome: made.outcome, Start: start, End: end, Attempts: attempts,
		TTFT: made.ttft, InputTokens: known(made.inputTokens), OutputTokens: known(made.outputTokens),
	}
	c.breaker.tell(span)
	span.SetAttributes(made.attributes()...)
	if attempts > 1 {
		span.SetAttributes(attribute.Int(resendCount, attempts-1))
	}
	if made.outcome == CircuitOpen {
		span.SetAttributes(attribute.String(circuitName, c.breaker.circuit.Name()))
	}
	if made.outcome != Success {
		span.SetAttributes(attribute.String("error.type", made.errorType))
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(end))
	if err := c.tally.call(done); err != nil {
		panic(err) // a sum of latencies beyond 292 years
	}
	return made.reply, made.outcome
}

// known is a number, or 0 where nobody said it.
func known(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

// describe is what is known of a call before it is made.
func (c *client) describe(r *request) []attribute.KeyValue {
	port, _ := strconv.Atoi(c.base.Port()) // 0 where the scheme says it
	all := []attribute.KeyValue{
		attribute.String("gen_ai.operation.name", r.operation), attribute.String("gen_ai.provider.name", "openai"),
		attribute.String("gen_ai.request.model", r.model), attribute.String("server.address", c.base.Hostname()),
	}
	if port != 0 {
		all = append(all, attribute.Int("server.port", port))
	}
	if r.session != "" {
		all = append(all, attribute.String("gen_ai.conversation.id", r.session))
	}
	if r.stream {
		all = append(all, attribute.Bool("gen_ai.request.stream", true))
	}
	return all
}

// try makes attempts until one succeeds or none is worth it. Between two of
// them it waits for as long as the API asked for, and at least for the pause
// that all calls make. Where the load ends meanwhile, what the last attempt came
// to is what the call did.
func (c *client) try(ctx context.Context, random *rand.Rand, r *request, start time.Time) (last attempted, attempts int) {
	for {
		asked := min(last.retryAfter, c.patience)
		if !sleep(ctx, max(asked, jitter(random, c.pace.current()))) {
			if attempts == 0 {
				last = failed(Cancelled, "cancelled")
			}
			return last, attempts
		}
		done, allowed := c.breaker.allow()
		if !allowed {
			if attempts == 0 {
				last = failed(CircuitOpen, "circuit_open")
			}
			return last, attempts
		}
		last = c.attempt(ctx, r, attempts, start)
		attempts++
		done(last.blame())
		switch last.outcome {
		case Success:
			c.pace.answered()
		case RateLimited, CapacityError:
			c.pace.refused(last.retryAfter)
		}
		if !last.again || attempts == c.attempts {
			return last, attempts
		}
		last.after = 0 // more comes
	}
}

// What an attempt means to the circuit breaker; nil: the provider works.
var (
	errProvider = errors.New("the provider failed")
	errNeutral  = errors.New("it says nothing about the provider")
)

// blame is whether the provider failed. It works where it answers, be it that
// the request is wrong; that it asks a client for patience, or that the client
// has left, says neither.
func (a *attempted) blame() error {
	switch a.outcome {
	case ServerError, CapacityError, ConnectionError, Malformed:
		return errProvider
	case RateLimited, Cancelled:
		return errNeutral
	}
	return nil
}

// jitter spreads a pause, so that clients do not come back all at once.
func jitter(random *rand.Rand, d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return d/2 + time.Duration(random.Int64N(int64(d)))
}
