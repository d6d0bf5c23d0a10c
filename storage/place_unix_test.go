//go:build unix

package storage

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func init() { Elsewhere["open"] = openAndClose }

func openAndClose(args []string) error {
	s, err := Open(context.Background(), Options{Path: args[0], Widths: []Width{{Seconds: 10}}})
	if err == nil {
		err = s.Close()
	}
	fmt.Println("error:", err) // what is asked for
	return nil
}

// openElsewhere opens a file as a user who owns nothing, and returns what it
// says.
func openElsewhere(t *testing.T, path string) string {
	t.Helper()
	output, err := CommandOfNobody(t, "open", path).CombinedOutput()
	require.NoError(t, err, "%s", output)
	return string(output)
}

// TestPlacesThatMustNotBeWritten are refused at start, with the path and the
// reason; nothing is set aside.
func TestPlacesThatMustNotBeWritten(t *testing.T) {
	for name, c := range map[string]struct {
		folder, file, log, lock fs.FileMode // 0: there is none
		text                    string      // in the lock, where that matters
		want                    string
	}{
		"a read-only folder":        {folder: 0o555, want: "%s.lock: permission denied"},
		"a closed folder":           {folder: 0o600, want: "%s: permission denied"},
		"a read-only file":          {folder: 0o777, file: 0o444, want: "open %s: permission denied"},
		"a file nobody may read":    {folder: 0o777, file: 0o200, want: "open %s: permission denied"},
		"a read-only log":           {folder: 0o777, file: 0o666, log: 0o444, want: "open %s-wal: permission denied"},
		"a lock nobody may read":    {folder: 0o777, lock: 0o200, want: "open %s.lock: permission denied"},
		"a readable lock left over": {folder: 0o777, lock: 0o444, want: "error: <nil>"},
		"a readable lock of others": {folder: 0o777, lock: 0o444, text: "something", want: "%s.lock: it is not the lock of a collector"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "data")
			require.NoError(t, os.Mkdir(folder, 0o755))
			path := filepath.Join(folder, "spanbucket.db")
			for suffix, mode := range map[string]fs.FileMode{"": c.file, "-wal": c.log, ".lock": c.lock} {
				if mode != 0 {
					text := "something"
					if suffix == ".lock" {
						text = cmp.Or(c.text, "process 1\n")
					}
					require.NoError(t, os.WriteFile(path+suffix, []byte(text), 0o600))
					require.NoError(t, os.Chmod(path+suffix, mode))
				}
			}
			require.NoError(t, os.Chmod(folder, c.folder))
			t.Cleanup(func() { require.NoError(t, os.Chmod(folder, 0o755)) })
			said := openElsewhere(t, path)
			want := c.want
			if strings.Contains(want, "%s") {
				want = fmt.Sprintf(want, path)
			}
			require.Contains(t, said, want)
			aside, err := filepath.Glob(path + ".corrupt-*")
			require.NoError(t, err)
			require.Empty(t, aside)
		})
	}
}

// TestFileOfTwoNamesIsRefused: each would have a lock and a log of its own.
func TestFileOfTwoNamesIsRefused(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	write(t, s, o, 1)
	second := o
	second.Path = filepath.Join(filepath.Dir(o.Path), "second.db")
	require.NoError(t, os.Link(o.Path, second.Path))
	_, err := Open(t.Context(), second)
	require.ErrorContains(t, err, second.Path+" has 2 names (hard links)")
	require.NoFileExists(t, second.Path+".lock")
	write(t, s, o, 2)
	require.NoError(t, s.Close())
	_, err = Open(t.Context(), o)
	require.ErrorContains(t, err, o.Path+" has 2 names")
	require.NoError(t, os.Remove(second.Path))
	require.NoError(t, openStore(t, o).Close())
	require.Equal(t, []byte{1, 2}, spansOf(t, o.Path))
}

// TestPipesAreNotOpened: that could block for ever.
func TestPipesAreNotOpened(t *testing.T) {
	for _, suffix := range []string{"", "-wal", ".lock"} {
		o := testOptions(t)
		require.NoError(t, syscall.Mkfifo(o.Path+suffix, 0o600))
		_, err := Open(t.Context(), o)
		require.ErrorContains(t, err, o.Path+suffix+" is not a regular file")
	}
}
