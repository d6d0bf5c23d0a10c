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
	for name, profile := range map[string]spantest.Profile{"dense": spantest.Dense, "wide": spantest.Wide} {
		b.Run(name, func(b *testing.B) {
			const spansPerBatch = 8192
			start := time.Date(2026, 1, 30, 10, 0, 0, 0, time.UTC)
			template := spantest.NewTemplate(spantest.New(1, profile).Batch(spansPerBatch, start, time.Second))
			config := testConfig(filepath.Join(b.TempDir(), "spanbucket.db"), 10*time.Second, time.Minute)
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
