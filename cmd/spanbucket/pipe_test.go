package main

import (
	"bytes"
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

// closedPipe is an output that nobody reads any more.
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

// fullDisk is an output that cannot be written.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// Whoever stops reading an answer does not change what it was.
func TestAReaderThatGoesAwayChangesNoVerdict(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	require.NoError(t, filetest.Make(filetest.Options(path, filetest.Begin.Add(time.Hour)), filetest.Traffic(600)))
	broken := filepath.Join(t.TempDir(), "b.db")
	require.NoError(t, filetest.Make(filetest.Options(broken, filetest.Begin.Add(time.Hour)), filetest.Traffic(10)))
	db, err := sql.Open("sqlite", "file:"+broken)
	require.NoError(t, err)
	_, err = db.Exec("UPDATE headline_bucket SET resends = resends + 1000")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	future := "--from=2031-01-01T00:00:00Z"
	for _, c := range []struct {
		want int
		args []string
	}{
		{exitFine, []string{"check", "--p50", "1000000"}},
		{exitCheck, []string{"check", "--p50", "0.001"}},
		{exitUsage, []string{"check", "--p50", "1", future}},
		{exitFine, []string{"stats"}},
		{exitUsage, []string{"stats", future}},
		{exitFine, []string{"verify"}},
		{exitCheck, []string{"verify", "--db", broken}},
		{exitFine, []string{"latency"}},
		{exitUsage, []string{"latency", future}},
		{exitUsage, []string{"diagnose", future}},
		{exitUsage, []string{"sessions", future}},
		{exitUsage, []string{"circuits", future}},
		{exitUsage, []string{"tools", future}},
		{exitUsage, []string{"requests"}},
		{exitUsage, []string{"slow", future}},
		{exitUsage, []string{"window", future}},
		{exitUsage, []string{"slo", future}},
		{exitUsage, []string{"faults", future}},
		{exitUsage, []string{"deadletters", "list"}},
		{exitUsage, []string{"compare", "--baseline-from", "+0s", "--candidate-from", "2031-01-01T00:00:00Z"}},
	} {
		for _, format := range formats {
			args := append([]string{c.args[0]}, append(c.args[1:], "--format", format)...)
			if !strings.Contains(strings.Join(args, " "), "--db") {
				args = append(args, "--db", path)
			}
			var read, told bytes.Buffer
			now := func() time.Time { return filetest.Begin.Add(time.Hour) }
			asked := &program{stdin: &read, stdout: &read, stderr: &told, now: now}
			require.Equal(t, c.want, asked.run(context.Background(), args), "%s, read to the end: %s", args, told.String())
			asked.stdout = closedPipe{}
			require.Equal(t, c.want, asked.run(context.Background(), args), "%s, not read", args)
			if asked.stdout = (fullDisk{}); read.Len() > 0 {
				require.Equal(t, exitUnreadable, asked.run(context.Background(), args), "%s, on a full disk", args)
			}
		}
	}
}
