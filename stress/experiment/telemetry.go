package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// scope is the name of what makes our own spans.
const scope = "github.com/spanbucket/spanbucketexporter/stress/experiment"

// telemetry sends spans to a collector: one provider for each service.
type telemetry struct {
	exporter  sdktrace.SpanExporter
	resource  []attribute.KeyValue
	mu        sync.Mutex
	providers map[string]*sdktrace.TracerProvider
	failed    []string
}

// newTelemetry connects to an endpoint of OTLP/gRPC.
func newTelemetry(ctx context.Context, c *Config, endpoint string) (*telemetry, error) {
	options := []otlptracegrpc.Option{otlptracegrpc.WithEndpoint(endpoint), otlptracegrpc.WithTimeout(30 * time.Second)}
	if c.Insecure || c.OTLP == "" {
		options = append(options, otlptracegrpc.WithInsecure())
	}
	exporter, err := otlptracegrpc.New(ctx, options...)
	if err != nil {
		return nil, err
	}
	t := &telemetry{exporter: exporter, providers: map[string]*sdktrace.TracerProvider{}, resource: describe(c)}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(t.fail))
	return t, nil
}

// describe says on every span what run it belongs to.
func describe(c *Config) []attribute.KeyValue {
	settings, err := json.Marshal(map[string]any{
		"users": c.Profile.Users, "spawn_rate": c.Profile.SpawnRate, "duration": c.Profile.Duration.String(),
		"rate": c.Rate, "think": c.Think, "seed": c.Seed,
	})
	if err != nil {
		panic(err) // numbers and a text
	}
	all := []attribute.KeyValue{
		attribute.String("chaos.run.id", c.RunID), attribute.String("chaos.run.name", c.Name), attribute.String("chaos.mode", string(c.Mode)),
		attribute.String("chaos.profile", c.Profile.Name), attribute.String("chaos.config", string(settings)),
	}
	if c.Target == nil {
		all = append(all, attribute.String("chaos.preset", c.Preset.Name))
	}
	return all
}

// provider returns the provider of a service. It drops no span: who ends one
// waits where the collector is behind.
func (t *telemetry) provider(service string) *sdktrace.TracerProvider {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p, ok := t.providers[service]; ok {
		return p
	}
	about := append([]attribute.KeyValue{
		attribute.String("service.name", service), attribute.String("service.instance.id", service+"-0"),
	}, t.resource...)
	p := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.AlwaysSample()), sdktrace.WithResource(resource.NewSchemaless(about...)),
		sdktrace.WithBatcher(shared{t.exporter}, sdktrace.WithBlocking(), sdktrace.WithBatchTimeout(200*time.Millisecond),
			sdktrace.WithMaxQueueSize(8192), sdktrace.WithMaxExportBatchSize(1024)))
	t.providers[service] = p
	return p
}

// shared is an exporter that several providers use: none of them may end it.
type shared struct{ sdktrace.SpanExporter }

func (shared) Shutdown(context.Context) error { return nil }

func (t *telemetry) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = append(t.failed, err.Error())
}

func (t *telemetry) failures() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

// close sends what is left.
func (t *telemetry) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	t.mu.Lock()
	providers := t.providers
	t.mu.Unlock()
	var all error
	for _, p := range providers {
		all = errors.Join(all, p.Shutdown(ctx))
	}
	return errors.Join(all, t.exporter.Shutdown(ctx))
}
