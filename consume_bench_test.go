package spanbucketexporter

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter/exportertest"

	"github.com/spanbucket/spanbucketexporter/internal/metadata"
	"github.com/spanbucket/spanbucketexporter/internal/spantest"
)

// BenchmarkConsume commits batches of 8192 spans, each batch a second of
// traffic, through two widths with series. The bench module compares the same
// with peers.
func BenchmarkConsume(b *testing.B) {
	outage := spantest.Dense
	outage.FailureShare = 0.9
	for _, c := range []struct {
		name     string
		profile  spantest.Profile
		requests string
	}{
		{"dense", spantest.Dense, "{}"},
		{"wide", spantest.Wide, "{}"},
		{"dense/none", spantest.Dense, "{sampling_ratio: 0, max_for_cause: 0, sessions: false}"},
		{"dense/hundredth", spantest.Dense, "{sampling_ratio: 0.01, max_for_cause: 0, sessions: false}"},
		{"dense/hundredth+cause", spantest.Dense, "{sampling_ratio: 0.01, sessions: false}"},
		{"dense/hundredth+sessions", spantest.Dense, "{sampling_ratio: 0.01}"},
		{"outage/none", outage, "{sampling_ratio: 0, max_for_cause: 0, sessions: false}"},
		{"outage/hundredth+cause", outage, "{sampling_ratio: 0.01, sessions: false}"},
	} {
		b.Run(c.name, func(b *testing.B) {
			const spansPerBatch = 8192
			start := time.Date(2026, 1, 30, 10, 0, 0, 0, time.UTC)
			template := spantest.NewTemplate(spantest.New(1, c.profile).Batch(spansPerBatch, start, time.Second))
			config := testConfig(filepath.Join(b.TempDir(), "spanbucket.db"), 10*time.Second, time.Minute)
			parsed, err := configFromYAML(b, "requests: "+c.requests)
			require.NoError(b, err)
			config.Requests = parsed.Requests
			e := newTracesExporter(config, exportertest.NewNopSettings(metadata.Type))
			require.NoError(b, e.start(context.Background(), componenttest.NewNopHost()))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				b.StopTimer()
				batch := template.Stamp(uint64(n), start.Add(time.Duration(n)*time.Second))
				b.StartTimer()
				require.NoError(b, e.consume(context.Background(), batch))
				n++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*spansPerBatch), "ns/span")
			require.NoError(b, e.shutdown(context.Background()))
		})
	}
}
