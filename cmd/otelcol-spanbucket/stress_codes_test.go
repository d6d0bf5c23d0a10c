package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// command runs a program and returns its exit code.
func command(t *testing.T, program string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	c := exec.Command(program, args...)
	var out, talk bytes.Buffer
	c.Stdout, c.Stderr = &out, &talk
	err := c.Run()
	require.NotNil(t, c.ProcessState, "%v", err)
	return c.ProcessState.ExitCode(), out.String(), talk.String()
}

// polite answers everything with 200, also what is wrong.
func polite(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestStressExitCodes: the code is that of the worst of the load, the chaos tests
// and the thresholds.
func TestStressExitCodes(t *testing.T) {
	program, collector, folder := spanbucket(t), collectorBinary(t), t.TempDir()
	foreign := filepath.Join(folder, "foreign.db")
	require.NoError(t, exec.Command("sqlite3", foreign, "CREATE TABLE t (x)").Run())
	load := []string{"--preset", "silent", "--users", "2", "--spawn-rate", "100", "--duration", "500ms", "--think", "0.01"}
	down := []string{"--target", "http://127.0.0.1:1", "--users", "2", "--spawn-rate", "100", "--duration", "300ms", "--think", "0.01"}
	for name, c := range map[string]struct {
		args           []string
		code           int
		stdout, stderr string // parts of them
	}{
		"all is well":                        {append(load, "--p99", "60000", "--error-rate", "0"), 0, "PASS: 2 passed", ""},
		"three messages":                     {[]string{"--mode", "quick", "--preset", "silent", "--seed", "1"}, 0, "calls     3 in", ""},
		"a threshold fails":                  {append(load, "--p50", "0"), 1, "FAIL: 1 failed", "check failed: 1 of 1"},
		"a threshold has no data":            {append(load, "--thresholds", thresholdsFile(t, "models: {nobody: {p50: 60000}}")), 2, "NO DATA: 1 without data", "no data for 1 of 1 checks"},
		"a failure counts more than no data": {append(load, "--thresholds", thresholdsFile(t, "models: {nobody: {p50: 60000}}"), "--p50", "0"), 1, "FAIL: 1 failed, 1 without data", ""},
		"a circuit that never opened":        {append(load, "--circuit-trips", "0"), 0, "PASS: 1 passed", ""},
		"a warning with --strict":            {append(load, "--thresholds", thresholdsFile(t, "p50: {warn: 0, fail: 60000}"), "--strict"), 1, "WARN: 1 warned", "--strict is set"},
		"no call succeeds":                   {down, 1, "0.0 % succeeded", "succeeded"},
		"no call succeeds, and no data":      {append(down, "--ttft-p95", "1"), 1, "NO DATA", "no data for 1 of 1"},
		"a chaos test fails, no threshold":   {[]string{"--mode", "chaos", "--target", polite(t), "--p99", "60000"}, 1, "PASS: 1 passed", "chaos tests: malformed_json"},
		"the file is not ours":               {append(load, "--db", foreign), 3, "", "foreign.db: application_id is 0x0: not a spanbucket file"},
		"no collector listens":               {append(load, "--otlp", "127.0.0.1:1", "--insecure"), 3, "", "reach the collector: dial tcp 127.0.0.1:1"},
		"a threshold that is none":           {append(load, "--p99", "-3"), 2, "", `--p99 "-3": must be a number`},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"stress", "--quiet"}, c.args...)
			if !strings.Contains(strings.Join(args, " "), "--db") {
				args = append(args, "--db", filepath.Join(t.TempDir(), "stress.db"))
			}
			if !strings.Contains(strings.Join(args, " "), "--otlp") {
				args = append(args, "--collector", collector)
			}
			code, stdout, stderr := command(t, program, args...)
			require.Equal(t, c.code, code, "%s%s", stdout, stderr)
			require.Contains(t, stdout, c.stdout)
			require.Contains(t, stderr, c.stderr)
			if c.code == 0 {
				require.Empty(t, stderr)
			}
		})
	}
}

func thresholdsFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "thresholds.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// TestStressWhenTheCollectorDies: the load ends at once, what is in the file is
// reported, and lost spans count more than a threshold that fails.
func TestStressWhenTheCollectorDies(t *testing.T) {
	program, folder := spanbucket(t), t.TempDir()
	db, pid, report := filepath.Join(folder, "stress.db"), filepath.Join(folder, "pid"), filepath.Join(folder, "report.html")
	wrapper := filepath.Join(folder, "collector")
	require.NoError(t, os.WriteFile(wrapper, []byte("#!/bin/sh\necho $$ >"+pid+"\nexec "+collectorBinary(t)+" \"$@\"\n"), 0o700))
	began := time.Now()
	c := exec.Command(program, "stress", "--quiet", "--db", db, "--collector", wrapper, "--preset", "silent", "--users", "10", "--spawn-rate", "100",
		"--duration", "1h", "--think", "0.01", "--report", report, "--p50", "0")
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	require.NoError(t, c.Start())
	require.Eventually(t, func() bool { // some of it is in the file
		output, err := exec.Command("sqlite3", "-readonly", db, "SELECT count(*) > 0 FROM timeseries").Output()
		return err == nil && string(bytes.TrimSpace(output)) == "1"
	}, 30*time.Second, 50*time.Millisecond)
	text, err := os.ReadFile(pid)
	require.NoError(t, err)
	number, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(number, syscall.SIGKILL))
	require.Error(t, c.Wait())
	require.Less(t, time.Since(began), time.Minute, "nobody waits for a collector that is gone")
	require.Equal(t, 3, c.ProcessState.ExitCode(), "%s%s", &stdout, &stderr)
	require.Regexp(t, `[1-9][0-9]* spans were not delivered, so the file lacks them: the collector has ended; the collector ended by itself: signal: killed`, stderr.String())
	require.Contains(t, stderr.String(), "check failed: 1 of 1")
	require.Contains(t, stdout.String(), "the file says: ")
	require.Contains(t, stdout.String(), "FAIL: 1 failed")
	require.FileExists(t, report)
}

// TestStressAtARateOnATargetThroughACollector that runs already: the model is
// that of --model, and the rate that of --rate, whatever the target does.
func TestStressAtARateOnATargetThroughACollector(t *testing.T) {
	db := filepath.Join(t.TempDir(), "stress.db")
	collector := startCollector(t, db)
	var asked sync.Map
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Model  string `json:"model"`
			Stream bool   `json:"stream"`
		}
		_ = json.NewDecoder(r.Body).Decode(&body)
		asked.Store(r.URL.Path+" "+body.Model, true)
		w.Header().Set("Content-Type", "application/json")
		answer := `{"id":"1","model":"llama","choices":[{"message":{"content":"yes"},"delta":{"content":"yes"},"finish_reason":"stop"}],` +
			`"usage":{"prompt_tokens":3,"completion_tokens":1}}`
		if body.Stream {
			w.Header().Set("Content-Type", "text/event-stream")
			answer = "data: " + answer + "\n\ndata: [DONE]\n\n"
		}
		_, _ = io.WriteString(w, answer)
	}))
	defer s.Close()
	code, stdout, stderr := command(t, spanbucket(t), "stress", "--quiet", "--otlp", collector.grpc, "--insecure", "--db", db, "--target", s.URL+"/v1/",
		"--model", "llama", "--rate", "50", "--duration", "2s", "--users", "20", "--format", "json", "--error-rate", "0")
	require.Zero(t, code, stderr)
	var saw struct {
		stressed
		OpenLoop bool `json:"open_loop"`
		Check    struct {
			Status string `json:"status"`
		} `json:"check"`
		Dropped int64 `json:"dropped_starts"`
		Delayed int64 `json:"delayed_starts"`
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &saw))
	require.True(t, saw.OpenLoop)
	require.Equal(t, "pass", saw.Check.Status)
	require.EqualValues(t, 100, saw.Calls+saw.Dropped, "50 a second for two seconds: each is made or dropped")
	require.Equal(t, map[string]int64{"success": saw.Calls}, saw.Outcomes)
	require.Equal(t, map[string]int64{"llama": saw.Calls}, named(t, db, `SELECT model AS name, sum(requests) AS n FROM latency
		WHERE width_s = 10 AND category = 'llm' GROUP BY 1`))
	require.Equal(t, map[string]int64{"open": 50, "late": saw.Delayed, "never": saw.Dropped}, named(t, db, `
		SELECT config_json ->> '$.loop' AS name, config_json ->> '$.rate' AS n FROM runs WHERE run_id <> ''
		UNION ALL SELECT 'late', config_json ->> '$.delayed_starts' FROM runs WHERE run_id <> ''
		UNION ALL SELECT 'never', config_json ->> '$.dropped_starts' FROM runs WHERE run_id <> ''`), "of the load that has ended")
	asked.Range(func(key, _ any) bool {
		require.Equal(t, "/v1/chat/completions llama", key)
		return true
	})
}
