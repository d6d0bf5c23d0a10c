package storage

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// prunedWorld is a file that is written, pruned and opened again, and the spans
// that went into it.
type prunedWorld struct {
	t     *testing.T
	rng   *rand.Rand
	o     Options
	now   time.Time
	store *Store
	spans []aggregator.Observation
	// next is how far the traffic is, after anInstant.
	next time.Duration
}

func newPrunedWorld(t *testing.T, rng *rand.Rand) *prunedWorld {
	w := &prunedWorld{t: t, rng: rng, now: anInstant}
	retention := func(least, most int) time.Duration {
		if rng.IntN(6) == 0 {
			return 0
		}
		return time.Duration(least+rng.IntN(most-least)) * time.Second
	}
	w.o = Options{
		Path: filepath.Join(t.TempDir(), "spanbucket.db"),
		Widths: []Width{
			{Seconds: 1, Detail: DetailHeadline, Retention: retention(1, 100)},
			{Seconds: 10, Retention: retention(10, 300)},
			{Seconds: 60, Retention: retention(60, 1200)},
		},
		SettleAfter: time.Minute, Synchronous: SynchronousNormal,
		Limits: aggregator.Limits{MaxSeries: 1000, MaxRuns: 1000, MaxOverflowSeries: 100},
		// Only when it is asked to.
		PruneInterval: -1,
		RunID:         "pinned", RunPinned: true,
		Now: func() time.Time { return w.now },
	}
	w.open()
	return w
}

func (w *prunedWorld) open() {
	var err error
	w.store, err = Open(w.t.Context(), w.o)
	require.NoError(w.t, err)
}

func (w *prunedWorld) prune() { require.NoError(w.t, w.store.Prune(w.t.Context())) }

// write writes spans that go on where the last ones ended, some of them late.
func (w *prunedWorld) write() {
	batch := make([]aggregator.Observation, 1+w.rng.IntN(40))
	for i := range batch {
		w.next += time.Duration(w.rng.IntN(3000)) * time.Millisecond
		at := w.next
		if w.rng.IntN(5) == 0 {
			at -= time.Duration(w.rng.Int64N(int64(at) + 1))
		}
		o := observation(at, time.Duration(w.rng.IntN(2000))*time.Millisecond)
		o.Series.Run = []string{"", "pinned", fmt.Sprint("run-", int(at/(5*time.Minute)))}[w.rng.IntN(3)]
		o.Series.Model = fmt.Sprint("m", w.rng.IntN(3), "-", int(at/(10*time.Minute)))
		if w.rng.IntN(4) == 0 {
			o.Series.Outcome = aggregator.OutcomeServerError
		}
		batch[i] = o
	}
	w.spans = append(w.spans, batch...)
	if end := anInstant.Add(w.next); end.After(w.now) {
		w.now = end
	}
	require.NoError(w.t, w.store.Write(w.t.Context(), batchOf(w.o, batch...)))
}

// expected folds all spans of some bucket and run at once.
func (w *prunedWorld) expected(width int64) map[[2]string]int64 {
	sums := map[[2]string]int64{}
	for i := range w.spans {
		s := &w.spans[i]
		start := aggregator.BucketStart(aggregator.UnixSeconds(s.StartUnixNano), width)
		sums[[2]string{fmt.Sprint(start), s.Series.Run}]++
	}
	return sums
}

// check compares what is retained with all spans there were.
func (w *prunedWorld) check(label string) {
	w.verify(label)
	r, err := OpenReader(w.t.Context(), w.o.Path)
	require.NoError(w.t, err)
	defer func() { require.NoError(w.t, r.Close()) }()
	require.NoError(w.t, r.View(w.t.Context(), func(tx *sql.Tx) error {
		meta, err := ReadMeta(w.t.Context(), tx)
		require.NoError(w.t, err)
		from, err := CompleteFrom(w.t.Context(), tx, meta)
		require.NoError(w.t, err)
		for n, width := range w.o.Widths {
			for _, table := range width.tables() {
				have := w.sums(tx, table, width.Seconds)
				want := w.expected(width.Seconds)
				for key, spans := range want {
					var start int64
					_, err := fmt.Sscan(key[0], &start)
					require.NoError(w.t, err)
					edge, pruned := from[width.Seconds]
					if key[1] == "pinned" || !pruned || start >= edge {
						require.Equal(w.t, spans, have[key], "%s: %s of %d s: bucket %s, run %q", label, table.name, width.Seconds, key[0], key[1])
					} else if pruned := label != "not pruned"; pruned && n < len(w.o.Widths)-1 {
						require.Zero(w.t, have[key], "%s: %s of %d s: bucket %s, run %q has left", label, table.name, width.Seconds, key[0], key[1])
					}
					delete(have, key)
				}
				require.Empty(w.t, have)
			}
		}
		return nil
	}))
}

func (w *prunedWorld) sums(tx *sql.Tx, table *bucketTable, width int64) map[[2]string]int64 {
	query := "SELECT bucket_start, run_id, sum(requests) FROM headline_bucket WHERE width_s = ? GROUP BY 1, 2 HAVING sum(requests) > 0"
	if table == seriesTable {
		query = `SELECT bucket_start, run_id, sum(requests) FROM series_bucket JOIN series USING (series_id) WHERE width_s = ? GROUP BY 1, 2`
	}
	have := map[[2]string]int64{}
	require.NoError(w.t, eachRow(w.t.Context(), tx, query, func(rows *sql.Rows) error {
		var key [2]string
		var n int64
		err := rows.Scan(&key[0], &key[1], &n)
		have[key] = n
		return err
	}, width))
	return have
}

func (w *prunedWorld) verify(label string) {
	r, err := OpenReader(w.t.Context(), w.o.Path)
	require.NoError(w.t, err)
	defer func() { require.NoError(w.t, r.Close()) }()
	for p, err := range r.Verify(w.t.Context()) {
		require.NoError(w.t, err)
		require.Fail(w.t, label, p.String())
	}
}

// checkPruned: after a round nothing is left that is older than it may be, and
// nothing has left that is not.
func (w *prunedWorld) checkPruned() {
	var newest time.Duration
	for i := range w.spans {
		newest = max(newest, time.Unix(0, w.spans[i].EndUnixNano).Sub(anInstant))
	}
	// Rows of the headline begin where spans end, too.
	age := min(w.now.Unix(), anInstant.Add(newest).Unix()+1)
	for _, width := range w.o.Widths {
		if width.Retention == 0 {
			require.Zero(w.t, one[int64](w.t, w.o.Path, fmt.Sprint("SELECT count(*) FROM pruned WHERE width_s = ", width.Seconds)))
			continue
		}
		before := aggregator.BucketStart(age-int64(width.Retention/time.Second), width.Seconds)
		for _, query := range []string{
			"SELECT count(*) FROM headline_bucket WHERE run_id <> 'pinned' AND width_s = %d AND bucket_start < %d",
			"SELECT count(*) FROM series_bucket JOIN series USING (series_id) WHERE run_id <> 'pinned' AND width_s = %d AND bucket_start < %d",
			"SELECT count(*) FROM pruned WHERE relation = 'buckets' AND width_s = %d AND complete_from > %d",
		} {
			require.Zero(w.t, one[int64](w.t, w.o.Path, fmt.Sprintf(query, width.Seconds, before)), query)
		}
	}
}

// TestWiderEqualsNarrower: whatever comes late, whenever pruning and restarts
// come in between: in every width all spans are counted in the buckets that are
// retained, and those of pinned runs in all buckets; so what is retained of two
// widths is equal.
func TestWiderEqualsNarrower(t *testing.T) {
	rng := seedtest.Rand(t)
	left := int64(0)
	for range 5 {
		w := newPrunedWorld(t, rng)
		for range 40 {
			switch rng.IntN(6) {
			case 0:
				w.prune()
				w.check("after pruning")
				w.checkPruned()
			case 1:
				require.NoError(t, w.store.Close())
				w.open()
			case 2:
				if rng.IntN(8) == 0 {
					w.now = w.now.Add(time.Duration(rng.IntN(100)) * time.Hour) // a clock that jumps
				}
			default:
				w.write()
			}
		}
		w.check("not pruned") // a round may have been ended by closing
		w.prune()
		w.check("in the end")
		w.checkPruned()
		require.NoError(t, w.store.Close())
		w.check("closed")
		left += one[int64](t, w.o.Path, "SELECT coalesce(sum(rows), 0) FROM pruned")
	}
	require.Positive(t, left)
}
