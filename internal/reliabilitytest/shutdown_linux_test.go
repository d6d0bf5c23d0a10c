package reliabilitytest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// shutdownLimit is how long a shutdown may take, whatever is going on.
const shutdownLimit = 5 * time.Second

// underShutdown is a load that goes on while its exporter is shut down.
type underShutdown struct {
	settings settings
	traffic  traffic
	next     atomic.Int64
	mu       sync.Mutex
	tried    []int
	owed     []int // neither acknowledged nor delivered again yet
	worst    time.Duration
	refused  int // batches that a shutdown refused
}

// cycle starts the exporter, delivers what is owed, lets eight goroutines send
// and shuts down in the middle of it.
func (u *underShutdown) cycle(t *testing.T, work time.Duration, disturb func() (settle func())) {
	t.Helper()
	e := mustStart(t, u.settings)
	for _, n := range u.owed {
		require.NoError(t, deliver(e, u.traffic.batch(n)))
	}
	u.owed = nil
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for {
				n := int(u.next.Add(1)) - 1
				err := e.ConsumeTraces(context.Background(), otlp(u.traffic.batch(n)))
				u.mu.Lock()
				u.tried = append(u.tried, n)
				if err != nil {
					u.owed = append(u.owed, n)
					u.refused++
				}
				u.mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	time.Sleep(work)
	settle := disturb()
	began := time.Now()
	err := e.Shutdown(context.Background())
	took := time.Since(began)
	u.worst = max(u.worst, took)
	settle()
	senders.Wait()
	if err != nil {
		t.Logf("shutdown: %v", err)
	}
	require.Less(t, took, shutdownLimit)
	require.NoError(t, e.Shutdown(context.Background()), "a second shutdown")
}

func undisturbed() func() { return func() {} }

// TestShutdownUnderLoad: a shutdown in the middle of a load ends soon, leaves
// one file and no handle to it, and loses nothing that was acknowledged.
func TestShutdownUnderLoad(t *testing.T) {
	r := seedtest.Rand(t)
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	u := &underShutdown{settings: fileAt(path), traffic: newTraffic(r.Uint64N(1 << 20))}
	u.traffic.Spans = 200
	cycles := tier().shutdowns
	for range cycles {
		u.cycle(t, time.Duration(r.Int64N(int64(100*time.Millisecond))), undisturbed)
		require.NoFileExists(t, path+"-wal")
		require.NoFileExists(t, path+".lock")
		require.Empty(t, handlesOf(t, path))
		folded, _ := counted(t, path)
		require.GreaterOrEqual(t, folded, int64(u.traffic.Spans*(len(u.tried)-len(u.owed))), "acknowledged spans are lost")
	}
	u.settle(t)
	figures.add(t, "shutdown under load: %d times, %d batches acknowledged, 0 lost, %d refused and delivered again, the longest %.0f ms",
		cycles, len(u.tried)-u.refused, u.refused, float64(u.worst)/1e6)
	require.Empty(t, modelOf(&u.traffic, u.tried).differences(t, path))
}

// settle delivers what the last cycle owed.
func (u *underShutdown) settle(t *testing.T) {
	t.Helper()
	e := mustStart(t, u.settings)
	for _, n := range u.owed {
		require.NoError(t, deliver(e, u.traffic.batch(n)))
	}
	mustStop(t, e)
}

// TestShutdownWhileLocked: a lock that outlasts the shutdown does not hold it
// up. What was waiting for the lock is refused, and can be delivered later.
func TestShutdownWhileLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	u := &underShutdown{settings: fileAt(path), traffic: newTraffic(seedtest.Rand(t).Uint64N(1 << 20))}
	u.traffic.Spans = 50
	u.cycle(t, 50*time.Millisecond, func() func() {
		locker := spawn(t, "lock", lockOrder{Path: path, Statements: []string{"BEGIN IMMEDIATE"}, For: time.Minute}, nil)
		locker.await("locked", patience)
		return func() { locker.stop(patience) }
	})
	require.Empty(t, handlesOf(t, path))
	require.NotEmpty(t, u.owed, "the control: the lock was there")
	u.settle(t)
	figures.add(t, "shutdown while locked: %.0f ms, %d batches refused and delivered again", float64(u.worst)/1e6, u.refused)
	require.Empty(t, modelOf(&u.traffic, u.tried).differences(t, path))
}

// TestHandlesAreSeen is the control: an exporter that runs has its file open,
// and a reader keeps the log where it is.
func TestHandlesAreSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	e := mustStart(t, fileAt(path))
	require.NotEmpty(t, handlesOf(t, path))
	s := newTraffic(1)
	require.NoError(t, deliver(e, s.batch(0)))
	reader := openReader(t, path)
	require.NoError(t, reader.PingContext(context.Background()))
	mustStop(t, e)
	require.FileExists(t, path+"-wal")
	require.NoError(t, reader.Close())
	require.NoFileExists(t, path+"-wal")
	require.Empty(t, handlesOf(t, path))
}

// handlesOf lists what this process has open of a database: the file and those
// beside it, the folder too.
func handlesOf(t *testing.T, path string) (open []string) {
	t.Helper()
	const folder = "/proc/self/fd"
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join(folder, entry.Name()))
		if err == nil && (strings.HasPrefix(target, path) || target == filepath.Dir(path)) {
			open = append(open, target)
		}
	}
	return open
}
