package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	exportTimeout = 30 * time.Second
	maxBatch      = 512
)

// awaitEndpoint returns once something accepts connections at the address.
func awaitEndpoint(ctx context.Context, address string, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return connection.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for endpoint: %s: %w", address, err)
		case <-retry.C:
		}
	}
}

// output is a span processor that drops nothing: it sends in the goroutine
// that ends the spans, which therefore waits while the collector is slow, and
// it remembers the first failure. The SDK's batch processor drops spans when
// its queue is full; its simple one makes a request for every span.
type output struct {
	exporter sdktrace.SpanExporter

	mu      sync.Mutex
	pending []sdktrace.ReadOnlySpan
	failure error
}

var _ sdktrace.SpanProcessor = (*output)(nil)

func connect(ctx context.Context, o options) (*output, error) {
	var exporter sdktrace.SpanExporter
	var err error
	if o.protocol == "http" {
		exporter, err = otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(o.endpoint), otlptracehttp.WithInsecure(),
			otlptracehttp.WithTimeout(exportTimeout), otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
				Enabled: true, InitialInterval: 100 * time.Millisecond, MaxInterval: time.Second, MaxElapsedTime: exportTimeout,
			}))
	} else {
		exporter, err = otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(o.endpoint), otlptracegrpc.WithInsecure(),
			otlptracegrpc.WithTimeout(exportTimeout), otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{
				Enabled: true, InitialInterval: 100 * time.Millisecond, MaxInterval: time.Second, MaxElapsedTime: exportTimeout,
			}))
	}
	if err != nil {
		return nil, fmt.Errorf("connect: %s: %w", o.endpoint, err)
	}
	out := &output{exporter: exporter}
	// A partial success (the collector took some spans and refused others)
	// reaches the error handler in some versions of the SDK.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(out.fail))
	return out, nil
}

func (*output) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd queues the span and sends when there are enough.
func (o *output) OnEnd(span sdktrace.ReadOnlySpan) {
	o.mu.Lock()
	o.pending = append(o.pending, span)
	full := len(o.pending) >= maxBatch
	o.mu.Unlock()
	if full {
		_ = o.ForceFlush(context.Background()) // remembered in failure
	}
}

// ForceFlush sends what is queued and returns the first failure so far.
func (o *output) ForceFlush(ctx context.Context) error {
	o.mu.Lock()
	batch := o.pending
	o.pending = nil
	o.mu.Unlock()
	if len(batch) > 0 {
		if err := o.exporter.ExportSpans(ctx, batch); err != nil {
			o.fail(fmt.Errorf("export: %d spans: %w", len(batch), err))
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failure
}

// Shutdown sends the rest and closes the connection.
func (o *output) Shutdown(ctx context.Context) error {
	err := o.ForceFlush(ctx)
	if closing := o.exporter.Shutdown(ctx); err == nil && closing != nil {
		err = fmt.Errorf("close exporter: %w", closing)
	}
	return err
}

func (o *output) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.failure == nil {
		o.failure = err
	}
}
