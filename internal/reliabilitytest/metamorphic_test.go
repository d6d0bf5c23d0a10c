package reliabilitytest

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/exporter"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// way is one of the ways to store spans that must not show in the file.
type way struct {
	goroutines, processors int
	restarts               int
	again                  float64 // share of the batches that are delivered once more
	most                   int     // spans in a batch
	shuffled               bool
	options                settings
}

// anyWay draws a way, and options that must not matter.
func anyWay(r *rand.Rand) way {
	w := way{
		goroutines: pick(r, 1, 4, 16), processors: pick(r, 1, 2, 4), restarts: r.IntN(3), again: pick(r, 0, 0.3, 1),
		most: 1 << r.IntN(14), shuffled: r.IntN(4) > 0,
		options: settings{
			"synchronous":  pick(r, "full", "normal"),
			"settle_after": pick(r, "0s", "1m", "30m"),
			"max_series":   pick(r, 5_000, 100_000),
			"dedup":        map[string]any{"max_spans": pick(r, 100_000, 4_000_000), "window": pick(r, "1h", "24h")},
		},
	}
	if r.IntN(3) == 0 {
		w.options["sending_queue"] = map[string]any{"enabled": true, "num_consumers": 1 + r.IntN(8)}
	}
	if w.most <= 64 {
		w.goroutines = 64 // a commit for each of so small batches takes long
	}
	return w
}

// plain sends spans as they were made, in one go and without options.
var plain = way{goroutines: 1, processors: 2, most: 8192}

// store writes calls to a new file this way, and returns its path.
func (w way) store(t *testing.T, r *rand.Rand, calls []call) string {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(w.processors))
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	config := fileAt(path)
	for key, value := range w.options {
		config[key] = value
	}
	calls = slices.Clone(calls)
	if w.shuffled {
		r.Shuffle(len(calls), func(i, k int) { calls[i], calls[k] = calls[k], calls[i] })
	}
	batches := w.cut(r, calls)
	for life := range slices.Chunk(batches, len(batches)/(w.restarts+1)+1) {
		e := mustStart(t, config)
		deliverAll(t, e, life, w.goroutines)
		mustStop(t, e)
	}
	return path
}

// cut makes batches, and puts those that are delivered again somewhere behind.
func (w way) cut(r *rand.Rand, calls []call) (batches [][]call) {
	for rest := calls; len(rest) > 0; {
		n := min(len(rest), 1+r.IntN(w.most))
		if w.most == plain.most && !w.shuffled {
			n = min(len(rest), w.most)
		}
		batches = append(batches, rest[:n])
		rest = rest[n:]
	}
	var again [][]call
	for _, b := range batches {
		if r.Float64() < w.again {
			again = append(again, b)
		}
	}
	for _, piece := range pieces(r, again...) {
		at := r.IntN(len(batches) + 1)
		batches = slices.Insert(batches, at, piece)
	}
	return batches
}

func deliverAll(t *testing.T, e exporter.Traces, batches [][]call, goroutines int) {
	t.Helper()
	queue := make(chan []call, len(batches))
	for _, b := range batches {
		queue <- b
	}
	close(queue)
	errs := make(chan error, goroutines)
	var senders sync.WaitGroup
	for range goroutines {
		senders.Go(func() {
			for b := range queue {
				if err := deliver(e, b); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	senders.Wait()
	close(errs)
	require.NoError(t, <-errs)
}

// callsOf draws some hundred calls, now and then many thousand.
func callsOf(r *rand.Rand, s *traffic) (calls []call) {
	want := 200 + r.IntN(1500)
	if r.IntN(25) == 0 {
		want = 12_000
	}
	for n := 0; len(calls) < want; n++ {
		calls = append(calls, s.batch(n)...)
		if len(calls) > want {
			calls = calls[:want]
		}
	}
	return calls
}

// TestContentIsTheSameAnyWay: order, batches, goroutines, restarts, second
// deliveries and options that only say how leave no trace in the content.
func TestContentIsTheSameAnyWay(t *testing.T) {
	r := seedtest.Rand(t)
	size := tier()
	began := time.Now()
	files := 0
	for seed := range size.seeds {
		s := newTraffic(r.Uint64N(1 << 20))
		calls := callsOf(r, &s)
		want := contentOf(t, plain.store(t, r, calls))
		for range size.ways {
			w := anyWay(r)
			requireSameContent(t, want, w.store(t, r, calls), fmt.Sprintf("seed %d, %d calls, %+v", seed, len(calls), w))
			files++
		}
		if t.Failed() {
			break
		}
	}
	figures.add(t, "same content any way: %d seeds, %d files compared, in %.0f s", size.seeds, files, time.Since(began).Seconds())
}

// TestContentNoticesOneSpan is the control: one span too many, one too few, or
// one that is another, and the content differs.
func TestContentNoticesOneSpan(t *testing.T) {
	r := seedtest.Rand(t)
	s := newTraffic(r.Uint64N(1 << 20))
	calls := callsOf(r, &s)
	want := contentOf(t, plain.store(t, r, calls))
	other := slices.Clone(calls)
	other[len(other)/2].end++
	control := plain
	control.options = settings{}.withoutDeduplication()
	for name, sent := range map[string][]call{
		"one twice": append(slices.Clone(calls), calls[len(calls)/2]),
		"one less":  calls[1:],
		"one other": other,
	} {
		t.Run(name, func(t *testing.T) {
			require.NotEmpty(t, want.relationsThatDiffer(contentOf(t, control.store(t, r, sent))))
		})
	}
}

// additive are columns that add up over files.
var additive = map[string][]string{
	"timeseries": {"requests_total", "requests_injected", "completed_total", "latency_count", "sum_latency_ns", "ttft_count", "usage_count", "output_tokens"},
	"latency":    {"requests", "latency_count", "sum_latency_ns", "ttft_count", "usage_count", "output_tokens"},
	"bins":       {"count"},
}

// addendsOf sums the additive columns of files by row, moved in time.
func addendsOf(t *testing.T, shift time.Duration, paths ...string) map[string]int64 {
	t.Helper()
	sums := map[string]int64{}
	for _, path := range paths {
		reader := openReader(t, path)
		for relation, columns := range additive {
			eachRow(t, reader, "SELECT * FROM "+relation, func(r row) {
				bucket := r["bucket_start"].(int64) + int64(shift/time.Second)
				for _, column := range columns {
					key := fmt.Sprint(relation, r["run_id"], r["category"], r["series_id"], r["measure"], r["bin"], r["width_s"], bucket, column)
					if value, isThere := r[column].(int64); isThere {
						sums[key] += value
					}
				}
			})
		}
		require.NoError(t, reader.Close())
	}
	require.NotEmpty(t, sums)
	return sums
}

// TestHalvesAddUp: what two files with half of the spans each say adds up to
// what one file with all of them says.
func TestHalvesAddUp(t *testing.T) {
	r := seedtest.Rand(t)
	s := newTraffic(r.Uint64N(1 << 20))
	calls := callsOf(r, &s)
	whole := plain.store(t, r, calls)
	r.Shuffle(len(calls), func(i, k int) { calls[i], calls[k] = calls[k], calls[i] })
	half := len(calls) / 2
	first, second := plain.store(t, r, calls[:half]), plain.store(t, r, calls[half:])
	require.Equal(t, addendsOf(t, 0, whole), addendsOf(t, 0, first, second))
	require.NotEqual(t, addendsOf(t, 0, whole), addendsOf(t, 0, first))
}

// TestShiftedTrafficShiftsContent: spans that start and end some widest widths
// later are the same rows that much later.
func TestShiftedTrafficShiftsContent(t *testing.T) {
	r := seedtest.Rand(t)
	s := newTraffic(r.Uint64N(1 << 20))
	shift := 37 * time.Hour
	calls := callsOf(r, &s)
	moved := slices.Clone(calls)
	for i := range moved {
		moved[i].start += int64(shift)
		if moved[i].end != 0 {
			moved[i].end += int64(shift)
		}
	}
	require.Equal(t, addendsOf(t, shift, plain.store(t, r, calls)), addendsOf(t, 0, plain.store(t, r, moved)))
}
