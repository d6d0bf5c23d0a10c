package storage

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
)

// TestSeriesOfLateSpansTakeNoRoom: a series whose spans are all too late for the
// widths with series, and of which nothing else is kept, is not in the file; so
// it must not count against what the file may have.
func TestSeriesOfLateSpansTakeNoRoom(t *testing.T) {
	now := anInstant.Add(48 * time.Hour)
	o := prunedOptions(t, &now)
	o.Widths[2].Detail = DetailHeadline
	o.Limits.MaxSeries = 3
	o.Sampling = &sampling.Policy{}
	var live int
	o.OnCommit = func(c Commit) { live = c.LiveSeries }
	s := openStore(t, o)
	writeAt(t, s, o, 0, 48*time.Hour)
	require.NoError(t, s.Prune(t.Context()))
	for i := range 10 {
		late := observation(time.Hour, 0)
		late.Series.Model = fmt.Sprint("late-", i)
		require.NoError(t, s.Write(t.Context(), batchOf(o, late)))
		require.Equal(t, 1, live)
	}
	fresh := observation(48*time.Hour, 0)
	fresh.Series.Model = "fresh"
	require.NoError(t, s.Write(t.Context(), batchOf(o, fresh)))
	require.Equal(t, []string{"fresh", "m"}, texts(t, o.Path, "SELECT model FROM series ORDER BY model"))
	require.NoError(t, s.Close())
	require.Len(t, s.writer.newest, 2, "nothing is remembered of the others")
	verifyFile(t, o.Path)
}

// TestSeriesLeaveBesideRequestsOfAPinnedRun: that these stay for ever keeps
// neither series nor runs nor profiles of others, whatever bounds the requests.
func TestSeriesLeaveBesideRequestsOfAPinnedRun(t *testing.T) {
	now := anInstant
	o := prunedOptions(t, &now)
	o.RunID, o.RunPinned, o.RequestMaxRows = "pinned", true, 20
	s := openStore(t, o)
	day := func(n int, run, model string) {
		span := request(0, time.Duration(n)*24*time.Hour)
		binary.BigEndian.PutUint32(span.SpanID[:], uint32(n))
		span.Series.Run, span.Series.Model, span.SpanName = run, model, "chat "+model
		if at := time.Unix(0, span.EndUnixNano); at.After(now) {
			now = at
		}
		require.NoError(t, s.Write(t.Context(), requestBatch(o, span)))
	}
	for n := range 5 {
		day(n, "pinned", "m")
	}
	const days = 50
	for n := 5; n < days; n++ {
		day(n, "", fmt.Sprint("m-", n))
		require.NoError(t, s.Prune(t.Context()))
	}
	require.EqualValues(t, 20, one[int64](t, o.Path, "SELECT count(*) FROM request"))
	stay := fmt.Sprint("m-", days-15) // with the oldest request that is left
	require.Equal(t, []string{"m", stay}, texts(t, o.Path, "SELECT min(model) FROM series UNION ALL SELECT min(model) FROM series WHERE model <> 'm'"))
	require.EqualValues(t, 16, one[int64](t, o.Path, "SELECT count(*) FROM series"))
	require.NoError(t, s.Close())
	require.Len(t, s.writer.newest, 16)
	// Profiles are looked at now and then.
	s = openStore(t, o)
	require.NoError(t, s.Prune(t.Context()))
	require.EqualValues(t, 16, one[int64](t, o.Path, "SELECT count(*) FROM request_profile"))
	verifyFile(t, o.Path)
}

// TestRoundEndsWhileAReaderHoldsTheLog: while a snapshot is held, what leaves
// makes the log longer and the file no smaller; once it is released all leaves.
func TestRoundEndsWhileAReaderHoldsTheLog(t *testing.T) {
	now := anInstant.Add(3 * time.Hour)
	o := prunedOptions(t, &now)
	o.Limits.MaxSeries = 1000
	s := openStore(t, o)
	manyBuckets(t, s, o, 0, 2*3600, 50)
	require.NoError(t, s.Close())
	release := snapshot(t, o.Path)
	s = openStore(t, o)
	const alarm = 1 << 20
	limitLog(t, s, alarm/4, alarm)
	for range 3 {
		require.ErrorIs(t, s.Prune(t.Context()), errLogPinned)
	}
	require.Less(t, sizeOf(o.Path+"-wal"), int64(8*alarm), "hardly more than what was done until it was noticed")
	require.NoError(t, s.Write(t.Context(), batchOf(o, observation(2*time.Hour, 0))), "callers go on")
	release()
	require.Eventually(t, func() bool { return s.Prune(t.Context()) == nil }, 10*time.Second, 50*time.Millisecond)
	require.Zero(t, one[int64](t, o.Path, fmt.Sprint("SELECT count(*) FROM series_bucket WHERE width_s = 10 AND bucket_start < ",
		anInstant.Add(time.Hour-10*time.Second).Unix())))
	require.Less(t, sizeOf(o.Path+"-wal"), int64(8*alarm))
	verifyFile(t, o.Path)
}
