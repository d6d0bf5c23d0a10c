package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCompanyTraffic sends the traffic of a small company and compares the file
// with what was sent: several services and dialects, evaluations, a coding agent.
func TestCompanyTraffic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "company.db")
	collector := startCollector(t, path)
	sender := exec.Command("go", "-C", "../..", "run", "./internal/traffic", "-asap", "-json", "-endpoint", collector.grpc)
	var progress strings.Builder
	sender.Stderr = &progress
	output, err := sender.Output()
	require.NoError(t, err, progress.String())
	var said struct {
		Spans        int64                       `json:"spans"`
		SpansBy      map[string]map[string]int64 `json:"spans_by"`
		InputTokens  int64                       `json:"input_tokens"`
		OutputTokens int64                       `json:"output_tokens"`
		CostNanoUSD  int64                       `json:"cost_nano_usd"`
	}
	require.NoError(t, json.Unmarshal(output, &said))
	var counts map[string]any
	require.NoError(t, json.Unmarshal(output, &counts))

	stored := map[string]map[string]int64{}
	for _, r := range ask(t, path, "SELECT category, outcome, sum(requests) AS spans FROM latency WHERE width_s = 10 GROUP BY 1, 2") {
		if stored[r.text("category")] == nil {
			stored[r.text("category")] = map[string]int64{}
		}
		stored[r.text("category")][r.text("outcome")] = r.integer(t, "spans")
	}
	assert.Equal(t, said.SpansBy, stored)
	totals := ask(t, path, `SELECT sum(requests_total) AS spans, sum(input_tokens) AS input, sum(output_tokens) AS output,
			CAST(round(1e9 * sum(cost_usd)) AS INTEGER) AS cost
		FROM timeseries WHERE width_s = 1`)[0]
	assert.Equal(t, said.Spans, totals.integer(t, "spans"))
	assert.Equal(t, said.InputTokens, totals.integer(t, "input"))
	assert.Equal(t, said.OutputTokens, totals.integer(t, "output"))
	assert.Equal(t, said.CostNanoUSD, totals.integer(t, "cost"))
	for name, query := range map[string]string{
		"fault_marked":   "SELECT sum(requests_injected) FROM timeseries WHERE width_s = 1",
		"sessions":       "SELECT count(*) FROM sessions",
		"turns":          "SELECT sum(prompts) FROM sessions",
		"tool_calls":     "SELECT sum(calls) FROM tools",
		"tools_rejected": "SELECT sum(rejected) FROM tools",
		"evaluations":    "SELECT count(*) FROM evaluations",
		"trips":          "SELECT sum(trips) FROM circuit_totals",
		"reopened":       "SELECT sum(reopened) FROM circuit_totals",
	} {
		assert.Positive(t, counts[name], name)
		assert.EqualValues(t, counts[name], ask(t, path, "SELECT ("+query+") AS n")[0].integer(t, "n"), name)
	}
	refused := ask(t, path, "SELECT sum(rejected) AS n, min(state) AS state, count(*) AS circuits FROM circuit_totals")[0]
	assert.EqualValues(t, said.SpansBy["llm"]["circuit_open"], refused.integer(t, "n"))
	assert.Equal(t, "closed", refused.text("state"), "the circuit recovers with the providers")
	assert.Equal(t, "1", ask(t, path, "SELECT count(*) AS n FROM fault_windows WHERE source = 'injector'")[0].text("n"))
	run := ask(t, path, "SELECT run_id, name, mode, profile FROM runs")
	assert.Equal(t, []row{{"run_id": "company", "name": "provider brownout", "mode": "inject", "profile": "llm"}}, run)
	collector.stop(t)
	expectOnlyFile(t, path)
}
