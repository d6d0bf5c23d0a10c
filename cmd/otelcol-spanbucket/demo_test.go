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

// TestDemoTraffic sends the demo's traffic and compares the file with what the
// demo says that it sent.
func TestDemoTraffic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "demo.db")
	collector := startCollector(t, path)
	demo := exec.Command("go", "-C", "../..", "run", "./internal/demo", "-asap", "-json", "-endpoint", collector.grpc)
	var progress strings.Builder
	demo.Stderr = &progress
	output, err := demo.Output()
	require.NoError(t, err, progress.String())
	var said struct {
		Spans        int64                       `json:"spans"`
		SpansBy      map[string]map[string]int64 `json:"spans_by"`
		InputTokens  int64                       `json:"input_tokens"`
		OutputTokens int64                       `json:"output_tokens"`
	}
	require.NoError(t, json.Unmarshal(output, &said))

	stored := map[string]map[string]int64{}
	for _, r := range ask(t, path, "SELECT category, outcome, sum(requests) AS spans FROM latency WHERE width_s = 10 GROUP BY 1, 2") {
		if stored[r.text("category")] == nil {
			stored[r.text("category")] = map[string]int64{}
		}
		stored[r.text("category")][r.text("outcome")] = r.integer(t, "spans")
	}
	assert.Equal(t, said.SpansBy, stored)
	totals := ask(t, path, `SELECT sum(requests_total) AS spans, sum(input_tokens) AS input, sum(output_tokens) AS output
		FROM timeseries WHERE width_s = 1`)[0]
	assert.Equal(t, said.Spans, totals.integer(t, "spans"))
	assert.Equal(t, said.InputTokens, totals.integer(t, "input"))
	assert.Equal(t, said.OutputTokens, totals.integer(t, "output"))
	collector.stop(t)
	expectOnlyFile(t, path)
}
