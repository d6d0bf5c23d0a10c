package main

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// span is a span as it will be sent, with what it is expected to count as.
type span struct {
	service    string
	name       string
	kind       trace.SpanKind
	start, end time.Time
	attributes []attribute.KeyValue
	failed     bool // the span status is Error
	events     []event
	category   string
	outcome    string
	turn       bool // a user asks, and the span is the answer
	// What counts of it, once.
	inputTokens, outputTokens, costNanoUSD int64
	children                               []*span
}

// event is an event of a span.
type event struct {
	name       string
	at         time.Time
	attributes []attribute.KeyValue
}

func (s *span) set(attributes ...attribute.KeyValue) {
	s.attributes = append(s.attributes, attributes...)
}

// emitter turns trees of spans into SDK spans: one tracer for each service,
// since the service is an attribute of the resource.
type emitter struct {
	out     *output
	runID   string
	tracers map[string]trace.Tracer
	sent    tally
}

func newEmitter(out *output, runID string) *emitter {
	return &emitter{out: out, runID: runID, tracers: map[string]trace.Tracer{}, sent: newTally()}
}

func (e *emitter) tracer(service string) trace.Tracer {
	tracer, ok := e.tracers[service]
	if !ok {
		attributes := []attribute.KeyValue{
			attribute.String("service.name", service),
			attribute.String("service.version", "1.4.2"),
			attribute.String("service.instance.id", service+"-0"),
			attribute.String("deployment.environment.name", "test"),
		}
		if e.runID != "" {
			attributes = append(attributes, attribute.String("chaos.run.id", e.runID), attribute.String("chaos.run.name", "provider brownout"),
				attribute.String("chaos.mode", "inject"), attribute.String("chaos.profile", "llm"))
		}
		// The sampler is named because the environment could choose another.
		provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(e.out), sdktrace.WithSampler(sdktrace.AlwaysSample()),
			sdktrace.WithResource(resource.NewSchemaless(attributes...)))
		tracer = provider.Tracer("github.com/spanbucket/spanbucketexporter/internal/traffic")
		e.tracers[service] = tracer
	}
	return tracer
}

// emit starts and ends the span and what lies below it, at their own times.
func (e *emitter) emit(ctx context.Context, s *span) {
	ctx, live := e.tracer(s.service).Start(ctx, s.name, trace.WithSpanKind(s.kind),
		trace.WithTimestamp(s.start), trace.WithAttributes(s.attributes...))
	for _, child := range s.children {
		e.emit(ctx, child)
	}
	for _, e := range s.events {
		live.AddEvent(e.name, trace.WithTimestamp(e.at), trace.WithAttributes(e.attributes...))
	}
	if s.failed {
		live.SetStatus(codes.Error, "")
	}
	live.End(trace.WithTimestamp(s.end))
	e.sent.add(s)
}
