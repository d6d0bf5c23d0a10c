package spanbucketexporter

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// recovery is the traffic of the golden case chaos/recovery without its marks,
// and the span of its injector: ten-second buckets from a minute before 11:00
// to 11:01:40, and a fault from 11:00:03 to 11:00:38.
func recovery(t *testing.T) (traffic, injector ptrace.Traces) {
	t.Helper()
	for _, c := range goldenCases(t) {
		if c.name == "chaos/recovery" {
			traffic, injector = c.batch(t), c.batch(t)
		}
	}
	only := func(batch ptrace.Traces, injecting bool) {
		spans := batch.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
		spans.RemoveIf(func(span ptrace.Span) bool {
			_, injects := span.Attributes().Get("chaos.role")
			return injects != injecting
		})
		if !injecting {
			for _, span := range spans.All() {
				span.Attributes().RemoveIf(func(name string, _ pcommon.Value) bool { return strings.HasPrefix(name, "chaos.") })
			}
		}
	}
	only(traffic, false)
	only(injector, true)
	require.Equal(t, 32, traffic.SpanCount())
	require.Equal(t, 1, injector.SpanCount())
	return traffic, injector
}

var (
	recoveryStart = time.Date(2026, 1, 30, 11, 0, 0, 0, time.UTC)
	// What the window means for what was stored before it was known: counted
	// by hand.
	recoveryPhases = row{
		"before": "-60 -50 -40 -30 -20 -10", "during": "10 20", "edge": "0 30", "after": "40 50 60 70 80 90",
	}
	recoveryImpact = row{
		"requests_before": 12.0, "requests_during": 7.0, "requests_after": 12.0, "straddling": 1.0,
		"failed_before": 1.0, "failed_during": 3.0, "failed_after": 1.0,
		"p50_latency_ms_before": 450.0, "p50_latency_ms_during": 3000.0, "p50_latency_ms_after": 490.0,
		"edge_share": 0.5, "recovery_s": 12.0,
	}
)

// requireImpact reads what the file says of its only window.
func requireImpact(t *testing.T, reader *storage.Reader) {
	t.Helper()
	phases := row{}
	for _, r := range query(t, reader, `SELECT phase, group_concat(bucket_start - ?, ' ' ORDER BY bucket_start) AS buckets
		FROM phases WHERE width_s = 10 AND run_id = 'run-40' GROUP BY phase`, recoveryStart.Unix()) {
		phases[r["phase"].(string)] = r["buckets"]
	}
	require.Equal(t, recoveryPhases, phases)
	impact := query(t, reader, `SELECT requests_before, requests_during, requests_after, straddling,
		round(error_rate_before * requests_before, 9) AS failed_before, round(error_rate_during * requests_during, 9) AS failed_during,
		round(error_rate_after * requests_after, 9) AS failed_after, p50_latency_ms_before, p50_latency_ms_during, p50_latency_ms_after,
		edge_share, recovery_s FROM fault_impact WHERE run_id = 'run-40'`)
	require.Equal(t, []row{recoveryImpact}, impact)
}

// TestLateWindowRelabels: a window that becomes known after the traffic it was
// in says at once what the stored buckets and requests were part of, whoever
// tells of it. Nothing that was stored changes.
func TestLateWindowRelabels(t *testing.T) {
	for _, c := range []struct {
		name string
		tell func(t *testing.T, path string, consume func(ptrace.Traces))
		// told counts the spans that told of it.
		told int64
	}{
		{"span of the injector", func(t *testing.T, _ string, consume func(ptrace.Traces)) {
			_, injector := recovery(t)
			consume(injector)
		}, 1},
		{"import beside a running collector", func(t *testing.T, path string, _ func(ptrace.Traces)) {
			added, err := storage.ImportFaultWindows(t.Context(), path, []aggregator.FaultWindow{{
				Run: "run-40", Fault: "latency", Target: "openai", ExperimentID: "exp-40",
				StartUnixNano: recoveryStart.Add(3 * time.Second).UnixNano(), EndUnixNano: recoveryStart.Add(38 * time.Second).UnixNano(),
			}})
			require.NoError(t, err)
			require.Equal(t, 1, added)
		}, 0},
		{"import of no run", func(t *testing.T, path string, _ func(ptrace.Traces)) {
			_, err := storage.ImportFaultWindows(t.Context(), path, []aggregator.FaultWindow{{
				Fault: "latency", StartUnixNano: recoveryStart.Add(3 * time.Second).UnixNano(), EndUnixNano: recoveryStart.Add(38 * time.Second).UnixNano(),
			}})
			require.NoError(t, err)
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := newFile(t)
			e := startExporter(t, testConfig(path))
			defer stopExporter(t, e)
			consume := func(batch ptrace.Traces) { require.NoError(t, e.ConsumeTraces(t.Context(), batch)) }
			traffic, _ := recovery(t)
			consume(traffic)
			reader := openReader(t, path)
			for _, relation := range []string{"fault_windows", "phases", "fault_impact"} {
				require.Empty(t, query(t, reader, "SELECT * FROM "+relation), relation)
			}
			stored := storedOf(t, path)
			c.tell(t, path, consume)
			requireImpact(t, reader)
			requireSameTexts(t, stored, storedOf(t, path), "what was stored before")
			require.Equal(t, []row{{"spans": int64(32) + c.told}}, query(t, reader, "SELECT spans FROM ledger WHERE reason = 'received'"))
		})
	}
}

// storedOf is what the file says of the traffic, with the number of the commit
// that last changed each row.
func storedOf(t *testing.T, path string) (lines []string) {
	t.Helper()
	reader := openReader(t, path)
	for _, text := range []string{
		"SELECT * FROM timeseries WHERE category = 'llm'", "SELECT * FROM latency WHERE category = 'llm'",
		"SELECT * FROM requests WHERE category = 'llm'",
	} {
		rows := query(t, reader, text)
		require.NotEmpty(t, rows, text)
		for _, r := range rows {
			lines = append(lines, fmt.Sprintln(text)+rowText(r, slices.Sorted(maps.Keys(r))))
		}
	}
	return lines
}
