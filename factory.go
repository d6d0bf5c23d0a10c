package spanbucketexporter

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/spanbucket/spanbucketexporter/internal/metadata"
)

// NewFactory returns the factory of the exporter, for a collector's list of
// components.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(
		metadata.Type,
		createDefaultConfig,
		exporter.WithTraces(createTraces, metadata.TracesStability),
	)
}

func createTraces(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Traces, error) {
	return newTracesExporter(cfg.(*Config), set).traces(ctx)
}

// traces wraps the exporter in the collector's timeout, retry and queue.
func (e *tracesExporter) traces(ctx context.Context) (exporter.Traces, error) {
	return exporterhelper.NewTraces(ctx, e.set, e.config, e.consume,
		exporterhelper.WithCapabilities(consumer.Capabilities{MutatesData: false}),
		exporterhelper.WithStart(e.start),
		exporterhelper.WithShutdown(e.shutdown),
		exporterhelper.WithTimeout(e.config.Timeout),
		exporterhelper.WithRetry(e.config.Retry),
		exporterhelper.WithQueue(e.config.Queue),
	)
}
