package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stressed is what spanbucket stress says it saw.
type stressed struct {
	RunID     string           `json:"run_id"`
	Calls     int64            `json:"calls"`
	Outcomes  map[string]int64 `json:"outcomes"`
	Attempts  int64            `json:"attempts"`
	Sessions  int64            `json:"sessions"`
	ToolCalls int64            `json:"tool_calls"`
	Trips     int64            `json:"circuit_trips"`
	Injected  map[string]int64 `json:"injected"`
	Chaos     []struct {
		Name   string `json:"name"`
		Passed bool   `json:"passed"`
	} `json:"chaos_results"`
}

// buildSpanbucket builds the command line beside the collector, once.
var buildSpanbucket = sync.OnceValues(func() (string, error) {
	collector, err := buildCollector()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(collector), "spanbucket")
	output, err := exec.Command("go", "-C", "../..", "build", "-ldflags", "-s -w", "-o", path, "./cmd/spanbucket").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the command line: %w\n%s", err, output)
	}
	return path, nil
})

// spanbucket returns the path of the command line.
func spanbucket(t *testing.T) string {
	t.Helper()
	path, err := buildSpanbucket()
	require.NoError(t, err)
	return path
}

func collectorBinary(t *testing.T) string {
	t.Helper()
	path, err := buildCollector()
	require.NoError(t, err)
	return path
}

// TestStressEndToEnd: real HTTP calls to the fake model, told through the SDK to
// a collector that is started beside; the file says what the clients say.
func TestStressEndToEnd(t *testing.T) {
	program, folder := spanbucket(t), t.TempDir()
	db, report := filepath.Join(folder, "stress.db"), filepath.Join(folder, "stress.html")
	command := exec.Command(program, "stress", "--db", db, "--collector", collectorBinary(t), "--mode", "full", "--preset", "stress_extreme",
		"--users", "20", "--spawn-rate", "100", "--duration", "6s", "--think", "0.02", "--seed", "1", "--run", "full-1",
		"--format", "json", "--report", report)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	require.NoError(t, command.Run(), "%s", &stderr)
	var saw stressed
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &saw), "%s", &stdout)
	require.Positive(t, saw.Calls)
	require.Len(t, saw.Chaos, 14)
	for _, test := range saw.Chaos {
		require.True(t, test.Passed, test.Name)
	}

	require.Equal(t, saw.Outcomes, named(t, db, `SELECT outcome AS name, sum(requests) AS n FROM latency
		WHERE width_s = 10 AND category IN ('llm', 'embedding') GROUP BY 1`))
	require.Equal(t, saw.Injected, named(t, db, `SELECT fault AS name, sum(requests) AS n FROM latency
		WHERE width_s = 10 AND category = 'server' AND fault <> '' GROUP BY 1`))
	require.Equal(t, map[string]int64{"sessions": saw.Sessions, "tools": saw.ToolCalls, "trips": saw.Trips}, named(t, db, `
		SELECT 'sessions' AS name, count(*) AS n FROM sessions UNION ALL SELECT 'tools', coalesce(sum(calls), 0) FROM tools
		UNION ALL SELECT 'trips', count(*) FROM circuits WHERE to_state = 'open'`))
	require.Equal(t, map[string]int64{"full-1 full quick stress_extreme": 1}, named(t, db, `
		SELECT concat_name AS name, 1 AS n FROM (SELECT run_id || ' ' || mode || ' ' || profile || ' ' || preset AS concat_name FROM runs)`))
	require.Equal(t, map[string]int64{"users": 20}, named(t, db, `
		SELECT 'users' AS name, json_extract(config_json, '$.users') AS n FROM runs`))
	// The middle third of the load, and the outage of the chaos tests.
	require.Equal(t, map[string]int64{"stress_extreme": 2}, named(t, db, `
		SELECT fault AS name, count(*) AS n FROM fault_windows WHERE source = 'injector' GROUP BY 1`))

	info, err := os.Stat(report)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// named reads a column name and a column n.
func named(t *testing.T, db, query string) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	for _, r := range ask(t, db, query) {
		all[r.text("name")] = r.integer(t, "n")
	}
	return all
}

// TestStressIsInterrupted: the load ends, what was measured is in the file, and
// the report is written all the same.
func TestStressIsInterrupted(t *testing.T) {
	program, folder := spanbucket(t), t.TempDir()
	db, report := filepath.Join(folder, "stress.db"), filepath.Join(folder, "stress.json")
	command := exec.Command(program, "stress", "--db", db, "--collector", collectorBinary(t), "--preset", "silent", "--users", "5", "--spawn-rate", "100",
		"--duration", "1h", "--think", "0.01", "--format", "json", "--report", report)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	require.NoError(t, command.Start())
	require.Eventually(t, func() bool { // some of it is in the file
		output, err := exec.Command("sqlite3", "-readonly", db, "SELECT count(*) > 0 FROM timeseries").Output()
		return err == nil && string(bytes.TrimSpace(output)) == "1"
	}, 30*time.Second, 50*time.Millisecond)
	require.NoError(t, command.Process.Signal(os.Interrupt))
	require.NoError(t, command.Wait(), "%s", &stderr)
	var saw stressed
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &saw), "%s", &stdout)
	require.Equal(t, saw.Outcomes, named(t, db, `SELECT outcome AS name, sum(requests) AS n FROM latency
		WHERE width_s = 10 AND category IN ('llm', 'embedding') GROUP BY 1`))
	require.FileExists(t, report)
}
