package analysis_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// olderFile is a file of an older schema with a fault, a session with a tool
// call that was accepted, and a circuit that refused a call.
func olderFile(t *testing.T, schema int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "older.db")
	db, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	run := func(statement string, args ...any) {
		t.Helper()
		_, err := db.Exec(statement, args...)
		require.NoError(t, err, statement)
	}
	for version := 1; version <= schema; version++ {
		steps, err := filepath.Glob(fmt.Sprintf("../storage/migrations/%04d_*.sql", version))
		require.NoError(t, err)
		require.Len(t, steps, 1)
		text, err := os.ReadFile(steps[0])
		require.NoError(t, err)
		run(string(text))
	}
	run(fmt.Sprintf(`PRAGMA application_id = 1399865963; PRAGMA user_version = %d;
		INSERT INTO meta (key, value) VALUES ('schema_version', '%d'), ('version', '1'), ('histogram_precision_bits', '6'), ('settle_after_s', '60'),
			('max_series', '5'), ('headline_category', 'llm'), ('writer_id', 'x'), ('widths', '[{"width_s": 10, "retention_s": 0, "detail": "series"}]')`, schema, schema))
	start := storyStart.UnixNano()
	run("INSERT INTO run (run_id, first_ns, last_ns, version) VALUES ('r', ?, ?, 1)", start, start+20e9)
	if schema < 3 {
		return path
	}
	series := func(id int, category, tool, outcome, fault string) {
		run("INSERT INTO series VALUES (?, 'r', 'app', 'op', 'client', ?, '', '', ?, '', ?, '', ?, '{}', 1)", id, category, tool, outcome, fault)
	}
	series(1, "llm", "", "success", "")
	series(2, "tool", "search", "success", "")
	series(3, "llm", "", "circuit_open", "")
	series(4, "llm", "", "success", "latency")
	run("INSERT INTO dictionary VALUES (1, 'accept'), (2, 'openai'), (3, 'pod-1')")
	for i, r := range []struct {
		at                               int64
		series, kept                     int
		marked, delay, decision, circuit any
	}{{0, 1, 3, nil, nil, nil, nil}, {1, 2, 3, nil, nil, 1, nil}, {2, 3, 7, nil, nil, nil, 2}, {10, 4, 7, 1, 400_000_000, nil, nil}} {
		run(`INSERT INTO request (start_ns, span_id, trace_id, kind, duration_ns, copy, series_id, kept, session_id, decision, marked, injected_delay_ns, circuit, instance)
			VALUES (?, ?, zeroblob(16), 3, 500000000, 0, ?, ?, 's', ?, ?, ?, ?, 3)`, start+r.at*1e9, []byte(fmt.Sprintf("%08d", i)), r.series, r.kept, r.decision, r.marked, r.delay, r.circuit)
	}
	for bucket, requests := range map[int64]int{0: 2, 10: 1} {
		run(`INSERT INTO headline_bucket (width_s, bucket_start, run_id, category, version, requests, adjusted_micro, late, resends, usage_count, input_tokens,
				output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, priced_count, cost_nano_usd, completed, injected, success, rate_limited,
				capacity_error, server_error, client_error, connection_error, malformed, cancelled, circuit_open, other_error, latency_count, sum_latency_ns, ttft_count, sum_ttft_ns)
			VALUES (10, ?1, 'r', 'llm', 1, ?2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, ?2 - 1, 0, 0, 0, 0, 0)`, storyStart.Unix()+bucket, requests)
	}
	run("INSERT INTO circuit_state VALUES ('r', 'app', 'pod-1', 'openai', ?, 'open', '')", start+1e9)
	return path
}

// Files of the schemas before this one are answered as they are.
func TestActivityOfOlderSchemas(t *testing.T) {
	for _, schema := range []int{3, 4} {
		path := olderFile(t, schema)
		f := onlyFault(t, path, analysis.Query{Now: later})
		require.Equal(t, []float64{1, 500, 100}, []float64{*f.During.Requests, *f.During.Latency.P50MS, *f.During.NetLatency.P50MS})
		s := ask(t, path, sessions(analysis.SessionsQuery{})).Rows
		require.Len(t, s, 1)
		require.Equal(t, []int64{3, 1, 1, 1}, []int64{s[0].Requests, s[0].Errors, s[0].ToolCalls, s[0].Accepted})
		require.Equal(t, int64(1), ask(t, path, tools(analysis.Query{})).Total.Accepted)
		c := ask(t, path, circuits(analysis.CircuitsQuery{})).Rows
		require.Len(t, c, 1)
		require.Equal(t, []any{int64(1), int64(1), "pod-1", true}, []any{c[0].Trips, c[0].Rejected, c[0].Instance, c[0].StillOpen})
	}
	older := olderFile(t, 2)
	for _, err := range []error{
		second(try(t, older, faultImpact(analysis.Query{}))), second(try(t, older, sessions(analysis.SessionsQuery{}))),
		second(try(t, older, tools(analysis.Query{}))), second(try(t, older, circuits(analysis.CircuitsQuery{}))),
	} {
		require.ErrorIs(t, err, storage.ErrOlder)
	}
}
