package storage

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// openFile opens a file without a writer.
func openFile(t *testing.T) (*databaseFile, *eventLog) {
	t.Helper()
	o, log := loggedOptions(t)
	o.setDefaults()
	lock, err := lockFile(o.Path, "a test")
	require.NoError(t, err)
	f := newDatabaseFile(&o, lock)
	require.NoError(t, f.open(t.Context()))
	f.running = true
	t.Cleanup(func() {
		ctx := context.Background()
		require.NoError(t, f.checkpoint(ctx))
		require.NoError(t, f.close(ctx))
		require.NoError(t, f.finish(ctx))
		require.NoError(t, lock.release())
		require.NoFileExists(t, o.Path+"-wal")
		require.NoFileExists(t, o.Path+".lock")
	})
	return f, log
}

func insertMeta(t *testing.T, f *databaseFile, key, value string) {
	t.Helper()
	require.NoError(t, setMeta(t.Context(), f.conn, key, value))
}

// TestConnectionToAMovedFile: SQLite itself notices nothing, check does, and after
// close and open there is a file again.
func TestConnectionToAMovedFile(t *testing.T) {
	f, log := openFile(t)
	path := f.options.Path
	insertMeta(t, f, "before", "1")
	require.NoError(t, f.check())
	require.NoError(t, os.Rename(path, path+".moved"))
	insertMeta(t, f, "into the void", "1")
	require.ErrorIs(t, f.check(), ErrMoved)
	require.ErrorIs(t, f.idle(t.Context()), ErrMoved)
	require.NoError(t, f.close(t.Context()))
	require.Nil(t, f.conn)
	require.Len(t, log.of(EventMoved), 1)
	require.NoError(t, f.open(t.Context()))
	require.NoError(t, f.check())
	require.Zero(t, one[int64](t, path, "SELECT count(*) FROM meta WHERE key = 'before'"))
	require.EqualValues(t, 1, one[int64](t, path+".moved", "SELECT count(*) FROM meta WHERE key = 'before'"))
}

// TestLogIsEmptied when it is large, and only then.
func TestLogIsEmptied(t *testing.T) {
	f, _ := openFile(t)
	for name, empty := range map[string]func(context.Context) error{"idle": f.idle, "after a commit": f.afterCommit} {
		t.Run(name, func(t *testing.T) {
			f.log = newWALWatch(f.options.Path+"-wal", f.report)
			insertMeta(t, f, "writer_version", name)
			require.NoError(t, f.check())
			size := sizeOf(f.options.Path + "-wal")
			require.NoError(t, empty(t.Context()))
			require.Equal(t, size, sizeOf(f.options.Path+"-wal"))
			f.log.idleMax, f.log.alarm = 1, 1
			require.NoError(t, empty(t.Context()))
			require.Zero(t, sizeOf(f.options.Path+"-wal"))
		})
	}
}
