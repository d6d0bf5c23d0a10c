package storage_test

import (
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// mergeOptions are those of the files that these tests join.
func mergeOptions(t *testing.T) storage.Options {
	t.Helper()
	o := filetest.Options(filepath.Join(t.TempDir(), "spanbucket.db"), filetest.Begin.Add(10*time.Minute))
	o.DedupWindow, o.DedupMaxSpans, o.DedupSecret = time.Hour, 100_000, "a secret of the fleet"
	return o
}

// store writes spans to the file that the options name.
func store(t *testing.T, o storage.Options, observations []aggregator.Observation) (path string) {
	t.Helper()
	s, err := storage.Open(t.Context(), o)
	require.NoError(t, err)
	for batch := range slices.Chunk(observations, 500) {
		storeBatch(t, s, &o, batch)
	}
	require.NoError(t, s.Close())
	return o.Path
}

func storeBatch(t *testing.T, s *storage.Store, o *storage.Options, batch []aggregator.Observation) {
	t.Helper()
	delta := aggregator.NewDelta(storage.FinestWidths(o.Widths), o.Objectives...)
	var fingerprints []uint64
	for i := range batch {
		delta.Fold(&batch[i])
		h := fnv.New64a()
		h.Write(batch[i].SpanID[:])
		fingerprints = append(fingerprints, h.Sum64())
	}
	n := 0
	require.NoError(t, s.Write(t.Context(), storage.Batch{
		Delta: delta, Fingerprints: fingerprints,
		Requests: func(wanted func(span int) bool) iter.Seq[*aggregator.Request] {
			return func(yield func(*aggregator.Request) bool) {
				for i := range batch {
					n++
					if r := detailedRequest(batch[i], n); wanted(i) && !yield(&r) {
						return
					}
				}
			}
		},
		Observations: func(yield func(*aggregator.Observation) bool) {
			for i := range batch {
				if !yield(&batch[i]) {
					return
				}
			}
		},
	}))
}

// split deals spans out at random.
func split(t *testing.T, all []aggregator.Observation, parts int) [][]aggregator.Observation {
	t.Helper()
	r := seedtest.Rand(t)
	out := make([][]aggregator.Observation, parts)
	for _, o := range all {
		i := r.IntN(parts)
		out[i] = append(out[i], o)
	}
	return out
}

// twoFiles are two files of parts of one traffic, each with what change makes
// of its options.
func twoFiles(t *testing.T, changes ...func(*storage.Options)) (paths []string) {
	t.Helper()
	for i, part := range split(t, filetest.Traffic(600), 2) {
		o := mergeOptions(t)
		if i < len(changes) && changes[i] != nil {
			changes[i](&o)
		}
		paths = append(paths, store(t, o, part))
	}
	return paths
}

// merge joins files into a new one, which must be whole.
func merge(t *testing.T, o storage.MergeOptions, paths ...string) (string, *storage.MergeResult) {
	t.Helper()
	if o.Output == "" {
		o.Output = filepath.Join(t.TempDir(), "all.db")
	}
	result, err := storage.Merge(t.Context(), paths, o)
	require.NoError(t, err)
	require.Empty(t, verify(t, o.Output))
	return o.Output, result
}

// figures reads rows of a key, made of the first so many columns, and figures.
func figures(t *testing.T, path, query string, keys int) map[string][]int64 {
	t.Helper()
	r, err := storage.OpenReader(t.Context(), path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	rows, err := r.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	out := map[string][]int64{}
	for rows.Next() {
		key, values, into := make([]string, keys), make([]int64, len(columns)-keys), make([]any, 0, len(columns))
		for i := range key {
			into = append(into, &key[i])
		}
		for i := range values {
			into = append(into, &values[i])
		}
		require.NoError(t, rows.Scan(into...))
		out[strings.Join(key, "|")] = values
	}
	require.NoError(t, rows.Err())
	return out
}

func number(t *testing.T, path, query string) int64 {
	t.Helper()
	return figures(t, path, "SELECT 'it', ("+query+")", 1)["it"][0]
}

// TestMergeAddsUp compares a joined file with sums that plain SQL makes of the
// files it was joined of.
func TestMergeAddsUp(t *testing.T) {
	var paths []string
	for _, part := range split(t, filetest.Traffic(3000), 3) {
		o := mergeOptions(t)
		o.Now = func() time.Time { return filetest.Begin.Add(3 * time.Minute) } // most of it is late
		paths = append(paths, store(t, o, part))
	}
	all, result := merge(t, storage.MergeOptions{}, paths...)
	for _, c := range []struct {
		query string
		keys  int
	}{
		{`SELECT width_s, bucket_start, run_id, category, requests, adjusted_micro, late, resends, usage_count, input_tokens,
			output_tokens, priced_count, cost_nano_usd, completed, injected, success, rate_limited, cancelled, latency_count,
			sum_latency_ns, ttft_count, sum_ttft_ns FROM headline_bucket`, 4},
		{`SELECT width_s, bucket_start, series_id, requests, late, input_tokens, latency_count, sum_latency_ns,
			sum_net_latency_ns, sum_ttft_ns, sum_time_per_output_token_ns FROM series_bucket`, 3},
		{"SELECT width_s, bucket_start, series_id, measure, bin, count FROM bins", 5},
		{"SELECT reason, spans FROM ledger", 1},
		{"SELECT reason, spans FROM notes", 1},
		{"SELECT run_id, category, spans FROM run_category", 2},
		{"SELECT hex(trace_id), hex(span_id), start_ns, series_id, count(*), sum(kept) FROM request GROUP BY 1, 2, 3, 4", 4},
	} {
		want := map[string][]int64{}
		for _, path := range paths {
			for key, values := range figures(t, path, c.query, c.keys) {
				sum := make([]int64, len(values))
				copy(sum, want[key])
				for i := range sum {
					sum[i] += values[i]
				}
				want[key] = sum
			}
		}
		require.NotEmpty(t, want, c.query)
		require.Equal(t, want, figures(t, all, c.query, c.keys), c.query)
	}
	require.NotZero(t, number(t, all, "SELECT sum(late) FROM headline_bucket"))
	const slowest = `SELECT width_s, bucket_start, run_id, category, hex(slowest_trace_id), hex(slowest_span_id), min_latency_ns, max_latency_ns
		FROM headline_bucket WHERE latency_count > 0`
	want := map[string][]int64{}
	for _, path := range paths {
		for key, values := range figures(t, path, slowest, 6) {
			bucket := strings.Join(strings.Split(key, "|")[:4], "|")
			for other, others := range want {
				if strings.HasPrefix(other, bucket+"|") {
					delete(want, other)
					if others[1] > values[1] || others[1] == values[1] && other < key {
						key = other
					}
					values = []int64{min(values[0], others[0]), max(values[1], others[1])}
				}
			}
			want[key] = values
		}
	}
	require.Equal(t, want, figures(t, all, slowest, 6))

	require.Len(t, result.Files, 3)
	for _, rows := range result.Rows {
		require.Equal(t, number(t, all, "SELECT count(*) FROM "+rows.Relation), rows.Written, rows.Relation)
		read := int64(0)
		for _, path := range paths {
			read += number(t, path, "SELECT count(*) FROM "+rows.Relation)
		}
		require.Equal(t, read, rows.Read, rows.Relation)
	}
	require.Len(t, figures(t, all, "SELECT writer_id, version FROM merged_file", 1), 3)
	info, err := os.Stat(all)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// TestMergeRefuses names what does not fit, with both values, and leaves
// nothing behind.
func TestMergeRefuses(t *testing.T) {
	huge := func(t *testing.T) string {
		o := filetest.Traffic(1)[0]
		o.Usage, o.InputTokens = true, math.MaxInt64/3*2
		options := mergeOptions(t)
		options.DedupSecret = ""
		return store(t, options, []aggregator.Observation{o})
	}
	for name, c := range map[string]struct {
		files func(t *testing.T) []string
		align bool
		is    error
		says  []string
	}{
		"a copy": {func(t *testing.T) []string {
			paths := twoFiles(t)
			content, err := os.ReadFile(paths[0])
			require.NoError(t, err)
			paths[1] = filepath.Join(t.TempDir(), "copy.db")
			require.NoError(t, os.WriteFile(paths[1], content, 0o600))
			return paths
		}, false, storage.ErrNotMergeable, []string{"copy.db", "hold the same spans", "up to version"}},
		"a file inside another": {func(t *testing.T) []string {
			paths := twoFiles(t)
			all, _ := merge(t, storage.MergeOptions{}, paths...)
			return []string{all, paths[1]}
		}, false, storage.ErrNotMergeable, []string{"all.db", "hold the same spans"}},
		"a file inside two": {func(t *testing.T) []string {
			paths := twoFiles(t)
			other := store(t, mergeOptions(t), nil)
			one, _ := merge(t, storage.MergeOptions{}, paths...)
			two, _ := merge(t, storage.MergeOptions{AllowOverlap: true}, paths[0], other)
			return []string{one, two}
		}, false, storage.ErrNotMergeable, []string{"hold the same spans"}},
		"a file twice": {func(t *testing.T) []string {
			path := twoFiles(t)[0]
			link := filepath.Join(t.TempDir(), "link.db")
			require.NoError(t, os.Symlink(path, link))
			return []string{path, link}
		}, false, storage.ErrNotMergeable, []string{"link.db are the same file"}},
		"other widths": {func(t *testing.T) []string {
			return twoFiles(t, nil, func(o *storage.Options) { o.Widths = o.Widths[1:] })
		}, false, storage.ErrNotMergeable, []string{"buckets are 1s (headline), 10s (series), 300s", "and 10s (series), 300s (series), 3600s (series) in"}},
		"other details": {func(t *testing.T) []string {
			return twoFiles(t, nil, func(o *storage.Options) { o.Widths[1].Detail = storage.DetailHeadline })
		}, false, storage.ErrNotMergeable, []string{"10s (series)", "10s (headline)"}},
		"no width in common": {func(t *testing.T) []string {
			return twoFiles(t, func(o *storage.Options) { o.Widths = o.Widths[:2] }, func(o *storage.Options) { o.Widths = o.Widths[2:] })
		}, true, storage.ErrNotMergeable, []string{"no width of buckets is in all files", "10s (series)", "3600s (series)"}},
		"another precision": {func(t *testing.T) []string {
			paths := twoFiles(t)
			corrupt(t, paths[1], "UPDATE meta SET value = '7' WHERE key = 'histogram_precision_bits'")
			return paths
		}, false, storage.ErrNotMergeable, []string{"histogram_precision_bits is 7, known is 6"}},
		"another settle_after": {func(t *testing.T) []string {
			return twoFiles(t, nil, func(o *storage.Options) { o.SettleAfter = 90 * time.Second })
		}, false, storage.ErrNotMergeable, []string{"settle_after_s is 60 in", "and 90 in"}},
		"another gap of faults": {func(t *testing.T) []string {
			return twoFiles(t, nil, func(o *storage.Options) { o.FaultGap = time.Second })
		}, false, storage.ErrNotMergeable, []string{"fault_gap_ns is 0 in", "and 1000000000 in"}},
		"a sum beyond 63 bits": {func(t *testing.T) []string {
			return []string{huge(t), huge(t)}
		}, false, nil, []string{"headline_bucket: ", `width_s=1 bucket_start=1769767200 run_id="load-1" category="`, "sum exceeds 63 bits"}},
		"two series of one id": {func(t *testing.T) []string {
			paths := twoFiles(t)
			corrupt(t, paths[1], "UPDATE series SET model = 'another' WHERE series_id = (SELECT min(series_id) FROM series WHERE model = 'gpt-4o')")
			return paths
		}, false, storage.ErrNotMergeable, []string{"series: ", "it stands for [", "another"}},
		"damaged figures": {func(t *testing.T) []string {
			paths := twoFiles(t)
			corrupt(t, paths[1], "UPDATE headline_bucket SET sum_latency_ns = 1 WHERE id = (SELECT max(id) FROM headline_bucket WHERE latency_count > 0)")
			return paths
		}, false, nil, []string{"headline_bucket: ", "width_s=", "damaged"}},
		"a histogram that is missing": {func(t *testing.T) []string {
			paths := twoFiles(t)
			corrupt(t, paths[1], "DELETE FROM series_histogram WHERE bucket_id = 7")
			return paths
		}, false, nil, []string{"has no row in series_histogram"}},
		"damaged pages": {func(t *testing.T) []string {
			paths := twoFiles(t)
			content, err := os.ReadFile(paths[1])
			require.NoError(t, err)
			clear(content[10*4096 : 14*4096])
			require.NoError(t, os.WriteFile(paths[1], content, 0o600))
			return paths
		}, false, nil, []string{"spanbucket.db: "}},
		"a file that is not ours": {func(t *testing.T) []string {
			paths := twoFiles(t)
			require.NoError(t, os.WriteFile(paths[1], []byte("a text, and more of it"), 0o600))
			return paths
		}, false, storage.ErrForeign, nil},
		"a newer file": {func(t *testing.T) []string {
			paths := twoFiles(t)
			corrupt(t, paths[1], "PRAGMA user_version = 99")
			return paths
		}, false, storage.ErrNewer, nil},
		"an older file": {func(t *testing.T) []string {
			paths := twoFiles(t)
			corrupt(t, paths[1], "PRAGMA user_version = 4")
			return paths
		}, false, storage.ErrOlder, []string{"a collector migrates it"}},
		"a file that is not there": {func(t *testing.T) []string {
			return append(twoFiles(t), "missing.db")
		}, false, os.ErrNotExist, nil},
		"none": {func(*testing.T) []string { return nil }, false, storage.ErrNotMergeable, nil},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			paths := c.files(t)
			before := filesBeside(t, paths)
			_, err := storage.Merge(t.Context(), paths, storage.MergeOptions{Output: filepath.Join(folder, "new.db"), Align: c.align})
			require.Error(t, err)
			if c.is != nil {
				require.ErrorIs(t, err, c.is)
			}
			for _, text := range c.says {
				require.ErrorContains(t, err, text)
			}
			require.Empty(t, filesBeside(t, []string{filepath.Join(folder, "new.db")}))
			require.Equal(t, before, filesBeside(t, paths))
		})
	}
}

// filesBeside lists the folders of some files.
func filesBeside(t *testing.T, paths []string) (names []string) {
	t.Helper()
	for _, path := range paths {
		entries, err := os.ReadDir(filepath.Dir(path))
		require.NoError(t, err)
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	return names
}

// TestMergeAligns joins files of different widths: what is left is as if both
// had only these.
func TestMergeAligns(t *testing.T) {
	parts := split(t, filetest.Traffic(2000), 2)
	fine, coarse, both := mergeOptions(t), mergeOptions(t), mergeOptions(t)
	coarse.Widths = []storage.Width{
		{Seconds: 10, Retention: time.Hour}, {Seconds: 60, Detail: storage.DetailHeadline}, {Seconds: 300, Detail: storage.DetailHeadline}, {Seconds: 3600},
	}
	both.Widths = []storage.Width{{Seconds: 10}, {Seconds: 300, Detail: storage.DetailHeadline}, {Seconds: 3600}}
	all, result := merge(t, storage.MergeOptions{Align: true}, store(t, fine, parts[0]), store(t, coarse, parts[1]))
	want := store(t, both, filetest.Traffic(2000))
	for _, relation := range []string{
		"SELECT width_s, bucket_start, run_id, category, requests_total, coalesce(sum_latency_ns, -1) FROM timeseries",
		"SELECT width_s, bucket_start, series_id, 0, requests, coalesce(sum_latency_ns, -1) FROM latency",
	} {
		require.Equal(t, figures(t, want, relation, 4), figures(t, all, relation, 4), relation)
	}
	widths, err := readMeta(t, all)
	require.NoError(t, err)
	require.Equal(t, []storage.Width{
		{Seconds: 10, Retention: 72 * time.Hour},
		{Seconds: 300, Detail: storage.DetailHeadline},
		{Seconds: 3600},
	}, widths.Widths, "the longer retention of each")
	left := map[string]bool{}
	for _, l := range result.LeftOut {
		require.Equal(t, storage.LeftWidth, l.Why)
		require.Positive(t, l.Rows)
		left[fmt.Sprint(l.Relation, l.WidthS)] = true
	}
	require.Equal(t, map[string]bool{"headline_bucket1": true, "headline_bucket60": true, "series_bucket300": true}, left)
}

func readMeta(t *testing.T, path string) (*storage.Meta, error) {
	t.Helper()
	r, err := storage.OpenReader(t.Context(), path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	return storage.ReadMeta(t.Context(), r)
}

// TestMergeOfPrunedFiles joins a file that has pruned with one that has not:
// what one lacks cannot be told from what never was, so both have to lack it,
// but for a run that is pinned wherever it is known.
func TestMergeOfPrunedFiles(t *testing.T) {
	from := filetest.Begin.Add(30 * time.Second).Unix()
	paths := twoFiles(t)
	corrupt(t, paths[0],
		"DELETE FROM headline_histogram WHERE bucket_id IN (SELECT id FROM headline_bucket WHERE width_s <= 10 AND run_id <> 'load-1' AND bucket_start < "+fmt.Sprint(from)+")",
		"DELETE FROM headline_bucket WHERE width_s <= 10 AND run_id <> 'load-1' AND bucket_start < "+fmt.Sprint(from),
		"DELETE FROM series_histogram WHERE bucket_id IN (SELECT b.id FROM series_bucket AS b JOIN series AS s USING (series_id) WHERE width_s <= 10 AND run_id <> 'load-1' AND bucket_start < "+fmt.Sprint(from)+")",
		"DELETE FROM series_bucket WHERE width_s <= 10 AND bucket_start < "+fmt.Sprint(from)+" AND series_id IN (SELECT series_id FROM series WHERE run_id <> 'load-1')",
		"INSERT INTO pruned VALUES ('buckets', 1, "+fmt.Sprint(from-5)+", 100), ('buckets', 10, "+fmt.Sprint(from)+", 20), ('request', 0, 7, 3)",
		"UPDATE run SET pinned = 1 WHERE run_id = 'load-1'")
	corrupt(t, paths[1],
		"INSERT INTO pruned VALUES ('buckets', 1, "+fmt.Sprint(from-15)+", 10), ('request', 0, 5, 4)",
		"UPDATE run SET pinned = 1")
	all, result := merge(t, storage.MergeOptions{}, paths...)
	left := map[int64]int64{}
	for _, l := range result.LeftOut {
		require.Equal(t, storage.LeftPruned, l.Why)
		left[l.WidthS] += l.Rows
	}
	require.Positive(t, left[1])
	require.Positive(t, left[10])
	require.Len(t, left, 2)
	require.Equal(t, map[string][]int64{
		"buckets|1": {from - 5, 110 + left[1]}, "buckets|10": {from, 20 + left[10]}, "request|0": {7, 7},
	}, figures(t, all, "SELECT relation, width_s, complete_from, rows FROM pruned", 2))
	for _, table := range []string{"headline_bucket", "series_bucket JOIN series USING (series_id)"} {
		require.Zero(t, number(t, all, fmt.Sprintf("SELECT count(*) FROM %s WHERE width_s = 10 AND bucket_start < %d AND run_id <> 'load-1'", table, from)))
		pinned := fmt.Sprintf("SELECT sum(requests) FROM %s WHERE width_s = 10 AND bucket_start < %d AND run_id = 'load-1'", table, from)
		require.Equal(t, number(t, paths[0], pinned)+number(t, paths[1], pinned), number(t, all, pinned), "pinned in both")
		wide := "SELECT sum(requests) FROM " + table + " WHERE width_s = 3600"
		require.Equal(t, number(t, paths[0], wide)+number(t, paths[1], wide), number(t, all, wide))
	}
	require.Equal(t, map[string][]int64{"": {1}, "load-1": {1}, "load-2": {1}}, figures(t, all, "SELECT run_id, pinned FROM run", 1))
	const shared = "SELECT count(*) FROM request JOIN request_profile USING (profile_id) WHERE newest_s "
	require.Positive(t, number(t, all, shared+"= 253402300800"))
	require.Zero(t, number(t, all, shared+"< 253402300800"), "what they share stays as long as they")
}

// TestMergeAfterRetention joins files that have pruned, each by rules of its own:
// what is complete is what one file that prunes nothing has.
func TestMergeAfterRetention(t *testing.T) {
	traffic := filetest.Traffic(6000)
	whole := store(t, mergeOptions(t), traffic)
	var paths []string
	for i, part := range split(t, traffic, 2) {
		o := mergeOptions(t)
		o.Widths[0].Retention, o.Widths[1].Retention = time.Duration(i+1)*time.Minute, time.Duration(6-i)*time.Minute
		o.RunID, o.RunPinned = "load-2", i == 0
		paths = append(paths, store(t, o, part))
		s, err := storage.Open(t.Context(), o)
		require.NoError(t, err)
		require.NoError(t, s.Prune(t.Context()))
		require.NoError(t, s.Close())
	}
	all, result := merge(t, storage.MergeOptions{}, paths...)
	require.NotEmpty(t, result.LeftOut)
	complete := figures(t, all, "SELECT width_s, complete_from FROM pruned WHERE relation = 'buckets'", 1)
	require.Len(t, complete, 2)
	for _, width := range []int64{1, 10, 300, 3600} {
		from := int64(0)
		if pruned := complete[fmt.Sprint(width)]; pruned != nil {
			from = pruned[0]
			require.Greater(t, from, filetest.Begin.Unix())
		}
		query := fmt.Sprintf("SELECT bucket_start, run_id, category, requests FROM headline_bucket WHERE width_s = %d AND bucket_start >= %d", width, from)
		require.Equal(t, figures(t, whole, query, 3), figures(t, all, query, 3), width)
		older := fmt.Sprintf("SELECT count(*) FROM headline_bucket WHERE width_s = %d AND bucket_start < %d", width, from)
		require.Zero(t, number(t, all, older), "load-2 is pinned in one of the files only")
	}
}

// TestMergeKeepsDeadLetters in the order in which they came, each under a new id.
func TestMergeKeepsDeadLetters(t *testing.T) {
	var paths []string
	for i := range 2 {
		o := mergeOptions(t)
		minute := i
		o.Now = func() time.Time { minute += 2; return filetest.Begin.Add(time.Duration(minute) * time.Minute) }
		s, err := storage.Open(t.Context(), o)
		require.NoError(t, err)
		for n := range 3 {
			require.NoError(t, s.WriteLetters(t.Context(), []*storage.Letter{{
				Failure: storage.FailureUnknown, Error: "why", Attempts: 1, Spans: n + 1,
				Fingerprints: func(storage.Basis) []uint64 { return make([]uint64, n+1) },
				Payload:      func(func(int) bool) []byte { return []byte{byte(i), byte(n)} },
			}}))
		}
		require.NoError(t, s.Close())
		paths = append(paths, o.Path)
	}
	corrupt(t, paths[1], "UPDATE dead_letter SET due = 1 WHERE id = 2")
	all, _ := merge(t, storage.MergeOptions{}, paths...)
	const query = "SELECT hex(payload), 0 * id FROM dead_letter"
	letters := map[string][]int64{}
	for _, path := range paths {
		for key, value := range figures(t, path, query, 1) {
			letters[key] = value
		}
	}
	require.Len(t, letters, 6)
	require.Equal(t, letters, figures(t, all, query, 1))
	require.EqualValues(t, 12, number(t, all, "SELECT sum(spans) FROM dead_letter"))
	require.EqualValues(t, 1, number(t, all, "SELECT sum(due) FROM dead_letter"))
	require.Zero(t, number(t, all, `SELECT count(*) FROM dead_letter AS a JOIN dead_letter AS b ON a.id < b.id AND a.first_ns > b.first_ns`))
}

// TestMergeOfEvaluations: of spans that can be told apart each stands once, and
// of two that say different things the same one whatever the order; those of
// other spans stand as often as they are stored.
func TestMergeOfEvaluations(t *testing.T) {
	insert := func(trace string, ordinal int, name string, score string) string {
		return fmt.Sprintf(`INSERT INTO evaluation (at_ns, span_id, trace_id, ordinal, run_id, service, name, score)
			VALUES (7, x'0000000000000001', x'%s', %d, '', 'app', '%s', %s)`, trace, ordinal, name, score)
	}
	known, none := "000000000000000000000000000000aa", "00000000000000000000000000000000"
	paths := []string{store(t, mergeOptions(t), nil), store(t, mergeOptions(t), nil)}
	corrupt(t, paths[0], insert(known, 0, "b", "0.5"), insert(known, 1, "same", "NULL"), insert(none, 0, "x", "1"), insert(none, 1, "x", "1"))
	corrupt(t, paths[1], insert(known, 0, "a", "NULL"), insert(known, 1, "same", "NULL"), insert(none, 0, "x", "1"), insert(none, 4, "y", "1"))
	want := map[string][]int64{"aa|a": {1}, "aa|same": {1}, "00|x": {3}, "00|y": {1}}
	const query = "SELECT substr(lower(hex(trace_id)), 31), name, count(*) FROM evaluation GROUP BY 1, 2"
	for range 2 {
		all := filepath.Join(t.TempDir(), "all.db")
		_, err := storage.Merge(t.Context(), paths, storage.MergeOptions{Output: all})
		require.NoError(t, err)
		require.Equal(t, want, figures(t, all, query, 2))
		slices.Reverse(paths)
	}
}

// TestMergeOfFilesThatKeepLittle joins files without requests, with the headline
// only, with overflow series, and empty ones.
func TestMergeOfFilesThatKeepLittle(t *testing.T) {
	for name, change := range map[string]func(*storage.Options){
		"no requests":   func(o *storage.Options) { o.Sampling, o.DropSessions = &sampling.Policy{}, true },
		"headline only": func(o *storage.Options) { o.Widths = []storage.Width{{Seconds: 60, Detail: storage.DetailHeadline}} },
		"overflow":      func(o *storage.Options) { o.Limits = aggregator.Limits{MaxSeries: 3, MaxRuns: 1, MaxOverflowSeries: 2} },
	} {
		t.Run(name, func(t *testing.T) {
			all, _ := merge(t, storage.MergeOptions{}, twoFiles(t, change, change)...)
			require.EqualValues(t, 600, number(t, all, "SELECT spans FROM ledger WHERE reason = 'received'"))
			if name == "overflow" {
				require.Positive(t, number(t, all, "SELECT count(*) FROM series WHERE model = '__overflow__'"))
			}
		})
	}
	t.Run("empty", func(t *testing.T) {
		all, _ := merge(t, storage.MergeOptions{}, store(t, mergeOptions(t), nil), store(t, mergeOptions(t), nil))
		require.Zero(t, number(t, all, "SELECT count(*) FROM headline_bucket"))
		o := mergeOptions(t)
		o.Path = all
		store(t, o, filetest.Traffic(100))
		require.Empty(t, verify(t, all))
	})
	_, err := storage.Merge(t.Context(), []string{t.TempDir()}, storage.MergeOptions{Output: "x.db"})
	require.True(t, errors.Is(err, storage.ErrForeign), err)
}
