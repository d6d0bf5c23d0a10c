package storage_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// names lists a folder.
func names(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func countRows(t *testing.T, r *storage.Reader) (n int64) {
	t.Helper()
	err := r.View(context.Background(), func(tx *sql.Tx) error {
		return tx.QueryRow("SELECT sum(requests_total) FROM timeseries WHERE width_s = 1").Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestReaderLeavesNothingBehind(t *testing.T) {
	path := copyOfGood(t)
	for range 2 {
		r, err := storage.OpenReader(context.Background(), path)
		if err != nil {
			t.Fatal(err)
		}
		if n := countRows(t, r); n == 0 {
			t.Error("no requests")
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"copy.db"}) {
			t.Errorf("left behind: %q", got)
		}
	}
}

func TestReaderBesideWriter(t *testing.T) {
	ctx := context.Background()
	path := copyOfGood(t)
	o := filetest.Options(path, filetest.Begin.Add(20*time.Minute))
	s, err := storage.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	open := func() *storage.Reader {
		r, err := storage.OpenReader(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	first, last := open(), open()
	before := countRows(t, first)
	// The first reader leaves while the writer goes on.
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	delta := aggregator.NewDelta(storage.FinestWidths(o.Widths), o.Objectives...)
	observations := filetest.Traffic(3)
	for i := range observations {
		delta.Fold(&observations[i])
	}
	if err := s.Write(ctx, storage.Batch{Delta: delta}); err != nil {
		t.Fatal(err)
	}
	if after := countRows(t, last); after != before+3 {
		t.Errorf("%d requests after the commit, want %d", after, before+3)
	}
	// The last reader outlives the writer and tidies up behind both.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if after := countRows(t, last); after != before+3 {
		t.Errorf("%d requests after the writer left, want %d", after, before+3)
	}
	if err := last.Close(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"copy.db"}) {
		t.Errorf("left behind: %q", got)
	}
}

// A writer that was killed leaves committed spans in its log.
func TestReaderReadsTheLogOfACrashedWriter(t *testing.T) {
	path := copyOfGood(t)
	o := filetest.Options(path, filetest.Begin.Add(20*time.Minute))
	s, err := storage.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	delta := aggregator.NewDelta(storage.FinestWidths(o.Widths), o.Objectives...)
	observations := filetest.Traffic(3)
	for i := range observations {
		delta.Fold(&observations[i])
	}
	if err := s.Write(context.Background(), storage.Batch{Delta: delta}); err != nil {
		t.Fatal(err)
	}
	crashed := filepath.Join(t.TempDir(), "crashed.db")
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		if err == nil {
			err = os.WriteFile(crashed+suffix, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := storage.OpenReader(context.Background(), crashed)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := storage.OpenReader(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := countRows(t, r), countRows(t, whole); got != want {
		t.Errorf("%d requests, want %d", got, want)
	}
	if err := errors.Join(r.Close(), whole.Close()); err != nil {
		t.Fatal(err)
	}
	if got := names(t, filepath.Dir(crashed)); !slices.Equal(got, []string{"crashed.db"}) {
		t.Errorf("left behind: %q", got)
	}
}

func TestOpenReaderRefuses(t *testing.T) {
	sqlite := func(statements ...string) []byte {
		path := filepath.Join(t.TempDir(), "made.db")
		db, err := sql.Open("sqlite", "file:"+path)
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		for _, statement := range statements {
			if _, err := db.Exec(statement); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	newer := copyOfGood(t, "PRAGMA user_version = 99")
	newerBytes, err := os.ReadFile(newer)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		content []byte
		want    error
	}{
		{"text", []byte("this is no database, but long enough to have a header of its own, all the same, is it not?\n"), storage.ErrForeign},
		{"short text", []byte("hello\n"), storage.ErrForeign},
		{"empty", nil, storage.ErrForeign},
		{"database of another program", sqlite("PRAGMA journal_mode = WAL", "PRAGMA application_id = 5", "CREATE TABLE t (a)"), storage.ErrForeign},
		{"database without a name", sqlite("PRAGMA journal_mode = WAL", "CREATE TABLE t (a)"), storage.ErrForeign},
		{"newer schema", newerBytes, storage.ErrNewer},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file.db")
			if err := os.WriteFile(path, c.content, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := storage.OpenReader(context.Background(), path); !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			content, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(content, c.content) {
				t.Errorf("file was changed (error %v)", err)
			}
			if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{"file.db"}) {
				t.Errorf("left behind: %q", got)
			}
		})
	}
	if _, err := storage.OpenReader(context.Background(), filepath.Join(t.TempDir(), "none.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: error %v, want %v", err, fs.ErrNotExist)
	}
	if _, err := storage.OpenReader(context.Background(), t.TempDir()); !errors.Is(err, storage.ErrForeign) {
		t.Errorf("folder: error %v, want %v", err, storage.ErrForeign)
	}
}
