package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/open-telemetry/opentelemetry-collector-contrib/connector/spanmetricsconnector"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/connector/connectortest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// peerConfig gives spanmetricsconnector the dimensions that the exporter has;
// service, span name, kind and status are dimensions anyway. What differs from
// the default is explained in the package comment.
var peerConfig = map[string]any{
	"histogram": map[string]any{"exponential": map[string]any{"max_size": 160}},
	"dimensions": []any{
		dimension("gen_ai.operation.name"), dimension("gen_ai.provider.name"),
		dimension("gen_ai.request.model"), dimension("gen_ai.response.model"),
		dimension("gen_ai.tool.name"), dimension("gen_ai.agent.name"),
		dimension("error.type"), dimension("http.response.status_code"), dimension("http.route"),
	},
	"resource_metrics_key_attributes": []any{"service.name"},
	"metrics_flush_interval":          "24h",
}

func dimension(name string) any { return map[string]any{"name": name} }

// traceComponent is a connector or an exporter.
type traceComponent interface {
	component.Component
	ConsumeTraces(ctx context.Context, traces ptrace.Traces) error
}

// running is a started component as a subject.
type running struct{ traceComponent }

func (running) prepare(ptrace.Traces) error { return nil }

func (r running) consume(ctx context.Context, traces ptrace.Traces) error {
	return r.ConsumeTraces(ctx, traces)
}

func (r running) close() error { return r.Shutdown(context.Background()) }

func newPeer(ctx context.Context, _ string) (subject, error) {
	factory := spanmetricsconnector.NewFactory()
	config := factory.CreateDefaultConfig()
	if err := configure(config, peerConfig); err != nil {
		return nil, fmt.Errorf("configure spanmetrics: %w", err)
	}
	settings := connectortest.NewNopSettings(factory.Type())
	connector, err := factory.CreateTracesToMetrics(ctx, settings, config, consumertest.NewNop())
	if err != nil {
		return nil, fmt.Errorf("create spanmetrics: %w", err)
	}
	return start(ctx, connector)
}

// configure does what a collector does with a component's part of its YAML.
func configure(config component.Config, values map[string]any) error {
	if err := confmap.NewFromStringMap(values).Unmarshal(config); err != nil {
		return err
	}
	if v, ok := config.(confmap.Validator); ok {
		return v.Validate()
	}
	return errors.New("the configuration cannot be validated")
}

func start(ctx context.Context, c traceComponent) (subject, error) {
	if err := c.Start(ctx, componenttest.NewNopHost()); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	return running{c}, nil
}
