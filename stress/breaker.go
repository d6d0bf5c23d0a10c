package stress

import (
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// breaker is a circuit breaker that tells of its transitions on the span of the
// call that they happened in, and of its state once a second: of a circuit that
// never opens nobody would know otherwise.
type breaker struct {
	circuit *gobreaker.TwoStepCircuitBreaker[any]
	tally   *Tally
	mu      sync.Mutex
	state   string       // after all transitions
	last    time.Time    // that was told, or is to be
	told    []transition // not on a span yet
}

// transition is a change of state; where from is empty it is but a sighting.
type transition struct {
	at       time.Time
	from, to string
}

// sightingEvery is how often a state is told that does not change.
const sightingEvery = time.Second

// circuitName says on a span what circuit breaker it is about.
const circuitName = "circuit_breaker.name"

// breakerStates are their names on spans.
var breakerStates = map[gobreaker.State]string{
	gobreaker.StateClosed: "closed", gobreaker.StateOpen: "open", gobreaker.StateHalfOpen: "half_open",
}

// newBreaker returns a breaker that opens after so many failures in a row, for
// so long.
func newBreaker(name string, failures uint32, cooldown time.Duration, tally *Tally) *breaker {
	b := &breaker{tally: tally, state: breakerStates[gobreaker.StateClosed]}
	b.circuit = gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		Name: name, Timeout: cooldown, MaxRequests: 1,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failures },
		IsExcluded:  func(err error) bool { return errors.Is(err, errNeutral) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.state = breakerStates[to]
			b.note(breakerStates[from])
			tally.add(func(c *Counts) { c.Transitions[breakerStates[to]]++ })
		},
	})
	return b
}

// note keeps the state for the next span. Each is later than the one before, or
// their order would be lost.
func (b *breaker) note(from string) {
	at := time.Now()
	if !at.After(b.last) {
		at = b.last.Add(1)
	}
	b.last = at
	b.told = append(b.told, transition{at, from, b.state})
}

// allow says whether a call may be made. done must be called with what came of
// it: errProvider, errNeutral or nil.
func (b *breaker) allow() (done func(error), allowed bool) {
	done, err := b.circuit.Allow()
	return done, err == nil
}

// tell puts the transitions that nobody told yet on a span, or a sighting.
func (b *breaker) tell(span trace.Span) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Since(b.last) >= sightingEvery {
		b.note("")
	}
	for _, t := range b.told {
		about := []attribute.KeyValue{attribute.String(circuitName, b.circuit.Name()), attribute.String("circuit_breaker.to_state", t.to)}
		if t.from != "" {
			about = append(about, attribute.String("circuit_breaker.from_state", t.from))
		}
		span.AddEvent("circuit_breaker.state_change", trace.WithTimestamp(t.at), trace.WithAttributes(about...))
	}
	b.told = nil
}
