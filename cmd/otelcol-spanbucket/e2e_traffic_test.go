package main

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

const runID = "e2e-run"

// sent is what one span is expected to say.
type sent struct {
	traceID, spanID string
	start, end      int64 // Unix nanoseconds
	usable          bool  // the span has a usable duration
	series          series
	ttft            int64 // nanoseconds, -1 for none
	input, output   int64 // tokens, -1 for none
}

// series are the dimensions a span is counted under.
type series struct {
	service, operation, kind, category, provider, model, tool, agent, outcome, errorType string
}

// ending is a way a span can end: what it carries, and what that means.
type ending struct {
	status    int64  // http.response.status_code, 0 for none
	errorType string // error.type, empty for none
	spanError bool   // the span status is Error
	outcome   string
	storedAs  string // error_type in the file
	weight    int    // how often it happens
}

var endings = []ending{
	{status: 200, outcome: "success", weight: 20},
	{outcome: "success", weight: 4},
	{status: 429, errorType: "rate_limit_exceeded", spanError: true, outcome: "rate_limited", storedAs: "rate_limit_exceeded", weight: 4},
	{status: 429, outcome: "rate_limited", storedAs: "429", weight: 2}, // a server span leaves its status unset
	{status: 529, errorType: "overloaded_error", spanError: true, outcome: "capacity_error", storedAs: "overloaded_error", weight: 3},
	{status: 503, errorType: "503", spanError: true, outcome: "server_error", storedAs: "503", weight: 2},
	{status: 404, outcome: "client_error", storedAs: "404", weight: 1},
	{status: 504, errorType: "timeout", spanError: true, outcome: "connection_error", storedAs: "timeout", weight: 2},
	{status: 200, errorType: "malformed_json", spanError: true, outcome: "malformed", storedAs: "malformed_json", weight: 1},
	{errorType: "cancelled", spanError: true, outcome: "cancelled", storedAs: "cancelled", weight: 1},
	{errorType: "circuit_open", spanError: true, outcome: "circuit_open", storedAs: "circuit_open", weight: 1},
	{spanError: true, outcome: "other_error", weight: 1},
}

// works are the sorts of spans.
var works = []struct {
	series series
	kind   trace.SpanKind
	tokens bool
	stream bool
}{
	{series{operation: "chat", category: "llm", provider: "openai", model: "gpt-4o-2024-08-06"}, trace.SpanKindClient, true, true},
	{series{operation: "chat", category: "llm", provider: "anthropic", model: "claude-sonnet-4-5"}, trace.SpanKindClient, true, false},
	{series{operation: "embeddings", category: "embedding", provider: "openai", model: "text-embedding-3-small"}, trace.SpanKindClient, true, false},
	{series{operation: "execute_tool", category: "tool", tool: "search"}, trace.SpanKindInternal, false, false},
	{series{operation: "invoke_agent", category: "agent", agent: "helper", provider: "openai"}, trace.SpanKindInternal, false, false},
	{series{operation: "POST /v1/chat", category: "server"}, trace.SpanKindServer, false, false},
	{series{operation: "POST", category: "client"}, trace.SpanKindClient, false, false},
	{series{operation: "reticulate", category: "other"}, trace.SpanKindInternal, false, false},
}

var services = []string{"gateway", "agents", "search"}

// makeTraffic returns n spans that start within two minutes from begin, as the
// SDK made them, and what is to be expected of each.
func makeTraffic(seed uint64, begin time.Time, n int) ([]sdktrace.ReadOnlySpan, []sent) {
	random := rand.New(rand.NewPCG(seed, 0))
	recorder := tracetest.NewSpanRecorder()
	tracers := make([]trace.Tracer, len(services))
	for i, service := range services {
		tracers[i] = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder), sdktrace.WithSampler(sdktrace.AlwaysSample()),
			sdktrace.WithResource(resource.NewSchemaless(
				attribute.String("service.name", service), attribute.String("test.run.id", runID)))).Tracer("e2e")
	}
	expected := make([]sent, n)
	for i := range expected {
		service := random.IntN(len(services))
		expected[i] = makeSpan(random, tracers[service], services[service], begin)
	}
	return recorder.Ended(), expected
}

func makeSpan(random *rand.Rand, tracer trace.Tracer, service string, begin time.Time) sent {
	work := works[random.IntN(len(works))]
	how := endings[pickEnding(random)]
	start := begin.Add(time.Duration(random.Int64N(int64(2 * time.Minute))))
	duration := time.Duration(float64(300*time.Millisecond) * math.Exp(random.NormFloat64()))
	switch random.IntN(50) {
	case 0:
		duration = 0
	case 1:
		duration = -duration // the clock was set back: counted, but no latency
	}
	s := sent{series: work.series, ttft: -1, input: -1, output: -1}
	s.series.service, s.series.kind = service, work.kind.String()
	s.series.outcome, s.series.errorType = how.outcome, how.storedAs
	attributes := describeWork(random, &s, work.tokens, work.stream && how.outcome == "success" && duration > 0)
	if how.status != 0 {
		attributes = append(attributes, attribute.Int64("http.response.status_code", how.status))
	}
	if how.errorType != "" {
		attributes = append(attributes, attribute.String("error.type", how.errorType))
	}
	_, span := tracer.Start(context.Background(), spanName(work.series), trace.WithSpanKind(work.kind),
		trace.WithTimestamp(start), trace.WithAttributes(attributes...))
	if how.spanError {
		span.SetStatus(codes.Error, "it failed")
	}
	end := start.Add(duration)
	span.End(trace.WithTimestamp(end))
	s.traceID, s.spanID = span.SpanContext().TraceID().String(), span.SpanContext().SpanID().String()
	s.start, s.end, s.usable = start.UnixNano(), end.UnixNano(), duration >= 0
	return s
}

// spanName is the operation for spans that have no better name for it.
func spanName(s series) string {
	if s.category == "other" {
		return s.operation
	}
	return s.operation + " and more"
}

// pickEnding returns an index of endings, by their weights.
func pickEnding(random *rand.Rand) int {
	sum := 0
	for _, e := range endings {
		sum += e.weight
	}
	x := random.IntN(sum)
	return slices.IndexFunc(endings, func(e ending) bool {
		x -= e.weight
		return x < 0
	})
}

// describeWork returns the attributes that make the span what it is, and notes
// tokens and time to first chunk in s.
func describeWork(random *rand.Rand, s *sent, tokens, stream bool) (attributes []attribute.KeyValue) {
	add := func(kv ...attribute.KeyValue) { attributes = append(attributes, kv...) }
	switch s.series.category {
	case "server":
		add(attribute.String("http.request.method", "POST"), attribute.String("http.route", "/v1/chat"),
			attribute.String("url.path", "/v1/chat?user="+strconv.Itoa(random.Int())))
	case "client":
		add(attribute.String("http.request.method", "POST"))
	case "other":
	default:
		add(attribute.String("gen_ai.operation.name", s.series.operation))
	}
	for key, value := range map[string]string{
		"gen_ai.provider.name": s.series.provider, "gen_ai.tool.name": s.series.tool, "gen_ai.agent.name": s.series.agent,
	} {
		if value != "" {
			add(attribute.String(key, value))
		}
	}
	if s.series.model != "" {
		add(attribute.String("gen_ai.response.model", "revision"), attribute.String("gen_ai.request.model", s.series.model))
	}
	if s.series.category == "agent" { // repeats its children's tokens, which must not be added again
		add(attribute.Int64("gen_ai.usage.input_tokens", 1_000_000))
	}
	if tokens {
		s.input = random.Int64N(5000)
		add(attribute.Int64("gen_ai.usage.input_tokens", s.input))
		if s.series.category == "llm" {
			s.output = 1 + random.Int64N(900)
			add(attribute.Int64("gen_ai.usage.output_tokens", s.output))
		}
	}
	if stream {
		// A multiple of 1/512 s is exact as a double and as nanoseconds.
		s.ttft = random.Int64N(3) * 1_953_125
		add(attribute.Float64("gen_ai.response.time_to_first_chunk", float64(s.ttft)/1e9))
	}
	return attributes
}

// deliver sends the spans, as several clients would, and fails unless every
// batch is acknowledged.
func deliver(t *testing.T, exporter sdktrace.SpanExporter, spans []sdktrace.ReadOnlySpan) {
	var clients sync.WaitGroup
	for batch := range slices.Chunk(spans, 1+len(spans)/16) {
		clients.Go(func() {
			if err := exporter.ExportSpans(t.Context(), batch); err != nil {
				t.Errorf("export %d spans: %v", len(batch), err)
			}
		})
	}
	clients.Wait()
	require.False(t, t.Failed())
}

// connect returns an exporter for either protocol that does not hide refusals
// behind retries.
func connect(t *testing.T, p *process, protocol string) sdktrace.SpanExporter {
	var exporter sdktrace.SpanExporter
	var err error
	if protocol == "http" {
		exporter, err = otlptracehttp.New(t.Context(), otlptracehttp.WithEndpoint(p.http), otlptracehttp.WithInsecure(),
			otlptracehttp.WithRetry(otlptracehttp.RetryConfig{}))
	} else {
		exporter, err = otlptracegrpc.New(t.Context(), otlptracegrpc.WithEndpoint(p.grpc), otlptracegrpc.WithInsecure(),
			otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{}))
	}
	require.NoError(t, err)
	t.Cleanup(func() { _ = exporter.Shutdown(context.Background()) })
	return exporter
}
