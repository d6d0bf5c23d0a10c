package storage

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"modernc.org/sqlite"
)

// TestMigrationsArePinned: a released step is never edited.
func TestMigrationsArePinned(t *testing.T) {
	pinned := map[string]string{
		"0001_initial.sql":     "4db82e065b1a9ce89b7daa087d7564b33915e28f9fec90813cc16185fc49474f",
		"0002_requests.sql":    "45e0dafa45157881c2a8831d5da2254c1a533449ebefe39703d4eb66e2563f66",
		"0003_activity.sql":    "deeda642fa3f16b7fb8c5e95ecacf54875ac4033fbd39a19286e017545529304",
		"0004_reliability.sql": "4bc9f2c372652306dfce481abc974b11760c7def3833315a358650c84e78831a",
		"0005_keeping.sql":     "a967a91c19f359fb340b6e9f8716ea6849dbb00f4187026a87766503039ce708",
		"0006_slo.sql":         "256bebcf2defebaae5bf81da58bd699da66cc304116c844c4a1a63b3b1455c01",
	}
	entries, err := migrations.ReadDir("migrations")
	require.NoError(t, err)
	require.Len(t, entries, len(pinned))
	require.Len(t, entries, SchemaVersion)
	for _, entry := range entries {
		text, err := migrations.ReadFile("migrations/" + entry.Name())
		require.NoError(t, err)
		sum := sha256.Sum256(text)
		require.Equal(t, pinned[entry.Name()], hex.EncodeToString(sum[:]), entry.Name())
	}
}

// TestOlderFilesAreMigrated: one of the first schema goes on as one of the
// present.
func TestOlderFilesAreMigrated(t *testing.T) {
	o := testOptions(t)
	require.NoError(t, createFile(o.Path, 0o600))
	db, err := sql.Open("sqlite", writerDSN(o.Path, SynchronousFull))
	require.NoError(t, err)
	first, err := migrationStep(1)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), first+"; PRAGMA application_id = 1399865963; PRAGMA user_version = 1")
	require.NoError(t, err)
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, errors.Join(describeFile(t.Context(), conn, &o), conn.Close(), db.Close()))
	s := openStore(t, o)
	require.NoError(t, s.Write(t.Context(), requestBatch(o, request(1, 0))))
	require.NoError(t, s.Close())
	require.EqualValues(t, SchemaVersion, one[int64](t, o.Path, "PRAGMA user_version"))
	r, err := OpenReader(t.Context(), o.Path)
	require.NoError(t, err)
	for p, err := range r.Verify(t.Context()) {
		t.Error(p, err)
	}
	require.NoError(t, r.Close())
}

// TestMigrationPinsWhatPinnedRunsShare: their requests stay, and so must what
// these name.
func TestMigrationPinsWhatPinnedRunsShare(t *testing.T) {
	path := filepath.Join(t.TempDir(), "older.db")
	older := ""
	for version := int64(1); version < 5; version++ {
		step, err := migrationStep(version)
		require.NoError(t, err)
		older += step + ";\n"
	}
	exec(t, path, older+`
		INSERT INTO run (run_id, pinned, version) VALUES ('pinned', 1, 1), ('other', 0, 1);
		INSERT INTO series SELECT column1, column2, 'app', 'chat', 'client', 'llm', '', '', '', '', 'success', '', '', '{}', 1
			FROM (VALUES (1, 'pinned'), (2, 'other'));
		INSERT INTO dictionary VALUES (1, 'pinned'), (2, 'other');
		INSERT INTO request (start_ns, span_id, trace_id, kind, duration_ns, copy, series_id, kept, span_name)
			SELECT column1, zeroblob(8), zeroblob(16), 3, 1, 0, column1, 1, column1 FROM (VALUES (1), (2));`)
	step, err := migrationStep(5)
	require.NoError(t, err)
	exec(t, path, step)
	db, err := sql.Open("sqlite", dsn(path, nil, "mode", "ro"))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	for name, want := range map[string]int64{"pinned": pinnedNewest, "other": secondsPerHour} {
		var newest int64
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT newest_s FROM request_profile WHERE span_name = ?", name).Scan(&newest))
		require.Equal(t, want, newest, name)
	}
}

func exec(t *testing.T, path, statements string) {
	t.Helper()
	db, err := sql.Open("sqlite", dsn(path, nil, "mode", "rwc"))
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), statements)
	require.NoError(t, errors.Join(err, db.Close()))
}

func TestFilesOfOthersAreRefusedUntouched(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		want error
	}{
		"text": {func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte("not a database, but as long as the header of one, so that SQLite takes a look at it; and more"), 0o600))
		}, ErrForeign},
		"another application": {func(t *testing.T, path string) {
			exec(t, path, "PRAGMA application_id = 7; CREATE TABLE t (x)")
		}, ErrForeign},
		"an application without a number": {func(t *testing.T, path string) {
			exec(t, path, "CREATE TABLE t (x)")
		}, ErrForeign},
		"a newer schema": {func(t *testing.T, path string) {
			exec(t, path, "PRAGMA application_id = 1399865963; PRAGMA user_version = 99; CREATE TABLE t (x)")
		}, ErrNewer},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			c.make(t, o.Path)
			before, err := os.ReadFile(o.Path)
			require.NoError(t, err)
			_, err = Open(t.Context(), o)
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, o.Path)
			_, err = OpenReader(t.Context(), o.Path)
			require.ErrorIs(t, err, c.want)
			after, err := os.ReadFile(o.Path)
			require.NoError(t, err)
			require.True(t, bytes.Equal(before, after), "the file was changed")
			entries, err := os.ReadDir(filepath.Dir(o.Path))
			require.NoError(t, err)
			require.Len(t, entries, 1)
		})
	}
}

func TestReaderCannotWrite(t *testing.T) {
	o := testOptions(t)
	require.NoError(t, openStore(t, o).Close())
	r, err := OpenReader(t.Context(), o.Path)
	require.NoError(t, err)
	for _, statement := range []string{"DELETE FROM meta", "CREATE TABLE t (x)", "PRAGMA user_version = 3"} {
		_, err := r.ExecContext(t.Context(), statement)
		require.Error(t, err, statement)
	}
	require.NoError(t, r.Close())
	_, err = OpenReader(t.Context(), o.Path+".missing")
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = os.Stat(o.Path + ".missing")
	require.ErrorIs(t, err, os.ErrNotExist, "a reader never creates a file")
}

// TestEveryConnectionHasItsPragmas: they are in the name, not sent once to a
// pool.
func TestEveryConnectionHasItsPragmas(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	for pragma, want := range map[string]int64{
		"foreign_keys": 1, "trusted_schema": 0, "cell_size_check": 1, "synchronous": 2, "auto_vacuum": 2,
		"busy_timeout": 250, "mmap_size": 0,
	} {
		var got int64
		require.NoError(t, s.writer.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
		require.Equal(t, want, got, pragma)
	}
	r, err := OpenReader(t.Context(), o.Path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	for range 3 { // held at once: three connections
		conn, err := r.Conn(t.Context())
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close()) }()
		var queryOnly int64
		require.NoError(t, conn.QueryRowContext(t.Context(), "PRAGMA query_only").Scan(&queryOnly))
		require.EqualValues(t, 1, queryOnly)
	}
	require.True(t, sqlite.StrictPragmasEnabled())
	require.True(t, sqlite.OFDLockingEnabled())
}

func TestNamesThatURIsWouldMisread(t *testing.T) {
	for _, name := range []string{"a?b.db", "a#b.db", "a%41.db", "a b.db", "x?mode=ro", "ü&=+.db", "a?_pragma=user_version(7)"} {
		o := testOptions(t)
		o.Path = filepath.Join(filepath.Dir(o.Path), name)
		require.NoError(t, openStore(t, o).Close())
		entries, err := os.ReadDir(filepath.Dir(o.Path))
		require.NoError(t, err)
		require.Len(t, entries, 1, name)
		require.Equal(t, name, entries[0].Name())
	}
	for path, want := range map[string]string{
		"": "must not be empty", ":memory:": "must name a file", "file:x.db": "must name a file", "a\x00b": "NUL",
		"folder/": "got the folder", ".": "got the folder", "..": "got the folder", "a/.": "got the folder", "a/..": "got the folder",
		"x.db-wal": "must not end in -wal", "a/x-shm": "must not end in -shm", "-journal": "must not end in -journal",
		"cargo.lock": "must not end in .lock",
	} {
		require.ErrorContains(t, CheckPath(path), want, "%q", path)
	}
	for _, path := range []string{"x", ".x", "...", "wal", "x-wal/y", "x.lock.db", "x.locked", "lock", "..x"} {
		require.NoError(t, CheckPath(path), "%q", path)
	}
}

// TestOtherWidthsAreRefused: a file with spans keeps its widths; retention may
// change, and a file without spans may become anything.
func TestOtherWidthsAreRefused(t *testing.T) {
	o := testOptions(t)
	require.NoError(t, openStore(t, o).Close())
	o.Widths = []Width{{Seconds: 10}, {Seconds: 60}}
	s := openStore(t, o)
	require.NoError(t, s.Write(t.Context(), batchOf(o, observation(0, time.Second))))
	require.NoError(t, s.Close())
	for _, widths := range [][]Width{
		{{Seconds: 10}},
		{{Seconds: 10}, {Seconds: 60}, {Seconds: 3600}},
		{{Seconds: 10}, {Seconds: 300}},
		{{Seconds: 10, Detail: DetailHeadline}, {Seconds: 60}},
	} {
		other := o
		other.Widths = widths
		before, err := os.ReadFile(o.Path)
		require.NoError(t, err)
		_, err = Open(t.Context(), other)
		require.ErrorIs(t, err, ErrOtherWidths)
		require.ErrorContains(t, err, "10s (series), 60s (series), or path must name a new one")
		after, err := os.ReadFile(o.Path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(before, after), "the file was changed")
	}
	o.Widths = []Width{{Seconds: 10, Retention: time.Hour}, {Seconds: 60}}
	require.NoError(t, openStore(t, o).Close())
	require.Contains(t, one[string](t, o.Path, "SELECT value FROM meta WHERE key = 'widths'"), `"retention_s":3600`)
}

// TestLinksShareALock: two names of one file have one writer.
func TestLinksShareALock(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	link := o
	link.Path = filepath.Join(t.TempDir(), "link.db")
	require.NoError(t, os.Symlink(o.Path, link.Path))
	_, err := Open(t.Context(), link)
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, s.Close())
	s = openStore(t, link)
	require.Equal(t, filepath.Base(o.Path), filepath.Base(s.Path()))
	require.NoError(t, s.Write(t.Context(), batchOf(o, observation(0, time.Second))))
	_, wal := s.Sizes()
	require.Positive(t, wal)
	require.NoError(t, s.Close())
}
