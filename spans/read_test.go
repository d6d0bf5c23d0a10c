package spans_test

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/spans"
)

// now is when all tests take place.
var now = time.Date(2026, 1, 30, 10, 0, 0, 0, time.UTC)

// attributes are values by name, of the types that pcommon.Map.FromRaw takes.
type attributes = map[string]any

// spanOf returns a batch of one span in order, of one second and without
// attributes, and the span.
func spanOf(resource, span attributes) (ptrace.Traces, ptrace.Span) {
	batch := ptrace.NewTraces()
	resourceSpans := batch.ResourceSpans().AppendEmpty()
	put(resourceSpans.Resource().Attributes(), resource)
	s := resourceSpans.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	put(s.Attributes(), span)
	s.SetName("name of the span")
	s.SetTraceID(pcommon.TraceID{15: 1})
	s.SetSpanID(pcommon.SpanID{7: 2})
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(now))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(time.Second)))
	return batch, s
}

func put(to pcommon.Map, from attributes) {
	if err := to.FromRaw(from); err != nil {
		panic(err) // a test that gives another type
	}
}

// read returns what the reader says of every span of the batch.
func read(r *spans.Reader, batch ptrace.Traces) []aggregator.Observation {
	var list []aggregator.Observation
	for o := range r.Observations(batch, now) {
		list = append(list, *o)
	}
	return list
}

// readOne reads a batch of one span with the default tables.
func readOne(t *testing.T, batch ptrace.Traces) aggregator.Observation {
	t.Helper()
	return readOneWith(t, spans.Options{}, batch)
}

func readOneWith(t *testing.T, options spans.Options, batch ptrace.Traces) aggregator.Observation {
	t.Helper()
	list := read(spans.NewReader(options), batch)
	if len(list) != 1 {
		t.Fatalf("%d observations of one span", len(list))
	}
	return list[0]
}

// observe reads a span with these attributes, of a resource with a service
// name.
func observe(t *testing.T, span attributes) aggregator.Observation {
	t.Helper()
	batch, _ := spanOf(attributes{"service.name": "shop"}, span)
	return readOne(t, batch)
}
