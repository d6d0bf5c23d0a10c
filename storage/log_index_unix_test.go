//go:build unix

package storage

import (
	"database/sql"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// Where the index of the log has gone, who opens the file next makes another
// one. Within a process all connections share one, so the others of these tests
// are processes.

func init() { Elsewhere["write"] = writeStatement }

// writeStatement runs the statement args[1] in the file args[0].
func writeStatement(args []string) error {
	db, err := sql.Open("sqlite", writerDSN(args[0], SynchronousFull))
	if err != nil {
		return err
	}
	_, err = db.Exec(args[1])
	return errors.Join(err, db.Close())
}

func writeElsewhere(t *testing.T, path, statement string) {
	t.Helper()
	output, err := CommandElsewhere(t, "write", path, statement).CombinedOutput()
	require.NoError(t, err, "%s", output)
}

// Two rows of meta that others write.
const (
	othersFirst  = "INSERT INTO meta (key, value) VALUES ('others first', '1')"
	othersSecond = "INSERT INTO meta (key, value) VALUES ('others second', '1')"
)

// keysOf returns which of the given keys of meta are in a file that is whole.
func keysOf(t *testing.T, path string, keys ...string) (there []string, whole error) {
	t.Helper()
	r, err := OpenReader(t.Context(), path)
	if err != nil {
		return nil, err
	}
	defer func() { require.NoError(t, r.Close()) }()
	conn, err := r.Conn(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	for _, key := range keys {
		var n int
		if err := conn.QueryRowContext(t.Context(), "SELECT count(*) FROM meta WHERE key = ?", key).Scan(&n); err != nil {
			return there, err
		}
		if n > 0 {
			there = append(there, key)
		}
	}
	return there, quickCheck(t.Context(), conn)
}

// blind makes the guard take the index that is at the path for the one that was
// opened.
func (g *fileGuard) blind(t *testing.T) {
	t.Helper()
	var err error
	g.shm, err = os.Stat(g.path + "-shm")
	require.NoError(t, err)
}

// TestIndexOfTheLogIsRemoved: others write by an index of their own meanwhile.
// What they wrote stays, and what was written here before and after it.
func TestIndexOfTheLogIsRemoved(t *testing.T) {
	f, log := openFile(t)
	path := f.options.Path
	insertMeta(t, f, "ours first", "1")
	require.NoError(t, f.check())
	remove(t, path, "-shm")
	require.ErrorIs(t, f.check(), ErrMoved)
	writeElsewhere(t, path, othersFirst)
	require.ErrorIs(t, f.idle(t.Context()), ErrMoved)
	require.ErrorIs(t, f.check(), ErrMoved)
	require.NoError(t, f.close(t.Context()))
	require.Len(t, log.of(EventMoved), 1)
	require.ErrorContains(t, log.of(EventMoved)[0].Err, path+"-shm is another file")
	require.NoError(t, f.open(t.Context()))
	require.NoError(t, f.check())
	insertMeta(t, f, "ours second", "1")
	writeElsewhere(t, path, othersSecond)
	require.NoError(t, f.check())
	insertMeta(t, f, "ours third", "1")
	keys, err := keysOf(t, path, "ours first", "others first", "ours second", "others second", "ours third")
	require.NoError(t, err)
	require.Len(t, keys, 5)
}

// TestWithoutTheGuardTwoIndexesLoseCommits is the control: what is written by an
// index that nobody shares goes over what others wrote.
func TestWithoutTheGuardTwoIndexesLoseCommits(t *testing.T) {
	f, _ := openFile(t)
	path := f.options.Path
	insertMeta(t, f, "ours first", "1")
	remove(t, path, "-shm")
	writeElsewhere(t, path, othersFirst)
	f.guard.blind(t)
	require.NoError(t, f.check())
	insertMeta(t, f, "ours second", "1")
	require.NoError(t, f.close(t.Context()))
	keys, err := keysOf(t, path, "ours first", "others first", "ours second")
	require.True(t, err != nil || len(keys) < 3, "%v", keys)
}

// TestCloseByAnOldIndexIsHeldBack: closing the last connection moves the log
// into the database, by an index that knows nothing of what others wrote, and
// deletes it. The control does so.
func TestCloseByAnOldIndexIsHeldBack(t *testing.T) {
	for name, held := range map[string]bool{"held back": true, "not held back": false} {
		t.Run(name, func(t *testing.T) {
			f, _ := openFile(t)
			path := f.options.Path
			insertMeta(t, f, "ours first", "1")
			remove(t, path, "-shm")
			writeElsewhere(t, path, othersFirst)
			if !held {
				f.guard.blind(t)
			}
			before := sizeOf(path + "-wal")
			require.NoError(t, f.close(t.Context()))
			if held {
				require.Equal(t, before, sizeOf(path+"-wal"), "the log was touched")
			}
			keys, err := keysOf(t, path, "ours first", "others first")
			if held {
				require.NoError(t, err)
			}
			require.Equal(t, held, err == nil && len(keys) == 2, "%v %v", keys, err)
		})
	}
}

// TestIndexIsRemovedUnderATransaction of somebody who goes on to use it: until it
// has ended, a new index would be one without its locks.
func TestIndexIsRemovedUnderATransaction(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	write(t, s, o, 1)
	release := holdWriteLock(t, o.Path)
	remove(t, o.Path, "-shm")
	for range 2 {
		err := s.Write(t.Context(), requestBatch(o, request(2, 0)))
		require.ErrorIs(t, err, ErrMoved)
		require.ErrorContains(t, err, "another process writes by it")
	}
	release()
	write(t, s, o, 3)
	writeElsewhere(t, o.Path, othersFirst)
	write(t, s, o, 4)
	require.NoError(t, s.Close())
	require.Equal(t, []byte{1, 3, 4}, spansOf(t, o.Path))
	require.NoFileExists(t, o.Path+"-wal")
}

// TestOldIndexAfterAMove: the database has gone and its log stayed, but somebody
// else opened what is at the path now, with the log and an index of their own.
// Their log is not truncated.
func TestOldIndexAfterAMove(t *testing.T) {
	f, _ := openFile(t)
	path := f.options.Path
	insertMeta(t, f, "ours first", "1")
	move(t, path, path+moved_, "")
	remove(t, path, "-shm")
	require.NoError(t, os.WriteFile(path+"-shm", make([]byte, 32<<10), 0o600))
	before := sizeOf(path + "-wal")
	require.Positive(t, before)
	require.NoError(t, f.guard.save(t.Context(), f.conn))
	require.Equal(t, before, sizeOf(path+"-wal"))
	remove(t, path, "-shm")
	require.NoError(t, f.guard.save(t.Context(), f.conn))
	require.Zero(t, sizeOf(path+"-wal"), "nobody else has it: it is written back")
	require.NoError(t, f.close(t.Context()))
	keys, err := keysOf(t, path+moved_, "ours first")
	require.NoError(t, err)
	require.Len(t, keys, 1)
}
