package storage

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// largeBatch is one whose commit writes about a mebibyte.
func largeBatch(o Options, n int) Batch {
	requests := make([]aggregator.Request, 400)
	for i := range requests {
		r := request(1, time.Duration(n*len(requests)+i)*time.Second)
		r.TraceID, r.SpanID = [16]byte{1, byte(n), byte(i >> 8), byte(i)}, [8]byte{2, byte(n), byte(i >> 8), byte(i)}
		r.SpanName = strings.Repeat("x", 100)
		requests[i] = r
	}
	return requestBatch(o, requests...)
}

// grow writes until the log has more than the given bytes, while a reader holds a
// snapshot.
func grow(t *testing.T, s *Store, o Options, bytes int64) (spans int64) {
	t.Helper()
	for n := 0; ; n++ {
		require.NoError(t, s.Write(t.Context(), largeBatch(o, n)))
		spans += 400
		if _, wal := s.Sizes(); wal > bytes {
			return spans
		}
		require.Less(t, n, 250)
	}
}

// snapshot holds a reader's transaction open until release is called.
func snapshot(t *testing.T, path string) (release func()) {
	t.Helper()
	r, err := OpenReader(t.Context(), path)
	require.NoError(t, err)
	tx, err := r.BeginTx(context.Background(), &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	var n int
	require.NoError(t, tx.QueryRow("SELECT count(*) FROM requests").Scan(&n))
	return func() {
		require.NoError(t, tx.Rollback())
		require.NoError(t, r.Close())
	}
}

// limitLog makes the limits of a store's log small, to spare the disk.
func limitLog(t *testing.T, s *Store, idle, alarm int64) {
	t.Helper()
	require.NoError(t, s.do(t.Context(), func(context.Context, *writer) error {
		s.file.log.idleMax, s.file.log.alarm = idle, alarm
		return nil
	}))
}

// TestReaderThatHoldsASnapshotCostsDiskOnly: data goes on, there is one alarm,
// and soon after the reader is done the log is small again.
func TestReaderThatHoldsASnapshotCostsDiskOnly(t *testing.T) {
	o, log := loggedOptions(t)
	s := openStore(t, o)
	limitLog(t, s, walIdleBytes, walAlarmBytes/4)
	release := snapshot(t, o.Path)
	spans := grow(t, s, o, walAlarmBytes/4)
	require.Eventually(t, func() bool { return len(log.of(EventWALPinned)) == 1 }, 5*time.Second, 10*time.Millisecond)
	require.NoError(t, s.Write(t.Context(), largeBatch(o, 251)))
	require.NoError(t, s.Write(t.Context(), largeBatch(o, 252)))
	spans += 800
	release()
	released := time.Now()
	require.Eventually(t, func() bool {
		_, wal := s.Sizes()
		return wal <= walIdleBytes
	}, 5*time.Second, 10*time.Millisecond)
	t.Logf("small again after %s", time.Since(released))
	require.Eventually(t, func() bool { return len(log.of(EventWALReleased)) == 1 }, 5*time.Second, 10*time.Millisecond)
	require.Len(t, log.of(EventWALPinned), 1)
	require.Greater(t, log.of(EventWALPinned)[0].Bytes, int64(walAlarmBytes/4))
	require.NoError(t, s.Close())
	require.Equal(t, spans, one[int64](t, o.Path, "SELECT count(*) FROM requests"))
}

// TestWithoutTheWatchTheLogStaysLarge is the control.
func TestWithoutTheWatchTheLogStaysLarge(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	limitLog(t, s, 1<<60, 1<<60)
	release := snapshot(t, o.Path)
	grow(t, s, o, walIdleBytes)
	release()
	require.NoError(t, s.Write(t.Context(), largeBatch(o, 252)))
	time.Sleep(2 * walInterval) // nothing to wait for: silence is the point
	_, wal := s.Sizes()
	require.Greater(t, wal, int64(walIdleBytes))
}

// TestLogIsEmptiedUnderLoad: a writer that is never idle empties a log for which
// there was an alarm.
func TestLogIsEmptiedUnderLoad(t *testing.T) {
	o, log := loggedOptions(t)
	s := openStore(t, o)
	limitLog(t, s, 1<<20, 4<<20)
	release := snapshot(t, o.Path)
	grow(t, s, o, 4<<20)
	write(t, s, o, 1)
	require.Eventually(t, func() bool { return len(log.of(EventWALPinned)) == 1 }, 5*time.Second, 10*time.Millisecond)
	release()
	began := time.Now()
	for len(log.of(EventWALReleased)) == 0 {
		write(t, s, o, 1)
		require.Less(t, time.Since(began), 5*time.Second)
	}
}

// TestCallersDoNotWaitForReaders: emptying a log that a reader reads takes less
// than the wait for a lock.
func TestCallersDoNotWaitForReaders(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	write(t, s, o, 1)
	db, err := sql.Open("sqlite", writerDSN(o.Path, SynchronousFull))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	_, err = conn.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)")
	require.NoError(t, err)
	write(t, s, o, 2)
	// It is at the end of the log: a passive checkpoint completes, a truncating
	// one cannot.
	defer snapshot(t, o.Path)()
	w := newWALWatch(o.Path+"-wal", func(Event) {})
	began := time.Now()
	require.NoError(t, w.empty(t.Context(), conn))
	took := time.Since(began)
	t.Log(took)
	require.Less(t, took, 250*time.Millisecond)
	require.Greater(t, took, 50*time.Millisecond, "it tried to")
	var timeout int
	require.NoError(t, conn.QueryRowContext(t.Context(), "PRAGMA busy_timeout").Scan(&timeout))
	require.Equal(t, 250, timeout)
	require.NoError(t, conn.Close())
}
