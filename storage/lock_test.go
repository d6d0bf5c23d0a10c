package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLockIsForOne: the second open names the holder, at once; when the first is
// done there is no trace of it.
func TestLockIsForOne(t *testing.T) {
	o := testOptions(t)
	o.Holder = "exporter spanbucket/two"
	s := openStore(t, o)
	began := time.Now()
	second := o
	second.Holder = "exporter spanbucket"
	_, err := Open(t.Context(), second)
	require.ErrorIs(t, err, ErrLocked)
	require.Less(t, time.Since(began), time.Second)
	host, hostErr := os.Hostname()
	require.NoError(t, hostErr)
	require.ErrorContains(t, err, fmt.Sprintf("held by exporter spanbucket/two, process %d on host %s, since 2026-01-30T10:00:00Z", os.Getpid(), host))
	require.NoError(t, s.Close())
	require.NoFileExists(t, o.Path+".lock")
	require.NoError(t, openStore(t, second).Close())
}

// TestLockFileOfTheDeadIsNoObstacle: whatever a process left in it that died.
func TestLockFileOfTheDeadIsNoObstacle(t *testing.T) {
	for name, content := range map[string][]byte{
		"empty": {}, "a holder": []byte("process 1\n"), "garbage": {0, 255, 27, 'x'},
		"large": []byte(strings.Repeat("x", 10<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			require.NoError(t, os.WriteFile(o.Path+".lock", content, 0o600))
			s := openStore(t, o)
			_, err := Open(t.Context(), o)
			require.ErrorContains(t, err, "held by process ")
			require.NoError(t, s.Close())
		})
	}
}

// TestHolderIsNotTrusted: what stands in the file is shown in one short line.
func TestHolderIsNotTrusted(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"empty":       {"", "held by an unnamed process: "},
		"lines":       {"exporter a\nb\r\n\tc", "held by exporter a b c: "},
		"a terminal":  {"a\x1b[31mb\x00\u202ec", "held by a [31mb c: "},
		"not UTF-8":   {"a\xff\xfeb", "held by a b: "},
		"too long":    {strings.Repeat("ü", 1<<20), "held by " + strings.Repeat("ü", maxHolderText/2) + "…: "},
		"white space": {" \n ", "held by an unnamed process: "},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			s := openStore(t, o)
			require.NoError(t, os.WriteFile(o.Path+".lock", []byte(c.content), 0o600))
			_, err := Open(t.Context(), o)
			require.ErrorIs(t, err, ErrLocked)
			require.ErrorContains(t, err, c.want)
			require.NoError(t, s.Close())
		})
	}
	o := testOptions(t)
	o.Holder = "exporter a\nb"
	s := openStore(t, o)
	_, err := Open(t.Context(), o)
	require.ErrorContains(t, err, "held by exporter a b, process")
	require.NoError(t, s.Close())
}

// TestPlacesWhereNoFileCanBe are refused at start, with the path and the reason,
// and left as they are.
func TestPlacesWhereNoFileCanBe(t *testing.T) {
	for name, c := range map[string]struct {
		put  func(t *testing.T, path string)
		want string
	}{
		"a folder": {func(t *testing.T, path string) {
			require.NoError(t, os.Mkdir(path, 0o700))
		}, "%s is a folder"},
		"a link to nothing": {func(t *testing.T, path string) {
			require.NoError(t, os.Symlink("missing.db", path))
		}, "%s is a symbolic link to missing.db, which cannot be reached"},
		"a link to itself": {func(t *testing.T, path string) {
			require.NoError(t, os.Symlink(filepath.Base(path), path))
		}, "%s is a symbolic link"},
		"a link as the lock": {func(t *testing.T, path string) {
			require.NoError(t, os.Symlink("missing", path+".lock"))
		}, "%s.lock is a symbolic link to missing"},
		"a folder as the lock": {func(t *testing.T, path string) {
			require.NoError(t, os.Mkdir(path+".lock", 0o700))
		}, "%s.lock is a folder"},
		"a folder as the log": {func(t *testing.T, path string) {
			require.NoError(t, os.Mkdir(path+"-wal", 0o700))
		}, "%s-wal is a folder"},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			c.put(t, o.Path)
			before, err := os.ReadDir(filepath.Dir(o.Path))
			require.NoError(t, err)
			_, err = Open(t.Context(), o)
			require.ErrorContains(t, err, fmt.Sprintf(c.want, o.Path))
			after, err := os.ReadDir(filepath.Dir(o.Path))
			require.NoError(t, err)
			require.Len(t, after, len(before))
		})
	}
}
