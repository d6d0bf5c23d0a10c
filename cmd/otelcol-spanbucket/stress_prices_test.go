package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStressHasPricesAndObjectives: of its own, or those of a collector's
// configuration, of which nothing else has an effect.
func TestStressHasPricesAndObjectives(t *testing.T) {
	program, collector, folder := spanbucket(t), collectorBinary(t), t.TempDir()
	elsewhere := filepath.Join(folder, "elsewhere.db")
	config := filepath.Join(folder, "config.yaml")
	require.NoError(t, os.WriteFile(config, []byte(`
receivers: {none: {}}
exporters:
  spanbucket:
    path: `+elsewhere+`
    prices: [{model: "fake-*", input: 500000, output: 1000000}]
    slos: [{name: mine, category: embedding, objective: 0.5}]
service: {pipelines: {logs: {receivers: [none], exporters: [none]}}}
`), 0o600))
	for name, c := range map[string]struct {
		args       []string
		small      string // the price of a token of fake-small, in and out
		objectives map[string]int64
	}{
		"its own":         {nil, "input_tokens * 0.15e-6 + output_tokens * 0.6e-6", map[string]int64{"answered": 1, "answered within 2 s": 1}},
		"those of a file": {[]string{"--collector-config", config}, "input_tokens * 0.5 + output_tokens", map[string]int64{"mine": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			db := filepath.Join(t.TempDir(), "stress.db")
			code, stdout, stderr := command(t, program, append([]string{
				"stress", "--quiet", "--db", db, "--collector", collector, "--preset", "silent", "--users", "8", "--spawn-rate", "100", "--duration", "1s",
				"--think", "0.01", "--model", "fake-small", "--seed", "1", "--cost", "1000000",
			}, c.args...)...)
			require.Zero(t, code, "%s%s", stdout, stderr)
			require.NoFileExists(t, elsewhere)
			require.Equal(t, map[string]int64{"right": 1}, named(t, db, `SELECT 'right' AS name,
				sum(priced_count) = sum(requests) AND sum(cost_usd) > 0 AND abs(sum(cost_usd) - sum(`+c.small+`)) <= 1e-9 * sum(cost_usd) AS n
				FROM latency WHERE width_s = 10 AND category = 'llm' AND outcome = 'success'`))
			require.Equal(t, c.objectives, named(t, db, `SELECT name, 1 AS n FROM slos GROUP BY name`))
			code, stdout, stderr = command(t, program, "check", "--db", db, "--include-open", "--slo")
			require.Less(t, code, 2, "there is something to check: %s%s", stdout, stderr)
		})
	}
}
