package spans

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// goldenNow is the clock that golden spans are read with.
var goldenNow = time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)

// goldenCases returns the cases of testdata/dialects by name.
func goldenCases(t *testing.T) map[string]ptrace.Traces {
	t.Helper()
	files, err := filepath.Glob("../testdata/dialects/*/*.json")
	require.NoError(t, err)
	cases := map[string]ptrace.Traces{}
	for _, file := range files {
		if strings.HasSuffix(file, ".want.json") {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		batch, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(text)
		require.NoError(t, err, file)
		name := filepath.Base(filepath.Dir(file)) + "/" + strings.TrimSuffix(filepath.Base(file), ".json")
		cases[name] = batch
	}
	require.NotEmpty(t, cases)
	return cases
}

// TestGoldenRequests reads the spans of every dialect, and compares what is
// made of each with the row beside it, which was written by hand.
func TestGoldenRequests(t *testing.T) {
	for name, batch := range goldenCases(t) {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile("../testdata/dialects/" + name + ".want.json")
			require.NoError(t, err)
			var want struct{ Requests []map[string]any }
			require.NoError(t, json.Unmarshal(text, &want))
			var got []map[string]any
			for r := range NewReader(Options{}).Requests(batch, goldenNow, nil) {
				got = append(got, rowOf(r))
			}
			require.Len(t, got, len(want.Requests))
			for i := range got {
				label := fmt.Sprintf("span %d, %v", i, got[i]["span_name"])
				for column, value := range want.Requests[i] {
					assert.Equal(t, value, got[i][column], "%s: %s", label, column)
				}
				for column, value := range got[i] {
					assert.Contains(t, want.Requests[i], column, "%s: %s is %v", label, column, value)
				}
			}
		})
	}
}

// rowOf returns a request as a row of the relation requests has it, without
// what is NULL or empty.
func rowOf(r *aggregator.Request) map[string]any {
	s := &r.Series
	row := map[string]any{
		"trace_id": hex.EncodeToString(r.TraceID[:]), "span_id": hex.EncodeToString(r.SpanID[:]),
		"run_id": s.Run, "service": s.Service, "instance": r.Instance, "operation": s.Operation, "kind": s.Kind.String(),
		"span_name": r.SpanName, "category": s.Category.String(), "provider": s.Provider, "model": s.Model,
		"response_model": r.ResponseModel, "deployment": r.Deployment, "endpoint": r.Endpoint, "tool": s.Tool,
		"agent": s.Agent, "session_id": r.Session, "outcome": s.Outcome.String(), "error_type": s.ErrorType,
		"fault": s.Fault, "phase": r.Phase, "finish_reason": r.FinishReason, "tool_call_id": r.ToolCallID,
		"decision": r.Decision, "decision_source": r.DecisionSource, "experiment_id": r.ExperimentID, "circuit": r.Circuit,
	}
	if r.ParentSpanID != [8]byte{} {
		row["parent_span_id"] = hex.EncodeToString(r.ParentSpanID[:])
	}
	if d, ok := r.Measure(aggregator.MeasureDuration); ok {
		row["duration_ns"] = float64(d)
	}
	if d, ok := r.Measure(aggregator.MeasureTimeToFirstToken); ok {
		row["ttft_ms"] = float64(d) / 1e6
	}
	if r.Priced {
		row["cost_usd"] = float64(r.CostNanoUSD) / 1e9
	}
	for _, n := range []struct {
		fact   aggregator.Fact
		column string
		value  float64
	}{
		{aggregator.FactInputTokens, "input_tokens", float64(r.InputTokens)},
		{aggregator.FactOutputTokens, "output_tokens", float64(r.OutputTokens)},
		{aggregator.FactCacheReadTokens, "cache_read_tokens", float64(r.CacheReadTokens)},
		{aggregator.FactCacheWriteTokens, "cache_write_tokens", float64(r.CacheWriteTokens)},
		{aggregator.FactReasoningTokens, "reasoning_tokens", float64(r.ReasoningTokens)},
		{aggregator.FactResends, "resend_count", float64(r.Resends)},
		{aggregator.FactStatusCode, "status_code", float64(r.StatusCode)},
		{aggregator.FactMessageCount, "message_count", float64(r.MessageCount)},
		{aggregator.FactInjectedDelay, "injected_delay_ms", float64(r.InjectedDelayNano) / 1e6},
	} {
		if r.Known&n.fact != 0 {
			row[n.column] = n.value
		}
	}
	for column, value := range row {
		if value == "" {
			delete(row, column)
		}
	}
	return row
}
