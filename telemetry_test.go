package spanbucketexporter

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/spanbucket/spanbucketexporter/internal/metadatatest"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// TestTelemetry sends spans in order and one without a start, and reads what
// the exporter says of itself.
func TestTelemetry(t *testing.T) {
	meters := componenttest.NewTelemetry()
	defer func() { require.NoError(t, meters.Shutdown(t.Context())) }()
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	e := newTracesExporter(testConfig(path), metadatatest.NewSettings(meters))
	require.NoError(t, e.start(t.Context(), componenttest.NewNopHost()))
	spans := randomSpans(seedtest.Rand(t), 20, time.Now(), time.Second)
	spans[0].start = 0
	require.NoError(t, e.consume(t.Context(), traces(spans[:5])))
	require.NoError(t, e.consume(t.Context(), traces(spans[5:])))
	metadatatest.AssertEqualExporterSpanbucketDedupSpans(t, meters,
		[]metricdata.DataPoint[int64]{{Value: 20}}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualExporterSpanbucketDedupReach(t, meters,
		[]metricdata.DataPoint[float64]{{Value: 86400}}, metricdatatest.IgnoreTimestamp())

	result := func(name string, n int64) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Attributes: attribute.NewSet(attribute.String("result", name)), Value: n}
	}
	metadatatest.AssertEqualExporterSpanbucketSpans(t, meters,
		[]metricdata.DataPoint[int64]{result("folded", 19), result("no_start_time", 1)}, metricdatatest.IgnoreTimestamp())
	series := query(t, openReader(t, path), "SELECT count(*) AS n FROM series")[0]["n"].(int64)
	metadatatest.AssertEqualExporterSpanbucketLiveSeries(t, meters,
		[]metricdata.DataPoint[int64]{{Value: series}}, metricdatatest.IgnoreTimestamp())
	for name, count := range map[string]uint64{
		"otelcol_exporter_spanbucket_commit_duration":     2,
		"otelcol_exporter_spanbucket_queue_wait_duration": 2,
	} {
		m, err := meters.GetMetric(name)
		require.NoError(t, err)
		point := m.Data.(metricdata.Histogram[float64]).DataPoints[0]
		require.Equal(t, count, point.Count, name)
		require.Positive(t, point.Sum, name)
	}
	m, err := meters.GetMetric("otelcol_exporter_spanbucket_commit_spans")
	require.NoError(t, err)
	require.EqualValues(t, 20, m.Data.(metricdata.Histogram[int64]).DataPoints[0].Sum)
	file, wal := e.store.Sizes()
	for name, size := range map[string]int64{
		"otelcol_exporter_spanbucket_file_size": file, "otelcol_exporter_spanbucket_wal_size": wal,
	} {
		m, err := meters.GetMetric(name)
		require.NoError(t, err)
		require.Positive(t, size, name)
		require.Equal(t, size, m.Data.(metricdata.Gauge[int64]).DataPoints[0].Value, name)
	}
	require.NoError(t, e.shutdown(t.Context()))
}

// TestTelemetryOfTrouble: duplicates, dead letters, refusals and what happens
// to the file are counted.
func TestTelemetryOfTrouble(t *testing.T) {
	meters := componenttest.NewTelemetry()
	defer func() { require.NoError(t, meters.Shutdown(t.Context())) }()
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	require.NoError(t, os.WriteFile(path, make([]byte, 8192), 0o600)) // as a file system leaves it after a power cut
	e := newTracesExporter(testConfig(path), metadatatest.NewSettings(meters))
	panicking(e)
	require.NoError(t, e.start(t.Context(), componenttest.NewNopHost()))
	defer func() { require.NoError(t, e.shutdown(t.Context())) }()
	require.NoError(t, e.consume(t.Context(), numbered(0, 8, 3)))
	require.NoError(t, e.consume(t.Context(), numbered(0, 8, 3)))
	require.NoError(t, os.Rename(path, path+".elsewhere"))
	require.NoError(t, e.consume(t.Context(), numbered(8, 9)), "nothing was lost: a new file begins")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, e.consume(ended, numbered(9, 10)), context.Canceled)

	point := func(key, name string, n int64) metricdata.DataPoint[int64] {
		return metricdata.DataPoint[int64]{Attributes: attribute.NewSet(attribute.String(key, name)), Value: n}
	}
	metadatatest.AssertEqualExporterSpanbucketSpans(t, meters, []metricdata.DataPoint[int64]{
		point("result", "folded", 8), point("result", "duplicate", 8), point("result", "dead_letter", 1),
	}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualExporterSpanbucketFailures(t, meters,
		[]metricdata.DataPoint[int64]{point("failure", "cancelled", 1)}, metricdatatest.IgnoreTimestamp())
	metadatatest.AssertEqualExporterSpanbucketEvents(t, meters, []metricdata.DataPoint[int64]{
		point("event", "quarantined", 1), point("event", "moved", 1),
	}, metricdatatest.IgnoreTimestamp())
}
