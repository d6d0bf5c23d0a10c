package main

import (
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// ending is how one attempt to call a model ends.
type ending struct {
	outcome   string        // of the call
	status    int           // of the HTTP response, 0 for none
	httpError string        // error.type of the HTTP client span
	callError string        // error.type of the span of the call
	took      time.Duration // median; 0: as long as a good answer
	fault     string        // chaos.fault.type when it is injected
	retried   bool          // the client tries once more
}

var (
	answered    = ending{outcome: "success", status: 200}
	slow        = ending{outcome: "success", status: 200, fault: "latency"}
	rateLimited = ending{
		outcome: "rate_limited", status: 429, httpError: "429", callError: "rate_limit_exceeded",
		took: 25 * time.Millisecond, fault: "rate_limit", retried: true,
	}
	overloaded = ending{
		outcome: "capacity_error", status: 529, httpError: "529", callError: "overloaded_error",
		took: 60 * time.Millisecond, fault: "overload", retried: true,
	}
	unavailable = ending{
		outcome: "server_error", status: 503, httpError: "503", callError: "service_unavailable",
		took: 35 * time.Millisecond, fault: "http_503", retried: true,
	}
	internalError = ending{
		outcome: "server_error", status: 500, httpError: "500", callError: "internal_server_error",
		took: 300 * time.Millisecond, fault: "http_500",
	}
	timedOut = ending{
		outcome: "connection_error", httpError: "timeout", callError: "timeout",
		took: callTimeout, fault: "timeout",
	}
	connectionReset = ending{
		outcome: "connection_error", httpError: "connection_reset", callError: "connection_reset",
		took: 120 * time.Millisecond, fault: "reset", retried: true,
	}
	// The response is complete for HTTP; the client cannot parse its body.
	malformed = ending{
		outcome: "malformed", status: 200, callError: "malformed_response", fault: "malformed",
	}
	badRequest = ending{
		outcome: "client_error", status: 400, httpError: "400", callError: "invalid_request_error",
		took: 20 * time.Millisecond,
	}
	cancelled = ending{
		outcome: "cancelled", httpError: "cancelled", callError: "cancelled", took: 400 * time.Millisecond,
	}
	// The caller's circuit breaker answers; nothing reaches the network.
	circuitOpen = ending{outcome: "circuit_open", callError: "circuit_open", took: 50 * time.Microsecond}
)

// chance is an ending and how often it happens, as a fraction of attempts.
type chance struct {
	ending   ending
	fraction float64
}

// organic is what goes wrong on a good day.
var organic = []chance{
	{rateLimited, 0.004}, {internalError, 0.002}, {badRequest, 0.004}, {cancelled, 0.004}, {timedOut, 0.001},
}

// experiment is what the fault phase injects.
var experiment = []chance{
	{rateLimited, 0.20}, {overloaded, 0.10}, {slow, 0.12}, {unavailable, 0.06}, {internalError, 0.04},
	{timedOut, 0.04}, {malformed, 0.03}, {connectionReset, 0.03},
}

const (
	experimentID   = "brownout"
	experimentName = "brownout"
)

// injector is the span of the tool that injects the faults: it says when, and
// into what.
func (g *generator) injector() *span {
	third := g.schedule.length / 3
	s := &span{
		service: "chaos-injector", name: "inject " + experimentName, kind: trace.SpanKindInternal, category: "fault", outcome: "success",
		start: g.schedule.begin.Add(third), end: g.schedule.begin.Add(2 * third),
	}
	s.set(attribute.String("chaos.role", "injector"), attribute.String("chaos.fault.type", experimentName),
		attribute.String("chaos.experiment.id", experimentID), attribute.String("chaos.target", "gateway"))
	return s
}

// targeted says whether the experiment touches the model's provider: one
// provider stays whole, as a control.
func (m *model) targeted() bool { return m.provider != "gcp.gemini" }

// draw returns the ending of one attempt, and whether it was injected.
func (g *generator) draw(m *model, at time.Time) (ending, bool) {
	current, passed := g.schedule.at(at)
	switch {
	case current == fault && m.targeted():
		if e, hit := pick(g.random, experiment); hit {
			return e, true
		}
	case current == recovery && m.targeted():
		// The providers' quotas recover over the first half.
		if g.random.Float64() < 0.15*(1-2*passed) {
			return rateLimited, false
		}
	}
	e, hit := pick(g.random, organic)
	if !hit {
		e = answered
	}
	return e, false
}

// pick returns the entry that a random fraction falls on, if any.
func pick(random *rand.Rand, chances []chance) (ending, bool) {
	x := random.Float64()
	for _, c := range chances {
		if x < c.fraction {
			return c.ending, true
		}
		x -= c.fraction
	}
	return ending{}, false
}
