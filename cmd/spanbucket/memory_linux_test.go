package main

import (
	"database/sql"
	"encoding/csv"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/filetest"
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

// manyRequests returns a file with at least so many requests. They are copies of
// a few, which exporting does not notice.
func manyRequests(t *testing.T, rows int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "demo.db")
	require.NoError(t, filetest.MakeWithRequests(filetest.Options(path, filetest.Begin.Add(time.Hour)), filetest.Traffic(1000)))
	db, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	db.SetMaxOpenConns(1)
	var columns string
	require.NoError(t, db.QueryRow("SELECT group_concat(name) FROM pragma_table_info('request') WHERE name <> 'id'").Scan(&columns))
	for n := 0; n < rows; {
		_, err := db.Exec("INSERT INTO request (" + columns + ") SELECT " + columns + " FROM request ORDER BY id LIMIT 500000")
		require.NoError(t, err)
		require.NoError(t, db.QueryRow("SELECT count(*) FROM requests").Scan(&n))
	}
	return path
}

// TestExportTakesLittleMemory exports requests, as many as five million in the
// long tier; a hundredth of them takes as much memory.
func TestExportTakesLittleMemory(t *testing.T) {
	rows := 50_000
	if os.Getenv(tierVariable) == "long" {
		rows = 5_000_000
	}
	path := manyRequests(t, rows)
	const mostBytes = 100e6
	for _, format := range []string{"csv", "jsonl"} {
		target := filepath.Join(t.TempDir(), "rows."+format)
		began := time.Now()
		peak := peakBytes(t, "export", "requests", "--db", path, "-o", target, "--progress")
		info, err := os.Stat(target)
		require.NoError(t, err)
		require.Greater(t, info.Size(), int64(rows)*100)
		require.Less(t, peak, int64(mostBytes), format)
		t.Logf("%s: %d rows, %d MB in %v, at most %.1f MB of memory", format, rows, info.Size()/1e6, time.Since(began).Round(time.Millisecond), float64(peak)/1e6)
		require.NoError(t, os.Remove(target))
	}
}

// TestRequestsAreExportedAsTheyLie, as the help says: in the order of their
// commits.
func TestRequestsAreExportedAsTheyLie(t *testing.T) {
	path := manyRequests(t, 1500)
	export := func(args ...string) (starts []string) {
		var out strings.Builder
		require.Equal(t, exitFine, testProgram(&out).run(t.Context(), append([]string{"export", "--db", path}, args...)))
		records, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
		require.NoError(t, err)
		at := slices.Index(records[0], "start_ns")
		for _, record := range records[1:] {
			starts = append(starts, record[at])
		}
		return starts
	}
	want := export("--query", "SELECT start_ns FROM request WHERE kept & 1 ORDER BY id")
	require.Greater(t, len(want), 1500)
	require.Equal(t, want, export("requests"))
}
