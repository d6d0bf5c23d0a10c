package storage_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// TestMergeNoticesSpansInCommon joins files with some spans in both.
func TestMergeNoticesSpansInCommon(t *testing.T) {
	traffic := filetest.Traffic(1000)
	first, second := mergeOptions(t), mergeOptions(t)
	second.Now = func() time.Time { return filetest.Begin.Add(11 * time.Minute) }
	paths := []string{store(t, first, traffic[:600]), store(t, second, traffic[500:])}
	output := filepath.Join(t.TempDir(), "all.db")
	_, err := storage.Merge(t.Context(), paths, storage.MergeOptions{Output: output})
	var overlap *storage.OverlapError
	require.ErrorAs(t, err, &overlap)
	require.EqualValues(t, 100, overlap.Spans)
	require.NoFileExists(t, output)

	_, result := merge(t, storage.MergeOptions{Output: output, AllowOverlap: true}, paths...)
	require.EqualValues(t, 100, result.Overlap)
	require.EqualValues(t, 1100, number(t, output, "SELECT spans FROM ledger WHERE reason = 'received'"))
	require.EqualValues(t, 1000, number(t, output, "SELECT spans FROM deduplication"), "each is remembered once")

	t.Run("the window is bounded", func(t *testing.T) {
		first.DedupMaxSpans, second.DedupMaxSpans = 600, 600
		for _, o := range []storage.Options{first, second} {
			s, err := storage.Open(t.Context(), o)
			require.NoError(t, err)
			require.NoError(t, s.Close())
		}
		bounded, result := merge(t, storage.MergeOptions{AllowOverlap: true}, paths...)
		require.LessOrEqual(t, number(t, bounded, "SELECT spans FROM deduplication"), int64(600))
		require.Equal(t, second.Now().Unix(), number(t, bounded, "SELECT max(last_arrival_s) FROM fingerprint"), "the newest stay")
		require.Equal(t, storage.LeftFull, result.LeftOut[0].Why)
	})
	t.Run("keys that differ", func(t *testing.T) {
		third := mergeOptions(t)
		third.DedupSecret = ""
		path := store(t, third, traffic[900:])
		strange, result := merge(t, storage.MergeOptions{}, paths[0], path)
		require.False(t, result.Comparable)
		require.Equal(t, storage.LeftKeys, result.LeftOut[0].Why)
		require.Zero(t, number(t, strange, "SELECT count(*) FROM fingerprint"))
		require.Zero(t, number(t, strange, "SELECT configured FROM fingerprint_key"))
		third.Path = strange
		store(t, third, traffic[:10]) // any secret will do
	})
}

// TestMergeTakesNoPlaceOfOthers: the new file has its name to itself.
func TestMergeTakesNoPlaceOfOthers(t *testing.T) {
	paths := twoFiles(t)
	attempt := func(output string, replace bool) error {
		_, err := storage.Merge(t.Context(), paths, storage.MergeOptions{Output: output, Replace: replace})
		return err
	}
	for _, replace := range []bool{false, true} {
		require.ErrorIs(t, attempt(paths[0], replace), storage.ErrNotMergeable)
		link := filepath.Join(t.TempDir(), "link.db")
		require.NoError(t, os.Link(paths[1], link))
		require.ErrorIs(t, attempt(link, replace), storage.ErrNotMergeable)
		require.NoError(t, os.Remove(link))
		require.NoError(t, os.Symlink(paths[1], link))
		require.ErrorIs(t, attempt(link, replace), storage.ErrNotMergeable)
	}
	o := mergeOptions(t)
	other := store(t, o, filetest.Traffic(5))
	require.ErrorIs(t, attempt(other, false), storage.ErrExists)
	require.EqualValues(t, 5, number(t, other, "SELECT spans FROM ledger WHERE reason = 'received'"))

	s, err := storage.Open(t.Context(), o)
	require.NoError(t, err)
	require.Error(t, attempt(other, true), "a collector writes it")
	require.NoError(t, s.Close())

	reader, err := storage.OpenReader(t.Context(), other)
	require.NoError(t, err)
	require.ErrorIs(t, attempt(other, true), storage.ErrInUse)
	require.NoError(t, reader.Close())

	require.NoError(t, attempt(other, true))
	require.EqualValues(t, 600, number(t, other, "SELECT spans FROM ledger WHERE reason = 'received'"))
	require.Equal(t, []string{filepath.Base(other)}, filesBeside(t, []string{other}))

	text := filepath.Join(t.TempDir(), "text.db")
	require.NoError(t, os.WriteFile(text, []byte("a text of somebody else"), 0o600))
	require.ErrorIs(t, attempt(text, true), storage.ErrForeign)
}

// TestMergeThatIsInterrupted leaves nothing behind.
func TestMergeThatIsInterrupted(t *testing.T) {
	var paths []string
	for _, part := range split(t, filetest.Traffic(6000), 2) {
		paths = append(paths, store(t, mergeOptions(t), part))
	}
	folder := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	during := 0
	_, err := storage.Merge(ctx, paths, storage.MergeOptions{Output: filepath.Join(folder, "all.db"), OnProgress: func(read, total int64) {
		require.Less(t, read, total)
		during = len(filesBeside(t, []string{filepath.Join(folder, "all.db")}))
		cancel()
	}})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, sql.ErrTxDone) // which says nothing to anybody
	require.Positive(t, during)
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// TestMergeBesideWriters joins files that are being written, each as of one
// commit.
func TestMergeBesideWriters(t *testing.T) {
	var paths []string
	var stores []*storage.Store
	o := mergeOptions(t)
	traffic := filetest.Traffic(4000)
	for i := range 2 {
		o.Path = filepath.Join(t.TempDir(), fmt.Sprintf("%d.db", i))
		paths = append(paths, o.Path)
		s, err := storage.Open(t.Context(), o)
		require.NoError(t, err)
		stores = append(stores, s)
		storeBatch(t, s, &o, traffic[i*2000:i*2000+1000])
	}
	next := 0
	all, _ := merge(t, storage.MergeOptions{OnProgress: func(_, _ int64) {
		if next < 1000 {
			for i, s := range stores {
				from := i*2000 + 1000 + next
				storeBatch(t, s, &o, traffic[from:from+100])
			}
			next += 100
		}
	}}, paths...)
	require.Positive(t, next)
	require.EqualValues(t, 2000, number(t, all, "SELECT spans FROM ledger WHERE reason = 'received'"))
	for _, s := range stores {
		require.NoError(t, s.Close())
	}
	require.EqualValues(t, 2000+2*next, number(t, paths[0], "SELECT spans FROM ledger WHERE reason = 'received'")+
		number(t, paths[1], "SELECT spans FROM ledger WHERE reason = 'received'"))
}

// TestMergeKeepsWhatPinnedRunsShare: a run that is pinned in one of the files is
// pinned in the new one, with all that its requests of every file say.
func TestMergeKeepsWhatPinnedRunsShare(t *testing.T) {
	traffic := filetest.Traffic(600)
	ofRun := slices.IndexFunc(traffic, func(o aggregator.Observation) bool {
		return o.Series.Run == "load-2" && o.Series.Category == aggregator.CategoryLLM
	})
	pinned, other := mergeOptions(t), mergeOptions(t)
	pinned.RunID, pinned.RunPinned = "load-2", true
	paths := []string{store(t, pinned, traffic[ofRun:ofRun+1]), store(t, other, slices.Delete(slices.Clone(traffic), ofRun, ofRun+1))}
	for range 2 {
		slices.Reverse(paths)
		all, _ := merge(t, storage.MergeOptions{}, paths...)
		const said = `SELECT count(*) FROM request JOIN series USING (series_id) JOIN request_profile USING (profile_id)
			WHERE run_id = 'load-2' AND decision = 'accept'`
		before := number(t, all, said)
		require.Positive(t, before)

		o, tomorrow := mergeOptions(t), traffic[0]
		const day = 24 * time.Hour
		o.Path, o.RequestRetention = all, time.Minute
		o.Now = func() time.Time { return filetest.Begin.Add(day + time.Minute) }
		tomorrow.Series.Run, tomorrow.SpanID = "", [8]byte{1}
		tomorrow.StartUnixNano, tomorrow.EndUnixNano = tomorrow.StartUnixNano+int64(day), tomorrow.EndUnixNano+int64(day)
		s, err := storage.Open(t.Context(), o)
		require.NoError(t, err)
		storeBatch(t, s, &o, []aggregator.Observation{tomorrow})
		require.NoError(t, s.Prune(t.Context()))
		require.NoError(t, s.Close())
		require.Positive(t, number(t, all, "SELECT rows FROM pruned WHERE relation = 'request'"))
		require.Equal(t, before, number(t, all, said))
		require.Empty(t, verify(t, all))
	}
}

// TestMergeOfStrataThatAllHasLeftOf: pruning takes the oldest rows of a minute,
// which may be all of one stratum of it.
func TestMergeOfStrataThatAllHasLeftOf(t *testing.T) {
	few := func(o *storage.Options) { o.Sampling = &sampling.Policy{MaxForCause: 1} }
	paths := twoFiles(t, few, few)
	const ofStratum = "category = 'llm' AND outcome = 'server_error'"
	for _, path := range paths {
		require.Positive(t, number(t, path, "SELECT count(*) FROM request_stratum WHERE spans > rows AND "+ofStratum))
		corrupt(t, path, "DELETE FROM request WHERE kept & 16 AND series_id IN (SELECT series_id FROM series WHERE "+ofStratum+")")
	}
	all, _ := merge(t, storage.MergeOptions{}, paths...)
	require.Zero(t, number(t, all, "SELECT count(*) FROM request_stratum WHERE spans > 1 AND "+ofStratum))
	require.Positive(t, number(t, all, "SELECT count(*) FROM request_stratum"))
}
