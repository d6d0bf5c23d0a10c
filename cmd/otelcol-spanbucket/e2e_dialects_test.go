package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// dialectCases are golden traces of as many dialects.
var dialectCases = []string{
	"otel/cost_and_retries", "openllmetry/langgraph_agent", "openinference/agent_rag", "vercel/stream_text_tools",
	"claude_code/interaction",
}

// TestDialectsEndToEnd sends golden traces over both protocols, and finds their
// rows in requests while the collector runs: over gRPC as the SDK sends them,
// over HTTP as they stand in their files.
func TestDialectsEndToEnd(t *testing.T) {
	for protocol, send := range map[string]func(*testing.T, *process, []byte){"grpc": sendSpans, "http": postJSON} {
		t.Run(protocol, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "spans.db")
			collector := startCollector(t, path)
			sent := 0
			for _, name := range dialectCases {
				text, want := readGolden(t, name)
				send(t, collector, text)
				for _, expected := range want {
					sent++
					rows := ask(t, path, "SELECT * FROM requests WHERE span_id = '"+row(expected).text("span_id")+"'")
					require.Len(t, rows, 1, "%s: %v", name, expected)
					expectGolden(t, name, expected, rows[0])
				}
			}
			assert.EqualValues(t, sent, ask(t, path, "SELECT count(*) AS n FROM requests")[0].integer(t, "n"))
			sessions := ask(t, path, "SELECT count(*) AS n FROM sessions WHERE tool_calls > 0")[0]
			assert.Positive(t, sessions.integer(t, "n"), "sessions with tool calls")
			collector.stop(t)
			expectOnlyFile(t, path)
		})
	}
}

// readGolden returns a trace of testdata/dialects and the requests that it
// must become.
func readGolden(t *testing.T, name string) ([]byte, []map[string]any) {
	t.Helper()
	base := filepath.Join("..", "..", "testdata", "dialects", filepath.FromSlash(name))
	text, err := os.ReadFile(base + ".json")
	require.NoError(t, err)
	beside, err := os.ReadFile(base + ".want.json")
	require.NoError(t, err)
	var want struct{ Requests []map[string]any }
	require.NoError(t, json.Unmarshal(beside, &want))
	require.NotEmpty(t, want.Requests)
	return text, want.Requests
}

// expectGolden compares the columns that the golden row states.
func expectGolden(t *testing.T, name string, want map[string]any, got row) {
	t.Helper()
	for column, value := range want {
		label := name + ": " + column + " of " + got.text("span_name")
		if number, ok := value.(float64); ok {
			require.IsType(t, json.Number(""), got[column], label)
			stored, err := got[column].(json.Number).Float64()
			require.NoError(t, err)
			assert.InDelta(t, number, stored, 1e-13*max(1, number), label)
			continue
		}
		assert.Equal(t, value, got[column], label)
	}
}

func postJSON(t *testing.T, p *process, text []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.http+"/v1/traces", bytes.NewReader(text))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode, string(body))
}

// The part of OTLP JSON that the golden traces need.
type (
	otlpAttributes []struct {
		Key   string
		Value struct {
			StringValue *string
			IntValue    json.Number
			DoubleValue *float64
			BoolValue   *bool
			ArrayValue  *struct {
				Values []struct{ StringValue string }
			}
		}
	}
	otlpSpan struct {
		TraceID, SpanID, ParentSpanID, Name string
		Kind                                trace.SpanKind
		StartTimeUnixNano, EndTimeUnixNano  int64 `json:",string"`
		Attributes                          otlpAttributes
		Events                              []struct {
			TimeUnixNano int64 `json:",string"`
			Name         string
			Attributes   otlpAttributes
		}
		Status struct{ Code int }
	}
	otlpTraces struct {
		ResourceSpans []struct {
			Resource   struct{ Attributes otlpAttributes }
			ScopeSpans []struct {
				Scope struct{ Name, Version string }
				Spans []otlpSpan
			}
		}
	}
)

func sendSpans(t *testing.T, p *process, text []byte) {
	t.Helper()
	var traces otlpTraces
	require.NoError(t, json.Unmarshal(text, &traces))
	var stubs tracetest.SpanStubs
	for _, resourceSpans := range traces.ResourceSpans {
		from := resource.NewSchemaless(resourceSpans.Resource.Attributes.read(t)...)
		for _, scopeSpans := range resourceSpans.ScopeSpans {
			for _, s := range scopeSpans.Spans {
				stub := s.stub(t)
				stub.Resource = from
				stub.InstrumentationScope = instrumentation.Scope{Name: scopeSpans.Scope.Name, Version: scopeSpans.Scope.Version}
				stubs = append(stubs, stub)
			}
		}
	}
	deliver(t, connect(t, p, "grpc"), stubs.Snapshots())
}

func (s *otlpSpan) stub(t *testing.T) tracetest.SpanStub {
	t.Helper()
	context := func(id string) trace.SpanContext {
		var config trace.SpanContextConfig
		_, err := hex.Decode(config.TraceID[:], []byte(s.TraceID))
		require.NoError(t, err)
		_, err = hex.Decode(config.SpanID[:], []byte(id))
		require.NoError(t, err)
		return trace.NewSpanContext(config)
	}
	stub := tracetest.SpanStub{
		Name: s.Name, SpanKind: s.Kind, SpanContext: context(s.SpanID), Parent: context(s.ParentSpanID),
		StartTime: time.Unix(0, s.StartTimeUnixNano), EndTime: time.Unix(0, s.EndTimeUnixNano),
		Attributes: s.Attributes.read(t), Status: sdktrace.Status{Code: codes.Unset},
	}
	if s.Status.Code == 2 { // as OTLP numbers it
		stub.Status.Code = codes.Error
	}
	for _, e := range s.Events {
		stub.Events = append(stub.Events, sdktrace.Event{
			Name: e.Name, Time: time.Unix(0, e.TimeUnixNano), Attributes: e.Attributes.read(t),
		})
	}
	return stub
}

func (a otlpAttributes) read(t *testing.T) (attributes []attribute.KeyValue) {
	t.Helper()
	for _, kv := range a {
		key, v := attribute.Key(kv.Key), kv.Value
		switch {
		case v.StringValue != nil:
			attributes = append(attributes, key.String(*v.StringValue))
		case v.IntValue != "":
			n, err := v.IntValue.Int64()
			require.NoError(t, err)
			attributes = append(attributes, key.Int64(n))
		case v.DoubleValue != nil:
			attributes = append(attributes, key.Float64(*v.DoubleValue))
		case v.BoolValue != nil:
			attributes = append(attributes, key.Bool(*v.BoolValue))
		case v.ArrayValue != nil:
			var texts []string
			for _, value := range v.ArrayValue.Values {
				texts = append(texts, value.StringValue)
			}
			attributes = append(attributes, key.StringSlice(texts))
		default:
			require.Fail(t, "an attribute of a type that no golden trace had", kv.Key)
		}
	}
	return attributes
}
