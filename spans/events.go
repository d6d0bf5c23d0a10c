package spans

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// eventKind is what an event of a span is about.
type eventKind uint8

const (
	eventFirstToken eventKind = iota + 1
	eventException
	eventAttempt
	eventFault
	eventCircuit
	eventEvaluation
	eventChoice
)

// happening is what the name of an event says.
type happening struct {
	kind eventKind
	// word is the fault, or the state of the circuit; empty where attributes
	// say it.
	word string
}

// eventNames are the events that are read; of all others not even the
// attributes are looked at, but for event.name.
var eventNames = map[string]happening{
	"gen_ai.content.chunk": {kind: eventFirstToken}, "first_token": {kind: eventFirstToken},
	"gen_ai.first_token": {kind: eventFirstToken}, "llm.first_token": {kind: eventFirstToken},
	"ai.stream.firstChunk": {kind: eventFirstToken}, "First Token Stream Event": {kind: eventFirstToken},
	"gen_ai.content.completion.chunk": {kind: eventFirstToken}, "llm.content.completion.chunk": {kind: eventFirstToken}, // OpenLLMetry
	"gen_ai.choice": {kind: eventChoice},
	"exception":     {kind: eventException}, "gen_ai.client.operation.exception": {kind: eventException},
	"gen_ai.request.attempt":       {kind: eventAttempt},
	"fault.injected":               {kind: eventFault},
	"chaos.fault":                  {kind: eventFault},
	"Chaos.OnLatency":              {eventFault, "latency"}, // Polly
	"Chaos.OnFault":                {eventFault, "exception"},
	"Chaos.OnOutcome":              {eventFault, "result"},
	"Chaos.OnBehavior":             {eventFault, "behavior"},
	"circuit_breaker.state_change": {kind: eventCircuit},
	"circuit_breaker.opened":       {eventCircuit, aggregator.CircuitOpen},
	"circuit_breaker.closed":       {eventCircuit, aggregator.CircuitClosed},
	"circuit_breaker.half_open":    {eventCircuit, aggregator.CircuitHalfOpen},
	"OnCircuitOpened":              {eventCircuit, aggregator.CircuitOpen}, // Polly
	"OnCircuitClosed":              {eventCircuit, aggregator.CircuitClosed},
	"OnCircuitHalfOpened":          {eventCircuit, aggregator.CircuitHalfOpen},
	"gen_ai.evaluation.result":     {kind: eventEvaluation},
}

var eventIndex = tableOf(eventNames)

// happeningOf tells what an event is about, nil for nothing that is read.
func happeningOf(event ptrace.SpanEvent) *happening {
	if h := eventIndex.find(event.Name()); h != nil {
		return h
	}
	if name, ok := event.Attributes().Get("event.name"); ok && name.Type() == pcommon.ValueTypeStr {
		return eventIndex.find(name.Str())
	}
	return nil
}

// told is what the events of a span tell that folding needs.
type told struct {
	firstToken     uint64 // Unix nanoseconds; 0: no event
	exceptionType  string
	attempts       int64
	fault          string
	faultDelayNano int64
	faultDelayed   bool
	experiment     string
	detailed       bool // circuits or evaluations
}

// readEvents reads the events of a span. Those that only rows need are left to
// readRequest.
func (w *walker) readEvents(span ptrace.Span) {
	for _, event := range span.Events().All() {
		h := happeningOf(event)
		if h == nil {
			continue
		}
		switch at := uint64(event.Timestamp()); h.kind {
		case eventFirstToken:
			if at != 0 && (w.told.firstToken == 0 || at < w.told.firstToken) {
				w.told.firstToken = at
			}
		case eventException:
			// The last one: the first may have been handled.
			if name, ok := event.Attributes().Get("exception.type"); ok && name.Type() == pcommon.ValueTypeStr {
				w.told.exceptionType = name.Str()
			}
		case eventAttempt:
			w.told.attempts++
		case eventFault:
			w.readFaultEvent(event, h.word)
		case eventCircuit, eventEvaluation:
			w.told.detailed = true
		}
	}
}

// readFaultEvent reads the first event that says that a fault was injected.
func (w *walker) readFaultEvent(event ptrace.SpanEvent, word string) {
	if w.told.fault != "" {
		return
	}
	w.event.read(event.Attributes(), w.index.span, nil)
	named := w.text(&w.event, fieldFault)
	fault := faultWord(named)
	switch {
	case fault != "":
	case named != "": // denied
		return
	case word != "":
		fault = word
	default:
		if fault = w.faultMark(&w.event); fault == "" {
			fault = anyFault
		}
	}
	w.told.fault = fault
	w.told.faultDelayNano, w.told.faultDelayed = w.scaled(&w.event, fieldFaultDelay, int64(maxDuration))
	w.told.experiment = w.text(&w.event, fieldExperiment)
}
