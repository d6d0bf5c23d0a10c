package storage

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// prunedOptions keep seconds for a minute, ten seconds for an hour and minutes
// for a day.
func prunedOptions(t *testing.T, now *time.Time) Options {
	o := testOptions(t)
	o.Widths = []Width{
		{Seconds: 1, Detail: DetailHeadline, Retention: time.Minute},
		{Seconds: 10, Retention: time.Hour},
		{Seconds: 60, Retention: 24 * time.Hour},
	}
	o.Synchronous = SynchronousNormal
	o.Now = func() time.Time { return *now }
	return o
}

// startsOf returns the starts of the buckets of a width, after anInstant.
func startsOf(t *testing.T, path string, width int64) (starts []time.Duration) {
	t.Helper()
	for _, text := range texts(t, path, fmt.Sprint(
		"SELECT DISTINCT bucket_start FROM headline_bucket WHERE requests > 0 AND width_s = ", width, " ORDER BY 1")) {
		var start int64
		_, err := fmt.Sscan(text, &start)
		require.NoError(t, err)
		starts = append(starts, time.Duration(start-anInstant.Unix())*time.Second)
	}
	return starts
}

func writeAt(t *testing.T, s *Store, o Options, after ...time.Duration) {
	t.Helper()
	for _, a := range after {
		require.NoError(t, s.Write(t.Context(), batchOf(o, observation(a, 0))))
	}
}

// TestAgeIsThatOfTheNewestData: neither a clock that is ahead nor opening an old
// file makes anything older than the newest data does, and neither a span from
// the future nor the clock alone.
func TestAgeIsThatOfTheNewestData(t *testing.T) {
	const year = 365 * 24 * time.Hour
	all := []time.Duration{0, 30 * time.Second, time.Minute, 2 * time.Minute}
	for name, test := range map[string]struct {
		clock time.Duration
		also  []time.Duration
		want  []time.Duration // that stays of all and also, by second
	}{
		"clock of the data":      {2 * time.Minute, nil, []time.Duration{time.Minute, 2 * time.Minute}},
		"clock a year ahead":     {year, nil, all[3:]},
		"clock behind":           {30 * time.Second, nil, all},
		"a span from the future": {time.Minute, []time.Duration{24 * time.Hour}, append(slices.Clone(all), 24*time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			now := anInstant.Add(test.clock)
			o := prunedOptions(t, &now)
			s := openStore(t, o)
			writeAt(t, s, o, append(slices.Clone(all), test.also...)...)
			for range 2 {
				require.NoError(t, s.Prune(t.Context()))
				require.Equal(t, test.want, startsOf(t, o.Path, 1))
				require.NoError(t, s.Close())
				s = openStore(t, o)
			}
		})
	}
}

// TestOpeningAnOldFileDeletesNothing that was not due when it was written.
func TestOpeningAnOldFileDeletesNothing(t *testing.T) {
	now := anInstant.Add(time.Minute)
	o := prunedOptions(t, &now)
	s := openStore(t, o)
	writeAt(t, s, o, 0, 10*time.Second, 59*time.Second)
	require.NoError(t, s.Close())
	now = now.Add(31 * 24 * time.Hour)
	s = openStore(t, o)
	require.NoError(t, s.Prune(t.Context()))
	require.Len(t, startsOf(t, o.Path, 1), 3)
	require.Zero(t, one[int64](t, o.Path, "SELECT count(*) FROM pruned"))
}

// TestLateSpansOfPrunedBuckets go to the widths that retain their time, and to
// the widest for as long as it takes to look; pinned runs take them in all.
func TestLateSpansOfPrunedBuckets(t *testing.T) {
	now := anInstant.Add(48 * time.Hour)
	o := prunedOptions(t, &now)
	o.RunID, o.RunPinned = "pinned", true
	s := openStore(t, o)
	writeAt(t, s, o, 0, time.Hour, 47*time.Hour, 48*time.Hour)
	require.NoError(t, s.Prune(t.Context()))
	require.Equal(t, []string{"1: 48 h less a minute", "10: 47 h", "60: 24 h"}, texts(t, o.Path, fmt.Sprintf(
		`SELECT width_s || ': ' || CASE complete_from - %d WHEN 172740 THEN '48 h less a minute' WHEN 169200 THEN '47 h'
			WHEN 86400 THEN '24 h' ELSE 'something else' END FROM pruned ORDER BY width_s`, anInstant.Unix())))
	rows := one[int64](t, o.Path, "SELECT sum(rows) FROM pruned")

	late := observation(2*time.Hour, 0)
	kept := late
	kept.Series.Run = "pinned"
	require.NoError(t, s.Write(t.Context(), batchOf(o, late, kept)))
	require.Equal(t, []string{"1 pinned", "10 pinned", "60 ", "60 pinned"}, texts(t, o.Path, fmt.Sprint(
		"SELECT width_s || ' ' || run_id FROM headline_bucket WHERE bucket_start = ", late.StartUnixNano/1e9, " ORDER BY width_s, run_id")))
	require.EqualValues(t, 3+2, one[int64](t, o.Path, "SELECT spans FROM notes WHERE reason = 'late'"), "each once, whichever widths took it")

	require.NoError(t, s.Prune(t.Context()))
	require.Equal(t, []string{"1 pinned", "10 pinned", "60 pinned"}, texts(t, o.Path, fmt.Sprint(
		"SELECT width_s || ' ' || run_id FROM headline_bucket WHERE bucket_start = ", late.StartUnixNano/1e9, " ORDER BY width_s, run_id")))
	require.EqualValues(t, rows+2, one[int64](t, o.Path, "SELECT sum(rows) FROM pruned"), "the late rows of the widest width")
}

// TestSeriesLeaveWithTheirLastBucket, and make room for others; so do runs.
func TestSeriesLeaveWithTheirLastBucket(t *testing.T) {
	now := anInstant
	o := prunedOptions(t, &now)
	o.Limits.MaxSeries, o.Limits.MaxRuns = 5, 4
	o.RunID, o.RunPinned = "pinned", true
	var live int
	o.OnCommit = func(c Commit) { live = c.LiveSeries }
	s := openStore(t, o)
	day := func(n int, run, model string) {
		span := observation(time.Duration(n)*24*time.Hour, 0)
		span.Series.Run, span.Series.Model = run, model
		if at := time.Unix(0, span.StartUnixNano); at.After(now) {
			now = at
		}
		require.NoError(t, s.Write(t.Context(), batchOf(o, span)))
	}
	day(0, "pinned", "m")
	for n := range 20 {
		day(n, fmt.Sprint("run-", n), fmt.Sprint("m-", n))
		require.NoError(t, s.Prune(t.Context()))
		if n%5 == 4 {
			require.NoError(t, s.Close())
			s = openStore(t, o)
		}
	}
	require.LessOrEqual(t, live, 4)
	require.Empty(t, texts(t, o.Path, "SELECT model FROM series WHERE model = '__overflow__'"))
	require.Equal(t, []string{"pinned", "run-18", "run-19"}, texts(t, o.Path, "SELECT run_id FROM run ORDER BY run_id"))
	require.Equal(t, []string{"m", "m-18", "m-19"}, texts(t, o.Path, "SELECT model FROM series ORDER BY model"))
	require.EqualValues(t, 21, one[int64](t, o.Path, "SELECT spans FROM ledger WHERE reason = 'folded'"))
	verifyFile(t, o.Path)
	day(3, "run-3", "m-3") // late: the series comes back, and leaves again
	require.Equal(t, []string{"60"}, texts(t, o.Path, "SELECT width_s FROM series_bucket JOIN series USING (series_id) WHERE model = 'm-3'"))
	day(20, "run-20", "m-20")
	require.NoError(t, s.Prune(t.Context()))
	require.NotContains(t, texts(t, o.Path, "SELECT model FROM series"), "m-3")
	verifyFile(t, o.Path)
}

func verifyFile(t *testing.T, path string) {
	t.Helper()
	r, err := OpenReader(t.Context(), path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	for p, err := range r.Verify(t.Context()) {
		require.NoError(t, err)
		require.Fail(t, p.String())
	}
}

// manyBuckets writes so many seconds of traffic, of as many series.
func manyBuckets(t testing.TB, s *Store, o Options, from time.Duration, seconds, series int) {
	t.Helper()
	for second := 0; second < seconds; second += 60 {
		spans := make([]aggregator.Observation, 0, 6*series)
		for n := range 6 * series {
			span := observation(from+time.Duration(second+n/series*10)*time.Second, time.Duration(n)*time.Millisecond)
			span.Series.Model = fmt.Sprint("m-", n%series)
			spans = append(spans, span)
		}
		require.NoError(t, s.Write(t.Context(), batchOf(o, spans...)))
	}
}

// TestFileShrinks: pages that pruning leaves free go back, and the log is no
// larger than it has to be.
func TestFileShrinks(t *testing.T) {
	now := anInstant.Add(3 * time.Hour)
	o := prunedOptions(t, &now)
	o.Limits.MaxSeries = 1000
	s := openStore(t, o)
	manyBuckets(t, s, o, 0, 3*3600, 50)
	require.NoError(t, s.Close())
	before := sizeOf(o.Path)
	s = openStore(t, o)
	require.NoError(t, s.Prune(t.Context()))
	require.NoError(t, s.Close())
	after := sizeOf(o.Path)
	t.Logf("%d KiB, then %d KiB", before>>10, after>>10)
	require.Less(t, after, before*2/3)
	free := one[int64](t, o.Path, "SELECT freelist_count FROM pragma_freelist_count")
	require.LessOrEqual(t, free, int64(vacuumReserve)+after/4096/vacuumShare+1)
	verifyFile(t, o.Path)
}

// TestSizeCap: above the cap the finest width leaves first, and of each what is
// oldest; of pinned runs nothing does, and that the file is too large is told
// once.
func TestSizeCap(t *testing.T) {
	now := anInstant.Add(3 * time.Hour)
	o := prunedOptions(t, &now)
	for i := range o.Widths {
		o.Widths[i].Retention = 0
	}
	o.Limits.MaxSeries = 1000
	o.RunID, o.RunPinned = "pinned", true
	var events []EventKind
	o.OnEvent = func(e Event) { events = append(events, e.Kind) }
	s := openStore(t, o)
	manyBuckets(t, s, o, 0, 2*3600, 30)
	first := observation(0, 0)
	first.Series.Run = "pinned"
	require.NoError(t, s.Write(t.Context(), batchOf(o, first)))
	restart := func(size int64) {
		require.NoError(t, s.Close())
		o.MaxSize = size
		s = openStore(t, o)
		require.NoError(t, s.Prune(t.Context()))
	}
	used := func() int64 {
		return one[int64](t, o.Path, `SELECT (page_count - freelist_count) * page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size`)
	}
	left := func() []string {
		return texts(t, o.Path, "SELECT width_s FROM pruned WHERE relation = 'buckets' ORDER BY width_s")
	}
	restart(0)
	whole := used()
	restart(whole)
	require.Empty(t, left(), "at the cap")
	restart(whole * 95 / 100)
	require.LessOrEqual(t, used(), whole*95/100*9/10)
	require.Greater(t, used(), whole*70/100)
	require.Equal(t, []string{"1", "10"}, left())
	require.Len(t, startsOf(t, o.Path, 1), 1+1, "the newest bucket, and that of the pinned run")
	require.Len(t, startsOf(t, o.Path, 60), 120)
	tens := startsOf(t, o.Path, 10)
	require.Equal(t, []time.Duration{0, 2*time.Hour - 10*time.Second}, []time.Duration{tens[0], tens[len(tens)-1]})
	require.Equal(t, 2*time.Hour-time.Duration(len(tens)-1)*10*time.Second, tens[1], "the oldest left, one after the other")
	require.Empty(t, events)
	verifyFile(t, o.Path)

	restart(4096)
	require.Equal(t, []EventKind{EventOverSize}, events)
	for range 3 {
		require.NoError(t, s.Prune(t.Context()))
	}
	require.Equal(t, []EventKind{EventOverSize}, events, "once")
	for _, width := range []int64{1, 10, 60} {
		require.Len(t, startsOf(t, o.Path, width), 2, "%d s: the newest bucket, and that of the pinned run", width)
	}
	manyBuckets(t, s, o, 2*time.Hour, 60, 30)
	require.Len(t, startsOf(t, o.Path, 60), 3, "what comes next is counted in every width")
	verifyFile(t, o.Path)
}

// TestClosingEndsARound: who waits for one is told.
func TestClosingEndsARound(t *testing.T) {
	now := anInstant.Add(3 * time.Hour)
	o := prunedOptions(t, &now)
	s := openStore(t, o)
	manyBuckets(t, s, o, 0, 2*3600, 20)
	done := make(chan error, 8)
	for range cap(done) {
		go func() { done <- s.Prune(t.Context()) }()
	}
	require.NoError(t, s.Close())
	for range cap(done) {
		if err := <-done; err != nil {
			require.ErrorIs(t, err, ErrClosed)
		}
	}
	verifyFile(t, o.Path)
	s = openStore(t, o)
	require.NoError(t, s.Prune(t.Context()))
	require.Empty(t, texts(t, o.Path, fmt.Sprint("SELECT id FROM series_bucket WHERE width_s = 10 AND bucket_start < ", anInstant.Add(time.Hour-10*time.Second).Unix())),
		"what was begun is finished")
}

// TestFailedRoundsAreTold: once several in a row failed, and when one succeeds
// again.
func TestFailedRoundsAreTold(t *testing.T) {
	now := anInstant
	o := prunedOptions(t, &now)
	var events []EventKind
	o.OnEvent = func(e Event) { events = append(events, e.Kind) }
	s := openStore(t, o)
	manyBuckets(t, s, o, 0, 600, 3)
	now = anInstant.Add(1000 * time.Hour)
	write := observation(999*time.Hour, time.Second)
	require.NoError(t, s.Write(t.Context(), batchOf(o, write)))
	exec(t, o.Path, "CREATE TRIGGER no BEFORE DELETE ON headline_bucket BEGIN SELECT RAISE(ABORT, 'stays'); END")
	for round := 1; round <= failedRounds+1; round++ {
		require.ErrorContains(t, s.Prune(t.Context()), "stays")
		require.Len(t, events, min(1, round/failedRounds), "round %d", round)
	}
	require.Equal(t, []EventKind{EventPruneFailed}, events)
	require.NoError(t, s.Write(t.Context(), batchOf(o, write)), "callers are not concerned")
	exec(t, o.Path, "DROP TRIGGER no")
	require.NoError(t, s.Prune(t.Context()))
	require.NoError(t, s.Prune(t.Context()))
	require.Equal(t, []EventKind{EventPruneFailed, EventPruneRecovered}, events)
}
