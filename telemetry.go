package spanbucketexporter

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/spanbucket/spanbucketexporter/internal/metadata"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// telemetry is what the exporter says about itself, through the collector's
// meter. documentation.md lists it.
type telemetry struct {
	builder    *metadata.TelemetryBuilder
	liveSeries atomic.Int64
	remembered atomic.Int64 // spans in the deduplication window; -1: unknown
	reach      atomic.Int64 // of the window, nanoseconds
	sizes      atomic.Pointer[func() (file, wal int64)]
}

func newTelemetry(settings component.TelemetrySettings) (*telemetry, error) {
	builder, err := metadata.NewTelemetryBuilder(settings)
	if err != nil {
		return nil, err
	}
	t := &telemetry{builder: builder}
	t.liveSeries.Store(-1) // unknown before the first commit
	t.remembered.Store(-1)
	err = errors.Join(
		builder.RegisterExporterSpanbucketLiveSeriesCallback(func(_ context.Context, o metric.Int64Observer) error {
			if series := t.liveSeries.Load(); series >= 0 {
				o.Observe(series)
			}
			return nil
		}),
		builder.RegisterExporterSpanbucketDedupSpansCallback(func(_ context.Context, o metric.Int64Observer) error {
			if spans := t.remembered.Load(); spans >= 0 {
				o.Observe(spans)
			}
			return nil
		}),
		builder.RegisterExporterSpanbucketDedupReachCallback(func(_ context.Context, o metric.Float64Observer) error {
			if t.remembered.Load() >= 0 {
				o.Observe(time.Duration(t.reach.Load()).Seconds())
			}
			return nil
		}),
		builder.RegisterExporterSpanbucketFileSizeCallback(func(_ context.Context, o metric.Int64Observer) error {
			if sizes := t.sizes.Load(); sizes != nil {
				file, _ := (*sizes)()
				o.Observe(file)
			}
			return nil
		}),
		builder.RegisterExporterSpanbucketWalSizeCallback(func(_ context.Context, o metric.Int64Observer) error {
			if sizes := t.sizes.Load(); sizes != nil {
				_, wal := (*sizes)()
				o.Observe(wal)
			}
			return nil
		}),
	)
	if err != nil {
		t.shutdown()
		return nil, err
	}
	return t, nil
}

func (t *telemetry) observeSizes(sizes func() (file, wal int64)) { t.sizes.Store(&sizes) }

func (t *telemetry) shutdown() { t.builder.Shutdown() }

// recordCommit is called by the writer after each commit.
func (t *telemetry) recordCommit(c storage.Commit) {
	ctx := context.Background()
	total := int64(0)
	for result, spans := range c.Spans {
		if spans <= 0 {
			continue // a dead letter that became a number is no longer one
		}
		total += spans
		t.builder.ExporterSpanbucketSpans.Add(ctx, spans, metric.WithAttributes(attribute.String("result", result)))
	}
	t.builder.ExporterSpanbucketCommitSpans.Record(ctx, total)
	t.builder.ExporterSpanbucketCommitDuration.Record(ctx, c.Duration.Seconds())
	for _, wait := range c.QueueWaits {
		t.builder.ExporterSpanbucketQueueWaitDuration.Record(ctx, wait.Seconds())
	}
	t.liveSeries.Store(int64(c.LiveSeries))
	t.reach.Store(int64(c.Reach))
	t.remembered.Store(int64(c.Remembered))
}

// recordEvent counts what happened to the file.
func (t *telemetry) recordEvent(kind storage.EventKind) {
	t.builder.ExporterSpanbucketEvents.Add(context.Background(), 1,
		metric.WithAttributes(attribute.String("event", kind.String())))
}

// recordFailure counts a batch that was refused.
func (t *telemetry) recordFailure(failure storage.Failure) {
	t.builder.ExporterSpanbucketFailures.Add(context.Background(), 1,
		metric.WithAttributes(attribute.String("failure", failure.String())))
}
