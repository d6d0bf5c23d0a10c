package experiment

import (
	"context"
	"errors"
	"fmt"
	"log"
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
	// lost ends when spans cannot be delivered any more, for the reason that it
	// carries. What a file lacks it lacks: nothing is sent from then on, as each
	// attempt would only hold up whoever ends a span.
	lost     context.Context
	lose     context.CancelCauseFunc
	lacking  int64    // spans that were not delivered
	rejected []string // other failures, the first few
	before   otel.ErrorHandler
}

// mostRejected bounds what is remembered of failures.
const mostRejected = 10

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
	t.lost, t.lose = context.WithCancelCause(ctx)
	firstHandler()
	t.before = otel.GetErrorHandler()
	otel.SetErrorHandler(otel.ErrorHandlerFunc(t.reject))
	return t, nil
}

// firstHandler sets a handler for errors of OpenTelemetry that prints them, and
// takes it back: the first that is ever set gets, for good, what the one of the
// library is told.
var firstHandler = sync.OnceFunc(func() {
	before := otel.GetErrorHandler()
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Print(err) }))
	otel.SetErrorHandler(before)
})

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
		sdktrace.WithBatcher(outlet{t}, sdktrace.WithBlocking(), sdktrace.WithBatchTimeout(200*time.Millisecond),
			sdktrace.WithMaxQueueSize(8192), sdktrace.WithMaxExportBatchSize(1024)))
	t.providers[service] = p
	return p
}

// outlet is what all providers send through: none of them may end it.
type outlet struct{ t *telemetry }

func (o outlet) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	t := o.t
	err := t.lost.Err()
	if err == nil {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(t.lost, cancel)()
		err = t.exporter.ExportSpans(ctx, spans)
	}
	if err != nil {
		t.lose(err)
		t.mu.Lock()
		defer t.mu.Unlock()
		t.lacking += int64(len(spans))
	}
	return nil // failure tells
}

func (outlet) Shutdown(context.Context) error { return nil }

// errEnded is why a dead collector gets nothing.
var errEnded = errors.New("the collector has ended")

// watch gives up where a collector ends, until the function that it returns is
// called.
func (t *telemetry) watch(c *collector) (stop func()) {
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-c.ended:
			t.lose(errEnded)
		case <-done:
		}
	})
	return func() { close(done); watching.Wait() }
}

// reject notes what the SDK complains of, such as spans that a collector refused.
func (t *telemetry) reject(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.rejected) < mostRejected {
		t.rejected = append(t.rejected, err.Error())
	}
}

// failure tells what the file lacks, and why; nil: nothing.
func (t *telemetry) failure() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all error
	if t.lacking > 0 {
		all = fmt.Errorf("%d spans were not delivered, so the file lacks them: %w", t.lacking, context.Cause(t.lost))
	}
	for _, text := range t.rejected {
		all = errors.Join(all, errors.New(text))
	}
	return all
}

// close sends what is left, and tells what could not be sent. Errors of
// OpenTelemetry go where they went before.
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
	all = errors.Join(t.failure(), all, t.exporter.Shutdown(ctx))
	t.lose(nil)
	otel.SetErrorHandler(t.before)
	return all
}
