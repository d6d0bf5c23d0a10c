package spanbucketexporter

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// setComplete says that requests are complete from an instant on, and removes
// those that start before, as pruning does.
func setComplete(t *testing.T, path string, unixNano int64) {
	t.Helper()
	executeSQL(t, path, fmt.Sprintf("DELETE FROM request WHERE start_ns < %d", unixNano),
		fmt.Sprintf("INSERT OR REPLACE INTO meta VALUES ('requests_complete_from_ns', '%d')", unixNano))
}

// hasPrefixes tells whether a row of bucketRows is a bucket that starts at or
// after an instant, in whole seconds, rounded up to buckets.
func isFrom(t *testing.T, key string, second int64) bool {
	t.Helper()
	var width, start int64
	if strings.HasPrefix(key, "run") {
		return false
	}
	_, err := fmt.Sscanf(key[strings.Index(key, " ")+1:], "%d %d", &width, &start)
	require.NoError(t, err, key)
	return start >= second
}

// TestRebuildOfWhatIsComplete: where older requests have left, buckets from then
// on are recomputed exactly, also what completed in them, and older ones stay.
func TestRebuildOfWhatIsComplete(t *testing.T) {
	for _, c := range rebuildCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := seedtest.Rand(t)
			path := filepath.Join(t.TempDir(), "spanbucket.db")
			config := testConfig(path)
			c.change(config)
			from := time.Date(2026, 1, 30, 23, 50, 0, 0, time.UTC)
			sendHard(t, r, config, hardSpans(r, from, 9, 120))
			// A fifth of the spans are late, by up to two days.
			complete := from.UnixNano() - r.Int64N(int64(40*time.Hour))
			setComplete(t, path, complete)
			want := bucketRows(t, path)

			done := rebuildFile(t, storage.RebuildOptions{Path: path})
			require.Zero(t, done.Changed(), "%+v", done)
			require.Equal(t, complete, done.CompleteFromUnixNano)
			requireSameBuckets(t, want, bucketRows(t, path))

			// Spoil every row; what is known of ends that have no row is left.
			executeSQL(t, path, "UPDATE headline_bucket SET late = 0", "UPDATE series_bucket SET late = 0")
			want = bucketRows(t, path)
			executeSQL(t, path, "UPDATE headline_bucket SET resends = resends + 1", "UPDATE series_bucket SET requests = requests + 1")
			spoilt := bucketRows(t, path)
			done = rebuildFile(t, storage.RebuildOptions{Path: path})
			second := (complete + 1e9 - 1) / 1e9
			got := bucketRows(t, path)
			require.Len(t, got, len(want))
			var left, corrected int64
			for key := range want {
				switch {
				case isFrom(t, key, second):
					require.Equal(t, want[key], got[key], key)
					corrected++
				default:
					require.Equal(t, spoilt[key], got[key], key)
					if !strings.HasPrefix(key, "run") {
						left++
					}
				}
			}
			require.EqualValues(t, corrected, done.Changed())
			for _, w := range done.Widths {
				left -= w.Left
			}
			require.Zero(t, left)
		})
	}
}

// TestRebuildRefusesWhatIsNotComplete: without requests there is nothing to
// recompute from, and the buckets stay.
func TestRebuildRefusesWhatIsNotComplete(t *testing.T) {
	r := seedtest.Rand(t)
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	config := testConfig(path)
	config.Requests.SamplingRatio, config.Requests.MaxForCause = 0, 0
	from := time.Date(2026, 1, 30, 23, 50, 0, 0, time.UTC)
	sendHard(t, r, config, hardSpans(r, from, 3, 50))
	want := bucketRows(t, path)
	for _, estimate := range []bool{false, true} {
		_, err := storage.Rebuild(t.Context(), storage.RebuildOptions{Path: path, Estimate: estimate})
		var incomplete *storage.IncompleteError
		require.ErrorAs(t, err, &incomplete)
		require.Greater(t, incomplete.CompleteFromUnixNano, from.UnixNano())
		require.Zero(t, incomplete.Kept)
		require.Positive(t, incomplete.Spans)
	}
	requireSameBuckets(t, want, bucketRows(t, path))
}

// TestRebuildOfAnEmptyFile: nothing is there, and nothing is wrong with that.
func TestRebuildOfAnEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	stopExporter(t, startExporter(t, testConfig(path)))
	done := rebuildFile(t, storage.RebuildOptions{Path: path})
	require.Zero(t, done.Changed())
	require.Zero(t, done.Requests)
}

// TestRebuildIsInterrupted: an end in the middle leaves the file as it was, and
// its lock free.
func TestRebuildIsInterrupted(t *testing.T) {
	r := seedtest.Rand(t)
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	sendHard(t, r, testConfig(path), hardSpans(r, time.Date(2026, 1, 30, 23, 50, 0, 0, time.UTC), 6, 1000))
	executeSQL(t, path, "UPDATE series_bucket SET requests = requests + 1")
	want := bucketRows(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := storage.Rebuild(ctx, storage.RebuildOptions{Path: path, Progress: func(int64, int64) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
	requireSameBuckets(t, want, bucketRows(t, path))
	require.Positive(t, rebuildFile(t, storage.RebuildOptions{Path: path}).Changed())
	requireVerified(t, path)
}

// TestRebuildOfAFileInUse: while a collector has the file nothing happens.
func TestRebuildOfAFileInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	e := startExporter(t, testConfig(path))
	defer stopExporter(t, e)
	_, err := storage.Rebuild(t.Context(), storage.RebuildOptions{Path: path})
	require.ErrorIs(t, err, storage.ErrLocked)
}

// TestRebuildEstimatesFromASample: the sums are those of all spans but for what
// chance allows, all rules of a file hold, and it says that it is estimated.
func TestRebuildEstimatesFromASample(t *testing.T) {
	r := seedtest.Rand(t)
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	sendHard(t, r, testConfig(path), withoutHuge(hardSpans(r, time.Date(2026, 1, 30, 23, 50, 0, 0, time.UTC), 12, 900)))
	sums := func() row {
		return query(t, openReader(t, path), `SELECT sum(requests) AS requests, sum(success) AS success, sum(latency_count) AS latency_count,
			sum(completed) AS completed, sum(output_tokens) AS output_tokens FROM headline_bucket WHERE width_s = 1`)[0]
	}
	truth := sums()
	// What a sampling ratio of 1 / 3.6 leaves.
	executeSQL(t, path, "DELETE FROM request WHERE (id * 2654435761 & 0xffffff) >= 0x1000000 / 3.6",
		"UPDATE request SET weight_micro = 3600000",
		"INSERT OR REPLACE INTO meta VALUES ('requests_complete_from_ns', '9223372036854775807')")
	if r.IntN(2) == 0 {
		executeSQL(t, path, bucketDamages[0]...) // everything
	}
	damaged := bucketRows(t, path)
	_, err := storage.Rebuild(t.Context(), storage.RebuildOptions{Path: path})
	var incomplete *storage.IncompleteError
	require.ErrorAs(t, err, &incomplete)
	require.Less(t, incomplete.Kept, incomplete.Spans/2)
	requireSameBuckets(t, damaged, bucketRows(t, path))

	done := rebuildFile(t, storage.RebuildOptions{Path: path, Estimate: true})
	require.Positive(t, done.Changed())
	requireVerified(t, path)
	for name, value := range sums() {
		want := float64(truth[name].(int64))
		require.InDelta(t, want, float64(value.(int64)), 0.2*want, name)
	}
	meta := query(t, openReader(t, path), "SELECT value FROM meta WHERE key = 'estimated_to_s'")
	require.Len(t, meta, 1)
	require.Zero(t, rebuildFile(t, storage.RebuildOptions{Path: path, Estimate: true}).Changed(), "the same sample gives the same")
}

// TestRebuildAfterOtherVerbs: a run that was opened and has no span, one that
// was purged, and a file that was joined from two leave nothing to correct.
func TestRebuildAfterOtherVerbs(t *testing.T) {
	r := seedtest.Rand(t)
	from := time.Date(2026, 1, 30, 23, 50, 0, 0, time.UTC)
	var paths []string
	for i := range 2 {
		path := filepath.Join(t.TempDir(), "spanbucket.db")
		paths = append(paths, path)
		sendHard(t, r, testConfig(path), withoutHuge(hardSpans(r, from.Add(time.Duration(i)*time.Minute), 5, 100)))
		_, err := storage.OpenRun(t.Context(), path, storage.NewRun{ID: "empty", Name: "nothing came", At: from})
		require.NoError(t, err)
		_, err = storage.PurgeRun(t.Context(), path, "run-1", true)
		require.NoError(t, err)
	}
	joined := filepath.Join(t.TempDir(), "joined.db")
	_, err := storage.Merge(t.Context(), paths, storage.MergeOptions{Output: joined, Now: time.Now})
	require.NoError(t, err)
	for _, path := range append(paths, joined) {
		want := bucketRows(t, path)
		done := rebuildFile(t, storage.RebuildOptions{Path: path})
		require.Zero(t, done.Changed(), "%+v", done)
		executeSQL(t, path, bucketDamages[1]...)
		require.Positive(t, rebuildFile(t, storage.RebuildOptions{Path: path}).Changed())
		requireSameLateless(t, want, bucketRows(t, path))
		requireVerified(t, path)
	}
}

// requireSameLateless compares rows but for how many spans were late.
func requireSameLateless(t *testing.T, want, got map[string]string) {
	t.Helper()
	late := regexp.MustCompile(`\blate=\d+`)
	for _, rows := range []map[string]string{want, got} {
		for key, text := range rows {
			rows[key] = late.ReplaceAllString(text, "")
		}
	}
	requireSameBuckets(t, want, got)
}
