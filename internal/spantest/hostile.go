package spantest

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// NamedTraces is a batch with a name that says what is wrong with it.
type NamedTraces struct {
	Name   string
	Traces ptrace.Traces
}

// HostileStart is when the spans of Hostile start that do not lie about it:
// 2026-01-30T10:00:00Z. They take one second.
var HostileStart = time.Date(2026, 1, 30, 10, 0, 0, 0, time.UTC)

const megabyte = 1 << 20

// hostileMaker writes batches; seed decides ids only.
type hostileMaker struct {
	rand  *rand.Rand
	cases []NamedTraces
}

// Hostile returns batches that no instrumentation should send and any may:
// impossible times, numbers, texts, types, ids, sizes and trace states. Each is
// a small batch with one thing wrong; a few are correct at the edge of what is
// allowed and their names begin with "valid_". Together they take about 100 MB
// of memory. The seed decides ids; names and order are fixed.
func Hostile(seed uint64) []NamedTraces {
	m := &hostileMaker{rand: rand.New(rand.NewPCG(seed, 0x486f7374696c65))}
	m.times()
	m.numbers()
	m.texts()
	m.identity()
	m.shapes()
	m.types()
	m.traceStates()
	return m.cases
}

// add adds a batch of one span that is in order until change is done with it.
func (m *hostileMaker) add(name string, change func(ptrace.Span)) {
	m.batch(name, func(traces ptrace.Traces) { change(m.span(traces)) })
}

// batch adds a batch that fill makes.
func (m *hostileMaker) batch(name string, fill func(ptrace.Traces)) {
	traces := ptrace.NewTraces()
	fill(traces)
	m.cases = append(m.cases, NamedTraces{name, traces})
}

// span appends a span in order, in a resource of its own.
func (m *hostileMaker) span(traces ptrace.Traces) ptrace.Span {
	resource := traces.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "hostile")
	span := resource.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	m.fill(span)
	return span
}

// fill makes a span a chat that took a second.
func (m *hostileMaker) fill(span ptrace.Span) {
	var trace pcommon.TraceID
	binary.BigEndian.PutUint64(trace[:8], m.rand.Uint64()|1)
	binary.BigEndian.PutUint64(trace[8:], m.rand.Uint64()|1)
	var id pcommon.SpanID
	binary.BigEndian.PutUint64(id[:], m.rand.Uint64()|1)
	span.SetTraceID(trace)
	span.SetSpanID(id)
	span.SetName("chat gpt-4o")
	span.SetKind(ptrace.SpanKindClient)
	setTimes(span, uint64(HostileStart.UnixNano()), uint64(HostileStart.Add(time.Second).UnixNano()))
	a := span.Attributes()
	a.PutStr("gen_ai.operation.name", "chat")
	a.PutStr("gen_ai.provider.name", "openai")
	a.PutStr("gen_ai.request.model", "gpt-4o")
	a.PutStr("gen_ai.response.model", "gpt-4o-2024-11-20")
	a.PutInt("gen_ai.usage.input_tokens", 100)
	a.PutInt("gen_ai.usage.output_tokens", 50)
	a.PutInt("http.response.status_code", 200)
}

func setTimes(span ptrace.Span, start, end uint64) {
	span.SetStartTimestamp(pcommon.Timestamp(start))
	span.SetEndTimestamp(pcommon.Timestamp(end))
}

func (m *hostileMaker) times() {
	start := uint64(HostileStart.UnixNano())
	const second, day = uint64(time.Second), uint64(24 * time.Hour)
	for _, c := range []struct {
		name       string
		start, end uint64
	}{
		{"end_before_start", start, start - second},
		{"end_equals_start", start, start},
		{"zero_start", 0, start},
		{"zero_end", start, 0},
		{"zero_start_and_end", 0, 0},
		{"start_one_nanosecond_after_epoch", 1, 2},
		{"start_far_in_future", uint64(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()), uint64(time.Date(2200, 1, 1, 0, 0, 1, 0, time.UTC).UnixNano())},
		{"start_greatest_int64", 1<<63 - 1, 1<<63 - 1},
		{"start_beyond_int64", 1 << 63, 1<<63 + second},
		{"start_greatest_uint64", 1<<64 - 1, 1<<64 - 1},
		{"end_beyond_int64", start, 1 << 63},
		{"end_greatest_uint64", start, 1<<64 - 1},
		{"difference_wraps", 1<<63 - 1, 1},
		{"valid_duration_of_24h", start, start + day},
		{"duration_over_24h", start, start + day + 1},
		{"duration_of_years", second, start},
		{"milliseconds_for_nanoseconds", start / 1e6, start/1e6 + 1000},
	} {
		m.add(c.name, func(span ptrace.Span) { setTimes(span, c.start, c.end) })
	}
}

// identity has what is wrong with ids and where a span comes from.
func (m *hostileMaker) identity() {
	m.add("zero_trace_id", func(s ptrace.Span) { s.SetTraceID(pcommon.TraceID{}) })
	m.add("zero_span_id", func(s ptrace.Span) { s.SetSpanID(pcommon.SpanID{}) })
	m.batch("zero_ids_twice", func(traces ptrace.Traces) {
		for range 2 {
			span := m.span(traces)
			span.SetTraceID(pcommon.TraceID{})
			span.SetSpanID(pcommon.SpanID{})
		}
	})
	m.batch("same_span_twice", func(traces ptrace.Traces) {
		span := m.span(traces)
		span.CopyTo(traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty())
	})
	m.add("parent_is_itself", func(s ptrace.Span) { s.SetParentSpanID(s.SpanID()) })
	m.add("kind_out_of_range", func(s ptrace.Span) { s.SetKind(99) })
	m.add("kind_negative", func(s ptrace.Span) { s.SetKind(-1) })
	m.add("status_out_of_range", func(s ptrace.Span) { s.Status().SetCode(99) })
	m.batch("no_resource", func(traces ptrace.Traces) {
		m.fill(traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty())
	})
	m.batch("no_service_name", func(traces ptrace.Traces) {
		m.span(traces)
		traces.ResourceSpans().At(0).Resource().Attributes().Remove("service.name")
	})
	m.batch("empty_service_name", func(traces ptrace.Traces) {
		m.span(traces)
		traces.ResourceSpans().At(0).Resource().Attributes().PutStr("service.name", "")
	})
	m.add("no_span_name", func(s ptrace.Span) { s.SetName("") })
	m.add("no_attributes", func(s ptrace.Span) { s.Attributes().Clear() })
	m.batch("span_of_nothing", func(traces ptrace.Traces) {
		traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	})
}
