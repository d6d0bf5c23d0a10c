package storage

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// TestDamagedRowsAreNoPoison: damage of a row of the file is not the fault of the batch that meets it.
func TestDamagedRowsAreNoPoison(t *testing.T) {
	for name, damage := range map[string]string{
		"histogram is no JSON":         "UPDATE series_histogram SET duration = replace(duration, ':', ';')",
		"histogram contradicts figure": "UPDATE series_bucket SET latency_count = latency_count + 1",
		"histogram row is gone":        "DELETE FROM series_histogram",
		"headline histogram is gone":   "DELETE FROM headline_histogram",
		"ledger row is negative":       "UPDATE ledger SET spans = -5 WHERE reason = 'folded'",
		"meta version is no number":    "UPDATE meta SET value = 'x' WHERE key = 'version'",
	} {
		t.Run(name, func(t *testing.T) {
			o := dedupOptions(t)
			s := openStore(t, o)
			require.NoError(t, s.Write(t.Context(), delivery(o, 1)))
			execute(t, o.Path, "PRAGMA ignore_check_constraints = 1; "+damage)
			// The same bucket and series as span 1.
			err := s.Write(t.Context(), delivery(o, 601))
			require.Error(t, err)
			require.Contains(t, []Failure{FailureFile, FailureCorrupt}, FailureOf(err), "%v", err)
		})
	}
}

// TestClockSetBackIsNoDamage: a clock that is set back between two attempts is no damage.
func TestClockSetBackIsNoDamage(t *testing.T) {
	o := dedupOptions(t)
	now := anInstant
	o.Now = func() time.Time { return now }
	s := openStore(t, o)
	require.NoError(t, s.WriteLetters(t.Context(), []*Letter{letterOf(5)}))
	_, err := s.CountAttempt(t.Context(), 7)
	require.NoError(t, err)
	now = now.Add(-time.Second)
	execute(t, o.Path, "UPDATE dead_letter SET due = 1")
	letter, found, err := s.NextDueLetter(t.Context(), 0)
	require.NoError(t, err)
	require.True(t, found)
	require.NoError(t, s.FailedAgain(t.Context(), &letter, FailurePoison, "still"))
	_, err = s.CountAttempt(t.Context(), 7)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.Empty(t, problemsOf(t, o.Path))
}

// TestCallersLeaveWhileOthersAreTried: a caller whose context ends leaves within 100 ms also while the others
// of its group are tried one by one.
func TestCallersLeaveWhileOthersAreTried(t *testing.T) {
	o := dedupOptions(t)
	begun, proceed := make(chan struct{}), make(chan struct{})
	first := true
	o.OnCommit = func(Commit) {
		if first {
			first = false
			close(begun)
			<-proceed
			return
		}
		time.Sleep(100 * time.Millisecond) // a slow disk
	}
	s := openStore(t, o)
	go func() { _ = s.Write(context.Background(), delivery(o, 0)) }()
	<-begun
	bad := delivery(o, 500)
	bad.Requests = reading(func(func(*aggregator.Request) bool) { panic("poison") })
	go func() { _ = s.Write(context.Background(), bad) }()
	const others = 20
	for i := range others {
		go func() { _ = s.Write(context.Background(), delivery(o, i+1)) }()
	}
	require.Eventually(t, func() bool { return waitingBatches(s) == others+1 }, time.Minute, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	late := make(chan time.Duration, 1)
	go func() {
		_ = s.Write(ctx, delivery(o, 100)) // in time or not
		deadline, _ := ctx.Deadline()
		late <- time.Since(deadline)
	}()
	require.Eventually(t, func() bool { return waitingBatches(s) == others+2 }, time.Minute, time.Millisecond)
	close(proceed)
	require.Less(t, <-late, 100*time.Millisecond)
}

// TestAttemptsReachTheirEnd: the number of letters that are kept does not decide whether a batch is
// ever given up.
func TestAttemptsReachTheirEnd(t *testing.T) {
	o := dedupOptions(t)
	o.MaxLetters = 1 // dead_letters::max_rows admits it
	now := anInstant
	o.Now = func() time.Time { now = now.Add(time.Second); return now }
	s := openStore(t, o)
	highest := int64(0)
	for range 10 {
		for key := range int64(2) {
			n, err := s.CountAttempt(t.Context(), key+1)
			require.NoError(t, err)
			highest = max(highest, n)
		}
	}
	require.GreaterOrEqual(t, highest, int64(5), "of 10 attempts")
}

// TestTheWindowHoldsWhatItsReachSays: the window holds what its reach says: at the least configurable size,
// spans of the last moments are known again.
func TestTheWindowHoldsWhatItsReachSays(t *testing.T) {
	o := dedupOptions(t)
	o.DedupMaxSpans = 1_000 // minDedupSpans of the configuration
	var reach time.Duration
	now := anInstant
	o.Now = func() time.Time { return now }
	o.OnCommit = func(c Commit) { reach = c.Reach }
	s := openStore(t, o)
	least := o.DedupMaxSpans
	for n := 0; n < 6_000; n += 10 { // 10 spans a second
		now = now.Add(time.Second)
		require.NoError(t, s.Write(t.Context(), delivery(o, numbers(n, n+10)...)))
		if n > 2_000 {
			least = min(least, s.writer.fingerprints.window.Len())
		}
	}
	require.GreaterOrEqual(t, least, int(reach.Seconds())*10, "of %v", reach)
}

// TestOverflowSeriesAreNoDamage: verify does not ask them for the faults that
// they have lost.
func TestOverflowSeriesAreNoDamage(t *testing.T) {
	for _, purge := range []bool{false, true} {
		t.Run(fmt.Sprint("purge ", purge), func(t *testing.T) {
			o := dedupOptions(t)
			o.Limits.MaxSeries, o.Limits.MaxRuns = 4, 100
			s := openStore(t, o)
			n := 0
			write := func(run string, ops int) {
				for i := range ops {
					n++
					b := spanOf(n)
					b.Series.Run, b.Series.Operation = run, fmt.Sprint("op", i)
					batch := requestBatch(o, b)
					batch.Fingerprints = []uint64{uint64(n) + 1}
					require.NoError(t, s.Write(t.Context(), batch))
				}
			}
			write("a", 3)
			write("b", 3) // two of them overflow
			if purge {
				_, err := PurgeRun(t.Context(), o.Path, "a", false)
				require.NoError(t, err)
				write("b", 3)
			}
			require.NoError(t, s.Close())
			require.Empty(t, problemsOf(t, o.Path))
		})
	}
}
