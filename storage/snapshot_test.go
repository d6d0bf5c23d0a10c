package storage_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

func openForReading(t *testing.T, path string) *storage.Reader {
	t.Helper()
	r, err := storage.OpenReader(t.Context(), path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

func requireClean(t *testing.T, path string) {
	t.Helper()
	require.Empty(t, verify(t, path))
}

func TestSnapshotBesideAWriter(t *testing.T) {
	path := copyOfGood(t)
	o := filetest.Options(path, filetest.Begin.Add(20*time.Minute))
	s, err := storage.Open(t.Context(), o)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	r := openForReading(t, path)
	already := countRows(t, r)
	var acknowledged atomic.Int64
	write := func() {
		require.NoError(t, s.Write(t.Context(), batchOfTraffic(&o, 1)))
		acknowledged.Add(1)
	}
	for n := range 5 {
		for range 10 {
			write()
		}
		before := acknowledged.Load()
		copied, steps := filepath.Join(t.TempDir(), "snapshot.db"), 0
		// The copy is under way whenever the writer goes on.
		made, err := r.Snapshot(t.Context(), copied, storage.SnapshotOptions{OnProgress: func(done, total int64) {
			require.LessOrEqual(t, done, total)
			steps++
			write()
		}})
		require.NoError(t, err)
		require.Greater(t, steps, 1, "the file is too small for a writer to go on meanwhile")
		require.Equal(t, before+int64(steps), acknowledged.Load())
		requireClean(t, copied)
		require.Equal(t, already+before, countRows(t, openForReading(t, copied)), "snapshot %d", n)
		require.Equal(t, copied, made.Path)
	}
	require.Equal(t, already+acknowledged.Load(), countRows(t, r))
	requireClean(t, path)
}

// batchOfTraffic makes a batch of the first spans of filetest.Traffic.
func batchOfTraffic(o *storage.Options, spans int) storage.Batch {
	observations := filetest.Traffic(spans)
	delta := aggregator.NewDelta(storage.FinestWidths(o.Widths), o.Objectives...)
	for i := range observations {
		delta.Fold(&observations[i])
	}
	return storage.Batch{Delta: delta, Observations: func(yield func(*aggregator.Observation) bool) {
		for i := range observations {
			if !yield(&observations[i]) {
				return
			}
		}
	}}
}

func TestSnapshotIsAFileLikeTheOriginal(t *testing.T) {
	path := copyOfGood(t)
	copied := filepath.Join(t.TempDir(), "snapshot.db")
	var done, total int64
	made, err := openForReading(t, path).Snapshot(t.Context(), copied, storage.SnapshotOptions{
		OnProgress: func(d, all int64) { done, total = d, all },
	})
	require.NoError(t, err)
	require.Equal(t, total, done)
	require.Equal(t, total, made.Bytes)
	info, err := os.Stat(copied)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	require.Equal(t, made.Bytes, info.Size())
	require.Equal(t, []string{"snapshot.db"}, names(t, filepath.Dir(copied)))
	for _, pragma := range []string{"application_id", "user_version", "auto_vacuum", "page_size", "page_count", "journal_mode"} {
		var original, copy string
		require.NoError(t, openForReading(t, path).QueryRow("PRAGMA "+pragma).Scan(&original))
		require.NoError(t, openForReading(t, copied).QueryRow("PRAGMA "+pragma).Scan(&copy))
		require.Equal(t, original, copy, pragma)
	}
	meta, err := storage.ReadMeta(t.Context(), openForReading(t, copied))
	require.NoError(t, err)
	require.Equal(t, made.WriterID, meta.WriterID)
	require.Equal(t, made.Version, meta.Version)
	// A collector can go on with it, and counts on.
	before := countRows(t, openForReading(t, copied))
	filetest.Write(t, filetest.Options(copied, filetest.Begin.Add(time.Hour)), filetest.Traffic(10))
	require.Equal(t, before+10, countRows(t, openForReading(t, copied)))
	requireClean(t, copied)
}

func TestSnapshotReplacesOnlyWhatItMay(t *testing.T) {
	path := copyOfGood(t)
	source := openForReading(t, path)
	fill := func(name, text string) func(*testing.T, string) {
		return func(t *testing.T, target string) {
			require.NoError(t, os.WriteFile(target+name, []byte(text), 0o600))
		}
	}
	older := func(t *testing.T, target string) {
		filetest.Write(t, filetest.Options(target, filetest.Begin), filetest.Traffic(10))
	}
	for name, c := range map[string]struct {
		there   func(t *testing.T, target string)
		replace bool
		want    error
		message string
	}{
		"free":                  {there: func(*testing.T, string) {}},
		"free, forced":          {there: func(*testing.T, string) {}, replace: true},
		"taken":                 {there: older, want: storage.ErrExists},
		"taken, forced":         {there: older, replace: true},
		"of others":             {there: fill("", "letters to my aunt"), want: storage.ErrExists},
		"of others, forced":     {there: fill("", "letters to my aunt"), replace: true, want: storage.ErrForeign},
		"empty, forced":         {there: fill("", ""), replace: true, want: storage.ErrForeign},
		"a log is left":         {there: fill("-wal", "x"), want: storage.ErrInUse, message: "-wal"},
		"a log is left, forced": {there: fill("-wal", "x"), replace: true, want: storage.ErrInUse, message: "-wal"},
		"a link, forced": {there: func(t *testing.T, target string) {
			other := filepath.Join(t.TempDir(), "other.db")
			older(t, other)
			require.NoError(t, os.Symlink(other, target))
		}, replace: true, message: "symbolic link"},
		"written, forced": {there: func(t *testing.T, target string) {
			s, err := storage.Open(t.Context(), filetest.Options(target, filetest.Begin))
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
		}, replace: true, want: storage.ErrInUse, message: "is there: close what has"},
		"a folder, forced": {there: func(t *testing.T, target string) { require.NoError(t, os.Mkdir(target, 0o700)) },
			replace: true, message: "is a folder"},
	} {
		t.Run(name, func(t *testing.T) {
			target := filepath.Join(t.TempDir(), "target.db")
			c.there(t, target)
			before := names(t, filepath.Dir(target))
			_, err := source.Snapshot(t.Context(), target, storage.SnapshotOptions{Replace: c.replace})
			if c.want == nil && c.message == "" {
				require.NoError(t, err)
				require.Equal(t, countRows(t, source), countRows(t, openForReading(t, target)))
				return
			}
			require.Error(t, err)
			require.ErrorContains(t, err, c.message)
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
			}
			require.Equal(t, before, names(t, filepath.Dir(target)), "something is left behind")
		})
	}
}

func TestSnapshotNeverWritesOverItsSource(t *testing.T) {
	path := copyOfGood(t)
	link := filepath.Join(filepath.Dir(path), "link.db")
	require.NoError(t, os.Symlink(path, link))
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, target := range []string{path, link} {
		r := openForReading(t, path)
		_, err := r.Snapshot(t.Context(), target, storage.SnapshotOptions{Replace: true})
		require.ErrorContains(t, err, "is the file itself")
		require.NoError(t, r.Close())
	}
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestInterruptedSnapshotLeavesNothing(t *testing.T) {
	path := copyOfGood(t)
	folder := t.TempDir()
	ctx, stop := context.WithCancelCause(t.Context())
	_, err := openForReading(t, path).Snapshot(ctx, filepath.Join(folder, "snapshot.db"), storage.SnapshotOptions{
		OnProgress: func(int64, int64) { stop(errors.New("enough")) },
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, names(t, folder))
}
