package storage

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// anInstant is when the observations of these tests start, on the border of an
// hour.
var anInstant = time.Date(2026, 1, 30, 10, 0, 0, 0, time.UTC)

func testOptions(t *testing.T) Options {
	t.Helper()
	return Options{
		Path:        filepath.Join(t.TempDir(), "spanbucket.db"),
		Widths:      []Width{{Seconds: 1, Detail: DetailHeadline}, {Seconds: 10}, {Seconds: 60}},
		SettleAfter: time.Minute,
		Limits:      aggregator.Limits{MaxSeries: 100, MaxRuns: 10, MaxOverflowSeries: 10},
		Objectives: []aggregator.Objective{
			{Name: "chat", Category: aggregator.CategoryLLM, LatencyNano: int64(time.Second), TargetNano: 990_000_000},
			{Name: "chat with m", Category: aggregator.CategoryLLM, Model: "m", TargetNano: 900_000_000},
			{Name: "tools", Category: aggregator.CategoryTool, LatencyNano: 1, TargetNano: 500_000_000},
		},
		Now: func() time.Time { return anInstant },
		// Tests that touch the file, or the writer, have it to themselves.
		PruneInterval: -1,
	}
}

func openStore(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// observation is a chat of the given length that starts after anInstant.
func observation(after, duration time.Duration) aggregator.Observation {
	start := anInstant.Add(after).UnixNano()
	o := aggregator.Observation{
		Series:        aggregator.Series{Service: "app", Operation: "chat", Category: aggregator.CategoryLLM, Model: "m"},
		StartUnixNano: start,
		EndUnixNano:   start + int64(duration),
		TraceID:       [16]byte{1},
		SpanID:        [8]byte{1},
		AdjustedMicro: 1e6,
	}
	o.SetMeasure(aggregator.MeasureDuration, int64(duration))
	return o
}

func batchOf(o Options, observations ...aggregator.Observation) Batch {
	d := aggregator.NewDelta(FinestWidths(o.Widths), o.Objectives...)
	for i := range observations {
		d.Fold(&observations[i])
	}
	return Batch{Delta: d, Observations: func(yield func(*aggregator.Observation) bool) {
		for i := range observations {
			if !yield(&observations[i]) {
				return
			}
		}
	}}
}

// one runs a query for one value against the file.
func one[T any](t *testing.T, path, query string) T {
	t.Helper()
	r, err := OpenReader(t.Context(), path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	var value T
	require.NoError(t, r.QueryRowContext(t.Context(), query).Scan(&value))
	return value
}

func TestWriteIsDurableWhenItReturns(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	require.NoError(t, s.Write(t.Context(), batchOf(o, observation(0, time.Second))))
	require.EqualValues(t, 1, one[int64](t, o.Path, "SELECT requests_total FROM timeseries WHERE width_s = 60"))
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Write(t.Context(), batchOf(o, observation(0, time.Second))), ErrClosed)
	require.NoError(t, s.Close(), "closing twice")
}

// TestGroupCommit holds the writer back until many callers wait, and sees them
// answered by one commit.
func TestGroupCommit(t *testing.T) {
	o := testOptions(t)
	var commits []Commit
	begun, proceed := make(chan struct{}), make(chan struct{})
	o.OnCommit = func(c Commit) {
		if commits = append(commits, c); len(commits) == 1 {
			close(begun)
			<-proceed
		}
	}
	s := openStore(t, o)
	const callers = 20
	errs := make([]error, callers)
	var waiting sync.WaitGroup
	write := func(i int) {
		waiting.Go(func() {
			errs[i] = s.Write(context.Background(), batchOf(o, observation(0, time.Duration(i)*time.Second)))
		})
	}
	write(0)
	<-begun
	for i := 1; i < callers; i++ {
		write(i)
	}
	require.Eventually(t, func() bool { return waitingBatches(s) == callers-1 }, time.Minute, time.Millisecond)
	close(proceed)
	waiting.Wait()
	require.NoError(t, errors.Join(errs...))
	require.NoError(t, s.Close())
	require.Len(t, commits, 2)
	require.Len(t, commits[0].QueueWaits, 1)
	require.Len(t, commits[1].QueueWaits, callers-1)
	require.Equal(t, map[string]int64{"folded": callers - 1}, commits[1].Spans)
	require.Equal(t, 1, commits[1].LiveSeries)
	require.EqualValues(t, callers, one[int64](t, o.Path, "SELECT requests_total FROM timeseries WHERE width_s = 60"))
}

// holdWriteLock keeps every other writer out until release is called.
func holdWriteLock(t *testing.T, path string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite", writerDSN(path, SynchronousFull))
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	require.NoError(t, err)
	return func() {
		_, err := db.ExecContext(context.Background(), "ROLLBACK")
		require.NoError(t, errors.Join(err, db.Close()))
	}
}

// TestCallerWhoGivesUpWithdraws: what the writer has not taken is gone, what it
// has taken is waited for until it is read.
func TestCallerWhoGivesUpWithdraws(t *testing.T) {
	o := testOptions(t)
	q := newQueue()
	submit := func(ctx context.Context) chan error {
		answer := make(chan error, 1)
		length := len(q.batches)
		go func() { answer <- q.submit(ctx, &waiting{Batch: batchOf(o, observation(0, time.Second))}) }()
		require.Eventually(t, func() bool {
			q.mu.Lock()
			defer q.mu.Unlock()
			return len(q.batches) == length+1
		}, time.Minute, time.Millisecond)
		return answer
	}
	ctx, cancel := context.WithCancel(t.Context())
	withdrawn := submit(ctx)
	cancel()
	require.ErrorIs(t, <-withdrawn, context.Canceled)
	require.Empty(t, q.batches)

	ctx, cancel = context.WithCancel(t.Context())
	stays, taken := submit(t.Context()), submit(ctx)
	group := q.take()
	require.Len(t, group, 2)
	cancel()
	select {
	case err := <-taken:
		t.Fatalf("answered %v while the writer may read the batch", err)
	case <-time.After(10 * time.Millisecond): // nothing to wait for: silence is the point
	}
	q.allRead(group)
	require.ErrorIs(t, <-taken, context.Canceled, "what becomes of it is not known")
	q.putBack(group)
	group = q.take()
	require.Len(t, group, 1, "the batch of who has left is not read again")
	group[0].done <- nil
	require.NoError(t, <-stays)

	q.close()
	require.ErrorIs(t, q.submit(t.Context(), &waiting{Batch: batchOf(o, observation(0, time.Second))}), ErrClosed)
	_, open := q.wait(time.Minute)
	require.False(t, open)
}

func waitingBatches(s *Store) int {
	s.writer.queue.mu.Lock()
	defer s.writer.queue.mu.Unlock()
	return len(s.writer.queue.batches)
}

func TestForeignLockEndsInARetryableAnswer(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	release := holdWriteLock(t, o.Path)
	began := time.Now()
	err := s.Write(context.Background(), batchOf(o, observation(0, time.Second)))
	require.ErrorContains(t, err, "commit: begin: ")
	require.True(t, isBusy(err))
	require.Less(t, time.Since(began), lockPatience+time.Second)
	release()
	require.NoError(t, s.Write(t.Context(), batchOf(o, observation(0, time.Second))))
	require.EqualValues(t, 1, one[int64](t, o.Path, "SELECT requests_total FROM timeseries WHERE width_s = 60"))
}

// TestCloseIsQuickWhileTheFileIsLocked: whoever waits is told, all within one
// patience.
func TestCloseIsQuickWhileTheFileIsLocked(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	release := holdWriteLock(t, o.Path)
	answers := make(chan error, 2)
	write := func() { answers <- s.Write(context.Background(), batchOf(o, observation(0, time.Second))) }
	go write()
	go write()
	require.Eventually(t, func() bool { return waitingBatches(s) == 2 }, 3*time.Second, time.Millisecond)
	began := time.Now()
	require.NoError(t, s.Close())
	require.Less(t, time.Since(began), 5*time.Second)
	require.True(t, isBusy(<-answers))
	require.True(t, isBusy(<-answers))
	release()
}

// TestOverflowRejectsOnlyTheSpanThatDoesNotFit fills a row nearly to the brim.
func TestOverflowRejectsOnlyTheSpanThatDoesNotFit(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	expensive := func(nano int64) aggregator.Observation {
		v := observation(0, time.Second)
		v.Priced, v.CostNanoUSD = true, nano
		return v
	}
	require.NoError(t, s.Write(t.Context(), batchOf(o, expensive(math.MaxInt64-100))))
	require.NoError(t, s.Write(t.Context(), batchOf(o, expensive(60), expensive(101), expensive(40), expensive(1))))
	require.EqualValues(t, math.MaxInt64, one[int64](t, o.Path, "SELECT cost_nano_usd FROM series_bucket WHERE width_s = 60"))
	require.EqualValues(t, 3, one[int64](t, o.Path, "SELECT requests_total FROM timeseries WHERE width_s = 60"))
	require.EqualValues(t, 2, one[int64](t, o.Path, "SELECT spans FROM ledger WHERE reason = 'overflow'"))
	require.EqualValues(t, 5, one[int64](t, o.Path, "SELECT spans FROM ledger WHERE reason = 'received'"))
	// The rows go on.
	require.NoError(t, s.Write(t.Context(), batchOf(o, observation(time.Minute, time.Second))))
	require.EqualValues(t, 4, one[int64](t, o.Path, "SELECT spans FROM ledger WHERE reason = 'folded'"))
}

// TestWriterNoticesForeignChanges: another connection changes a row that the
// writer remembers.
func TestWriterNoticesForeignChanges(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	require.NoError(t, s.Write(t.Context(), batchOf(o, observation(0, time.Second))))
	db, err := sql.Open("sqlite", writerDSN(o.Path, SynchronousFull))
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "DELETE FROM series_histogram; DELETE FROM series_bucket; DELETE FROM series")
	require.NoError(t, errors.Join(err, db.Close()))
	require.NoError(t, s.Write(t.Context(), batchOf(o, observation(0, 2*time.Second))))
	require.EqualValues(t, 1, one[int64](t, o.Path, "SELECT requests FROM latency WHERE width_s = 60"), "the deleted span stays deleted")
	require.EqualValues(t, 2, one[int64](t, o.Path, "SELECT requests_total FROM timeseries WHERE width_s = 60"))
}

// TestFullDisk answers with an error while there is no room, keeps what was
// acknowledged, closes quickly, and goes on when there is room again.
func TestFullDisk(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	require.NoError(t, s.Write(t.Context(), batchOf(o, observation(0, time.Second))))
	// The writer is idle between batches: its connection may be used here.
	setMaxPages := func(pages int) {
		var now int
		require.NoError(t, s.writer.conn.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&now))
		if pages == 0 {
			pages = now
		}
		require.NoError(t, s.writer.conn.QueryRowContext(t.Context(), "SELECT 0").Scan(&now))
		rows, err := s.writer.conn.QueryContext(t.Context(), "PRAGMA max_page_count = "+strconv.Itoa(pages))
		require.NoError(t, err)
		require.NoError(t, rows.Close())
	}
	setMaxPages(0)
	acknowledged, refused := int64(1), 0
	for i := range 400 {
		v := observation(time.Duration(i)*time.Minute, time.Second)
		switch err := s.Write(context.Background(), batchOf(o, v)); {
		case err == nil:
			acknowledged++
			setMaxPages(0) // a new connection after an error knows no limit
		default:
			require.ErrorContains(t, err, "full")
			refused++
		}
	}
	require.Positive(t, refused)
	require.EqualValues(t, acknowledged, one[int64](t, o.Path, "SELECT sum(requests_total) FROM timeseries WHERE width_s = 60"))
	began := time.Now()
	require.NoError(t, s.Close())
	require.Less(t, time.Since(began), 5*time.Second)
}

func TestMemoryOfRowsIsBounded(t *testing.T) {
	l := newLive()
	for start := range int64(6) {
		key := bucketKey{seriesTable, 1, start}
		l.buckets[key] = &liveBucket{rows: map[rowKey]*liveRow{}, lastUsed: start}
		for series := range int64(maxLiveBytes / rowBytes / 5) {
			l.buckets[key].rows[rowKey{series: aggregator.SeriesID(series)}] = &liveRow{}
			l.bytes += rowBytes
		}
	}
	l.shrink(maxLiveBytes)
	require.LessOrEqual(t, l.bytes, maxLiveBytes*3/4, "with room for the next commits")
	left := make([]int64, 0, len(l.buckets))
	for key := range l.buckets {
		left = append(left, key.start)
	}
	slices.Sort(left)
	require.Equal(t, []int64{3, 4, 5}, left, "the buckets used longest ago go first")
}

// TestCellsThatOverflowARowTogether: each of two spans fits, in a bucket of its
// own of the finest width; the row of the wider one has room for one of them.
// Their batch must not be refused, and a batch beside it must not notice.
func TestCellsThatOverflowARowTogether(t *testing.T) {
	o := testOptions(t)
	begun, proceed := make(chan struct{}), make(chan struct{})
	first := true
	o.OnCommit = func(Commit) {
		if first {
			first = false
			close(begun)
			<-proceed
		}
	}
	s := openStore(t, o)
	huge := func(after time.Duration) aggregator.Observation {
		v := observation(after, time.Second)
		v.AdjustedMicro = math.MaxInt64/2 + 1
		return v
	}
	newModel := huge(35 * time.Second)
	newModel.Series.Model = "never stored"
	errs := make(chan error, 3)
	write := func(observations ...aggregator.Observation) {
		errs <- s.Write(context.Background(), batchOf(o, observations...))
	}
	go write(observation(0, time.Second))
	<-begun
	go write(huge(0), huge(20*time.Second), newModel)
	go write(observation(40*time.Second, time.Second), observation(41*time.Second, time.Second))
	require.Eventually(t, func() bool { return waitingBatches(s) == 2 }, time.Minute, time.Millisecond)
	close(proceed)
	for range 3 {
		require.NoError(t, <-errs)
	}
	require.NoError(t, s.Close())
	require.EqualValues(t, 2, one[int64](t, o.Path, "SELECT spans FROM ledger WHERE reason = 'overflow'"))
	require.EqualValues(t, 4, one[int64](t, o.Path, "SELECT requests_total FROM timeseries WHERE width_s = 60"))
	require.EqualValues(t, 4, one[int64](t, o.Path, "SELECT sum(requests_total) FROM timeseries WHERE width_s = 1"))
	require.EqualValues(t, 1, one[int64](t, o.Path, "SELECT count(*) FROM series"), "a rejected span leaves no series behind")
}

// TestGroupsAreBounded: what one commit takes is bounded by its rows.
func TestGroupsAreBounded(t *testing.T) {
	o := testOptions(t)
	var observations []aggregator.Observation
	for i := range 1 << 14 {
		observations = append(observations, observation(time.Duration(i)*10*time.Second, time.Second))
	}
	batch := batchOf(o, observations...)
	require.True(t, batch.Delta.Oversized())
	q := newQueue()
	for range 5 {
		q.batches = append(q.batches, &waiting{Batch: batch})
	}
	group := q.take()
	require.Len(t, group, 2) // three cells a span: 48 Ki cells a batch
	require.Len(t, q.batches, 3)
}
