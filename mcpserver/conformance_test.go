package mcpserver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

// build builds the program once.
var build = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "spanbucket-mcp")
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "spanbucket")
	command := exec.Command("go", "build", "-o", path, "../cmd/spanbucket")
	command.Env = append(os.Environ(), "CGO_ENABLED=0") // also under the race detector
	out, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := build(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	if err := goleak.Find(); err != nil {
		fmt.Println(err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// start starts the real program as an agent would, and connects to it.
func start(t *testing.T, arguments ...string) (*mcp.ClientSession, *exec.Cmd) {
	t.Helper()
	program, err := build()
	require.NoError(t, err)
	command := exec.Command(program, append([]string{"mcp"}, arguments...)...)
	command.Stderr = os.Stderr
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.CommandTransport{Command: command}, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = session.Close() })
	return session, command
}

// call calls a tool; the text of an error is told apart.
func call(t *testing.T, session *mcp.ClientSession, tool string, arguments map[string]any) (text string, failed bool) {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	require.NoError(t, err, tool)
	require.Len(t, result.Content, 1, tool)
	content, ok := result.Content[0].(*mcp.TextContent)
	require.True(t, ok, tool)
	return content.Text, result.IsError
}

func makeFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	now := filetest.Begin.Add(time.Hour)
	require.NoError(t, filetest.MakeWithRequests(filetest.Options(path, now), filetest.Traffic(3000)))
	return path
}

// calls holds one call of every tool at least.
var calls = map[string][]map[string]any{
	"diagnose": {nil, {"category": []string{"llm"}}}, "stats": {nil, {"category": []string{"llm", "tool"}}},
	"latency":    {nil, {"by": []string{"provider", "model", "outcome"}}, {"by": []string{}}, {"from": "+10s", "to": "+2m"}, {"limit": 2}},
	"timeseries": {nil, {"width": "10s"}, {"buckets": 60, "category": []string{"llm"}}},
	"errors":     {nil, {"limit": 50}}, "bursts": {nil}, "anomalies": {nil}, "faults": {nil}, "circuits": {nil, {"limit": 3}},
	"sessions": {nil, {"sort": "tokens", "limit": 50}}, "tools": {nil, {"limit": 50}}, "tests": {nil, {"limit": 50}}, "usage": {nil, {"limit": 50}, {"by": []string{"provider"}}},
	"slow": {nil, {"min_ms": 100, "limit": 50}}, "requests": {nil, {"outcome": "rate_limited", "limit": 50}},
	"window": {{"from": "+1m", "to": "+2m"}}, "runs": {nil}, "slo": {nil},
	"compare": {{"baseline": map[string]any{"to": "+2m"}, "candidate": map[string]any{"from": "+2m"}}},
	"query": {{"sql": "SELECT * FROM timeseries"}, {"sql": "SELECT model, histogram_percentile(histogram_merge(histogram), 'p99', " +
		"min(min_ns), max(max_ns)) AS p99_ns FROM histograms JOIN latency USING (width_s, bucket_start, series_id) " +
		"WHERE measure = 'duration' AND width_s = 300 GROUP BY model"}},
	"describe_schema": {nil, {"relation": "timeseries"}},
}

// Every tool answers, shortly, in JSON or in words, with nothing that acts on a
// terminal.
func TestEveryToolAnswersShortly(t *testing.T) {
	for name, make := range map[string]func(*testing.T) string{"few series": makeFile, "many series": makeBusyFile} {
		t.Run(name, func(t *testing.T) { answersShortly(t, make(t)) })
	}
}

func answersShortly(t *testing.T, path string) {
	t.Helper()
	session, _ := start(t, "--db", path)
	require.Equal(t, "spanbucket", session.InitializeResult().ServerInfo.Name)
	require.NotEmpty(t, session.InitializeResult().Instructions)
	listed, err := session.ListTools(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, listed.Tools, len(calls))
	for _, tool := range listed.Tools {
		require.True(t, tool.Annotations.ReadOnlyHint, tool.Name)
		require.NotEmpty(t, tool.Title, tool.Name)
		require.Greater(t, len(tool.Description), 10, tool.Name)
		require.Contains(t, calls, tool.Name)
		for _, arguments := range calls[tool.Name] {
			text, failed := call(t, session, tool.Name, arguments)
			require.False(t, failed, "%s %v: %s", tool.Name, arguments, text)
			t.Logf("%5d characters: %s %v: %.2000s", len([]rune(text)), tool.Name, arguments, text)
			require.NotEmpty(t, text)
			switch tool.Name {
			case "diagnose":
				require.LessOrEqual(t, len([]rune(text)), 600)
			case "query": // as long as the limits of a query allow
				require.LessOrEqual(t, len(text), 48<<10)
			default:
				require.LessOrEqual(t, len([]rune(text)), 4000, tool.Name)
			}
			if text[0] == '{' {
				require.True(t, json.Valid([]byte(text)), text)
			}
			require.Negative(t, strings.IndexFunc(text, unicode.IsControl), tool.Name)
		}
	}
}

func TestBadArgumentsAreToldToTheModel(t *testing.T) {
	session, _ := start(t, "--db", makeFile(t))
	for _, c := range []struct {
		tool      string
		arguments map[string]any
		says      string
	}{
		{"errors", map[string]any{"run": "no such run"}, "no such run"},
		{"errors", map[string]any{"category": []string{"lllm"}}, `category "lllm": must be one of`},
		{"errors", map[string]any{"from": "yesterday"}, `from "yesterday": must be like`},
		{"errors", map[string]any{"from": "+2m", "to": "+1m"}, "must not be empty"},
		{"errors", map[string]any{"unknown": 1}, "unknown"},
		{"errors", map[string]any{"run": 7}, "run"},
		{"timeseries", map[string]any{"width": "7s"}, "width 7s"},
		{"timeseries", map[string]any{"buckets": 1000}, "must be 1 to 60"},
		{"latency", map[string]any{"by": []string{"colour"}}, "colour"},
		{"requests", map[string]any{"trace_id": "xyz"}, "32 hexadecimal digits"},
		{"requests", map[string]any{"outcome": "odd"}, "must be one of"},
		{"requests", map[string]any{"limit": 0}, "must be 1 to 50"},
		{"slow", map[string]any{"min_ms": -1}, "min_ms -1"},
		{"errors", map[string]any{"limit": 51}, "errors: limit 51: must be 1 to 50"},
		{"latency", map[string]any{"limit": 51}, "latency: limit 51: must be 1 to 50"},
		{"usage", map[string]any{"limit": 0}, "usage: limit 0: must be 1 to 50"},
		{"tools", map[string]any{"limit": -1}, "tools: limit -1: must be 1 to 50"},
		{"tests", map[string]any{"limit": 51}, "tests: limit 51: must be 1 to 50"},
		{"tools", map[string]any{"tool": "hammer"}, `tool "hammer": was not called`},
		{"sessions", map[string]any{"sort": "colour"}, "must be one of"},
		{"window", nil, "from and to are missing"},
		{"compare", nil, "baseline"},
		{"query", nil, "sql"},
		{"query", map[string]any{"sql": "DELETE FROM meta"}, "DELETE is not allowed"},
		{"query", map[string]any{"sql": "SELECT key FROM fingerprint_key"}, "holds a secret"},
		{"describe_schema", map[string]any{"relation": "nothing"}, "is not in the file"},
	} {
		text, failed := call(t, session, c.tool, c.arguments)
		require.True(t, failed, "%s %v: %s", c.tool, c.arguments, text)
		require.Contains(t, text, c.says)
	}
	for tool, arguments := range map[string]map[string]any{
		"errors":  {"run": strings.Repeat("é\x1b", 50_000)},
		"latency": {"by": []string{strings.Repeat("z", 50_000)}},
		"query":   {"sql": "SELECT " + strings.Repeat("n", 9000)},
	} {
		text, failed := call(t, session, tool, arguments)
		require.True(t, failed, tool)
		require.LessOrEqual(t, len([]rune(text)), 1000, tool)
		require.Negative(t, strings.IndexFunc(text, unicode.IsControl), tool)
	}
	_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "drop_everything"})
	require.ErrorContains(t, err, "drop_everything")
	text, failed := call(t, session, "diagnose", nil)
	require.False(t, failed, text)
}

const endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

// What would write, read other files or never end does not through the protocol
// either; package query has the whole corpus.
func TestHostileQueriesWriteNothing(t *testing.T) {
	path := makeFile(t)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	session, _ := start(t, "--db", path)
	for _, statement := range []string{
		"ATTACH 'other.db' AS o", "PRAGMA journal_mode = DELETE", "PRAGMA query_only = off", "VACUUM INTO 'copy.db'",
		"WITH t AS (SELECT 1) DELETE FROM meta", "DELETE FROM meta RETURNING key", "SELECT 1; DROP TABLE meta",
		"CREATE TEMP TABLE t AS SELECT 1", "SELECT load_extension('x')", "SELECT writefile('x', 'y')", "SELECT randomblob(900000000)",
		"SELECT * FROM sqlite_dbpage", "SELECT printf('%1000000000d', 1)", "SELECT 1\x00; DELETE FROM meta", "BEGIN IMMEDIATE",
		"SELECT key FROM fingerprint_key", "",
	} {
		text, failed := call(t, session, "query", map[string]any{"sql": statement})
		require.True(t, failed, "%s: %s", statement, text)
		require.Contains(t, text, "query is refused", statement)
	}
	text, failed := call(t, session, "query", map[string]any{"sql": "SELECT a.key FROM meta AS a, meta AS b, meta AS c LIMIT -1"})
	require.False(t, failed, text)
	require.Contains(t, text, `"cut":"only the first 100 rows are shown"`)
	require.NoError(t, session.Close())
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

// A call that runs into its limit, and calls that are cancelled, leave the server
// as it was.
func TestLongCallsEnd(t *testing.T) {
	session, command := start(t, "--db", makeFile(t))
	text, failed := call(t, session, "query", map[string]any{"sql": endless})
	require.True(t, failed)
	require.Contains(t, text, "it took longer than 2s")

	const cancelled = 10
	for range cancelled {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "query", Arguments: map[string]any{"sql": endless}})
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	text, failed = call(t, session, "diagnose", nil) // waits until no query runs
	require.False(t, failed, text)
	require.NoError(t, session.Close())
	// Of a processor, since a clock also counts how busy the machine is: cancelled,
	// the queries take a second together, and 20 where only their limit ends them.
	took := command.ProcessState.UserTime() + command.ProcessState.SystemTime()
	require.Less(t, took, 10*time.Second)
}

// What eats the memory of a query takes none from other calls.
func TestHungryQueriesHarmNobody(t *testing.T) {
	session, _ := start(t, "--db", makeFile(t))
	const hungry = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) " +
		"SELECT i, printf('%.120000c', 'a') || i FROM n ORDER BY 2 DESC"
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			tool, arguments := "query", map[string]any{"sql": hungry}
			if i%3 != 0 {
				tool, arguments = []string{"errors", "diagnose", "sessions"}[i%3], nil
			}
			result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
			if err != nil || result.IsError != (i%3 == 0) {
				t.Errorf("%s: %v %v", tool, result, err)
			}
		})
	}
	all.Wait()
}

// The end of stdin ends the program, with 0 and nothing left behind.
func TestEndOfInputEndsTheProgram(t *testing.T) {
	path := makeFile(t)
	session, command := start(t, "--db", path)
	_, failed := call(t, session, "stats", nil)
	require.False(t, failed)
	require.NoError(t, session.Close())
	require.True(t, command.ProcessState.Success(), command.ProcessState)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

// The protocol alone is on stdout, and what is said besides on stderr.
func TestNothingElseIsOnStdout(t *testing.T) {
	program, err := build()
	require.NoError(t, err)
	folder := filepath.Dir(makeFile(t))
	var stdout, stderr strings.Builder
	command := exec.Command(program, "mcp", "--search-dir", folder)
	command.Stdin = strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}` + "\n")
	command.Stdout, command.Stderr = &stdout, &stderr
	require.NoError(t, command.Run())
	for line := range strings.Lines(stdout.String()) {
		require.True(t, json.Valid([]byte(line)), line)
	}
	require.Equal(t, fmt.Sprintf("answering about %s, the last written of 1 file\n", filepath.Join(folder, "spanbucket.db")), stderr.String())

	command = exec.Command(program, "mcp", "--search-dir", t.TempDir())
	out, err := command.CombinedOutput()
	require.Error(t, err)
	require.Equal(t, 2, command.ProcessState.ExitCode())
	require.Contains(t, string(out), "no spanbucket file found")
}
