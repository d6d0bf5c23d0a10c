package spanbucketexporter

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter/exportertest"

	"github.com/spanbucket/spanbucketexporter/internal/metadata"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

func TestCleanStopLeavesOneFile(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "made", "by the exporter")
	path := filepath.Join(folder, "odd ?name#%41.db")
	e := startExporter(t, testConfig(path))
	require.NoError(t, e.ConsumeTraces(t.Context(), traces(randomSpans(seedtest.Rand(t), 100, time.Now(), time.Second))))
	requireMode(t, 0o600, path, path+"-wal", path+"-shm", path+".lock")
	stopExporter(t, e)
	stopExporter(t, e) // again
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, filepath.Base(path), entries[0].Name())
}

func requireMode(t *testing.T, mode os.FileMode, paths ...string) {
	t.Helper()
	for _, path := range paths {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), path)
	}
}

func TestFileModeForAGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	config := testConfig(path)
	config.FileMode = 0o640
	e := startExporter(t, config)
	defer stopExporter(t, e)
	require.NoError(t, e.ConsumeTraces(t.Context(), traces(randomSpans(seedtest.Rand(t), 1, time.Now(), time.Second))))
	requireMode(t, 0o640, path, path+"-wal", path+"-shm")
}

func TestSecondExporterIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	first := startExporter(t, testConfig(path))
	defer stopExporter(t, first)
	factory := NewFactory()
	second, err := factory.CreateTraces(t.Context(), exportertest.NewNopSettings(factory.Type()), testConfig(path))
	require.NoError(t, err)
	began := time.Now()
	err = second.Start(t.Context(), componenttest.NewNopHost())
	require.ErrorIs(t, err, storage.ErrLocked)
	require.ErrorContains(t, err, path)
	require.ErrorContains(t, err, "process ")
	require.Less(t, time.Since(began), time.Second)
	stopExporter(t, second)
	require.NoError(t, first.ConsumeTraces(t.Context(), traces(randomSpans(seedtest.Rand(t), 10, time.Now(), time.Second))))
}

func TestForeignFileIsRefusedUntouched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes.txt")
	text := []byte("this is a shopping list, and long enough to be no SQLite header at all; milk, bread, tea, and more of it")
	require.NoError(t, os.WriteFile(path, text, 0o644))
	e := newTracesExporter(testConfig(path), exportertest.NewNopSettings(metadata.Type))
	require.ErrorIs(t, e.start(t.Context(), componenttest.NewNopHost()), storage.ErrForeign)
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, text, got)
	require.NoError(t, e.shutdown(t.Context()))
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

// stuckStore answers no write until it is closed.
type stuckStore struct {
	store
	released chan struct{}
}

func (s *stuckStore) Write(ctx context.Context, b storage.Batch) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.released:
		return s.store.Write(ctx, b)
	}
}

// TestTimeoutAnswersTheClient holds the configured timeout against a storage
// that does not answer.
func TestTimeoutAnswersTheClient(t *testing.T) {
	config := testConfig(filepath.Join(t.TempDir(), "spanbucket.db"))
	config.Timeout.Timeout = 20 * time.Millisecond
	e := newTracesExporter(config, exportertest.NewNopSettings(metadata.Type))
	open := e.open
	e.open = func(ctx context.Context, o storage.Options) (store, error) {
		s, err := open(ctx, o)
		return &stuckStore{s, make(chan struct{})}, err
	}
	component, err := e.traces(t.Context())
	require.NoError(t, err)
	require.NoError(t, component.Start(t.Context(), componenttest.NewNopHost()))
	defer stopExporter(t, component)
	err = component.ConsumeTraces(context.Background(), traces(randomSpans(seedtest.Rand(t), 1, time.Now(), time.Second)))
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
