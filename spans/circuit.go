package spans

import (
	"strings"

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

// The attributes of events about circuit breakers.
var (
	circuitNames      = []string{"circuit_breaker.name", "circuit.name", "resilience4j.circuitbreaker.name"}
	circuitToStates   = []string{"circuit_breaker.to_state", "circuit_breaker.state", "resilience4j.circuitbreaker.state"}
	circuitFromStates = []string{"circuit_breaker.from_state"}
	circuitPipeline   = []string{"pipeline.name"} // of Polly, with the strategy in it
	circuitStrategy   = []string{"strategy.name"}
)

// readCircuits reads the states of circuit breakers that events tell, and the
// one that an attribute gives for the end of the span.
func (w *walker) readCircuits(span ptrace.Span) {
	r := &w.request
	if r.Circuit == "" && w.span.has(fieldPipeline) {
		r.Circuit = w.join(w.text(&w.span, fieldPipeline), '/', w.text(&w.span, fieldStrategy))
	}
	for _, event := range span.Events().All() {
		h := happeningOf(event)
		if h == nil || h.kind != eventCircuit {
			continue
		}
		attributes := event.Attributes()
		name := firstText(attributes, circuitNames)
		if pipeline := firstText(attributes, circuitPipeline); name == "" && pipeline != "" {
			name = w.join(pipeline, '/', firstText(attributes, circuitStrategy))
		}
		if name == "" {
			name = r.Circuit
		}
		state := circuitState(firstText(attributes, circuitToStates))
		if state == "" {
			state = h.word
		}
		if at, ok := unixNano(event.Timestamp()); ok && name != "" && state != "" {
			r.Circuits = append(r.Circuits, aggregator.CircuitState{
				Circuit: name, AtUnixNano: at, State: state, From: circuitState(firstText(attributes, circuitFromStates)),
			})
		}
		if r.Circuit == "" {
			r.Circuit = name
		}
	}
	state := circuitState(w.text(&w.span, fieldCircuitState))
	if r.Circuit == "" || state == "" || len(r.Circuits) > 0 {
		return
	}
	at := max(w.observation.EndUnixNano, w.observation.StartUnixNano)
	r.Circuits = append(r.Circuits, aggregator.CircuitState{Circuit: r.Circuit, AtUnixNano: at, State: state})
}
