package engine_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/spanbucket/spanbucketexporter/query/engine"
)

func open(t *testing.T) *engine.Conn {
	t.Helper()
	conn, err := engine.Open("file:memory?mode=memory")
	require.NoError(t, err)
	return conn
}

// one returns the first value of a query.
func one(conn *engine.Conn, text string) (any, error) {
	s, _, err := conn.Prepare(text)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if _, err := s.Next(); err != nil {
		return nil, err
	}
	row := make([]any, len(s.Columns()))
	s.Scan(row)
	return row[0], nil
}

// longest is an aggregate over texts.
type longest struct{ text string }

func (l *longest) Add(arguments []engine.Value) error {
	if text := arguments[0].Text(); len(text) > len(l.text) {
		l.text = text
	}
	if l.text == "refuse" {
		return errors.New("refused: ünïcode")
	}
	return nil
}

func (l *longest) Result() (any, error) { return l.text, nil }

func TestFunctionsOfGo(t *testing.T) {
	before := engine.Registered()
	conn := open(t)
	require.NoError(t, conn.CreateScalar("echo", 1, func(arguments []engine.Value) (any, error) {
		switch a := arguments[0]; a.Kind() {
		case engine.Integer:
			return a.Int64(), nil
		case engine.Float:
			return a.Float64(), nil
		case engine.Text:
			return a.Text(), nil
		case engine.Blob:
			return []byte(a.Text()), nil
		}
		return nil, nil
	}))
	require.NoError(t, conn.CreateAggregate("longest", 1, func() engine.Aggregate { return &longest{} }))
	for text, want := range map[string]any{
		"-5": int64(-5), "9223372036854775807": int64(1<<63 - 1), "0.5": 0.5, "'ü' || char(0) || 'x'": "ü\x00x", "''": "",
		"x'00ff'": []byte{0, 255}, "NULL": nil,
	} {
		got, err := one(conn, "SELECT echo("+text+")")
		require.NoError(t, err)
		require.Equal(t, want, got, text)
	}
	for text, want := range map[string]any{
		"SELECT longest(column1) FROM (VALUES ('a'), ('bbb'), ('cc'))": "bbb",
		"SELECT longest(1) WHERE 0":                                    "",
		"SELECT group_concat(l) FROM (SELECT longest(column2) AS l FROM (VALUES (1, 'a'), (2, 'bb'), (1, 'ccc')) GROUP BY column1)": "ccc,bb",
	} {
		got, err := one(conn, text)
		require.NoError(t, err)
		require.Equal(t, want, got, text)
	}
	_, err := one(conn, "SELECT longest(column1) FROM (VALUES ('refuse'), ('b'))")
	require.EqualError(t, err, "refused: ünïcode")
	require.NoError(t, conn.Close())
	require.Equal(t, before, engine.Registered(), "nothing of a connection stays")
}

// A statement that is ended in the middle of an aggregate gives back what the
// aggregate held.
func TestEndedAggregatesAreForgotten(t *testing.T) {
	before := engine.Registered()
	conn := open(t)
	require.NoError(t, conn.CreateAggregate("longest", 1, func() engine.Aggregate { return &longest{} }))
	calls := 0
	conn.Watch(100, func() bool { calls++; return calls < 50 })
	_, err := one(conn, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT longest(i) FROM n")
	var failure *engine.Error
	require.ErrorAs(t, err, &failure)
	require.EqualValues(t, sqlite3.SQLITE_INTERRUPT, failure.Primary())
	require.NoError(t, conn.Close())
	require.Equal(t, before, engine.Registered())
}

func TestAuthorizerIsAsked(t *testing.T) {
	conn := open(t)
	defer conn.Close()
	var asked []engine.Action
	conn.Authorize(func(a engine.Action) bool {
		asked = append(asked, a)
		return a.Second != "abs"
	})
	_, err := one(conn, "SELECT name FROM sqlite_schema")
	require.NoError(t, err)
	require.Contains(t, asked, engine.Action{Code: sqlite3.SQLITE_READ, First: "sqlite_master", Second: "name", Database: "main"})
	_, err = one(conn, "SELECT abs(1)")
	require.ErrorContains(t, err, "not authorized")
	conn.Authorize(nil)
	_, err = one(conn, "SELECT abs(1)")
	require.NoError(t, err)
}

func TestPrepareReturnsWhatFollows(t *testing.T) {
	conn := open(t)
	defer conn.Close()
	s, rest, err := conn.Prepare("SELECT 1; SELECT 2 -- ü")
	require.NoError(t, err)
	require.Equal(t, " SELECT 2 -- ü", rest)
	require.True(t, s.ReadOnly())
	require.Zero(t, s.Parameters())
	s.Close()
	s, rest, err = conn.Prepare(" -- nothing\n")
	require.NoError(t, err)
	require.Nil(t, s)
	require.Empty(t, rest)
}

func TestOpenReportsWhatItCannotOpen(t *testing.T) {
	before := engine.Registered()
	_, err := engine.Open("file:" + filepath.ToSlash(filepath.Join(t.TempDir(), "none.db")))
	require.ErrorContains(t, err, "unable to open")
	require.Equal(t, before, engine.Registered())
}

func TestHeapIsCounted(t *testing.T) {
	require.NoError(t, engine.LimitHeap(16<<20))
	conn := open(t)
	used := engine.HeapUsed()
	require.Positive(t, used)
	_, err := one(conn, "SELECT "+strings.Repeat("hex(zeroblob(1000000)) || ", 20)+"''")
	var failure *engine.Error
	require.ErrorAs(t, err, &failure)
	require.EqualValues(t, sqlite3.SQLITE_NOMEM, failure.Primary())
	require.LessOrEqual(t, engine.HeapPeak(), int64(16<<20))
	require.NoError(t, conn.Close())
	require.Less(t, engine.HeapUsed(), used)
}
