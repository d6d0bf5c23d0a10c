package storage

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// forCause marks the requests that failed, as the policy of sampling does.
func forCause(t *testing.T, path string) {
	t.Helper()
	require.NoError(t, maintain(t.Context(), path, func(ctx context.Context, u *upkeep) error {
		_, err := u.exec(ctx, `UPDATE request SET kept = kept | 8 WHERE kept & 1
			AND series_id IN (SELECT series_id FROM series WHERE outcome <> 'success')`)
		return err
	}))
}

// numbered are requests, one a second, n of them from the given second on.
func numbered(from, n int, change func(*aggregator.Request)) []aggregator.Request {
	all := make([]aggregator.Request, n)
	for i := range all {
		r := request(0, time.Duration(from+i)*time.Second)
		binary.BigEndian.PutUint32(r.SpanID[:], uint32(from+i))
		if change != nil {
			change(&r)
		}
		all[i] = r
	}
	return all
}

func failed(r *aggregator.Request) { r.Series.Outcome = aggregator.OutcomeServerError }

// TestOneOutageDoesNotPushTheBaselineOut: of ordinary requests and those for
// cause the ones give that are more than half of what may stay.
func TestOneOutageDoesNotPushTheBaselineOut(t *testing.T) {
	for _, test := range []struct{ ordinary, failures, most, wantOrdinary, wantFailures int }{
		{100, 100, 300, 100, 100},
		{100, 100, 200, 100, 100},
		{100, 900, 400, 100, 300},
		{300, 900, 400, 200, 200},
		{900, 30, 100, 70, 30},
		{900, 0, 100, 100, 0},
		{3, 3, 1, 0, 1},
	} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			o := manySeries(testOptions(t))
			s := openStore(t, o)
			require.NoError(t, s.Write(t.Context(), requestBatch(o, numbered(0, test.ordinary, nil)...)))
			if test.failures > 0 {
				require.NoError(t, s.Write(t.Context(), requestBatch(o, numbered(test.ordinary, test.failures, failed)...)))
			}
			require.NoError(t, s.Close())
			forCause(t, o.Path)
			o.RequestMaxRows = int64(test.most)
			s = openStore(t, o)
			require.NoError(t, s.Prune(t.Context()))
			begin := anInstant.UnixNano()
			require.Equal(t, []string{fmt.Sprintf("%d of %d", test.wantOrdinary, test.wantOrdinary)}, texts(t, o.Path, fmt.Sprintf(
				"SELECT count(*) || ' of ' || count(*) FILTER (WHERE start_ns >= %d) FROM request WHERE NOT kept & 8",
				begin+int64(test.ordinary-test.wantOrdinary)*1e9)), "the newest stay")
			require.Equal(t, []string{fmt.Sprintf("%d of %d", test.wantFailures, test.wantFailures)}, texts(t, o.Path, fmt.Sprintf(
				"SELECT count(*) || ' of ' || count(*) FILTER (WHERE start_ns >= %d) FROM request WHERE kept & 8",
				begin+int64(test.ordinary+test.failures-test.wantFailures)*1e9)), "the newest stay")
			left := test.ordinary + test.failures - test.wantOrdinary - test.wantFailures
			require.EqualValues(t, left, one[int64](t, o.Path, "SELECT coalesce(sum(rows), 0) FROM pruned WHERE relation = 'request'"))
			if left > 0 {
				last := test.ordinary - test.wantOrdinary
				if test.wantFailures < test.failures {
					last = test.ordinary + test.failures - test.wantFailures
				}
				require.EqualValues(t, begin+int64(last-1)*1e9+1, one[int64](t, o.Path,
					"SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'requests_complete_from_ns'"))
			}
			require.Empty(t, verifyAll(t, o.Path))
		})
	}
}

// requestWorld is a file of single requests, and what went into it.
type requestWorld struct {
	t    *testing.T
	rng  *rand.Rand
	o    Options
	now  time.Time
	s    *Store
	next int
}

func (w *requestWorld) write() {
	batch := make([]aggregator.Request, 1+w.rng.IntN(60))
	for i := range batch {
		r := randomRequest(w.rng)
		at := w.next
		if w.next += w.rng.IntN(120); w.rng.IntN(6) == 0 {
			at -= w.rng.IntN(at + 1)
		}
		took := r.EndUnixNano - r.StartUnixNano
		r.StartUnixNano = anInstant.Add(time.Duration(at) * time.Second).UnixNano()
		r.EndUnixNano = r.StartUnixNano + took
		r.Series.Run = []string{"", "pinned", "other"}[w.rng.IntN(3)]
		r.Series.Model = fmt.Sprint("m-", at/7200)
		if r.Series.Fault != "" {
			r.Series.Outcome = aggregator.OutcomeServerError
		}
		batch[i] = r
	}
	if end := anInstant.Add(time.Duration(w.next) * time.Second); end.After(w.now) {
		w.now = end
	}
	require.NoError(w.t, w.s.Write(w.t.Context(), requestBatch(w.o, batch...)))
}

const unpinned = "series_id IN (SELECT series_id FROM series WHERE run_id <> 'pinned')"

// check: what is too old or too much has left, pinned runs have all of theirs,
// and what is left is whole.
func (w *requestWorld) check(pinned int64) {
	age := one[int64](w.t, w.o.Path, "SELECT coalesce(max(bucket_start) + 1, 0) FROM headline_bucket WHERE width_s = 1")
	before := min(age, w.now.Unix()) - int64(w.o.RequestRetention/time.Second)
	count := func(where string) int64 {
		return one[int64](w.t, w.o.Path, "SELECT count(*) FROM request WHERE "+where)
	}
	require.Zero(w.t, count(fmt.Sprintf("%s AND start_ns < %d", unpinned, before*1e9)))
	require.Equal(w.t, pinned, count("NOT "+unpinned))
	for _, class := range []string{"kept & 1", "kept & 1 = 0"} {
		if count(class) > w.o.RequestMaxRows {
			larger := "kept & 9 = 1"
			if count("kept & 9 = 9") > count(larger) {
				larger = "kept & 9 = 9"
			}
			if class != "kept & 1" {
				larger = class
			}
			require.Zero(w.t, count(larger+" AND "+unpinned), "only what is pinned is too much")
		}
	}
	edge := one[int64](w.t, w.o.Path, "SELECT coalesce(max(complete_from), 0) FROM pruned WHERE relation = 'request'")
	require.Zero(w.t, one[int64](w.t, w.o.Path, fmt.Sprintf(`SELECT count(*) FROM (
		SELECT b.requests AS n, (SELECT count(*) FROM request AS q WHERE q.kept & 1 AND q.series_id = b.series_id
			AND q.start_ns / 10000000000 * 10 = b.bucket_start) AS found
		FROM series_bucket AS b WHERE b.width_s = 10 AND b.bucket_start >= %d) WHERE n <> found`, edge)), "complete from there on")
	require.Empty(w.t, verifyAll(w.t, w.o.Path))
}

// TestRequestsLeave: whatever comes late, whenever pruning and restarts come in
// between.
func TestRequestsLeave(t *testing.T) {
	rng := seedtest.Rand(t)
	for range 6 {
		w := &requestWorld{t: t, rng: rng, now: anInstant}
		w.o = manySeries(testOptions(t))
		w.o.Widths = []Width{{Seconds: 1, Detail: DetailHeadline, Retention: 12 * time.Hour}, {Seconds: 10, Retention: 12 * time.Hour}, {Seconds: 60, Retention: 24 * time.Hour}}
		w.o.Synchronous, w.o.RunID, w.o.RunPinned = SynchronousNormal, "pinned", true
		w.o.RequestRetention = time.Duration(1+rng.IntN(10)) * time.Hour
		w.o.RequestMaxRows = int64(20 + rng.IntN(400))
		w.o.Now = func() time.Time { return w.now }
		w.s = openStore(t, w.o)
		pinnedRows := func() int64 { return one[int64](t, w.o.Path, "SELECT count(*) FROM request WHERE NOT "+unpinned) }
		for range 40 {
			switch rng.IntN(8) {
			case 0:
				pinned := pinnedRows()
				require.NoError(t, w.s.Prune(t.Context()))
				w.check(pinned)
			case 1:
				require.NoError(t, w.s.Close())
				forCause(t, w.o.Path)
				w.s = openStore(t, w.o)
			default:
				w.write()
			}
		}
		pinned := pinnedRows()
		require.NoError(t, w.s.Prune(t.Context()))
		w.check(pinned)
		require.Positive(t, one[int64](t, w.o.Path, "SELECT sum(rows) FROM pruned WHERE relation = 'request'"))
		require.NoError(t, w.s.Close())
	}
}

// TestWhatSpansTellLeaves: evaluations, circuit states, windows and what
// requests share are bounded as well.
func TestWhatSpansTellLeaves(t *testing.T) {
	now := anInstant
	o := manySeries(prunedOptions(t, &now))
	o.RequestRetention, o.RequestMaxRows = time.Hour, 10
	o.RunID, o.RunPinned = "pinned", true
	o.FaultWindows = []aggregator.FaultWindow{{Fault: "known", StartUnixNano: 1, EndUnixNano: 2}}
	s := openStore(t, o)
	tell := func(after time.Duration, run string, n int) {
		r := request(byte(n), after)
		r.Series.Run, r.SpanName, r.Circuit, r.Instance, r.Details = run, fmt.Sprint("name ", n), "c", fmt.Sprint("pod-", n), everyDetail
		r.Circuits = []aggregator.CircuitState{{Circuit: "c", State: aggregator.CircuitOpen, AtUnixNano: r.StartUnixNano}}
		r.Evaluations = []aggregator.Evaluation{{Name: "e", AtUnixNano: r.StartUnixNano}}
		r.Window = &aggregator.FaultWindow{Run: run, Fault: "f", StartUnixNano: r.StartUnixNano, EndUnixNano: r.EndUnixNano}
		if at := time.Unix(0, r.StartUnixNano); at.After(now) {
			now = at
		}
		require.NoError(t, s.Write(t.Context(), requestBatch(o, r)))
	}
	counts := func() string {
		return one[string](t, o.Path, `SELECT concat_ws(' ', (SELECT count(*) FROM request), (SELECT count(*) FROM evaluation), (SELECT count(*) FROM circuit_state),
			(SELECT count(*) FROM request_profile), (SELECT count(*) FROM fault_window))`)
	}
	tell(0, "pinned", 0)
	for n := range 30 {
		tell(time.Duration(n)*10*time.Minute, "a", n+1)
	}
	require.NoError(t, s.Prune(t.Context()))
	require.Equal(t, "8 8 8 13 12", counts(), "an hour, and what is pinned; profiles leave by the hour; of windows as many as rows may be, and two that stay anyway")
	for n := range 30 {
		tell(5*time.Hour+time.Duration(n)*time.Second, "b", n+100)
	}
	require.NoError(t, s.Prune(t.Context()))
	require.Equal(t, "20 11 11", counts()[:8], "ten requests, and ten that name a circuit")
	require.Empty(t, verifyAll(t, o.Path))
	tell(48*time.Hour, "c", 0)
	require.NoError(t, s.Prune(t.Context()))
	require.Equal(t, "2 2 2 1 3", counts())
	require.Equal(t, []string{"c", "pinned"}, texts(t, o.Path, "SELECT run_id FROM run ORDER BY 1"))
	require.Equal(t, []string{"circuit_state", "evaluation", "fault_window", "request", "request_profile", "run", "series"},
		texts(t, o.Path, "SELECT relation FROM pruned WHERE width_s = 0 ORDER BY 1"))
	require.Empty(t, verifyAll(t, o.Path))
}
