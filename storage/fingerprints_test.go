package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// dedupOptions remember spans for ten minutes.
func dedupOptions(t *testing.T) Options {
	o := testOptions(t)
	o.DedupWindow, o.DedupMaxSpans = 10*time.Minute, 1_000_000
	return o
}

// spanOf returns the nth of many spans that all differ.
func spanOf(n int) aggregator.Request {
	r := request(0, time.Duration(n%600)*time.Second)
	r.TraceID, r.SpanID = [16]byte{3}, [8]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	return r
}

// delivery is a batch of spans by number; the fingerprint of span n is n+1.
func delivery(o Options, numbers ...int) Batch {
	requests := make([]aggregator.Request, len(numbers))
	fingerprints := make([]uint64, len(numbers))
	for i, n := range numbers {
		requests[i], fingerprints[i] = spanOf(n), uint64(n)+1
	}
	b := requestBatch(o, requests...)
	b.Fingerprints = fingerprints
	return b
}

func numbers(from, to int) []int {
	all := make([]int, 0, to-from)
	for n := from; n < to; n++ {
		all = append(all, n)
	}
	return all
}

// ledgerOf returns the ledger of a file.
func ledgerOf(t *testing.T, path string) map[string]int64 {
	t.Helper()
	r, err := OpenReader(t.Context(), path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	ledger := map[string]int64{}
	require.NoError(t, eachRow(t.Context(), r, "SELECT reason, spans FROM ledger", func(rows *sql.Rows) error {
		var reason string
		var spans int64
		err := rows.Scan(&reason, &spans)
		ledger[reason] = spans
		return err
	}))
	return ledger
}

const (
	spansInBuckets  = "SELECT coalesce(sum(requests_total), 0) FROM timeseries WHERE width_s = 60"
	spansInSeries   = "SELECT coalesce(sum(requests), 0) FROM latency WHERE width_s = 60"
	spansInRequests = "SELECT count(*) FROM requests"
)

// requireCounted holds that the file counts so many spans, everywhere.
func requireCounted(t *testing.T, path string, spans, duplicates int) {
	t.Helper()
	for _, query := range []string{spansInBuckets, spansInSeries, spansInRequests} {
		require.EqualValues(t, spans, one[int64](t, path, query), query)
	}
	want := map[string]int64{"received": int64(spans + duplicates), "folded": int64(spans)}
	if duplicates > 0 {
		want["duplicate"] = int64(duplicates)
	}
	require.Equal(t, want, ledgerOf(t, path))
}

func TestASpanCountsOnce(t *testing.T) {
	for _, test := range []struct {
		name       string
		deliveries [][]int
		spans      int
	}{
		{"nothing twice", [][]int{{1, 2}, {3}}, 3},
		{"a batch again", [][]int{{1, 2, 3}, {1, 2, 3}}, 3},
		{"a batch shuffled", [][]int{{1, 2, 3}, {3, 1, 2}}, 3},
		{"a batch split", [][]int{{1, 2, 3}, {1}, {2, 3}}, 3},
		{"batches merged with news", [][]int{{1, 2}, {3}, {0, 1, 3, 2, 4}}, 5},
		{"twice in a batch", [][]int{{1, 2, 1, 1}}, 2},
		{"twice in a batch that has a duplicate besides", [][]int{{1}, {2, 1, 2, 3}}, 3},
		{"many times", [][]int{{1}, {1}, {1}, {1, 1}}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := dedupOptions(t)
			s := openStore(t, o)
			received := 0
			for _, d := range test.deliveries {
				require.NoError(t, s.Write(t.Context(), delivery(o, d...)))
				received += len(d)
			}
			requireCounted(t, o.Path, test.spans, received-test.spans)
		})
	}
}

// TestASpanCountsTwiceWithoutTheWindow is the control.
func TestASpanCountsTwiceWithoutTheWindow(t *testing.T) {
	for name, off := range map[string]func(*Options){
		"window":    func(o *Options) { o.DedupWindow = 0 },
		"max_spans": func(o *Options) { o.DedupMaxSpans = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			o := dedupOptions(t)
			off(&o)
			s := openStore(t, o)
			for range 2 {
				require.NoError(t, s.Write(t.Context(), delivery(o, 1, 2, 3)))
			}
			require.EqualValues(t, 6, one[int64](t, o.Path, spansInBuckets))
			require.EqualValues(t, 0, one[int64](t, o.Path, "SELECT spans FROM deduplication"))
		})
	}
}

// TestSpansWithoutFingerprintAlwaysCount.
func TestSpansWithoutFingerprintAlwaysCount(t *testing.T) {
	o := dedupOptions(t)
	s := openStore(t, o)
	for range 3 {
		b := delivery(o, 1, 2)
		b.Fingerprints[0] = 0
		require.NoError(t, s.Write(t.Context(), b))
	}
	require.EqualValues(t, 4, one[int64](t, o.Path, spansInBuckets))
	require.Equal(t, map[string]int64{"received": 6, "folded": 4, "duplicate": 2}, ledgerOf(t, o.Path))
}

// TestRejectedSpansAreDuplicatesToo: the ledger counts each once.
func TestRejectedSpansAreDuplicatesToo(t *testing.T) {
	o := dedupOptions(t)
	s := openStore(t, o)
	for range 3 {
		bad := spanOf(2)
		bad.Rejected = aggregator.RejectedOverflow
		b := requestBatch(o, spanOf(1), bad)
		b.Fingerprints = []uint64{2, 3}
		require.NoError(t, s.Write(t.Context(), b))
	}
	require.Equal(t, map[string]int64{"received": 6, "folded": 1, "overflow": 1, "duplicate": 4}, ledgerOf(t, o.Path))
}

// TestDeliveriesInOneCommit: the group has the same spans in several batches.
func TestDeliveriesInOneCommit(t *testing.T) {
	o := dedupOptions(t)
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
	const callers = 6
	errs := make(chan error, callers+1)
	write := func(numbers ...int) { errs <- s.Write(context.Background(), delivery(o, numbers...)) }
	go write(100)
	<-begun
	for i := range callers {
		go write(i, i+1, 100)
	}
	require.Eventually(t, func() bool { return waitingBatches(s) == callers }, time.Minute, time.Millisecond)
	close(proceed)
	for range callers + 1 {
		require.NoError(t, <-errs)
	}
	require.NoError(t, s.Close())
	requireCounted(t, o.Path, callers+2, 1+3*callers-(callers+2))
}

// TestTheWindowIsReadBack by another store on the file, whatever the sizes of
// the batches: rows are full, and grow.
func TestTheWindowIsReadBack(t *testing.T) {
	o := dedupOptions(t)
	r := seedtest.Rand(t)
	const spans = 5_000
	for n := 0; n < spans; {
		s := openStore(t, o)
		for range 3 {
			to := min(spans, n+1+r.IntN(1<<r.IntN(12)))
			require.NoError(t, s.Write(t.Context(), delivery(o, numbers(n, to)...)))
			n = to
		}
		require.NoError(t, s.Close())
	}
	s := openStore(t, o)
	require.NoError(t, s.Write(t.Context(), delivery(o, numbers(0, spans)...)))
	requireCounted(t, o.Path, spans, spans)
	require.EqualValues(t, (spans+fingerprintsPerRow-1)/fingerprintsPerRow, one[int64](t, o.Path, "SELECT count(*) FROM fingerprint"))
	require.EqualValues(t, spans, one[int64](t, o.Path, "SELECT spans FROM deduplication"))
}

// TestTheWindowIsBoundedByCount: the spans that came first are forgotten first,
// and the row limit holds after every commit.
func TestTheWindowIsBoundedByCount(t *testing.T) {
	o := dedupOptions(t)
	o.DedupMaxSpans = 3 * fingerprintsPerRow
	s := openStore(t, o)
	const batch = fingerprintsPerRow
	for i := range 10 {
		require.NoError(t, s.Write(t.Context(), delivery(o, numbers(i*batch, (i+1)*batch)...)))
		require.LessOrEqual(t, one[int64](t, o.Path, "SELECT spans FROM deduplication"), int64(o.DedupMaxSpans))
		require.LessOrEqual(t, s.writer.fingerprints.window.Len(), o.DedupMaxSpans)
	}
	require.NoError(t, s.Write(t.Context(), delivery(o, numbers(8*batch, 10*batch)...)))
	require.Equal(t, int64(2*batch), ledgerOf(t, o.Path)["duplicate"], "the last ones are known")
	require.NoError(t, s.Write(t.Context(), delivery(o, 0, 1, 2)))
	require.Equal(t, int64(2*batch), ledgerOf(t, o.Path)["duplicate"], "the first ones are not")

	// A batch that is larger than the window.
	require.NoError(t, s.Write(t.Context(), delivery(o, numbers(20*batch, 25*batch)...)))
	require.LessOrEqual(t, one[int64](t, o.Path, "SELECT spans FROM deduplication"), int64(o.DedupMaxSpans))
	require.NoError(t, s.Write(t.Context(), delivery(o, numbers(24*batch, 25*batch)...)))
	require.Equal(t, int64(3*batch), ledgerOf(t, o.Path)["duplicate"])
}

// TestTheWindowBecomesSmaller with the configuration, and when many rows of few
// spans are followed by many spans.
func TestTheWindowBecomesSmaller(t *testing.T) {
	o := dedupOptions(t)
	o.DedupWindow = 24 * time.Hour
	now := anInstant
	o.Now = func() time.Time { return now }
	s := openStore(t, o)
	for n := range 300 {
		now = now.Add(time.Minute)
		require.NoError(t, s.Write(t.Context(), delivery(o, n)))
	}
	require.EqualValues(t, 300, one[int64](t, o.Path, "SELECT count(*) FROM fingerprint"))
	require.NoError(t, s.Close())
	remembered := func() int64 { return one[int64](t, o.Path, "SELECT spans FROM deduplication") }
	o.DedupMaxSpans = 200
	s = openStore(t, o)
	require.EqualValues(t, 200, remembered())
	require.NoError(t, s.Write(t.Context(), delivery(o, numbers(1000, 1199)...)))
	require.LessOrEqual(t, remembered(), int64(200))
	require.NoError(t, s.Write(t.Context(), delivery(o, numbers(1000, 1200)...)))
	require.EqualValues(t, 199, ledgerOf(t, o.Path)["duplicate"])
}

// TestTheWindowIsBoundedByAge of arrival; event time plays no part.
func TestTheWindowIsBoundedByAge(t *testing.T) {
	o := dedupOptions(t)
	now := anInstant
	o.Now = func() time.Time { return now }
	s := openStore(t, o)
	write := func(after time.Duration, numbers ...int) (duplicates int64) {
		now = anInstant.Add(after)
		before := ledgerOf(t, o.Path)["duplicate"]
		require.NoError(t, s.Write(t.Context(), delivery(o, numbers...)))
		return ledgerOf(t, o.Path)["duplicate"] - before
	}
	write(0, 1)
	write(2*time.Minute, 2)
	require.EqualValues(t, 2, write(10*time.Minute, 1, 2), "both are within the window")
	require.EqualValues(t, 2, write(10*time.Minute+time.Second, 1, 2), "a commit forgets for the next one")
	require.EqualValues(t, 1, write(11*time.Minute, 1, 2), "the first is old")

	// A clock that is set back forgets nothing, and order stays.
	require.EqualValues(t, 0, write(-time.Hour, 3))
	require.EqualValues(t, 2, write(11*time.Minute, 2, 3))
	require.EqualValues(t, 0, one[int64](t, o.Path, `SELECT count(*) FROM fingerprint AS a JOIN fingerprint AS b ON b.id > a.id
		WHERE b.first_arrival_s < a.last_arrival_s`))
	require.EqualValues(t, 0, write(24*time.Hour, 4), "everything is old")
	require.EqualValues(t, 0, write(24*time.Hour, 1, 2, 3))
}

// TestAFailedTransactionForgetsItsSpans: the next attempt is the first
// delivery.
func TestAFailedTransactionForgetsItsSpans(t *testing.T) {
	o := dedupOptions(t)
	s := openStore(t, o)
	require.NoError(t, s.Write(t.Context(), delivery(o, 1)))
	for name, trigger := range map[string]string{
		"a value is refused": "CREATE TRIGGER refuse BEFORE INSERT ON ledger BEGIN SELECT RAISE(ABORT, 'refused'); END",
		"nobody knows why":   "CREATE TRIGGER refuse BEFORE INSERT ON ledger BEGIN SELECT json_extract('{', '$'); END",
	} {
		t.Run(name, func(t *testing.T) {
			ledger, spans := ledgerOf(t, o.Path), one[int64](t, o.Path, spansInBuckets)
			execute(t, o.Path, trigger)
			n := int(spans) * 10
			require.Error(t, s.Write(t.Context(), delivery(o, n, n+1)))
			require.Error(t, s.Write(t.Context(), delivery(o, n+1, 1)))
			execute(t, o.Path, "DROP TRIGGER refuse")
			require.NoError(t, s.Write(t.Context(), delivery(o, n, n+1, 1)))
			require.EqualValues(t, spans+2, one[int64](t, o.Path, spansInBuckets))
			require.Equal(t, ledger["duplicate"]+1, ledgerOf(t, o.Path)["duplicate"])
		})
	}
}

// execute runs a statement on a connection of its own.
func execute(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", writerDSN(path, SynchronousFull))
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), statement)
	require.NoError(t, errors.Join(err, db.Close()))
}

// TestRemovedFingerprintsAreForgotten: the memory of the writer follows the
// file.
func TestRemovedFingerprintsAreForgotten(t *testing.T) {
	o := dedupOptions(t)
	s := openStore(t, o)
	require.NoError(t, s.Write(t.Context(), delivery(o, 1)))
	execute(t, o.Path, "DELETE FROM fingerprint")
	require.NoError(t, s.Write(t.Context(), delivery(o, 1)))
	require.EqualValues(t, 2, one[int64](t, o.Path, spansInBuckets))
}

func TestSecretOfTheFingerprints(t *testing.T) {
	o := dedupOptions(t)
	s := openStore(t, o)
	random := s.Basis().Key
	require.NotZero(t, random)
	require.NoError(t, s.Close())

	o.DedupSecret = "of the fleet, and long"
	s = openStore(t, o)
	fleet := s.Basis().Key
	require.NotEqual(t, random, fleet, "a file without fingerprints takes a new secret")
	require.NoError(t, s.Write(t.Context(), delivery(o, 1)))
	require.NoError(t, s.Close())

	o.DedupSecret = ""
	s = openStore(t, o)
	require.Equal(t, fleet, s.Basis().Key, "without a secret the file keeps its own")
	require.NoError(t, s.Close())

	o.DedupSecret = "of another fleet, and long"
	_, err := Open(t.Context(), o)
	require.ErrorIs(t, err, ErrOtherSecret)
	require.ErrorContains(t, err, "dedup.secret")

	elsewhere := dedupOptions(t)
	elsewhere.DedupSecret = "of the fleet, and long"
	require.Equal(t, fleet, openStore(t, elsewhere).Basis().Key, "files of one secret can be compared")
}

// TestBytesOfFingerprints: at most 9 bytes of the file for each, whatever the
// size of the batches.
func TestBytesOfFingerprints(t *testing.T) {
	for _, batch := range []int{1, 16, 64, 512, 8192} {
		t.Run(fmt.Sprint(batch), func(t *testing.T) {
			o := dedupOptions(t)
			o.Sampling, o.DropSessions = none, true
			s := openStore(t, o)
			spans := 32 * fingerprintsPerRow
			if batch == 1 {
				spans /= 2 // each is a commit
			}
			for part := range slices.Chunk(numbers(0, spans), batch) {
				require.NoError(t, s.Write(t.Context(), delivery(o, part...)))
			}
			bytes := one[int64](t, o.Path, "SELECT sum(pgsize) FROM dbstat WHERE name = 'fingerprint'")
			perSpan := float64(bytes) / float64(spans)
			t.Logf("%d spans in batches of %d: %.2f bytes kept for each", spans, batch, perSpan)
			require.Less(t, perSpan, 9.0)
		})
	}
}

// TestReachIsWhatTheViewSays at every rate.
func TestReachIsWhatTheViewSays(t *testing.T) {
	o := dedupOptions(t)
	o.DedupMaxSpans = 10_000
	now := anInstant
	o.Now = func() time.Time { return now }
	var reach time.Duration
	o.OnCommit = func(c Commit) { reach = c.Reach }
	s := openStore(t, o)
	n := 0
	for _, rate := range []int{1, 10, 1_000, 3_000, 10} { // spans a minute
		for range 3 {
			now = now.Add(time.Minute)
			require.NoError(t, s.Write(t.Context(), delivery(o, numbers(n, n+rate)...)))
			n += rate
			require.EqualValues(t, reach/time.Second, one[int64](t, o.Path, "SELECT reach_s FROM deduplication"))
		}
		want := min(10*time.Minute, time.Duration(o.DedupMaxSpans-fingerprintsPerRow)*time.Minute/time.Duration(rate))
		require.InDelta(t, want.Seconds(), reach.Seconds(), 1, "%d spans a minute", rate)
	}
}
