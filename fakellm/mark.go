package fakellm

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// mark says on the span of a request what was injected into it, and that it
// failed where no status will. How long it was held up is said in milliseconds.
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
	span := trace.SpanFromContext(ctx)
	if kind, cut := cuts[drawn.fault]; cut {
		attributes = append(attributes, attribute.String("error.type", kind))
		span.SetStatus(codes.Error, "")
	}
	span.SetAttributes(attributes...)
}

// cuts are the faults that end a connection before the answer is whole. They
// have no status that says so: what they are is said by error.type.
var cuts = map[Fault]string{Timeout: "timeout", Reset: "connection_reset", Truncated: "malformed_truncated"}
