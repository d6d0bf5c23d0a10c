package fakellm

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// mark says on the span of a request what was injected into it. How long it was
// held up is said in milliseconds.
func mark(ctx context.Context, drawn lot, experiment string) {
	if drawn.fault == NoFault {
		return
	}
	attributes := []attribute.KeyValue{attribute.String("chaos.fault.type", drawn.fault.String())}
	if experiment != "" {
		attributes = append(attributes, attribute.String("chaos.experiment.id", experiment))
	}
	if drawn.held > 0 {
		attributes = append(attributes, attribute.Float64("chaos.fault.latency_ms", float64(drawn.held)/1e6))
	}
	if status := drawn.fault.Status(); status >= 400 {
		attributes = append(attributes, attribute.Int("chaos.fault.status_code", status))
	}
	trace.SpanFromContext(ctx).SetAttributes(attributes...)
}
