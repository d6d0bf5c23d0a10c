package stress

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// circuit is a breaker whose calls are told by hand.
type circuit struct {
	*breaker
	tally *Tally
}

func newCircuit(cooldown time.Duration) *circuit {
	tally := newTally(nil)
	return &circuit{newBreaker("c", 3, cooldown, tally), tally}
}

// call makes calls that end so, and tells how many were allowed.
func (c *circuit) call(outcomes ...Outcome) (allowed int) {
	for _, o := range outcomes {
		if done, ok := c.allow(); ok {
			allowed++
			a := attempted{outcome: o}
			done(a.blame())
		}
	}
	return allowed
}

func (c *circuit) went(to string) int64 { return c.tally.Counts().Transitions[to] }

// TestWhatAFailureIs: which outcomes open a circuit, which keep it closed by
// their success, and which mean nothing.
func TestWhatAFailureIs(t *testing.T) {
	for outcome, want := range map[Outcome]error{
		Success: nil, ClientError: nil,
		RateLimited: errNeutral, Cancelled: errNeutral,
		ServerError: errProvider, CapacityError: errProvider, ConnectionError: errProvider, Malformed: errProvider,
	} {
		a := attempted{outcome: outcome}
		require.Equal(t, want, a.blame(), outcome)
		c := newCircuit(time.Hour)
		c.call(ServerError, ServerError, outcome)
		require.Equal(t, errors.Is(want, errProvider), c.went("open") == 1, outcome)
		c.call(ServerError) // three in a row, whatever is neutral between them
		require.Equal(t, want != nil, c.went("open") == 1, outcome)
	}
}

// TestACircuitOpensProbesAndCloses: closed, open, half open, open again where
// the probe fails, closed where it succeeds.
func TestACircuitOpensProbesAndCloses(t *testing.T) {
	c := newCircuit(time.Nanosecond)
	probe := func(o Outcome) {
		for c.call(o) == 0 { // the clock has not moved by a nanosecond
		}
	}
	require.Equal(t, 3, c.call(ServerError, ServerError, ServerError))
	require.EqualValues(t, 1, c.went("open"))
	probe(Malformed)
	require.Equal(t, map[string]int64{"open": 2, "half_open": 1}, c.tally.Counts().Transitions)
	probe(RateLimited)
	probe(Cancelled)
	require.Equal(t, map[string]int64{"open": 2, "half_open": 2}, c.tally.Counts().Transitions, "neither a reason to close, nor to open")
	probe(Success)
	require.Equal(t, map[string]int64{"open": 2, "half_open": 2, "closed": 1}, c.tally.Counts().Transitions)

	c = newCircuit(time.Hour)
	require.Equal(t, 3, c.call(ServerError, ServerError, ServerError, Success, Success), "while it is open nothing is allowed")
}

// TestABreakerTellsItsStateOnce, where nothing changes, and again a second
// later; a change is told at once. All are in order.
func TestABreakerTellsItsStateOnce(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("")
	c := newCircuit(time.Hour)
	tell := func() (told []string) {
		_, span := tracer.Start(t.Context(), "")
		c.tell(span)
		span.End()
		ended := spans.Ended()
		for _, e := range ended[len(ended)-1].Events() {
			text := e.Name
			for _, a := range e.Attributes {
				text += " " + string(a.Key) + "=" + a.Value.AsString()
			}
			told = append(told, text)
		}
		return told
	}
	const event = "circuit_breaker.state_change circuit_breaker.name=c circuit_breaker.to_state="
	require.Equal(t, []string{event + "closed"}, tell())
	c.last = time.Now().Add(time.Hour) // nothing is due for a while
	require.Empty(t, tell())
	c.call(ServerError, ServerError, ServerError)
	require.Equal(t, []string{event + "open circuit_breaker.from_state=closed"}, tell())
	require.Empty(t, tell())
	c.last = c.last.Add(-3 * time.Hour)
	require.Equal(t, []string{event + "open"}, tell())

	c = newCircuit(time.Hour)
	before := c.last
	for range 100 {
		c.note("")
		require.True(t, c.last.After(before))
		before = c.last
	}
}
