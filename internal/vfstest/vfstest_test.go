package vfstest

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

const maxRecording = 64 << 20 // bytes

func watch(t *testing.T, path string) *Folder {
	t.Helper()
	f, err := Watch(path)
	require.NoError(t, err)
	t.Cleanup(f.Close)
	return f
}

// open opens the database of a folder with one connection.
func open(t *testing.T, folder string, pragmas ...string) *sql.DB {
	t.Helper()
	query := url.Values{"_pragma": pragmas}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(folder, "test.db")+"?"+query.Encode())
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func execute(t *testing.T, db *sql.DB, statement string, args ...any) {
	t.Helper()
	_, err := db.Exec(statement, args...)
	require.NoError(t, err, statement)
}

// insert commits n rows, each of some pages.
func insert(db *sql.DB, r *rand.Rand, n int) error {
	_, err := db.Exec(`WITH RECURSIVE i(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM i WHERE n < ?)
		INSERT INTO t (content) SELECT randomblob(?) FROM i`, n, 1+r.IntN(6000))
	return err
}

func codeOf(t *testing.T, err error) int {
	t.Helper()
	var e *sqlite.Error
	require.ErrorAs(t, err, &e)
	return e.Code()
}

// journals are the ways in which SQLite makes a transaction atomic.
var journals = []struct{ name, pragma string }{
	{"write-ahead log", "journal_mode(wal)"},
	{"journal that is deleted", "journal_mode(delete)"},
	{"journal that is truncated", "journal_mode(truncate)"},
	{"journal that is overwritten", "journal_mode(persist)"},
}

// TestRecordingAgreesWithTheFiles replays a recording of which nothing is lost
// and compares every byte with what is really there.
func TestRecordingAgreesWithTheFiles(t *testing.T) {
	for _, journal := range journals {
		t.Run(journal.name, func(t *testing.T) {
			r, folder := seedtest.Rand(t), t.TempDir()
			watched := watch(t, folder)
			// What was there before belongs to it.
			db := open(t, folder, journal.pragma)
			execute(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, content BLOB)")
			require.NoError(t, db.Close())
			recording, err := watched.Record(maxRecording)
			require.NoError(t, err)
			for range 3 {
				db = open(t, folder, journal.pragma, "wal_autocheckpoint(20)")
				for range 20 {
					require.NoError(t, insert(db, r, 1+r.IntN(5)))
					execute(t, db, "DELETE FROM t WHERE id % ? = 0", 2+r.IntN(5))
				}
				execute(t, db, "VACUUM")
				requireSameFiles(t, r, recording, folder)
				require.NoError(t, db.Close())
				requireSameFiles(t, r, recording, folder)
			}
			require.NoError(t, recording.Stop())
			require.Greater(t, recording.Len(), 200)
		})
	}
}

// requireSameFiles compares the folder with the recording.
func requireSameFiles(t *testing.T, r *rand.Rand, recording *Recording, folder string) {
	t.Helper()
	copied := t.TempDir()
	require.NoError(t, recording.Write(r, Cut{Position: recording.Len(), Keep: KeepAll}, copied))
	want, got := filesOf(t, folder), filesOf(t, copied)
	require.Len(t, got, len(want))
	for name, content := range want {
		require.Equal(t, len(content), len(got[name]), name)
		require.True(t, content == got[name], "%s differs", name)
	}
}

func filesOf(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, e := range entries {
		if survives(e.Name()) {
			content, err := os.ReadFile(filepath.Join(folder, e.Name()))
			require.NoError(t, err)
			files[e.Name()] = string(content)
		}
	}
	return files
}

// TestWhatIsDurable holds the model of a power cut to what a disk promises, on
// recordings made by hand. 'A' and 'B' are content of file 1 and 2.
func TestWhatIsDurable(t *testing.T) {
	write := func(file int, offset int64, data string) entry {
		return entry{action: actionWrite, file: file, offset: offset, data: []byte(data)}
	}
	create := func(file int, name string) entry { return entry{action: actionCreate, file: file, name: name} }
	remove := func(name string) entry { return entry{action: actionRemove, name: name} }
	truncate := func(file int, size int64) entry { return entry{action: actionTruncate, file: file, offset: size} }
	sync := func(file, covers int) entry { return entry{action: actionSync, file: file, covers: covers} }
	syncFolder := func(covers int) entry { return entry{action: actionSyncFolder, covers: covers} }
	for _, c := range []struct {
		name          string
		entries       []entry
		loose, strict map[string]string // what is left when nothing survives that was not synced
	}{
		{
			name: "nothing was synced", entries: []entry{create(1, "a"), write(1, 0, "A")},
			loose: map[string]string{}, strict: map[string]string{},
		}, {
			name:    "content was synced, the name was not",
			entries: []entry{create(1, "a"), write(1, 0, "A"), sync(1, 2)},
			loose:   map[string]string{"a": "A"}, strict: map[string]string{},
		}, {
			name:    "both were synced",
			entries: []entry{create(1, "a"), write(1, 0, "A"), sync(1, 2), syncFolder(2)},
			loose:   map[string]string{"a": "A"}, strict: map[string]string{"a": "A"},
		}, {
			name:    "the name was synced, the content was not",
			entries: []entry{create(1, "a"), write(1, 0, "A"), syncFolder(2)},
			loose:   map[string]string{"a": ""}, strict: map[string]string{"a": ""},
		}, {
			name:    "a sync of one file is none of another's content",
			entries: []entry{create(1, "a"), create(2, "b"), syncFolder(2), write(1, 0, "A"), write(2, 0, "B"), sync(2, 5)},
			loose:   map[string]string{"a": "", "b": "B"}, strict: map[string]string{"a": "", "b": "B"},
		}, {
			name:    "what is written while a sync runs may be missed by it",
			entries: []entry{create(1, "a"), syncFolder(1), write(1, 0, "A"), write(1, 1, "A"), sync(1, 3)},
			loose:   map[string]string{"a": "A"}, strict: map[string]string{"a": "A"},
		}, {
			name:    "a hole is zeros",
			entries: []entry{create(1, "a"), syncFolder(1), write(1, 2, "A"), sync(1, 3)},
			loose:   map[string]string{"a": "\x00\x00A"}, strict: map[string]string{"a": "\x00\x00A"},
		}, {
			name:    "truncating has to be synced",
			entries: []entry{create(1, "a"), syncFolder(1), write(1, 0, "AA"), sync(1, 3), truncate(1, 1)},
			loose:   map[string]string{"a": "AA"}, strict: map[string]string{"a": "AA"},
		}, {
			name:    "truncating was synced",
			entries: []entry{create(1, "a"), syncFolder(1), write(1, 0, "AA"), truncate(1, 1), sync(1, 4)},
			loose:   map[string]string{"a": "A"}, strict: map[string]string{"a": "A"},
		}, {
			name:    "deleting has to be synced",
			entries: []entry{create(1, "a"), write(1, 0, "A"), sync(1, 2), syncFolder(2), remove("a")},
			loose:   map[string]string{"a": "A"}, strict: map[string]string{"a": "A"},
		}, {
			name: "deleting is carried by the next sync of a file only where names keep their order",
			entries: []entry{
				create(1, "a"), create(2, "b"), write(1, 0, "A"), sync(1, 3), syncFolder(3), remove("a"), sync(2, 6),
			},
			loose: map[string]string{"b": ""}, strict: map[string]string{"a": "A", "b": ""},
		}, {
			name: "a file that took the place of another does not have its content",
			entries: []entry{
				create(1, "a"), write(1, 0, "A"), sync(1, 2), syncFolder(2), remove("a"), create(2, "a"), write(2, 1, "B"), sync(2, 7),
			},
			loose: map[string]string{"a": "\x00B"}, strict: map[string]string{"a": "A"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, rng := &Recording{entries: c.entries}, seedtest.Rand(t)
			for strict, want := range map[bool]map[string]string{false: c.loose, true: c.strict} {
				got := map[string]string{}
				for name, content := range r.replay(rng, Cut{Position: len(c.entries), Keep: KeepNothing, StrictNames: strict}) {
					got[name] = string(content)
				}
				require.Equal(t, want, got, "strict names: %v", strict)
			}
		})
	}
}

// TestWhatMaySurvive draws what is left of one write that was not synced.
func TestWhatMaySurvive(t *testing.T) {
	const offset = 100 // within a sector: the write touches five of them
	data := strings.Repeat("x", 4*sector)
	r := &Recording{entries: []entry{
		{action: actionCreate, file: 1, name: "a"}, {action: actionSyncFolder, covers: 1},
		{action: actionWrite, file: 1, offset: offset, data: []byte(data)},
	}}
	rng := seedtest.Rand(t)
	outcomes := map[Keep]map[string]bool{}
	for keep := range Keep(NumKeeps) {
		outcomes[keep] = map[string]bool{}
		for range 2000 {
			left := string(r.replay(rng, Cut{Position: len(r.entries), Keep: keep})["a"])
			for at := range len(left) {
				if at > offset && at%sector != 0 && left[at-1] != left[at] {
					t.Fatalf("keeping %s: a sector is torn at byte %d", keep, at)
				}
			}
			outcomes[keep][left] = true
		}
	}
	require.Equal(t, map[string]bool{"": true}, outcomes[KeepNothing])
	whole := strings.Repeat("\x00", offset) + data
	require.Equal(t, map[string]bool{"": true, whole: true}, outcomes[KeepHalf])
	require.Equal(t, map[string]bool{whole: true}, outcomes[KeepAll])
	require.Len(t, outcomes[KeepTorn], 1<<5)
}

func TestRecordingIsBounded(t *testing.T) {
	folder := t.TempDir()
	watched := watch(t, folder)
	recording, err := watched.Record(10_000)
	require.NoError(t, err)
	db := open(t, folder, "journal_mode(wal)")
	execute(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, content BLOB)")
	require.NoError(t, insert(db, seedtest.Rand(t), 100))
	require.ErrorIs(t, recording.Stop(), ErrRecordingFull)
	length := recording.Len()
	require.NoError(t, insert(db, seedtest.Rand(t), 1))
	require.Equal(t, length, recording.Len(), "after Stop nothing is recorded")
}

// TestFilesReplacedBehindTheShimAreNoticed: such a recording must not be used.
func TestFilesReplacedBehindTheShimAreNoticed(t *testing.T) {
	folder := t.TempDir()
	recording, err := watch(t, folder).Record(maxRecording)
	require.NoError(t, err)
	db := open(t, folder)
	execute(t, db, "CREATE TABLE t (id INTEGER)")
	require.NoError(t, db.Close())
	path := filepath.Join(folder, "test.db")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path+"-new", content, 0o600))
	require.NoError(t, os.Rename(path+"-new", path))
	db = open(t, folder)
	execute(t, db, "INSERT INTO t VALUES (1)")
	require.ErrorContains(t, recording.Stop(), "replaced")
}

// TestWatch: one watch of a folder at a time, none of other folders, and none
// after its end.
func TestWatch(t *testing.T) {
	folder, other := t.TempDir(), t.TempDir()
	watched, err := Watch(folder)
	require.NoError(t, err)
	_, err = Watch(filepath.Join(folder, "."))
	require.ErrorContains(t, err, "is watched")
	_, err = Watch(filepath.Join(folder, "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
	execute(t, open(t, other), "CREATE TABLE t (id INTEGER)")
	require.Zero(t, watched.Count(Open))
	db := open(t, folder)
	execute(t, db, "CREATE TABLE t (id INTEGER)")
	writes := watched.Count(Write)
	require.Positive(t, writes)
	watched.Inject(Fault{Operations: Write, Nth: 1, UntilHealed: true, Code: CodeWrite})
	watched.Close()
	execute(t, db, "INSERT INTO t VALUES (1)") // an open file outlives the watch
	require.NoError(t, db.Close())
	again := watch(t, folder)
	execute(t, open(t, folder), "INSERT INTO t VALUES (1)")
	require.Positive(t, again.Count(Open))
}

// TestFaults lets one operation after the other fail, once and from then on.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault Fault
		do    func(db *sql.DB) error
		wal   bool
	}{
		{name: "write to the log", fault: Fault{Operations: Write, Kinds: WAL, Code: CodeWrite}, wal: true},
		{name: "half a write to the log", fault: Fault{Operations: Write, Kinds: WAL, Code: CodeWrite, Partial: true}, wal: true},
		{name: "sync of the log", fault: Fault{Operations: Sync, Kinds: WAL, Code: CodeSync}, wal: true},
		{name: "full disk", fault: Fault{Operations: Write, Code: CodeFull, Partial: true}, wal: true},
		{name: "write to the journal", fault: Fault{Operations: Write, Kinds: Journal, Code: CodeWrite}},
		{name: "write to the database", fault: Fault{Operations: Write, Kinds: Database, Code: CodeWrite}},
		{name: "sync of the database", fault: Fault{Operations: Sync, Kinds: Database, Code: CodeSync}},
		{name: "delete", fault: Fault{Operations: Delete, Code: CodeDelete}},
		{name: "open", fault: Fault{Operations: Open, Kinds: Journal, Code: CodeOpen}},
		{
			name: "read", fault: Fault{Operations: Read, Kinds: Database, Code: CodeRead},
			do: func(db *sql.DB) error { return db.QueryRow("SELECT sum(length(content)) FROM t").Scan(new(int)) },
		}, {
			name: "truncate", fault: Fault{Operations: Truncate, Kinds: WAL, Code: CodeTruncate}, wal: true,
			do: func(db *sql.DB) error {
				return db.QueryRow("PRAGMA wal_checkpoint(TRUNCATE)").Scan(new(int), new(int), new(int))
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, folder := seedtest.Rand(t), t.TempDir()
			watched := watch(t, folder)
			journal := "journal_mode(delete)"
			if c.wal {
				journal = "journal_mode(wal)"
			}
			db := open(t, folder, journal, "synchronous(full)", "cache_size(5)", "wal_autocheckpoint(0)")
			execute(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, content BLOB)")
			require.NoError(t, insert(db, r, 100))
			if c.do == nil {
				c.do = func(db *sql.DB) error { return insert(db, r, 1) }
			}
			c.fault.Nth = 1
			watched.Inject(c.fault)
			require.EqualValues(t, c.fault.Code, codeOf(t, c.do(db)))
			require.Equal(t, 1, watched.Failures())
			require.NoError(t, c.do(db), "it fails once")
			c.fault.UntilHealed = true
			watched.Inject(c.fault)
			for range 3 {
				require.EqualValues(t, int(c.fault.Code)&0xff, codeOf(t, c.do(db))&0xff)
			}
			require.GreaterOrEqual(t, watched.Failures(), 3)
			watched.Heal()
			require.NoError(t, c.do(db))
			var whole string
			require.NoError(t, db.QueryRow("PRAGMA integrity_check").Scan(&whole))
			require.Equal(t, "ok", whole)
		})
	}
}

// TestFaultHitsTheNth: the point of failure can be moved by one until nothing
// fails any more.
func TestFaultHitsTheNth(t *testing.T) {
	folder := t.TempDir()
	watched := watch(t, folder)
	db := open(t, folder, "journal_mode(wal)")
	execute(t, db, "CREATE TABLE t (content BLOB)")
	failures := 0
	for nth := 1; ; nth++ {
		before := watched.Count(Write)
		watched.Inject(Fault{Operations: Write, Nth: nth, Code: CodeFull})
		_, err := db.Exec("INSERT INTO t VALUES (randomblob(10000))")
		if watched.Failures() == 0 {
			require.NoError(t, err)
			require.Equal(t, nth-1, watched.Count(Write)-before, "writes of a commit")
			break
		}
		require.Equal(t, sqlite3.SQLITE_FULL, codeOf(t, err))
		failures++
	}
	require.Greater(t, failures, 3)
	require.Equal(t, 1, one(t, db, "SELECT count(*) FROM t"))
}

func one(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRow(query).Scan(&n))
	return n
}

func TestDelayedSyncs(t *testing.T) {
	folder := t.TempDir()
	watched := watch(t, folder)
	db := open(t, folder, "journal_mode(wal)", "synchronous(full)")
	execute(t, db, "CREATE TABLE t (id INTEGER)")
	const delay = 30 * time.Millisecond
	watched.DelaySyncs(delay)
	before, begun := watched.Count(Sync), time.Now()
	execute(t, db, "INSERT INTO t VALUES (1)")
	syncs := watched.Count(Sync) - before
	require.Positive(t, syncs)
	require.GreaterOrEqual(t, time.Since(begun), time.Duration(syncs)*delay)
}

const killVariable = "VFSTEST_KILL"

// TestKill lets a child die at one operation after the other. What it had
// committed before is there, and the process ended by SIGKILL.
func TestKill(t *testing.T) {
	if order := os.Getenv(killVariable); order != "" {
		killedChild(t, order)
		return
	}
	program, err := os.Executable()
	require.NoError(t, err)
	rows := map[string][]int{}
	for _, when := range []string{"before", "after"} {
		for nth := 1; ; nth++ {
			folder := t.TempDir()
			cmd := killed(program, fmt.Sprintf("%s %d %s", when, nth, folder))
			output, err := cmd.CombinedOutput()
			db := open(t, folder)
			if err == nil {
				require.Equal(t, 2, one(t, db, "SELECT count(*) FROM t"))
				require.Greater(t, nth, 5)
				break
			}
			var ended *exec.ExitError
			require.ErrorAs(t, err, &ended)
			require.Equal(t, syscall.SIGKILL, ended.Sys().(syscall.WaitStatus).Signal(), "%s", output)
			rows[when] = append(rows[when], one(t, db, "SELECT count(*) FROM t"))
		}
	}
	require.Equal(t, rows["before"][1:], rows["after"][:len(rows["after"])-1], "after one is before the next")
	require.Contains(t, rows["before"], 0)
	require.Contains(t, rows["before"], 1)
}

func killed(program, order string) *exec.Cmd {
	cmd := exec.Command(program, "-test.run=^TestKill$")
	cmd.Env = append(os.Environ(), killVariable+"="+order)
	return cmd
}

// killedChild commits two rows and dies on the way.
func killedChild(t *testing.T, order string) {
	fields := strings.SplitN(order, " ", 3)
	nth, err := strconv.Atoi(fields[1])
	require.NoError(t, err)
	db := open(t, fields[2], "synchronous(full)")
	execute(t, db, "CREATE TABLE t (id INTEGER)")
	require.NoError(t, db.Close())
	watched := watch(t, fields[2])
	db = open(t, fields[2], "synchronous(full)")
	watched.KillAt(nth, fields[0] == "after")
	execute(t, db, "INSERT INTO t VALUES (1)")
	execute(t, db, "INSERT INTO t VALUES (2)")
	watched.KillAt(0, false)
	require.NoError(t, db.Close())
}
