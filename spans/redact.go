package spans

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Redact returns a copy of the batch that holds what the reader reads, and no
// content: the attributes, events and other parts that are not in its tables
// are left out, and of values of which only a property counts, such as the
// number of messages, another value with this property is there. Changing one
// leaves the other as it is. A batch that was redacted is redacted to itself.
//
// Reading the copy gives the same as reading the batch, except that
//   - a text longer than aggregator.MaxValueBytes is there as it is stored, cut
//     and with a hash, so that it is not noted a second time, and that what is
//     put together from it or decided by it may differ;
//   - of an attribute that stands twice only the usable value is there;
//   - of more than maxNumbered numbered messages the rest is not counted;
//   - the description of a run is left out where it is longer than is stored;
//   - with Options.DropSessions no session and no tool call is there.
//
// Values are never walked into: they may be nested deeper than a stack is.
func (r *Reader) Redact(batch ptrace.Traces) ptrace.Traces {
	w := &walker{reader: r, index: r.full}
	redacted := ptrace.NewTraces()
	for _, resourceSpans := range batch.ResourceSpans().All() {
		resource := redacted.ResourceSpans().AppendEmpty()
		w.redactResource(resourceSpans.Resource().Attributes(), resource.Resource().Attributes())
		for _, scopeSpans := range resourceSpans.ScopeSpans().All() {
			scope := resource.ScopeSpans().AppendEmpty()
			if isInjector("", scopeSpans.Scope().Name()) {
				scope.Scope().SetName(injectorScope)
			}
			scope.Spans().EnsureCapacity(scopeSpans.Spans().Len())
			for _, span := range scopeSpans.Spans().All() {
				w.redactSpan(span, scope.Spans().AppendEmpty())
			}
		}
	}
	return redacted
}

// injectorScope stands for the names of scopes that tell that spans are those
// of a fault injector.
const injectorScope = "chaostoolkit"

func (w *walker) redactResource(from, to pcommon.Map) {
	keepNamed(from, to, shown{}, runAttributes...)
	w.resource.read(from, w.index.resource, nil)
	w.keepFields(&w.resource, to, func(f field) bool { return !w.reader.redacts(f) })
}

func (w *walker) redactSpan(from, to ptrace.Span) {
	to.SetTraceID(from.TraceID())
	to.SetSpanID(from.SpanID())
	to.SetParentSpanID(from.ParentSpanID())
	to.SetName(storedText(from.Name()))
	to.SetKind(from.Kind())
	to.SetStartTimestamp(from.StartTimestamp())
	to.SetEndTimestamp(from.EndTimestamp())
	to.TraceState().FromRaw(redactedTraceState(from.TraceState().AsRaw()))
	to.Status().SetCode(from.Status().Code())
	w.redactAttributes(from, to.Attributes())
	for _, event := range from.Events().All() {
		if h := happeningOf(event); h != nil {
			w.redactEvent(event, h.kind, to.Events().AppendEmpty())
		}
	}
}

func (w *walker) redactAttributes(span ptrace.Span, to pcommon.Map) {
	w.readAttributes(span)
	anonymous := w.text(&w.span, fieldMessagingAnonymous) == "true"
	w.keepFields(&w.span, to, func(f field) bool {
		return !w.reader.redacts(f) && (f != fieldMessagingDestination || !anonymous)
	})
	from := span.Attributes()
	for _, a := range annotationsOf(from) {
		keepNamed(from, to, shown{}, a.attribute("name"), a.attribute("label"), a.attribute("annotator_kind"))
		keepNamed(from, to, shown{text: numberAlone}, a.attribute("score"))
	}
	keepMessageNumbers(from, to)
}

// keepFields keeps what feeds some of the fields. Of the names of a field that
// is a name, only the one that counts is read.
func (w *walker) keepFields(r *record, to pcommon.Map, read func(field) bool) {
	for slot := range w.index.slots {
		w.value(r, uint8(slot)) // decides which counts
	}
	var needed []target
	for name, value := range r.attributes.All() {
		needed = needed[:0]
		for _, t := range r.targets(name) {
			shadowed := usable(value) && isName(t) && t.rank != r.ranks[t.slot]
			if read(field(t.slot)) && !shadowed {
				needed = append(needed, t)
			}
		}
		if len(needed) > 0 {
			keepAs(to, name, value, w.index.shown(needed))
		}
	}
}

// keepNamed keeps some attributes.
func keepNamed(from, to pcommon.Map, as shown, names ...string) {
	for _, name := range names {
		if value, ok := from.Get(name); ok {
			keepAs(to, name, value, as)
		}
	}
}

// maxNumbered bounds the numbered messages of a span that are counted after
// redaction: an attribute list takes the longer, the longer it is.
const maxNumbered = 4096

// keepMessageNumbers leaves of numbered messages their numbers.
func keepMessageNumbers(from, to pcommon.Map) {
	markers := map[string]bool{}
	for name := range from.All() {
		for _, prefix := range messagePrefixes {
			rest, ok := strings.CutPrefix(name, prefix)
			if !ok || len(markers) >= maxNumbered {
				continue
			}
			if n := numberBefore(rest, '.'); n >= 0 {
				markers[prefix+strconv.FormatInt(n, 10)+"."] = true
			}
		}
	}
	for _, marker := range slices.Sorted(maps.Keys(markers)) {
		to.GetOrPutEmpty(marker)
	}
}

// readOfFaults and readOfCircuits tell which fields events about these are
// asked for.
func readOfFaults(f field) bool {
	switch f {
	case fieldFault, fieldFaultDelay, fieldFaultStatus, fieldFaultHeaderDelay, fieldFaultHeaderAbort, fieldAttack,
		fieldResponseFlags, fieldExperiment:
		return true
	default:
		return false
	}
}

func readOfCircuits(f field) bool {
	return f == fieldCircuit || f == fieldPipeline || f == fieldStrategy || f == fieldCircuitState
}

func (w *walker) redactEvent(from ptrace.SpanEvent, kind eventKind, to ptrace.SpanEvent) {
	to.SetTimestamp(from.Timestamp())
	said, toSaid := from.Attributes(), to.Attributes()
	if eventIndex.find(from.Name()) != nil {
		to.SetName(from.Name())
	} else {
		keepNamed(said, toSaid, shown{}, "event.name")
	}
	switch kind {
	case eventException:
		keepNamed(said, toSaid, shown{}, "exception.type")
	case eventFault:
		w.event.read(said, w.index.span, nil)
		w.keepFields(&w.event, toSaid, readOfFaults)
	case eventCircuit:
		w.event.read(said, w.index.span, nil)
		w.keepFields(&w.event, toSaid, readOfCircuits)
		keepNamed(said, toSaid, shown{text: circuitStateAlone}, "circuit_breaker.to_state", "circuit_breaker.from_state")
	case eventEvaluation:
		keepNamed(said, toSaid, shown{}, evaluationName, evaluationLabel)
		keepNamed(said, toSaid, shown{text: numberAlone}, evaluationScore)
	case eventChoice:
		keepNamed(said, toSaid, shown{text: wordAlone}, "finish_reason")
	case eventFirstToken, eventAttempt: // that they are there is all they say
	}
}

// redactedTraceState returns what the sampling threshold needs of a trace
// state: the threshold, or that nothing can be made of it.
func redactedTraceState(traceState string) string {
	if !strings.Contains(traceState, "ot=") {
		return ""
	}
	state, err := sampling.NewW3CTraceState(traceState)
	if err != nil {
		return invalidTraceState
	}
	if _, sampled := state.OTelValue().TValueThreshold(); !sampled {
		return ""
	}
	return "ot=th:" + state.OTelValue().TValue()
}

// invalidTraceState stands for all trace states that do not parse.
const invalidTraceState = "ot=?"
