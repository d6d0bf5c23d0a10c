package storage

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// letterOf is a dead letter of spans by number, like delivery. Its payload
// names those that it holds.
func letterOf(numbers ...int) *Letter {
	return &Letter{
		Failure: FailurePoison, Error: "why", Attempts: 1, Spans: len(numbers),
		Fingerprints: func(Basis) []uint64 {
			all := make([]uint64, len(numbers))
			for i, n := range numbers {
				all[i] = uint64(n) + 1
			}
			return all
		},
		Payload: func(without func(int) bool) []byte {
			var held []int
			for i, n := range numbers {
				if !without(i) {
					held = append(held, n)
				}
			}
			return fmt.Append(nil, held)
		},
	}
}

func TestLetterOfSpansThatAreKnown(t *testing.T) {
	o := dedupOptions(t)
	s := openStore(t, o)
	require.NoError(t, s.Write(t.Context(), delivery(o, 1, 2)))
	require.NoError(t, s.WriteLetters(t.Context(), []*Letter{letterOf(2, 3, 4)}))
	require.Equal(t, map[string]int64{"received": 5, "folded": 2, "duplicate": 1, "dead_letter": 2}, ledgerOf(t, o.Path))
	require.Equal(t, "[3 4]", string(one[[]byte](t, o.Path, "SELECT payload FROM dead_letters")))
	require.EqualValues(t, 2, one[int64](t, o.Path, "SELECT spans FROM dead_letters"))
	require.Equal(t, "poison: why", one[string](t, o.Path, "SELECT reason || ': ' || error FROM dead_letters"))

	require.NoError(t, s.WriteLetters(t.Context(), []*Letter{letterOf(4, 3)}), "a second delivery")
	require.NoError(t, s.Write(t.Context(), delivery(o, 3, 5)), "by a program that can fold them")
	require.Equal(t, map[string]int64{"received": 9, "folded": 3, "duplicate": 4, "dead_letter": 2}, ledgerOf(t, o.Path))
	require.EqualValues(t, 1, one[int64](t, o.Path, "SELECT count(*) FROM dead_letters"))
}

// TestLettersAreBounded: the oldest go, and are counted.
func TestLettersAreBounded(t *testing.T) {
	o := dedupOptions(t)
	o.MaxLetters = 3
	s := openStore(t, o)
	for i := range 7 {
		require.NoError(t, s.WriteLetters(t.Context(), []*Letter{letterOf(2*i, 2*i+1)}))
	}
	require.Equal(t, "[8 9]", string(one[[]byte](t, o.Path, "SELECT payload FROM dead_letters ORDER BY id LIMIT 1")))
	require.EqualValues(t, 3, one[int64](t, o.Path, "SELECT count(*) FROM dead_letters"))
	require.EqualValues(t, 8, one[int64](t, o.Path, "SELECT spans FROM notes WHERE reason = 'dead_letter_purged'"))
	require.EqualValues(t, 14, ledgerOf(t, o.Path)["dead_letter"])
}

func TestErrorsOfLettersAreShort(t *testing.T) {
	o := dedupOptions(t)
	s := openStore(t, o)
	l := letterOf(1)
	for range 100 {
		l.Error += "\x00\xff öö, sixteen bytes"
	}
	require.NoError(t, s.WriteLetters(t.Context(), []*Letter{l}))
	require.LessOrEqual(t, one[int64](t, o.Path, "SELECT length(CAST(error AS BLOB)) FROM dead_letters"), int64(maxErrorBytes))
}

// TestLetterIsTriedAgain: its spans change their row of the ledger, once.
func TestLetterIsTriedAgain(t *testing.T) {
	o := dedupOptions(t)
	due := make(chan struct{}, 100)
	o.OnLettersDue = func() { due <- struct{}{} }
	s := openStore(t, o)
	require.NoError(t, s.WriteLetters(t.Context(), []*Letter{letterOf(1, 2)}))
	_, found, err := s.NextDueLetter(t.Context(), 0)
	require.NoError(t, err)
	require.False(t, found)

	execute(t, o.Path, "UPDATE dead_letter SET due = 1")
	<-due // although nothing is written
	letter, found, err := s.NextDueLetter(t.Context(), 0)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "[1 2]", string(letter.Payload))

	require.NoError(t, s.FailedAgain(t.Context(), &letter, FailurePoison, "still"))
	require.Equal(t, "2 still 0", one[string](t, o.Path, "SELECT attempts || ' ' || error || ' ' || due FROM dead_letters"))
	require.NoError(t, s.WriteAgain(t.Context(), &letter, delivery(o, 1, 2)), "nobody asks for it any more")
	require.Equal(t, map[string]int64{"received": 2, "dead_letter": 2}, ledgerOf(t, o.Path))

	execute(t, o.Path, "UPDATE dead_letter SET due = 1")
	require.NoError(t, s.WriteAgain(t.Context(), &letter, delivery(o, 1, 2)))
	require.NoError(t, s.WriteAgain(t.Context(), &letter, delivery(o, 1, 2)))
	require.NoError(t, s.Write(t.Context(), delivery(o, 1, 2)))
	require.Equal(t, map[string]int64{"received": 4, "folded": 2, "duplicate": 2, "dead_letter": 0}, ledgerOf(t, o.Path))
	require.EqualValues(t, 0, one[int64](t, o.Path, "SELECT count(*) FROM dead_letters"))
	require.EqualValues(t, 2, one[int64](t, o.Path, spansInRequests))
}

// TestAttemptsAreCountedInTheFile, so that a restart does not reset them.
func TestAttemptsAreCountedInTheFile(t *testing.T) {
	o := dedupOptions(t)
	o.MaxLetters = 4
	for attempt := range int64(3) {
		s := openStore(t, o)
		n, err := s.CountAttempt(t.Context(), 7)
		require.NoError(t, err)
		require.Equal(t, attempt+1, n)
		other, err := s.CountAttempt(t.Context(), 100+attempt)
		require.NoError(t, err)
		require.EqualValues(t, 1, other)
		require.NoError(t, s.Close())
	}
	s := openStore(t, o)
	l := letterOf(1)
	l.BatchKey = 7
	require.NoError(t, s.WriteLetters(t.Context(), []*Letter{l}))
	require.EqualValues(t, 3, one[int64](t, o.Path, "SELECT count(*) FROM failed_batch"))
	execute(t, o.Path, `INSERT INTO failed_batch (batch_key, first_ns, last_ns, attempts)
		WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 10100) SELECT 1000 + i, 1, i, 1 FROM n`)
	_, err := s.CountAttempt(t.Context(), 8)
	require.NoError(t, err)
	require.EqualValues(t, maxFailedBatches, one[int64](t, o.Path, "SELECT count(*) FROM failed_batch"), "the last ones")
}

// TestABatchThatFailsDoesNotHarmItsGroup, for each reason that lies in the
// batch.
func TestABatchThatFailsDoesNotHarmItsGroup(t *testing.T) {
	for name, test := range map[string]struct {
		trigger string
		spoil   func(*Batch)
		want    Failure
	}{
		"a value is refused": {
			trigger: "CREATE TRIGGER refuse BEFORE INSERT ON request WHEN new.duration_ns = 77 BEGIN SELECT RAISE(ABORT, 'refused'); END",
			want:    FailurePoison,
		},
		"reading panics": {
			spoil: func(b *Batch) {
				all := b.Requests
				b.Requests = reading(func(yield func(*aggregator.Request) bool) {
					all(nil)(func(r *aggregator.Request) bool {
						if yield(r) {
							panic("in the middle")
						}
						return false
					})
				})
			},
			want: FailurePoison,
		},
		"nobody knows why": {
			trigger: "CREATE TRIGGER refuse BEFORE INSERT ON request WHEN new.duration_ns = 77 BEGIN SELECT json_extract('{', '$'); END",
			want:    FailureUnknown,
		},
	} {
		t.Run(name, func(t *testing.T) {
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
			if test.trigger != "" {
				execute(t, o.Path, test.trigger)
			}
			bad := func() Batch {
				r := spanOf(50)
				r.EndUnixNano = r.StartUnixNano + 77
				r.SetMeasure(aggregator.MeasureDuration, 77)
				b := requestBatch(o, spanOf(1), r)
				b.Fingerprints = []uint64{2, 51}
				if test.spoil != nil {
					test.spoil(&b)
				}
				return b
			}
			answers, failed := make(chan error, 8), make(chan error, 1)
			write := func(to chan error, b Batch) { to <- s.Write(context.Background(), b) }
			go write(answers, delivery(o, 0))
			<-begun
			go write(failed, bad())
			require.Eventually(t, func() bool { return waitingBatches(s) == 1 }, time.Minute, time.Millisecond)
			for i := range 3 {
				go write(answers, delivery(o, 1, i+2, i+3))
			}
			require.Eventually(t, func() bool { return waitingBatches(s) == 4 }, time.Minute, time.Millisecond)
			close(proceed)
			err := <-failed
			require.Error(t, err)
			require.Equal(t, test.want, FailureOf(err), "%v", err)
			for range 4 {
				require.NoError(t, <-answers)
			}
			requireCounted(t, o.Path, 6, 4)
			require.NoError(t, s.Write(t.Context(), delivery(o, 9)))
			require.NoError(t, s.Close())
		})
	}
}

// TestFailuresOfTheFile are not those of a batch: it may be sent again without
// end.
func TestFailuresOfTheFile(t *testing.T) {
	t.Run("contention", func(t *testing.T) {
		o := dedupOptions(t)
		s := openStore(t, o)
		defer holdWriteLock(t, o.Path)()
		require.Equal(t, FailureContention, FailureOf(s.Write(t.Context(), delivery(o, 1))))
	})
	t.Run("what the writer must read is not there", func(t *testing.T) {
		o := dedupOptions(t)
		s := openStore(t, o)
		require.NoError(t, s.Write(t.Context(), delivery(o, 1)))
		execute(t, o.Path, "ALTER TABLE fingerprint_key RENAME TO elsewhere")
		require.Equal(t, FailureFile, FailureOf(s.Write(t.Context(), delivery(o, 2))))
		execute(t, o.Path, "ALTER TABLE elsewhere RENAME TO fingerprint_key")
		require.NoError(t, s.Write(t.Context(), delivery(o, 1, 2)), "it heals by itself")
		requireCounted(t, o.Path, 2, 1)
	})
	t.Run("the caller gave up", func(t *testing.T) {
		o := dedupOptions(t)
		s := openStore(t, o)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.Equal(t, FailureCancelled, FailureOf(s.Write(ctx, delivery(o, 1))))
		require.NoError(t, s.Close())
		require.Equal(t, FailureCancelled, FailureOf(s.Write(t.Context(), delivery(o, 1))))
	})
	require.Equal(t, FailureFile, FailureOf(errors.New("anything")))
}

// TestCallersLeaveWhenTheirContextEnds, within 100 ms, while another process
// holds the lock.
func TestCallersLeaveWhenTheirContextEnds(t *testing.T) {
	o := dedupOptions(t)
	s := openStore(t, o)
	release := holdWriteLock(t, o.Path)
	for _, after := range []time.Duration{0, 10 * time.Millisecond, 400 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		err := s.Write(ctx, delivery(o, 1))
		deadline, _ := ctx.Deadline()
		late := time.Since(deadline)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Less(t, late, 100*time.Millisecond)
	}
	release()
	require.NoError(t, s.Write(t.Context(), delivery(o, 1)))
	requireCounted(t, o.Path, 1, 0)
}
