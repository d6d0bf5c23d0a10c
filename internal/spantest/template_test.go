package spantest

import (
	"bytes"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func durations(batch ptrace.Traces) (list []time.Duration) {
	eachSpan(batch, func(_ pcommon.Map, span ptrace.Span) {
		list = append(list, span.EndTimestamp().AsTime().Sub(span.StartTimestamp().AsTime()))
	})
	return list
}

func TestStampMakesNewSpans(t *testing.T) {
	batch := New(4, Dense).Batch(2000, epoch, time.Second)
	original := durations(batch)
	template := NewTemplate(batch)
	seen := map[pcommon.SpanID]bool{}
	distinct := map[time.Duration]bool{}
	for salt := range uint64(5) {
		start := epoch.Add(time.Duration(salt) * -time.Minute)
		stamped := template.Stamp(salt, start)
		checkIDs(t, stamped)
		eachSpan(stamped, func(_ pcommon.Map, span ptrace.Span) {
			if seen[span.SpanID()] {
				t.Fatalf("span id %v seen before stamp %d", span.SpanID(), salt)
			}
			seen[span.SpanID()] = true
			if at := span.StartTimestamp().AsTime(); at.Before(start) || !at.Before(start.Add(time.Second)) {
				t.Errorf("start %v", at)
			}
		})
		for i, d := range durations(stamped) {
			distinct[d] = true
			if d < original[i] || d > original[i]*6/5 {
				t.Errorf("duration %v of a span that took %v", d, original[i])
			}
		}
	}
	if len(distinct) < 9000 {
		t.Errorf("%d distinct durations of 10000", len(distinct))
	}
}

func TestStampIsDeterministic(t *testing.T) {
	stamp := func() []byte {
		template := NewTemplate(New(4, Wide).Batch(100, epoch, time.Second))
		template.Stamp(1, epoch.Add(time.Hour))
		return marshal(t, template.Stamp(2, epoch))
	}
	if !bytes.Equal(stamp(), stamp()) {
		t.Error("two runs differ")
	}
}

func BenchmarkStamp(b *testing.B) {
	const n = 8192
	template := NewTemplate(New(1, Dense).Batch(n, epoch, time.Second))
	salt := uint64(0)
	for b.Loop() {
		salt++
		template.Stamp(salt, epoch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/span")
}
