package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tierVariable set to long makes tests as large as the figures that are
// promised.
const tierVariable = "SPANBUCKET_TIER"

// peakBytes runs the program as a process of its own and returns the most
// memory it took.
func peakBytes(t *testing.T, args ...string) int64 {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Args = append([]string{"spanbucket"}, args...) // see testscript.Main
	cmd.Env = append(os.Environ(), nowVariable+"="+time.Now().UTC().Format(time.RFC3339))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
}

// TestExportTakesLittleMemory exports wide rows, as many as five million in the
// long tier; a tenth of them takes as much memory.
func TestExportTakesLittleMemory(t *testing.T) {
	rows := 100_000
	if os.Getenv(tierVariable) == "long" {
		rows = 5_000_000
	}
	path := smallFile(t, 1000)
	const mostBytes = 100e6
	for _, format := range []string{"csv", "jsonl"} {
		target := filepath.Join(t.TempDir(), "rows."+format)
		query := fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d),
			one AS MATERIALIZED (SELECT * FROM timeseries LIMIT 1) SELECT * FROM n, one`, rows)
		began := time.Now()
		peak := peakBytes(t, "export", "--db", path, "--query", query, "-o", target)
		info, err := os.Stat(target)
		require.NoError(t, err)
		require.Greater(t, info.Size(), int64(rows)*200)
		require.Less(t, peak, int64(mostBytes), format)
		t.Logf("%s: %d rows, %d MB in %v, at most %.1f MB of memory", format, rows, info.Size()/1e6, time.Since(began).Round(time.Millisecond), float64(peak)/1e6)
		require.NoError(t, os.Remove(target))
	}
}
