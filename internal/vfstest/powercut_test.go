package vfstest

import (
	"database/sql"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// TestPowerCutsOfSQLite cuts the power of SQLite itself: where it promises that
// commits survive none is lost, where it promises only a whole file some are,
// and where it promises nothing files break.
func TestPowerCutsOfSQLite(t *testing.T) {
	const cuts = 150
	for _, c := range []struct {
		name          string
		pragmas       []string
		dropSyncs     bool
		lost, corrupt bool // whether some must be
	}{
		{name: "log, full", pragmas: []string{"journal_mode(wal)", "synchronous(full)"}},
		{name: "log, normal", pragmas: []string{"journal_mode(wal)", "synchronous(normal)"}, lost: true},
		{name: "log, syncs do nothing", pragmas: []string{"journal_mode(wal)", "synchronous(full)"}, dropSyncs: true, lost: true, corrupt: true},
		{name: "journal, extra", pragmas: []string{"journal_mode(delete)", "synchronous(extra)"}},
		// Nothing is synced after the journal was deleted: it may come back, and
		// is played back.
		{name: "journal, full", pragmas: []string{"journal_mode(delete)", "synchronous(full)"}, lost: true},
		{name: "journal, off", pragmas: []string{"journal_mode(delete)", "synchronous(off)"}, lost: true, corrupt: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := seedtest.Rand(t)
			recording := recordCommits(t, r, c.dropSyncs, c.pragmas...)
			lost, corrupt := 0, 0
			for range cuts {
				cut := Cut{Position: r.IntN(recording.Len() + 1), Keep: Keep(r.IntN(NumKeeps)), StrictNames: r.IntN(2) == 0}
				folder := t.TempDir()
				require.NoError(t, recording.Write(r, cut, folder))
				rows, err := rowsOf(open(t, folder))
				switch {
				case err != nil:
					corrupt++
				case rows < lastOf(recording.Marks(cut.Position)):
					lost++
				}
			}
			t.Logf("%d cuts: %d lost commits, %d files are corrupt", cuts, lost, corrupt)
			require.Equal(t, c.lost, lost > 0)
			require.Equal(t, c.corrupt, corrupt > 0)
		})
	}
}

// recordCommits records commits, each behind a mark of how many rows there are.
func recordCommits(t *testing.T, r *rand.Rand, dropSyncs bool, pragmas ...string) *Recording {
	t.Helper()
	folder := t.TempDir()
	watched := watch(t, folder)
	recording, err := watched.Record(maxRecording)
	require.NoError(t, err)
	watched.DropSyncs(dropSyncs)
	db := open(t, folder, append(pragmas, "wal_autocheckpoint(30)")...)
	execute(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, content BLOB)")
	recording.FolderSynced()
	rows := 0
	for range 40 {
		n := 1 + r.IntN(4)
		require.NoError(t, insert(db, r, n))
		rows += n
		recording.Mark(rows)
	}
	require.NoError(t, db.Close())
	require.NoError(t, recording.Stop())
	return recording
}

func lastOf(marks []int) int {
	if len(marks) == 0 {
		return 0
	}
	return marks[len(marks)-1]
}

// rowsOf counts the rows of a file, 0 for one without the table. The error says
// that it is corrupt.
func rowsOf(db *sql.DB) (rows int, err error) {
	defer func() { err = errors.Join(err, db.Close()) }()
	var whole string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&whole); err != nil {
		return 0, err
	}
	if whole != "ok" {
		return 0, errors.New(whole)
	}
	var tables int
	if err := db.QueryRow("SELECT count(*) FROM sqlite_schema WHERE name = 't'").Scan(&tables); err != nil || tables == 0 {
		return 0, err
	}
	err = db.QueryRow("SELECT count(*) FROM t").Scan(&rows)
	return rows, err
}
