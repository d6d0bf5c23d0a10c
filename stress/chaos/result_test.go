package chaos_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/spanbucket/spanbucketexporter/fakellm"
	"github.com/spanbucket/spanbucketexporter/stress/chaos"
)

// world is a fake model whose faults are off, and what is told of its tests.
func world(t *testing.T) (chaos.Config, *fakellm.Server, *tracetest.SpanRecorder) {
	t.Helper()
	preset, err := fakellm.ParsePreset("stress_extreme")
	require.NoError(t, err)
	preset.Latency, preset.Jitter = time.Millisecond, 0
	model := fakellm.New(fakellm.Config{Preset: preset, Seed: 1})
	model.SetFaults(false)
	server := httptest.NewServer(model)
	t.Cleanup(server.Close)
	spans := tracetest.NewSpanRecorder()
	return chaos.Config{
		Target: server.URL, Tracing: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)), RapidLength: 20 * time.Millisecond,
	}, model, spans
}

// TestEveryResultIsASpan, by the conventions for tests, and the fake model passes
// all of them.
func TestEveryResultIsASpan(t *testing.T) {
	c, model, spans := world(t)
	c.Outage = model.SetFaults
	var told []chaos.Result
	all := chaos.Run(t.Context(), c, func(r chaos.Result) { told = append(told, r) })
	require.Equal(t, all, told)
	require.Len(t, all, len(chaos.Cases))
	require.Empty(t, c.Skips(all))
	said := map[string]map[string]string{}
	for _, span := range spans.Ended() {
		texts := map[string]string{}
		for _, kv := range span.Attributes() {
			texts[string(kv.Key)] = kv.Value.AsString()
		}
		if name := texts["test.case.name"]; name != "" {
			require.Nil(t, said[name], name)
			said[name] = texts
			require.Equal(t, "test "+name, span.Name())
			require.Equal(t, codes.Unset, span.Status().Code)
		}
	}
	for i, r := range all {
		require.Equal(t, chaos.Cases[i].Name, r.Name)
		require.True(t, r.Passed, "%s: %s", r.Name, r.Actual)
		require.Positive(t, r.DurationMS)
		require.Equal(t, map[string]string{
			"test.suite.name": "chaos", "test.case.name": r.Name, "test.case.result.status": "pass",
			"test.case.expected": r.Expected, "test.case.actual": r.Actual,
		}, said[r.Name])
	}
	require.Len(t, said, len(all))
}

// TestAFailureIsTold with the status of its span.
func TestAFailureIsTold(t *testing.T) {
	c, _, spans := world(t)
	c.Target = "http://127.0.0.1:1"
	all := chaos.Run(t.Context(), c, func(chaos.Result) {})
	require.Len(t, all, len(chaos.Cases)-2)
	for _, r := range all {
		require.False(t, r.Passed, r.Name)
	}
	failed := 0
	for _, span := range spans.Ended() {
		for _, kv := range span.Attributes() {
			if kv.Key == "test.case.result.status" {
				failed++
				require.Equal(t, "fail", kv.Value.AsString())
				require.Equal(t, codes.Error, span.Status().Code)
			}
		}
	}
	require.Equal(t, len(all), failed)
}

// TestWhatDidNotRunIsListed, with the reason.
func TestWhatDidNotRunIsListed(t *testing.T) {
	c, _, _ := world(t)
	c.NoOutage = "nobody can"
	all := chaos.Run(t.Context(), c, func(chaos.Result) {})
	require.Equal(t, []chaos.Skip{{Name: "outage_is_noticed", Reason: "nobody can"}, {Name: "verify_recovery", Reason: "nobody can"}}, c.Skips(all))

	ctx, cancel := context.WithCancel(t.Context())
	all = chaos.Run(ctx, c, func(chaos.Result) { cancel() })
	require.Len(t, all, 1, "what an interrupt broke off has not failed")
	skips := c.Skips(all)
	require.Len(t, skips, len(chaos.Cases)-1)
	require.Equal(t, chaos.Skip{Name: "empty_payload", Reason: "the run ended before"}, skips[0])
	require.Equal(t, chaos.Skip{Name: "verify_recovery", Reason: "nobody can"}, skips[len(skips)-1])
	text, err := json.Marshal([]any{chaos.Result{Name: "n", DurationMS: 1.5, Expected: "e", Actual: "a"}, skips[0]})
	require.NoError(t, err)
	require.JSONEq(t, `[{"name":"n","passed":false,"expected":"e","actual":"a","duration_ms":1.5},{"name":"empty_payload","reason":"the run ended before"}]`, string(text))
}
