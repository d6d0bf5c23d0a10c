package storage

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkWriteWhilePruning says how long callers wait, one after the other at
// 100 batches a second, while a backlog of six hours of buckets leaves and while
// nothing does. pruned-rows/s is what left meanwhile.
func BenchmarkWriteWhilePruning(b *testing.B) {
	for _, pruning := range []bool{false, true} {
		b.Run(fmt.Sprintf("pruning=%v", pruning), func(b *testing.B) {
			const series, backlog = 50, 6 * 3600
			o := manySeries(Options{
				Path: filepath.Join(b.TempDir(), "bench.db"), SettleAfter: time.Minute,
				Widths:        []Width{{Seconds: 1, Detail: DetailHeadline}, {Seconds: 10}, {Seconds: 300}, {Seconds: 3600}},
				PruneInterval: 10 * time.Millisecond,
				Now:           func() time.Time { return anInstant.Add(1000 * time.Hour) },
			})
			fill := o
			fill.Synchronous, fill.PruneInterval = SynchronousNormal, -1
			s, err := Open(b.Context(), fill)
			require.NoError(b, err)
			manyBuckets(b, s, o, 0, backlog, series)
			require.NoError(b, s.Close())
			if pruning {
				for i := range o.Widths[:2] {
					o.Widths[i].Retention = time.Minute
				}
			}
			s, err = Open(b.Context(), o)
			require.NoError(b, err)
			var waits []time.Duration
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			began := time.Now()
			for range b.N {
				<-tick.C
				batch := batchOf(o, observation(backlog*time.Second+time.Since(began), time.Second))
				at := time.Now()
				require.NoError(b, s.Write(b.Context(), batch))
				waits = append(waits, time.Since(at))
			}
			took := time.Since(began).Seconds()
			require.NoError(b, s.Close())
			slices.Sort(waits)
			for name, share := range map[string]int{"p50-ms": 50, "p99-ms": 99, "max-ms": 100} {
				b.ReportMetric(float64(waits[max(0, len(waits)*share/100-1)].Microseconds())/1e3, name)
			}
			r, err := OpenReader(b.Context(), o.Path)
			require.NoError(b, err)
			var rows int64
			require.NoError(b, r.QueryRowContext(b.Context(), "SELECT coalesce(sum(rows), 0) FROM pruned").Scan(&rows))
			require.NoError(b, r.Close())
			b.ReportMetric(float64(rows)/took, "pruned-rows/s")
		})
	}
}
