package mcpserver_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/folding"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/internal/spantest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// makeBusyFile makes a file as a collector leaves it after an hour of traffic of
// several services, with two windows of faults.
func makeBusyFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	begin := filetest.Begin
	now := func() time.Time { return begin.Add(2 * time.Hour) }
	settings := folding.Default()
	settings.Storage.Path, settings.Storage.Now, settings.Storage.WriterVersion = path, now, "v0.0.0-test"
	settings, err := settings.Complete()
	require.NoError(t, err)
	store, err := storage.Open(t.Context(), settings.Storage)
	require.NoError(t, err)
	folder := folding.New(store, folding.Options{Settings: settings, Now: now})
	generator := spantest.New(1, spantest.Dense)
	const batches = 20
	for i := range batches {
		step := time.Hour / batches
		require.NoError(t, folder.Write(t.Context(), generator.Batch(400, begin.Add(time.Duration(i)*step), step)))
	}
	require.NoError(t, store.Close())
	return path
}
