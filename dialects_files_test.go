package spanbucketexporter

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// goldenRelations are the relations that a case is held to, and the columns of
// each that the case states. One that it does not list has no rows.
var goldenRelations = map[string][]string{
	"requests": {
		"trace_id", "span_id", "parent_span_id", "start_ns", "run_id", "duration_ns", "latency_ms", "ttft_ms",
		"injected_delay_ms", "service", "instance", "operation", "kind", "span_name", "category", "provider", "model",
		"response_model", "deployment", "endpoint", "tool", "agent", "session_id", "message_count", "outcome", "status_code",
		"error_type", "fault", "phase", "finish_reason", "resend_count", "tool_call_id", "decision", "decision_source",
		"experiment_id", "circuit", "dimensions", "input_tokens", "output_tokens", "cache_read_tokens",
		"cache_write_tokens", "reasoning_tokens", "cost_usd", "weight",
	},
	"fault_windows": {"run_id", "fault", "target", "start_ns", "end_ns", "source", "experiment_id", "requests"},
	"circuits":      {"run_id", "circuit", "at_ns", "from_state", "to_state", "service"},
	"chaos_results": {"run_id", "name", "passed", "expected", "actual", "duration_ms", "error", "suite", "service", "at_ns"},
	"evaluations":   {"run_id", "at_ns", "session_id", "name", "label", "score", "accepted", "source"},
}

// TestGoldenFiles sends every case to a file of its own and reads it with both
// engines.
func TestGoldenFiles(t *testing.T) {
	for _, c := range goldenCases(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := newFile(t)
			batch := c.batch(t)
			e := startExporter(t, testConfig(path))
			require.NoError(t, e.ConsumeTraces(t.Context(), batch))
			stopExporter(t, e)
			for relation := range c.want {
				require.Contains(t, goldenRelations, relation, "nobody reads this part of %s", c.name)
			}
			reader := openReader(t, path)
			for _, relation := range slices.Sorted(maps.Keys(goldenRelations)) {
				columns := goldenRelations[relation]
				want := c.rows(t, relation, batch)
				text := "SELECT " + strings.Join(columns, ", ") + " FROM " + relation
				requireSameRows(t, columns, want, query(t, reader, text), relation)
				requireSameRows(t, columns, want, shell(t, path, text), relation+" in the sqlite3 shell")
			}
			sent := int64(batch.SpanCount())
			require.ElementsMatch(t, []row{{"reason": "received", "spans": sent}, {"reason": "folded", "spans": sent}},
				query(t, reader, "SELECT reason, spans FROM ledger"))
			requireSameRows(t, totalColumns, c.totals(t), query(t, reader, totalsQuery), "timeseries")
		})
	}
}

// rows returns what a relation must say of the case: the rows that it lists,
// and what these leave to be understood.
func (c *goldenCase) rows(t *testing.T, relation string, batch ptrace.Traces) (rows []row) {
	t.Helper()
	for _, listed := range c.want[relation] {
		for name := range listed {
			require.Contains(t, goldenRelations[relation], name, "nobody reads this column of %s of %s", relation, c.name)
		}
		rows = append(rows, row(maps.Clone(listed)))
	}
	switch relation {
	case "requests":
		understandRequests(t, rows, batch)
	case "fault_windows":
		for _, r := range rows {
			if r["requests"] == nil {
				r["requests"] = int64(0)
			}
		}
	case "circuits":
		understandCircuits(t, rows)
	}
	return rows
}

// understandRequests adds what the spans themselves say, in the same order.
func understandRequests(t *testing.T, rows []row, batch ptrace.Traces) {
	t.Helper()
	i := 0
	for _, resourceSpans := range batch.ResourceSpans().All() {
		for _, scopeSpans := range resourceSpans.ScopeSpans().All() {
			for _, span := range scopeSpans.Spans().All() {
				r := rows[i]
				i++
				r["start_ns"], r["dimensions"], r["weight"] = int64(span.StartTimestamp()), "{}", int64(1)
				for _, id := range []string{"trace_id", "span_id"} {
					if strings.Trim(r[id].(string), "0") == "" {
						r[id] = nil // none
					}
				}
				if d, ok := r["duration_ns"].(json.Number); ok {
					ns, err := d.Float64()
					require.NoError(t, err)
					r["latency_ms"] = ns / 1e6
				}
			}
		}
	}
	require.Len(t, rows, i)
}

// understandCircuits: a circuit leaves the state that it was in; the first one
// is closed.
func understandCircuits(t *testing.T, rows []row) {
	t.Helper()
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(nanoseconds(t, a), nanoseconds(t, b)) })
	state := map[string]any{}
	for _, r := range rows {
		circuit := r.key("run_id", "service", "circuit")
		if r["from_state"] == nil {
			r["from_state"] = "closed"
			if state[circuit] != nil {
				r["from_state"] = state[circuit]
			}
		}
		state[circuit] = r["to_state"]
	}
}

func nanoseconds(t *testing.T, r row) int64 {
	t.Helper()
	n, err := r["at_ns"].(json.Number).Int64()
	require.NoError(t, err)
	return n
}

var totalColumns = []string{"width_s", "category", "requests", "injected", "resends", "input", "output", "nano_usd"}

const totalsQuery = `SELECT width_s, category, sum(requests_total) AS requests, sum(requests_injected) AS injected,
		sum(resends) AS resends, sum(coalesce(input_tokens, 0)) AS input, sum(coalesce(output_tokens, 0)) AS output,
		CAST(round(sum(coalesce(cost_usd, 0)) * 1e9) AS INTEGER) AS nano_usd
	FROM timeseries GROUP BY 1, 2 HAVING sum(requests_total) > 0`

// totals sums the requests of the case as totalsQuery sums buckets.
func (c *goldenCase) totals(t *testing.T) (rows []row) {
	t.Helper()
	byCategory := map[string]map[string]float64{}
	for _, r := range c.want["requests"] {
		category := r["category"].(string)
		if byCategory[category] == nil {
			byCategory[category] = map[string]float64{}
		}
		sum := byCategory[category]
		sum["requests"]++
		if fault, _ := r["fault"].(string); fault != "" {
			sum["injected"]++
		}
		for into, from := range map[string]string{
			"resends": "resend_count", "input": "input_tokens", "output": "output_tokens", "nano_usd": "cost_usd",
		} {
			if n, ok := r[from].(json.Number); ok {
				f, err := n.Float64()
				require.NoError(t, err)
				if from == "cost_usd" {
					f *= 1e9
				}
				sum[into] += f
			}
		}
	}
	for _, width := range []int64{1, 10, 300, 3600} {
		for category, sum := range byCategory {
			r := row{"width_s": width, "category": category}
			for _, name := range totalColumns[2:] {
				r[name] = json.Number(fmt.Sprintf("%.0f", sum[name]))
			}
			rows = append(rows, r)
		}
	}
	return rows
}
