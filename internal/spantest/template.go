package spantest

import (
	"encoding/binary"
	"math"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Template is a batch that can be sent again and again as new spans, at about
// a hundredth of the cost of making one. It is not safe for concurrent use.
type Template struct {
	traces    ptrace.Traces
	first     int64   // start of the earliest span, Unix nanoseconds
	durations []int64 // of each span in order, as generated, nanoseconds
}

// NewTemplate takes over the batch.
func NewTemplate(traces ptrace.Traces) *Template {
	t := &Template{traces: traces, first: math.MaxInt64}
	for span := range t.spans {
		t.first = min(t.first, int64(span.StartTimestamp()))
		t.durations = append(t.durations, int64(span.EndTimestamp())-int64(span.StartTimestamp()))
	}
	return t
}

// Stamp turns the batch into new spans, the earliest of which starts at start,
// and returns it; what the previous call returned changes with it. Every span
// gets ids that no other batch has, while traces and parents stay what they
// were to each other, and becomes longer by up to a fifth of its first
// duration, so that repetition does not leave latencies on a few values. salt
// picks ids and durations: use another one each time.
func (t *Template) Stamp(salt uint64, start time.Time) ptrace.Traces {
	shift := start.UnixNano() - t.first
	t.first += shift
	// A mask keeps ids unique within the batch, and parents pointing at them.
	masks := [3]uint64{mix(3 * salt), mix(3*salt + 1), mix(3*salt + 2)}
	i := 0
	for span := range t.spans {
		stampIDs(span, masks)
		fifth := float64(mix(salt<<32+uint64(i))>>11) / (1 << 53) / 5
		began := int64(span.StartTimestamp()) + shift
		span.SetStartTimestamp(pcommon.Timestamp(began))
		span.SetEndTimestamp(pcommon.Timestamp(began + int64(float64(t.durations[i])*(1+fifth))))
		i++
	}
	return t.traces
}

func (t *Template) spans(yield func(ptrace.Span) bool) {
	for _, resource := range t.traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				if !yield(span) {
					return
				}
			}
		}
	}
}

func stampIDs(span ptrace.Span, masks [3]uint64) {
	trace := span.TraceID()
	mask(trace[:8], masks[0])
	mask(trace[8:], masks[1])
	span.SetTraceID(trace)
	id := span.SpanID()
	mask(id[:], masks[2])
	span.SetSpanID(id)
	if parent := span.ParentSpanID(); !parent.IsEmpty() {
		mask(parent[:], masks[2])
		span.SetParentSpanID(parent)
	}
}

func mask(id []byte, bits uint64) {
	binary.LittleEndian.PutUint64(id, binary.LittleEndian.Uint64(id)^bits)
}

// mix spreads the bits of x over the word (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
