package spanbucketexporter

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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

func (h *statusHost) all() []componentstatus.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.status)
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

// failingExporter returns an exporter whose writes fail with the error that send
// is given, and a clock of its own that goes on by two seconds with each.
func failingExporter(t *testing.T, host component.Host) (e *tracesExporter, send func(error) error) {
	t.Helper()
	var failing *failingStore
	e = newTracesExporter(testConfig(filepath.Join(t.TempDir(), "spanbucket.db")), exportertest.NewNopSettings(metadata.Type))
	open := e.open
	e.open = func(ctx context.Context, o storage.Options) (store, error) {
		s, err := open(ctx, o)
		failing = &failingStore{store: s}
		return failing, err
	}
	require.NoError(t, e.start(t.Context(), host))
	t.Cleanup(func() { require.NoError(t, e.shutdown(context.Background())) })
	now, n := time.Now(), 0
	e.health.now = func() time.Time { return now }
	return e, func(err error) error {
		failing.err = err
		n++
		now = now.Add(2 * time.Second)
		return e.consume(t.Context(), numbered(n, n+1))
	}
}

const (
	degraded = componentstatus.StatusRecoverableError
	fine     = componentstatus.StatusOK
)

var errMoved = fmt.Errorf("commit: %w", storage.ErrMoved)

// TestStatusFollowsTheFile: degraded once while writing fails, fine again with
// a later commit; what a caller hears may be retried.
func TestStatusFollowsTheFile(t *testing.T) {
	host := &statusHost{}
	_, send := failingExporter(t, host)
	require.NoError(t, send(nil))
	require.ErrorIs(t, send(context.Canceled), context.Canceled)
	require.Empty(t, host.all(), "a caller that gives up says nothing of the file")
	for range 3 {
		err := send(errMoved)
		require.ErrorIs(t, err, storage.ErrMoved)
		require.False(t, consumererror.IsPermanent(err))
	}
	require.Equal(t, []componentstatus.Status{degraded}, host.all(), "once")
	require.Error(t, send(sqliteError(t, "INSERT INTO t VALUES (-1)")))
	require.NoError(t, send(nil))
	require.NoError(t, send(nil))
	require.Equal(t, []componentstatus.Status{degraded, degraded, fine}, host.all(), "another failure is told, too")
}

// TestStatusIsTheWorst of a file that cannot be written and a log that cannot
// be emptied.
func TestStatusIsTheWorst(t *testing.T) {
	host := &statusHost{}
	e, send := failingExporter(t, host)
	pinned := storage.Event{Kind: storage.EventWALPinned, Err: errors.New("pinned")}
	e.health.event(pinned)
	require.Error(t, send(errMoved))
	require.NoError(t, send(nil))
	require.Equal(t, []componentstatus.Status{degraded, degraded}, host.all(), "the log is pinned still")
	require.Error(t, send(errMoved))
	e.health.event(storage.Event{Kind: storage.EventWALReleased})
	require.NotContains(t, host.all(), fine)
	require.NoError(t, send(nil))
	require.Equal(t, fine, host.all()[len(host.all())-1])
}

// TestStatusDoesNotFlap where some callers succeed while others fail.
func TestStatusDoesNotFlap(t *testing.T) {
	host := &statusHost{}
	e, send := failingExporter(t, host)
	e.health.now = time.Now
	for range 20 {
		require.Error(t, send(errMoved))
		require.NoError(t, send(nil))
	}
	require.Equal(t, []componentstatus.Status{degraded}, host.all())
	require.Eventually(t, func() bool { return len(host.all()) == 2 }, 10*time.Second, 10*time.Millisecond, "without any traffic")
	require.Equal(t, fine, host.all()[1])
}

// TestStatusOfADiskThatDoesNotAnswer: callers run out of time, and nothing is
// committed for long.
func TestStatusOfADiskThatDoesNotAnswer(t *testing.T) {
	host := &statusHost{}
	_, send := failingExporter(t, host)
	require.NoError(t, send(nil))
	for range 15 {
		require.Error(t, send(context.DeadlineExceeded))
	}
	require.Empty(t, host.all())
	for range 5 {
		require.Error(t, send(context.DeadlineExceeded))
	}
	require.Equal(t, []componentstatus.Status{degraded}, host.all())
	require.NoError(t, send(nil))
	require.Equal(t, []componentstatus.Status{degraded, fine}, host.all())
}

// TestFullDiskTellsHowLongToWait in the way that receivers hand on, and the
// collector's own retry understands.
func TestFullDiskTellsHowLongToWait(t *testing.T) {
	_, send := failingExporter(t, &statusHost{})
	err := send(sqliteError(t, "PRAGMA max_page_count = 2; CREATE TABLE u (x); CREATE TABLE v (x)"))
	require.Equal(t, storage.FailureFull, storage.FailureOf(err))
	require.ErrorContains(t, err, "Throttle (30s)")
	told, ok := status.FromError(err)
	require.True(t, ok)
	require.Equal(t, codes.Unavailable, told.Code())
	require.Equal(t, 30*time.Second, told.Details()[0].(*errdetails.RetryInfo).GetRetryDelay().AsDuration())
}
