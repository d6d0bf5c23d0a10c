package spans

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// circuitStates are the ways to write the states of a circuit breaker, in
// lower case with underscores.
var circuitStates = map[string]string{
	"closed": aggregator.CircuitClosed, "open": aggregator.CircuitOpen, "opened": aggregator.CircuitOpen,
	"isolated": aggregator.CircuitOpen, "forced_open": aggregator.CircuitOpen,
	"half_open": aggregator.CircuitHalfOpen, "halfopen": aggregator.CircuitHalfOpen,
	"half_opened": aggregator.CircuitHalfOpen,
}

func circuitState(written string) string {
	return circuitStates[strings.ReplaceAll(strings.ToLower(written), "-", "_")]
}

// readCircuits reads the states of circuit breakers that events tell, and the
// one that an attribute gives for the end of the span.
func (w *walker) readCircuits(span ptrace.Span) {
	r := &w.request
	if r.Circuit == "" {
		r.Circuit = w.pipeline(&w.span)
	}
	for _, event := range span.Events().All() {
		h := happeningOf(event)
		if h == nil || h.kind != eventCircuit {
			continue
		}
		c := w.circuitEvent(event, h.word)
		if r.Circuit == "" {
			r.Circuit = c.Circuit
		}
		if at, ok := w.instant(event.Timestamp()); ok && c.Circuit != "" && c.State != "" {
			c.AtUnixNano = at
			r.Circuits = append(r.Circuits, c)
		}
	}
	state := circuitState(w.text(&w.span, fieldCircuitState))
	if r.Circuit == "" || state == "" || len(r.Circuits) > 0 {
		return
	}
	r.Circuits = append(r.Circuits, aggregator.CircuitState{Circuit: r.Circuit, AtUnixNano: w.end(), State: state})
}

// circuitEvent reads an event about a circuit breaker, whose name may say the
// state.
func (w *walker) circuitEvent(event ptrace.SpanEvent, word string) aggregator.CircuitState {
	w.event.read(event.Attributes(), w.index.span, nil)
	c := aggregator.CircuitState{
		Circuit: w.text(&w.event, fieldCircuit),
		State:   circuitState(firstText(event.Attributes(), []string{"circuit_breaker.to_state"})),
		From:    circuitState(firstText(event.Attributes(), []string{"circuit_breaker.from_state"})),
	}
	if c.Circuit == "" {
		c.Circuit = w.pipeline(&w.event)
	}
	if c.Circuit == "" {
		c.Circuit = w.request.Circuit
	}
	if c.State == "" {
		c.State = circuitState(w.text(&w.event, fieldCircuitState))
	}
	if c.State == "" {
		c.State = word
	}
	return c
}

// pipeline names a circuit as Polly does: a strategy in a pipeline.
func (w *walker) pipeline(r *record) string {
	return w.join(w.text(r, fieldPipeline), '/', w.text(r, fieldStrategy))
}

// instant returns a timestamp as it is stored, false for none, or one further
// ahead of the clock than a span may be.
func (w *walker) instant(at pcommon.Timestamp) (int64, bool) {
	return int64(at), at > 0 && at <= pcommon.Timestamp(w.latest)
}

// end returns when the span ended, or began where that is not known.
func (w *walker) end() int64 { return max(w.observation.EndUnixNano, w.observation.StartUnixNano) }
