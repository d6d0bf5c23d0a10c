//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func writeText(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

// names lists a folder.
func names(t *testing.T, folder string) (all []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// Whatever the umask, and whoever could read the file before, the report is for
// its owner only.
func TestReportFileIsForItsOwnerOnly(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077, 0o177, 0o377, 0o777} {
		t.Run(fmt.Sprintf("%03o", umask), func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, "report.html")
			require.NoError(t, os.WriteFile(path, []byte("before"), 0o600))
			require.NoError(t, os.Chmod(path, 0o666))
			old := syscall.Umask(umask)
			err := writeReportFile(t.Context(), filepath.Join(folder, "spanbucket.db"), path, writeText("report"))
			syscall.Umask(old)
			require.NoError(t, err)
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode())
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, "report", string(text))
			require.Equal(t, []string{"report.html"}, names(t, folder))
		})
	}
}

// What fails, or is interrupted, leaves what was there, and nothing else.
func TestReportFileThatFailsLeavesNothing(t *testing.T) {
	broken := errors.New("broken")
	ended, stop := context.WithCancel(context.Background())
	stop()
	for name, c := range map[string]struct {
		ctx   context.Context
		write func(io.Writer) error
		want  error
	}{
		"fails":       {context.Background(), func(w io.Writer) error { return errors.Join(writeText("half")(w), broken) }, broken},
		"interrupted": {ended, writeText("whole"), context.Canceled},
	} {
		for _, before := range []string{"", "before"} {
			t.Run(name+" "+before, func(t *testing.T) {
				folder := t.TempDir()
				path := filepath.Join(folder, "report.html")
				if before != "" {
					require.NoError(t, os.WriteFile(path, []byte(before), 0o600))
				}
				err := writeReportFile(c.ctx, "spanbucket.db", path, c.write)
				require.ErrorIs(t, err, c.want)
				require.ErrorContains(t, err, path+": ")
				if before == "" {
					require.Empty(t, names(t, folder))
					return
				}
				require.Equal(t, []string{"report.html"}, names(t, folder))
				text, err := os.ReadFile(path)
				require.NoError(t, err)
				require.Equal(t, before, string(text))
			})
		}
	}
}

// What takes the name while the report is made is not replaced either.
func TestReportFileLooksAgain(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "report.html")
	err := writeReportFile(t.Context(), "spanbucket.db", path, func(w io.Writer) error { return os.Mkdir(path, 0o700) })
	require.EqualError(t, err, path+": only a regular file is replaced")
	require.Equal(t, []string{"report.html"}, names(t, folder))
	fifo := filepath.Join(folder, "fifo.html")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	var usage usageError
	require.ErrorAs(t, writeReportFile(t.Context(), "spanbucket.db", fifo, writeText("x")), &usage)
}
