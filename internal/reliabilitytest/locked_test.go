package reliabilitytest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/exporter"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

func init() { roles["lock"] = holdLock }

// lockOrder says which lock a child takes.
type lockOrder struct {
	Path string
	// Statements take it; they are undone when the child lets go.
	Statements []string
	// For is how long the child holds it, unless it is told to stop before.
	For time.Duration
}

// holdLock is a child that has a transaction open, as another program may. It
// says "locked", and "free" when it has let go.
func holdLock(orders *orders) (err error) {
	var o lockOrder
	if err := orders.read(&o); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+url.PathEscape(o.Path)+"?_pragma=busy_timeout(20000)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(context.Background())
	if err != nil {
		return err
	}
	for _, text := range o.Statements {
		if _, err := conn.ExecContext(context.Background(), text); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	say("locked")
	select {
	case <-time.After(o.For):
	case <-orders.stopped:
	}
	if _, err := conn.ExecContext(context.Background(), "ROLLBACK"); err != nil {
		return err
	}
	say("free")
	return conn.Close()
}

// impatience is what callers of a locked file saw.
type impatience struct {
	mu              sync.Mutex
	acked, failed   []int
	permanent       []error
	worstLateness   time.Duration
	endedByDeadline int
}

// call sends a batch with a deadline. Lateness is counted from the instant at
// which this process, busy as it may be, first knew that the deadline had
// passed.
func (i *impatience) call(e exporter.Traces, s *traffic, n int, most time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	known := make(chan time.Time, 1)
	stop := context.AfterFunc(ctx, func() { known <- time.Now() })
	err := e.ConsumeTraces(ctx, otlp(s.batch(n)))
	returned := time.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	if !stop() {
		i.endedByDeadline++
		i.worstLateness = max(i.worstLateness, returned.Sub(<-known))
	}
	if err == nil {
		i.acked = append(i.acked, n)
		return
	}
	i.failed = append(i.failed, n)
	if isPermanent(err) {
		i.permanent = append(i.permanent, err)
	}
}

// TestLockedByAnotherProcess: while somebody else has the file locked, callers
// get errors that may be retried, and get them when their time is up. What
// they deliver again is counted once.
func TestLockedByAnotherProcess(t *testing.T) {
	for _, statement := range []string{"BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"} {
		for _, held := range tier().locks {
			t.Run(fmt.Sprint(statement, " for ", held), func(t *testing.T) { lockedFor(t, statement, held) })
		}
	}
}

func lockedFor(t *testing.T, statement string, held time.Duration) {
	r := seedtest.Rand(t)
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	s := newTraffic(r.Uint64N(1 << 20))
	s.Spans = 50
	e := mustStart(t, fileAt(path))
	require.NoError(t, deliver(e, s.batch(0)))
	locker := spawn(t, "lock", lockOrder{Path: path, Statements: []string{statement}, For: held}, nil)
	locker.await("locked", patience)
	before := runtime.NumGoroutine()

	var seen impatience
	var callers sync.WaitGroup
	numbers := make(chan int)
	for range 8 {
		callers.Go(func() {
			for n := range numbers {
				// A few wait longer than the lock lasts, or than the exporter allows.
				most := 20*time.Millisecond + time.Duration(n%7)*150*time.Millisecond
				if n%50 == 0 {
					most = held + 10*time.Second
				}
				seen.call(e, &s, n, most)
			}
		})
	}
	sent := 1
	for free := false; !free; sent++ {
		select {
		case numbers <- sent:
		case <-locker.line("free"):
			free = true
			sent--
		}
	}
	close(numbers)
	callers.Wait()
	<-locker.ended
	require.Empty(t, seen.permanent, "errors that lose the batch")
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before }, 10*time.Second, 10*time.Millisecond,
		"%d goroutines before", before)
	foldedBefore, _ := counted(t, path)
	require.GreaterOrEqual(t, foldedBefore, int64(s.Spans*(1+len(seen.acked))), "acknowledged spans are lost")
	// The control: without another delivery, what failed is missing.
	require.NotEmpty(t, seen.failed)
	require.Less(t, foldedBefore, int64(s.Spans*sent), "nothing failed: the lock was none")

	batches := []int{0}
	for n := 1; n < sent; n++ {
		batches = append(batches, n)
	}
	for _, n := range seen.failed {
		require.NoError(t, deliver(e, s.batch(n)))
	}
	mustStop(t, e)
	figures.add(t, "locked by %s for %v: %d batches acknowledged, %d failed and delivered again, %d deadlines passed, the latest answer %.0f ms after",
		statement, held, len(seen.acked), len(seen.failed), seen.endedByDeadline, float64(seen.worstLateness)/1e6)
	require.Empty(t, modelOf(&s, batches).differences(t, path))
	require.LessOrEqual(t, seen.worstLateness, 100*time.Millisecond)
}
