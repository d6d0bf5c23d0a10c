package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDemo runs what `make demo` runs once the programs are built, for a
// shorter time: it ends with a summary, the impact of what was injected, and a
// report.
func TestDemo(t *testing.T) {
	root, folder := t.TempDir(), t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "tools"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(root, "bin"), 0o700))
	script, err := os.ReadFile("../../tools/demo.sh")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(root, "tools/demo.sh"), script, 0o700))
	require.NoError(t, os.Symlink(spanbucket(t), filepath.Join(root, "bin/spanbucket")))
	require.NoError(t, os.Symlink(collectorBinary(t), filepath.Join(root, "bin/otelcol-spanbucket")))
	demo := exec.Command(filepath.Join(root, "tools/demo.sh"))
	demo.Env = append(os.Environ(), "DEMO_DURATION=6s", "DEMO_FOLDER="+folder, "PATH="+filepath.Join(root, "bin")+":"+os.Getenv("PATH"))
	var stderr strings.Builder
	demo.Stderr = &stderr
	output, err := demo.Output()
	require.NoError(t, err, "%s\n%s", &stderr, output)
	text, report := string(output), filepath.Join(folder, "demo.html")
	for _, part := range []string{"chaos tests  14 of 14 passed", "the file says: ", "fine: every rule holds"} {
		require.Contains(t, text, part)
	}
	require.Regexp(t, `(?m)^[1-9][0-9,]* of them have a price: 0\.[0-9]+ USD\.$`, text)
	// A line for each phase of the one fault that the injector told of.
	require.Regexp(t, `(?m)^1 chaos +before .*\n +during .*\n +after .*\n\nreport: `, text)
	require.True(t, strings.HasSuffix(strings.TrimSpace(text), report), "the last line is where the report is")
	page, err := os.ReadFile(report)
	require.NoError(t, err)
	require.Contains(t, string(page), `"fault":"chaos"`)

	require.Equal(t, map[string]int64{"chaos": 1}, named(t, filepath.Join(folder, "demo.db"), `SELECT fault AS name, count(*) AS n FROM fault_impact
		WHERE window_id LIKE 'injector/%' AND requests_before > 0 AND requests_during > 0 AND requests_after > 0
			AND error_rate_before = 0 AND error_rate_during > 0 GROUP BY 1`))
}
