package spanbucketexporter

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"modernc.org/sqlite"

	"github.com/spanbucket/spanbucketexporter/internal/metadata"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// statusHost remembers the status that a component reports.
type statusHost struct {
	mu     sync.Mutex
	status []componentstatus.Status
}

func (h *statusHost) GetExtensions() map[component.ID]component.Component { return nil }

func (h *statusHost) Report(e *componentstatus.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = append(h.status, e.Status())
}

// failingStore answers writes with an error, as long as it has one.
type failingStore struct {
	store
	err error
}

func (s *failingStore) Write(ctx context.Context, b storage.Batch) error {
	if s.err != nil {
		return s.err
	}
	return s.store.Write(ctx, b)
}

// sqliteError returns an error of SQLite with the given code, as the driver
// makes it.
func sqliteError(t *testing.T, statement string) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "errors.db")
	execute(t, path, "CREATE TABLE t (x INTEGER CHECK (x > 0))")
	db := openPlain(t, path)
	_, err := db.ExecContext(t.Context(), statement)
	var e *sqlite.Error
	require.ErrorAs(t, err, &e)
	return err
}

// TestStatusFollowsTheFile: degraded once while writing fails, fine again with
// the next commit; what a caller hears may be retried.
func TestStatusFollowsTheFile(t *testing.T) {
	host := &statusHost{}
	var failing *failingStore
	e := newTracesExporter(testConfig(filepath.Join(t.TempDir(), "spanbucket.db")), exportertest.NewNopSettings(metadata.Type))
	open := e.open
	e.open = func(ctx context.Context, o storage.Options) (store, error) {
		s, err := open(ctx, o)
		failing = &failingStore{store: s}
		return failing, err
	}
	require.NoError(t, e.start(t.Context(), host))
	defer func() { require.NoError(t, e.shutdown(context.Background())) }()
	n := 0
	send := func(err error) error {
		failing.err = err
		n++
		return e.consume(t.Context(), numbered(n, n+1))
	}
	moved := fmt.Errorf("commit: %w", storage.ErrMoved)
	require.NoError(t, send(nil))
	require.Empty(t, host.status)
	require.ErrorIs(t, send(context.Canceled), context.Canceled)
	require.Empty(t, host.status, "a caller that gives up says nothing of the file")
	for range 3 {
		err := send(moved)
		require.ErrorIs(t, err, storage.ErrMoved)
		require.False(t, consumererror.IsPermanent(err))
	}
	require.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError}, host.status, "once")
	full := sqliteError(t, "PRAGMA max_page_count = 2; CREATE TABLE u (x); CREATE TABLE v (x)")
	err := send(full)
	require.Equal(t, storage.FailureFull, storage.FailureOf(err))
	require.ErrorContains(t, err, "Throttle (30s)")
	require.Len(t, host.status, 2)
	require.NoError(t, send(nil))
	require.NoError(t, send(nil))
	require.Equal(t, []componentstatus.Status{
		componentstatus.StatusRecoverableError, componentstatus.StatusRecoverableError, componentstatus.StatusOK,
	}, host.status)
}
