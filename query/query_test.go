package query_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/query"
	"github.com/spanbucket/spanbucketexporter/query/engine"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// runUnguarded runs what it is given as any program would.
func runUnguarded(t *testing.T, path, text string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	defer db.Close()
	_, _ = db.Exec(text) // most of it fails
}

func ask(t *testing.T, path, text string) [][]any {
	t.Helper()
	answer, err := query.Ask(t.Context(), path, text, query.ForPerson())
	require.NoError(t, err, text)
	return answer.Rows
}

func TestAnswersKeepTheirTypes(t *testing.T) {
	path := makeFile(t)
	require.Equal(t, [][]any{{int64(1), -0.5, "a;'b", []byte{0, 255}, nil, "", []byte{}, "ein \x00 NUL"}},
		ask(t, path, "SELECT 1, -0.5, 'a;''b', x'00ff', NULL, '', x'', 'ein ' || char(0) || ' NUL'"))
	answer, err := query.Ask(t.Context(), path, "SELECT 1 AS a, 2 AS a, 3", query.ForPerson())
	require.NoError(t, err)
	require.Equal(t, []string{"a", "a", "3"}, answer.Columns)
	require.Equal(t, [][]any{}, mustAsk(t, path, "SELECT 1 WHERE 0").Rows)
}

func mustAsk(t *testing.T, path, text string) *query.Answer {
	t.Helper()
	answer, err := query.Ask(t.Context(), path, text, query.ForPerson())
	require.NoError(t, err)
	return answer
}

// Whatever the views of a file call, queries may read all of them; and the plain
// engine says the same.
func TestEveryRelationIsReadable(t *testing.T) {
	path := makeFile(t)
	r, err := storage.OpenReader(t.Context(), path)
	require.NoError(t, err)
	defer r.Close()
	relations, err := storage.Relations(t.Context(), r)
	require.NoError(t, err)
	for _, relation := range relations {
		text := `SELECT * FROM "` + relation.Name + `"`
		if relation.Name == "fingerprint_key" {
			continue
		}
		answer, err := query.Ask(t.Context(), path, text, query.ForExport())
		require.NoError(t, err, relation.Name)
		require.Len(t, answer.Columns, len(relation.Columns), relation.Name)
		var n int
		require.NoError(t, r.QueryRowContext(t.Context(), "SELECT count(*) FROM ("+text+")").Scan(&n))
		require.Len(t, answer.Rows, n, relation.Name)
	}
}

// Every function of the list is one that the engine has: a name that was
// misspelt would be refused.
func TestFunctionsAreThere(t *testing.T) {
	path := makeFile(t)
	for _, name := range query.Functions {
		if strings.HasPrefix(name, "->") || strings.HasPrefix(name, "current_") {
			continue // these are written in another way
		}
		_, err := query.Ask(t.Context(), path, "SELECT "+name+"()", query.ForPerson())
		if err != nil {
			require.NotContains(t, err.Error(), "no such function", name)
			require.NotContains(t, err.Error(), "not allowed", name)
		}
	}
	require.Equal(t, [][]any{{int64(2), int64(2)}}, ask(t, path, `SELECT '{"a":2}' -> '$.a' ->> '$', '[1,2]' ->> 1`))
	require.NotEmpty(t, ask(t, path, "SELECT current_timestamp, current_date, current_time"))
}

func TestAnswersAreCut(t *testing.T) {
	path := makeFile(t)
	const three = "VALUES ('aaaaaaaa'), ('bbbbbbbb'), (3)"
	for _, c := range []struct {
		limits query.Limits
		rows   int
		cut    string
	}{
		{query.Limits{}, 3, ""},
		{query.Limits{Rows: 3, Bytes: 24}, 3, ""},
		{query.Limits{Rows: 2}, 2, "only the first 2 rows are shown"},
		{query.Limits{Bytes: 23}, 2, "only the first 2 rows are shown: the answer would exceed 23 bytes"},
		{query.Limits{Bytes: 7}, 0, "only the first 0 rows are shown: the answer would exceed 7 bytes"},
	} {
		answer, err := query.Ask(t.Context(), path, three, c.limits)
		require.NoError(t, err)
		require.Len(t, answer.Rows, c.rows)
		require.Equal(t, c.cut, answer.Cut)
	}
}

func TestQueryEndsWithItsContext(t *testing.T) {
	path := makeFile(t)
	for _, l := range []query.Limits{query.ForAgent(), query.ForExport()} {
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := query.Ask(ctx, path, endless+"SELECT count(*) FROM n", l)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		stop()
		_, err = query.Ask(ctx, path, "SELECT 1", l)
		require.Error(t, err)
	}
}

// stop is a reader of rows that has seen enough.
type stop struct{ err error }

func (s stop) Head([]string) error { return nil }
func (s stop) Row([]any) error     { return s.err }

func TestErrorsOfTheReaderComeBack(t *testing.T) {
	r, err := storage.OpenReader(t.Context(), makeFile(t))
	require.NoError(t, err)
	defer r.Close()
	enough := errors.New("enough")
	_, err = query.Each(t.Context(), r, "SELECT 1", query.ForExport(), stop{enough})
	require.ErrorIs(t, err, enough)
}

// Both libraries share one set of locks: a query that comes and goes beside a
// writer of the same process must not take the writer's away. The next program to
// close the file would move the log into it and remove it, and what the writer
// commits from then on would be lost.
func TestQueryLeavesTheLocksOfAWriter(t *testing.T) {
	shell, err := exec.LookPath("sqlite3")
	require.NoError(t, err)
	path := makeFile(t)
	o := filetest.Options(path, filetest.Begin.Add(time.Hour))
	s, err := storage.Open(t.Context(), o)
	require.NoError(t, err)
	const total = "SELECT sum(requests_total) FROM timeseries WHERE width_s = 1"
	before := ask(t, path, total)[0][0].(int64)
	for round := range int64(3) {
		delta := aggregator.NewDelta(storage.FinestWidths(o.Widths), o.Objectives...)
		observations := filetest.Traffic(3)
		for i := range observations {
			delta.Fold(&observations[i])
		}
		require.NoError(t, s.Write(t.Context(), storage.Batch{Delta: delta}))
		require.Equal(t, before+3*(round+1), ask(t, path, total)[0][0])
		log, err := os.Stat(path + "-wal")
		require.NoError(t, err)
		out, err := exec.CommandContext(t.Context(), shell, path, total).CombinedOutput()
		require.NoError(t, err, string(out))
		after, err := os.Stat(path + "-wal")
		require.NoError(t, err, "another program removed the log")
		require.True(t, os.SameFile(log, after))
	}
	require.NoError(t, s.Close())
	require.Equal(t, before+9, ask(t, path, total)[0][0])
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "left behind: %v", entries)
}

// Names of files that a URI would read something else out of.
func TestPathsAreTakenLiterally(t *testing.T) {
	good := makeFile(t)
	bytes, err := os.ReadFile(good)
	require.NoError(t, err)
	for _, name := range []string{"a?mode=rwc.db", "a#b.db", "a%3Fb.db", "ein Leerzeichen.db", "ü&vfs=x.db"} {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, bytes, 0o600))
		require.Equal(t, int64(2000), ask(t, path, "SELECT spans FROM ledger WHERE reason = 'received'")[0][0], name)
		entries, err := os.ReadDir(filepath.Dir(path))
		require.NoError(t, err)
		require.Len(t, entries, 1, name)
	}
}

func TestForeignFilesAreLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "text.db")
	require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("no database ", 100)), 0o600))
	_, err := query.Ask(t.Context(), path, "SELECT 1", query.ForPerson())
	require.ErrorIs(t, err, storage.ErrForeign)
	_, err = query.Ask(t.Context(), filepath.Join(t.TempDir(), "none.db"), "SELECT 1", query.ForPerson())
	require.ErrorIs(t, err, os.ErrNotExist)
}

// A file may hold more than the exporter put there: its virtual tables and what
// its views call are no way around the guards.
func TestFilesAreNotTrusted(t *testing.T) {
	path := makeFile(t)
	for _, statement := range []string{
		"CREATE VIRTUAL TABLE pages USING dbstat(main)",
		"CREATE VIEW blob AS SELECT randomblob(10) AS b",
		"CREATE VIEW secret AS SELECT key FROM fingerprint_key",
		"CREATE VIEW json AS SELECT value FROM json_each('[7]')",
	} {
		db, err := sql.Open("sqlite", "file:"+path)
		require.NoError(t, err)
		_, err = db.Exec(statement)
		require.NoError(t, errors.Join(err, db.Close()))
	}
	for text, says := range map[string]string{
		"SELECT name FROM pages": "pages is not readable", "SELECT * FROM blob": "randomblob is not allowed",
		"SELECT * FROM secret": "holds a secret", "SELECT count(*) FROM secret": "holds a secret",
	} {
		_, err := query.Ask(t.Context(), path, text, query.ForPerson())
		require.ErrorIs(t, err, query.ErrQuery, text)
		require.ErrorContains(t, err, says)
	}
	require.Equal(t, [][]any{{int64(7)}}, ask(t, path, "SELECT * FROM json"))
}

func TestMemoryOfTheEngineIsBounded(t *testing.T) {
	path := makeFile(t)
	engine.HeapPeak()
	limits := query.ForPerson()
	limits.Time = time.Minute
	sorted := endless + "SELECT i, " + long + " || i FROM n ORDER BY 2 DESC"
	_, err := query.Ask(t.Context(), path, sorted, limits)
	require.ErrorIs(t, err, query.ErrTooMuch)
	require.ErrorContains(t, err, "128 MiB")
	var late *query.TimeError
	require.NotErrorAs(t, err, &late) // more time would not help
	peak := engine.HeapPeak()
	require.LessOrEqual(t, peak, int64(144<<20)) // with the reader of the file
	require.Greater(t, peak, int64(100<<20), "what is bounded is also counted")
	require.Less(t, engine.HeapUsed(), int64(1<<20))
}

// A query must fail neither for the memory of another one nor, afterwards,
// anything else that uses the engine.
func TestQueriesDoNotTakeFromEachOther(t *testing.T) {
	path := makeFile(t)
	hungry := endless + "SELECT i, " + long + " || i FROM n ORDER BY 2 DESC"
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			limits := query.ForAgent()
			limits.Time = time.Minute
			_, err := query.Ask(t.Context(), path, hungry, limits)
			assert.ErrorIs(t, err, query.ErrTooMuch)
		})
		all.Go(func() {
			for range 5 {
				// Some 50 MiB, which are there if nobody else has more than 78.
				_, err := query.Ask(t.Context(), path, "SELECT "+strings.Repeat("length("+long+"), ", 400)+"1", query.ForAgent())
				assert.NoError(t, err)
			}
		})
	}
	all.Wait()
	conn, err := engine.Open("file:" + path)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	s, _, err := conn.Prepare("SELECT length(zeroblob(200000000) || 'x')")
	require.NoError(t, err)
	defer s.Close()
	more, err := s.Next()
	require.NoError(t, err, "no bound is left behind")
	require.True(t, more)
}

// A sort without a bound on time may take more than the memory.
func TestExportSortsOnDisk(t *testing.T) {
	path := makeFile(t)
	sorted := strings.Replace(endless, "FROM n)", "FROM n WHERE i < 1500)", 1) + "SELECT length(x) FROM (SELECT " + long + " || i AS x FROM n ORDER BY 1 DESC)"
	answer, err := query.Ask(t.Context(), path, sorted, query.ForExport())
	require.NoError(t, err)
	require.Len(t, answer.Rows, 1500)
}
