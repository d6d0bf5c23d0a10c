package storage

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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

// TestLockFileOfTheDeadIsNoObstacle: whatever a holder left in it that died, or a
// power cut.
func TestLockFileOfTheDeadIsNoObstacle(t *testing.T) {
	for name, content := range map[string][]byte{
		"empty": {}, "an old holder": []byte("process 1\n"), "zeros": make([]byte, 80),
		"a holder":            []byte(holderText("exporter spanbucket/two", anInstant) + "\n"),
		"a holder unnamed":    []byte(holderText("", anInstant) + "\n"),
		"the longest holder":  []byte(holderText(strings.Repeat("ü", 1000), anInstant) + "\n"),
		"a holder in letters": []byte(holderText("ausfuhr, größe", anInstant) + "\n"),
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

// TestLockFileOfOthersIsRefused and left as it is: it belongs to a program that
// has other uses for the name.
func TestLockFileOfOthersIsRefused(t *testing.T) {
	for name, content := range map[string]string{
		"cargo":             "[[package]]\nname = \"serde\"\n",
		"a process id":      "1234\n",
		"garbage":           "\x00\xff\x1bx",
		"no end of line":    "process 1",
		"more than a line":  "process 1\nprocess 2\n",
		"a word before":     "subprocess 1\n",
		"large":             strings.Repeat("x", 10<<20),
		"large, all zero":   strings.Repeat("\x00", maxHolderBytes+1),
		"a holder and more": holderText("", anInstant) + "\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			require.NoError(t, os.WriteFile(o.Path+".lock", []byte(content), 0o600))
			_, err := Open(t.Context(), o)
			require.ErrorContains(t, err, "lock "+o.Path+".lock: it is not the lock of a collector")
			require.NotErrorIs(t, err, ErrLocked)
			after, err := os.ReadFile(o.Path + ".lock")
			require.NoError(t, err)
			require.True(t, content == string(after), "it was changed")
			require.NoFileExists(t, o.Path)
		})
	}
}

// TestLockWithoutAName: what cannot be written for lack of space is a lock all
// the same. Only what another user left behind is replaced.
func TestLockWithoutAName(t *testing.T) {
	for _, c := range []struct {
		cause error
		want  bool // it is held
	}{
		{syscall.ENOSPC, true}, {syscall.EDQUOT, true}, {syscall.EIO, true}, {syscall.EROFS, true},
		{syscall.EACCES, false}, {syscall.EPERM, false},
	} {
		t.Run(c.cause.Error(), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "spanbucket.db")
			l := &sideLock{path: path + ".lock", holder: "process 1", write: func(path string, text []byte, mode fs.FileMode) error {
				if c.want { // half of it was written
					require.NoError(t, os.WriteFile(path, text[:len(text)/2], mode))
				}
				return &fs.PathError{Op: "write", Path: path, Err: c.cause}
			}}
			held, err := l.try()
			require.NoError(t, err)
			require.Equal(t, c.want, held)
			if !held {
				require.NoFileExists(t, l.path)
				return
			}
			_, err = lockFile(path, "process 2")
			require.ErrorIs(t, err, ErrLocked)
			require.ErrorContains(t, err, "held by an unnamed process")
			require.NoError(t, checkLeftover(l.path), "the next start")
			require.NoError(t, l.release())
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
