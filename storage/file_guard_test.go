package storage

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// during returns a batch of one span; do is called within its transaction.
func during(o Options, n byte, do func()) Batch {
	b := requestBatch(o, request(n, 0))
	requests, once := b.Requests, sync.Once{}
	b.Requests = func(wanted func(span int) bool) iter.Seq[*aggregator.Request] {
		once.Do(do)
		return requests(wanted)
	}
	return b
}

func move(t *testing.T, from, to string, suffixes ...string) {
	t.Helper()
	for _, suffix := range suffixes {
		require.NoError(t, os.Rename(from+suffix, to+suffix))
	}
}

func remove(t *testing.T, path string, suffixes ...string) {
	t.Helper()
	for _, suffix := range suffixes {
		require.NoError(t, os.Remove(path+suffix))
	}
}

// aMove is something that happens to a file while it is written.
type aMove struct {
	name string
	do   func(t *testing.T, o Options)
	// What the file has after it besides the spans that are written later.
	stays []byte
	// Where the span is that was written before; with a reader, where else.
	old, oldWithReader string
}

const (
	nowhere = "nowhere" // it was deleted
	inPlace = ""
	moved_  = ".moved"
	setFree = "set aside" // the database under its new name, with the log that was set aside
)

// TestFileThatMovesIsNoticed: what was acknowledged before is where the file went,
// nothing is acknowledged into the void, and what comes later is in the file at
// the path.
func TestFileThatMovesIsNoticed(t *testing.T) {
	for _, m := range moves {
		for _, reader := range []bool{false, true} {
			for _, when := range []string{"between commits", "within a transaction"} {
				t.Run(m.name+map[bool]string{true: ", with a reader", false: ""}[reader]+", "+when, func(t *testing.T) {
					testMove(t, m, reader, when == "within a transaction")
				})
			}
		}
	}
}

var moves = []aMove{
	{"rm of the database", func(t *testing.T, o Options) { remove(t, o.Path, "") }, nil, nowhere, nowhere},
	{"rm of all", func(t *testing.T, o Options) { remove(t, o.Path, "", "-wal", "-shm") }, nil, nowhere, nowhere},
	{"mv of the database", func(t *testing.T, o Options) { move(t, o.Path, o.Path+moved_, "") }, nil, moved_, setFree},
	{"mv of database and log", func(t *testing.T, o Options) {
		move(t, o.Path, o.Path+moved_, "", "-wal")
	}, nil, moved_, moved_},
	{"mv of all", func(t *testing.T, o Options) { move(t, o.Path, o.Path+moved_, "", "-wal", "-shm") }, nil, moved_, moved_},
	{"replaced by a copy", func(t *testing.T, o Options) {
		move(t, wholeBackup(t, o), o.Path, "")
	}, []byte{8, 9}, nowhere, nowhere},
	{"moved and replaced by a copy", func(t *testing.T, o Options) {
		move(t, o.Path, o.Path+moved_, "")
		move(t, wholeBackup(t, o), o.Path, "")
	}, []byte{8, 9}, moved_, setFree},
	{"restored with its log", func(t *testing.T, o Options) {
		move(t, backup(t, o), o.Path, "", "-wal", "-shm")
	}, []byte{8, 9}, nowhere, nowhere},
	{"rm of the log", func(t *testing.T, o Options) { remove(t, o.Path, "-wal") }, []byte{1}, inPlace, inPlace},
	{"rm of the log and its index", func(t *testing.T, o Options) {
		remove(t, o.Path, "-wal", "-shm")
	}, []byte{1}, inPlace, inPlace},
	{"rm of the index of the log", func(t *testing.T, o Options) { remove(t, o.Path, "-shm") }, []byte{1}, inPlace, inPlace},
	{"mv of the index of the log", func(t *testing.T, o Options) {
		move(t, o.Path, o.Path+moved_, "-shm")
	}, []byte{1}, inPlace, inPlace},
	{"the log of another database", func(t *testing.T, o Options) {
		move(t, backup(t, o), o.Path, "-wal")
	}, []byte{1}, inPlace, inPlace},
}

func testMove(t *testing.T, m aMove, withReader, within bool) {
	o, log := loggedOptions(t)
	s := openStore(t, o)
	write(t, s, o, 1)
	if withReader {
		r, err := OpenReader(t.Context(), o.Path)
		require.NoError(t, err)
		defer func() { require.NoError(t, r.Close()) }()
	}
	stays := slices.Clone(m.stays)
	if within {
		err := s.Write(t.Context(), during(o, 2, func() { m.do(t, o) }))
		require.ErrorIs(t, err, ErrMoved)
		require.Equal(t, FailureMoved, FailureOf(err))
		if m.old == inPlace { // a caller with fingerprints could repeat it
			stays = append(stays, 2)
		}
	} else {
		m.do(t, o)
	}
	write(t, s, o, 3)
	write(t, s, o, 4)
	require.Len(t, log.of(EventMoved), 1)
	require.ErrorIs(t, log.of(EventMoved)[0].Err, ErrMoved)
	want := append(stays, 3, 4)
	slices.Sort(want)
	require.Equal(t, want, spansOf(t, o.Path))
	require.NoError(t, s.Close())
	require.Equal(t, want, spansOf(t, o.Path))

	where := m.old
	if withReader {
		where = m.oldWithReader
	}
	if where == setFree {
		aside, err := filepath.Glob(o.Path + ".moved-*-wal")
		require.NoError(t, err)
		require.Len(t, aside, 1)
		require.ErrorContains(t, log.of(EventMoved)[0].Err, aside[0]+": it holds the last commits")
		require.NoError(t, os.Rename(aside[0], o.Path+moved_+"-wal"))
		where = moved_
	}
	if where == moved_ {
		require.Contains(t, spansOf(t, o.Path+moved_), byte(1))
	}
}

// TestWithoutTheGuardSpansVanish is the control: SQLite itself notices nothing.
func TestWithoutTheGuardSpansVanish(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	write(t, s, o, 1)
	blind := filepath.Join(t.TempDir(), "blind")
	for _, suffix := range []string{"", "-wal", "-shm"} {
		require.NoError(t, os.WriteFile(blind+suffix, []byte("x"), 0o600))
	}
	guard, err := watchFile(blind)
	require.NoError(t, err)
	require.NoError(t, s.do(t.Context(), func(context.Context, *writer) error {
		s.file.guard = guard
		return nil
	}))
	remove(t, o.Path, "", "-wal", "-shm")
	write(t, s, o, 2)
	require.NoFileExists(t, o.Path, "the span was acknowledged and is nowhere")
	require.NoError(t, s.Close())
	require.NoFileExists(t, o.Path)
}

// TestLogRemovedUnderASnapshot: what was acknowledged is in the removed log only,
// and a reader keeps it from being written back. Until it ends its transaction
// callers get an error; then nothing is missing.
func TestLogRemovedUnderASnapshot(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	write(t, s, o, 1)
	r, err := OpenReader(t.Context(), o.Path)
	require.NoError(t, err)
	require.NoError(t, r.View(t.Context(), func(tx *sql.Tx) error {
		var n int
		require.NoError(t, tx.QueryRow("SELECT count(*) FROM requests").Scan(&n))
		write(t, s, o, 2)
		remove(t, o.Path, "-wal")
		for range 2 {
			err := s.Write(t.Context(), requestBatch(o, request(3, 0)))
			require.ErrorIs(t, err, ErrMoved)
			require.ErrorContains(t, err, "a reader keeps it")
		}
		return nil
	}))
	write(t, s, o, 4)
	require.NoError(t, r.Close())
	require.Equal(t, []byte{1, 2, 4}, spansOf(t, o.Path))
	require.NoError(t, s.Close())
	require.Equal(t, []byte{1, 2, 4}, spansOf(t, o.Path))
}

// TestFileInItsPlaceIsRefused: what somebody else put at the path is left
// untouched, callers get an error that can be retried, and writing goes on when
// it is gone.
func TestFileInItsPlaceIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		put  func(t *testing.T, o Options, path string)
		want error
	}{
		"text": {func(t *testing.T, _ Options, path string) {
			require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("text ", 100)), 0o600))
		}, ErrForeign},
		"another application": {func(t *testing.T, _ Options, path string) {
			exec(t, path, "PRAGMA application_id = 7; CREATE TABLE t (x)")
		}, ErrForeign},
		"a newer schema": {func(t *testing.T, _ Options, path string) {
			exec(t, path, "PRAGMA application_id = 1399865963; PRAGMA user_version = 99; CREATE TABLE t (x)")
		}, ErrNewer},
		"an empty file": {func(t *testing.T, _ Options, path string) {
			require.NoError(t, os.WriteFile(path, nil, 0o600))
		}, ErrMoved},
		"half a copy of one of ours": {func(t *testing.T, o Options, path string) {
			content, err := os.ReadFile(wholeBackup(t, o))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, content[:len(content)/2], 0o600))
		}, errDamaged},
		"one of ours with other widths": {func(t *testing.T, o Options, path string) {
			o.Path, o.Widths, o.OnEvent = path, []Width{{Seconds: 20}}, nil
			s := openStore(t, o)
			require.NoError(t, s.Write(t.Context(), requestBatch(o, request(1, 0))))
			require.NoError(t, s.Close())
		}, ErrOtherWidths},
	} {
		t.Run(name, func(t *testing.T) {
			o, log := loggedOptions(t)
			s := openStore(t, o)
			write(t, s, o, 1)
			other := filepath.Join(t.TempDir(), "other.db")
			c.put(t, o, other)
			before, err := os.ReadFile(other)
			require.NoError(t, err)
			move(t, o.Path, o.Path+moved_, "")
			require.NoError(t, os.Rename(other, o.Path))
			for range 2 {
				err := s.Write(t.Context(), requestBatch(o, request(2, 0)))
				require.ErrorIs(t, err, c.want)
				require.NotEqual(t, FailureUnknown, FailureOf(err))
				require.NotEqual(t, FailurePoison, FailureOf(err))
				if errors.Is(err, errDamaged) {
					require.ErrorContains(t, err, "move "+o.Path+" away with its -wal, or restart the collector")
				}
			}
			after, err := os.ReadFile(o.Path)
			require.NoError(t, err)
			require.True(t, bytes.Equal(before, after), "the file was changed")
			require.Empty(t, log.of(EventQuarantined), "somebody may still be copying")
			remove(t, o.Path, "")
			write(t, s, o, 3)
			require.NoError(t, s.Close())
			require.Equal(t, []byte{3}, spansOf(t, o.Path))
			require.Equal(t, []byte{1}, spansOf(t, o.Path+moved_))
		})
	}
}

// TestEmptiedFileIsNoticed: its inode stays the same. What its log has is written
// back; where that is not all, nothing is acknowledged any more.
func TestEmptiedFileIsNoticed(t *testing.T) {
	for name, inLog := range map[string]bool{"all in the log": true, "not all in the log": false} {
		t.Run(name, func(t *testing.T) {
			o, log := loggedOptions(t)
			s := openStore(t, o)
			write(t, s, o, 1)
			if !inLog {
				require.NoError(t, s.file.checkpoint(t.Context()))
				write(t, s, o, 2)
			}
			err := s.Write(t.Context(), during(o, 3, func() { require.NoError(t, os.Truncate(o.Path, 0)) }))
			require.ErrorIs(t, err, ErrMoved)
			err = s.Write(t.Context(), requestBatch(o, request(4, 0)))
			if inLog {
				require.NoError(t, err)
				require.Equal(t, []byte{1, 3, 4}, spansOf(t, o.Path))
				return
			}
			require.ErrorIs(t, err, ErrMoved)
			require.ErrorContains(t, err, o.Path+" is empty, and may be about to be filled: remove it, or restart the collector")
			require.Len(t, log.of(EventMoved), 1)
			require.ErrorContains(t, log.of(EventMoved)[0].Err, "-wal: it holds the last commits only")
			remove(t, o.Path, "")
			write(t, s, o, 5)
			require.NoError(t, s.Close())
			require.Equal(t, []byte{5}, spansOf(t, o.Path))
		})
	}
}

// TestFolderThatMoves: a new one is made, and it is locked.
func TestFolderThatMoves(t *testing.T) {
	o := testOptions(t)
	folder := filepath.Join(filepath.Dir(o.Path), "data")
	o.Path = filepath.Join(folder, "spanbucket.db")
	s := openStore(t, o)
	write(t, s, o, 1)
	require.NoError(t, os.Rename(folder, folder+moved_))
	write(t, s, o, 2)
	_, err := Open(t.Context(), o)
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, s.Close())
	require.NoFileExists(t, o.Path+".lock")
	require.Equal(t, []byte{2}, spansOf(t, o.Path))
	require.Equal(t, []byte{1}, spansOf(t, filepath.Join(folder+moved_, "spanbucket.db")))
}

// TestFileThatMovesWhileIdle is noticed before the next batch comes.
func TestFileThatMovesWhileIdle(t *testing.T) {
	o, log := loggedOptions(t)
	s := openStore(t, o)
	write(t, s, o, 1)
	move(t, o.Path, o.Path+moved_, "")
	require.Eventually(t, func() bool { return len(log.of(EventMoved)) == 1 }, 5*time.Second, 10*time.Millisecond)
	require.NoError(t, s.Close())
	require.Equal(t, []byte{1}, spansOf(t, o.Path+moved_))
	require.NoFileExists(t, o.Path+"-wal")
	require.NoFileExists(t, o.Path+"-shm")
}

// TestCloseAfterAMove leaves the files of others alone.
func TestCloseAfterAMove(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	write(t, s, o, 1)
	move(t, backup(t, o), o.Path, "", "-wal")
	require.NoError(t, s.Close())
	require.Equal(t, []byte{8, 9}, spansOf(t, o.Path))
}

func TestCheckTakesMicroseconds(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	write(t, s, o, 1)
	guard, err := watchFile(o.Path)
	require.NoError(t, err)
	result := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			if err := guard.check(); err != nil {
				b.Fatal(err)
			}
		}
	})
	t.Log(result, result.MemString())
	require.Less(t, result.NsPerOp(), int64(time.Millisecond))
	require.NoError(t, s.Close())
	_, err = watchFile(o.Path)
	require.ErrorIs(t, err, fs.ErrNotExist, "the log is gone")
}
