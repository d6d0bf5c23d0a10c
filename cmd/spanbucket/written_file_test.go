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

	"github.com/spanbucket/spanbucketexporter/storage"
)

func writeText(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

// written is a report of a file beside it.
func written(path string) *writtenFile {
	return &writtenFile{flag: "-o", path: path, source: filepath.Join(filepath.Dir(path), "spanbucket.db")}
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
			err := written(path).write(t.Context(), writeText("report"))
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
		"is full":     {context.Background(), func(w io.Writer) error { return w.(*faultyWriter).to.(*os.File).Close() }, os.ErrClosed},
		"interrupted": {ended, writeText("whole"), context.Canceled},
	} {
		for _, before := range []string{"", "before"} {
			t.Run(name+" "+before, func(t *testing.T) {
				folder := t.TempDir()
				path := filepath.Join(folder, "report.html")
				if before != "" {
					require.NoError(t, os.WriteFile(path, []byte(before), 0o600))
				}
				err := written(path).write(c.ctx, c.write)
				require.ErrorIs(t, err, c.want)
				require.NotContains(t, err.Error(), "unfinished")
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
	err := written(path).write(t.Context(), func(w io.Writer) error { return os.Mkdir(path, 0o700) })
	require.EqualError(t, err, "-o "+path+": only a regular file is replaced")
	require.Equal(t, []string{"report.html"}, names(t, folder))
	fifo := filepath.Join(folder, "fifo.html")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	var usage usageError
	require.ErrorAs(t, written(fifo).write(t.Context(), writeText("x")), &usage)
}

// Where a name is taken, the work need not begin.
func TestWrittenFileIsCheckedBeforehand(t *testing.T) {
	folder := t.TempDir()
	taken, database := filepath.Join(folder, "taken.csv"), filepath.Join(folder, "other.db")
	require.NoError(t, os.WriteFile(taken, []byte("before"), 0o600))
	require.NoError(t, os.WriteFile(database, []byte("SQLite format 3\x00 and so on"), 0o600))
	var usage usageError
	for path, want := range map[string]string{
		database:                                 "-o " + database + ": is a database, which an answer does not replace",
		filepath.Join(folder, "spanbucket.db"):   "",
		filepath.Join(folder, "none", "out.csv"): "-o " + folder + "/none/out.csv: there is no folder " + folder + "/none",
		filepath.Join(taken, "out.csv"):          "",
		taken:                                    "",
		"":                                       "-o must not be empty",
	} {
		file := written(path)
		err := file.check()
		if want != "" {
			require.EqualError(t, err, want)
			require.ErrorAs(t, err, &usage)
		}
		worked := false
		written := file.write(t.Context(), func(io.Writer) error { worked = true; return nil })
		require.Equal(t, err == nil, worked, path)
		require.Equal(t, err == nil, written == nil, path)
	}
	kept := written(taken)
	kept.keep = true
	require.ErrorIs(t, kept.check(), storage.ErrExists)
}
