package stress

import (
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// breaker is a circuit breaker that tells of its transitions on the span of the
// call that they happened in.
type breaker struct {
	circuit *gobreaker.TwoStepCircuitBreaker[any]
	tally   *Tally
	mu      sync.Mutex
	told    []transition // not on a span yet
}

// transition is a change of state.
type transition struct {
	at       time.Time
	from, to string
}

// breakerStates are their names on spans.
var breakerStates = map[gobreaker.State]string{
	gobreaker.StateClosed: "closed", gobreaker.StateOpen: "open", gobreaker.StateHalfOpen: "half_open",
}

// newBreaker returns a breaker that opens after so many failures in a row, for
// so long.
func newBreaker(name string, failures uint32, cooldown time.Duration, tally *Tally) *breaker {
	b := &breaker{tally: tally}
	b.circuit = gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		Name: name, Timeout: cooldown, MaxRequests: 1,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failures },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.told = append(b.told, transition{time.Now(), breakerStates[from], breakerStates[to]})
			tally.add(func(c *Counts) { c.Transitions[breakerStates[to]]++ })
		},
	})
	return b
}

// allow says whether a call may be made. done must be called with what came of
// it: an error of the provider, or nil.
func (b *breaker) allow() (done func(error), allowed bool) {
	done, err := b.circuit.Allow()
	return done, err == nil
}

// tell puts the transitions that nobody told yet on a span.
func (b *breaker) tell(span trace.Span) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.told {
		span.AddEvent("circuit_breaker.state_change", trace.WithTimestamp(t.at), trace.WithAttributes(
			attribute.String("circuit_breaker.name", b.circuit.Name()),
			attribute.String("circuit_breaker.from_state", t.from), attribute.String("circuit_breaker.to_state", t.to)))
	}
	b.told = nil
}
