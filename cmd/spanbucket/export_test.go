package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

// smallFile returns a file with spans of filetest.Traffic.
func smallFile(t *testing.T, spans int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "demo.db")
	filetest.Write(t, filetest.Options(path, filetest.Begin.Add(time.Hour)), filetest.Traffic(spans))
	return path
}

func testProgram(stdout io.Writer) *program {
	return &program{stdin: strings.NewReader(""), stdout: stdout, stderr: io.Discard, now: time.Now}
}

func TestInterruptedExportLeavesNothing(t *testing.T) {
	path := smallFile(t, 100)
	for _, name := range []string{"rows.csv", "rows.jsonl.gz"} {
		folder := t.TempDir()
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer stop()
		const endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
		code := testProgram(io.Discard).run(ctx, []string{"export", "--db", path, "--query", endless, "-o", filepath.Join(folder, name)})
		require.NotEqual(t, exitFine, code)
		entries, err := os.ReadDir(folder)
		require.NoError(t, err)
		require.Empty(t, entries)
	}
}

func TestExportToAFullDiskIsAnError(t *testing.T) {
	path := smallFile(t, 100)
	for _, format := range exportFormats {
		p := testProgram(full{})
		err := p.export(t.Context(), &exportFlags{db: path, format: format}, "ledger")
		require.ErrorIs(t, err, errFull, format)
	}
}
