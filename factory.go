package spanbucketexporter

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// NewFactory returns the factory.
func NewFactory() exporter.Factory {
	return exporter.NewFactory(component.MustNewType("spanbucket"), func() component.Config { return &Config{} },
		exporter.WithTraces(func(ctx context.Context, set exporter.Settings, cfg component.Config) (exporter.Traces, error) {
			return exporterhelper.NewTraces(ctx, set, cfg, func(context.Context, ptrace.Traces) error { return nil })
		}, component.StabilityLevelAlpha))
}

// Config is the configuration.
type Config struct {
	Path string `mapstructure:"path"`
}
