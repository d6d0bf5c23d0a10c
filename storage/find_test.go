package storage_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/storage"
)

func TestFindTakesTheLastWritten(t *testing.T) {
	good, err := os.ReadFile(copyOfGood(t))
	require.NoError(t, err)
	folder := t.TempDir()
	_, err = storage.Find(folder)
	require.ErrorIs(t, err, storage.ErrNoFile)
	begin := time.Date(2026, 1, 30, 10, 0, 0, 0, time.UTC)
	put := func(name string, content []byte, minutes int) {
		path := filepath.Join(folder, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, content, 0o600))
		at := begin.Add(time.Duration(minutes) * time.Minute)
		require.NoError(t, os.Chtimes(path, at, at))
	}
	put("b.db", good, 5)
	put("a.db", good, 5)
	put("one/two/three/deep.SQLITE3", good, 4)
	put("log.db", good, 1)
	put("log.db-wal", []byte("commits"), 9)
	put("empty-log.db", good, 2)
	put("empty-log.db-wal", nil, 9)
	// None of these.
	put("one/two/three/four/deeper.db", good, 10)
	put(".hidden.db", good, 10)
	put(".git/in.db", good, 10)
	put("text.db", []byte("text"), 10)
	put("other.db", append([]byte("SQLite format 3\x00"), make([]byte, 200)...), 10)
	put("good.txt", good, 10)
	require.NoError(t, os.Symlink("b.db", filepath.Join(folder, "link.db")))
	found, err := storage.Find(folder)
	require.NoError(t, err)
	for i := range found {
		found[i], err = filepath.Rel(folder, found[i])
		require.NoError(t, err)
	}
	require.Equal(t, []string{"log.db", "a.db", "b.db", "one/two/three/deep.SQLITE3", "empty-log.db"}, found)
	_, err = storage.Find(filepath.Join(folder, "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
	// The folder itself may be hidden.
	found, err = storage.Find(filepath.Join(folder, ".git"))
	require.NoError(t, err)
	require.Len(t, found, 1)
}
