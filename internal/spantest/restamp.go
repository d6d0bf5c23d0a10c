package spantest

import (
	"encoding/binary"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Restamp makes new spans of old ones in place: every span moves by shift and
// gets ids that no other batch has, while traces and parents stay what they
// were to each other. salt picks the ids: use another one each time. It costs
// about a hundredth of making a batch and is safe for concurrent use on
// different batches.
func Restamp(traces ptrace.Traces, salt uint64, shift time.Duration) {
	// A mask keeps ids unique within the batch, and parents pointing at them.
	high, low, span := mix(salt), mix(salt^0xa5a5a5a5), mix(salt^0x5a5a5a5a5a5a)
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, s := range scope.Spans().All() {
				trace := s.TraceID()
				binary.LittleEndian.PutUint64(trace[:8], binary.LittleEndian.Uint64(trace[:8])^high)
				binary.LittleEndian.PutUint64(trace[8:], binary.LittleEndian.Uint64(trace[8:])^low)
				s.SetTraceID(trace)
				s.SetSpanID(masked(s.SpanID(), span))
				if parent := s.ParentSpanID(); !parent.IsEmpty() {
					s.SetParentSpanID(masked(parent, span))
				}
				s.SetStartTimestamp(s.StartTimestamp() + pcommon.Timestamp(shift))
				s.SetEndTimestamp(s.EndTimestamp() + pcommon.Timestamp(shift))
			}
		}
	}
}

func masked(id pcommon.SpanID, mask uint64) pcommon.SpanID {
	binary.LittleEndian.PutUint64(id[:], binary.LittleEndian.Uint64(id[:])^mask)
	return id
}

// mix spreads the bits of x over the word (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
