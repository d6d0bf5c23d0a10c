package spans_test

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/spantest"
	"github.com/spanbucket/spanbucketexporter/spans"
)

// BenchmarkFold reads and folds batches of 8192 spans into a reused delta, as
// the exporter does; time and allocations are per span.
func BenchmarkFold(b *testing.B) {
	for name, profile := range map[string]spantest.Profile{"dense": spantest.Dense, "wide": spantest.Wide} {
		b.Run(name, func(b *testing.B) {
			const spansPerBatch = 8192
			now := time.Date(2026, 1, 30, 10, 0, 0, 0, time.UTC)
			generator := spantest.New(1, profile)
			var batches []ptrace.Traces
			for range 1 {
				batches = append(batches, generator.Batch(spansPerBatch, now, time.Second))
			}
			reader := spans.NewReader(spans.Options{})
			delta := aggregator.NewDelta(aggregator.Widths{Headline: 1, Series: 10})
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				delta.Reset()
				for o := range reader.Observations(batches[n%len(batches)], now) {
					delta.Fold(o)
				}
				n++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*spansPerBatch), "ns/span")
		})
	}
}
