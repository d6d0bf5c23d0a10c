package storage

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHeldTellsWhoWrites(t *testing.T) {
	o := testOptions(t)
	held := func() bool { held, _ := Held(o.Path); return held }
	require.False(t, held(), "there is no file")
	s := openStore(t, o)
	link := filepath.Join(t.TempDir(), "link.db")
	require.NoError(t, os.Symlink(o.Path, link))
	for _, path := range []string{o.Path, link} {
		is, holder := Held(path)
		require.True(t, is)
		require.Contains(t, holder, "process ")
	}
	_, err := Open(t.Context(), o)
	require.ErrorIs(t, err, ErrLocked, "the lock is still held")
	require.NoError(t, s.Close())
	require.False(t, held())
	require.NoFileExists(t, o.Path+".lock", "none is made")

	// What a collector that was killed leaves behind.
	require.NoError(t, os.WriteFile(o.Path+".lock", []byte("process 1\n"), 0o600))
	require.False(t, held())
	require.NoError(t, openStore(t, o).Close(), "nothing was taken away")
	for name, make := range map[string]func(path string) error{
		"a folder":          func(path string) error { return os.Mkdir(path, 0o700) },
		"a link to nothing": func(path string) error { return os.Symlink("nowhere", path) },
	} {
		require.NoError(t, make(o.Path+".lock"), name)
		require.False(t, held(), name)
		require.NoError(t, os.Remove(o.Path+".lock"))
	}
}
