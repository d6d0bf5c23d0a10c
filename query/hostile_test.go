package query_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/query"
	"github.com/spanbucket/spanbucketexporter/query/engine"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// fate is what becomes of a query.
type fate int

const (
	refused fate = iota // ErrQuery
	ended               // ErrTooMuch
	rows                // it has an answer
	stopped             // refused or ended, whichever comes first
)

// hostile is a query that somebody might try, with the only fate it may have.
type hostile struct {
	name, sql string
	want      fate
	says      string // part of the error
}

// long is a text of almost as many bytes as a value may have.
const long = "printf('%.120000c', 'a')"

// sets is a pattern that compares much.
var sets = "*" + strings.Repeat("[^b]", 20) + "c*"

// digits is a table with a long text that is a number. What computes with it has
// no jumps, at which alone the engine looks at the time.
const digits = "WITH t (x) AS MATERIALIZED (SELECT printf('%.120000c', '1')) "

const endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "

// corpus holds what reaches for more than the rows of the file.
func corpus() []hostile {
	return slices.Concat(writers, readers, takers, []hostile{
		{"doubling common tables", doubling(40), ended, ""},
		{"64 joined views", joined(64), stopped, ""},
		{"deep parentheses", "SELECT " + strings.Repeat("(", 5000) + "1" + strings.Repeat(")", 5000), refused, ""},
		{"deep expression", "SELECT " + strings.Repeat("1+", 5000) + "1", refused, "too large"},
		{"deep subqueries", strings.Repeat("SELECT * FROM (", 300) + "SELECT 1" + strings.Repeat(")", 300), rows, ""},
		{"many compounds", "SELECT 1" + strings.Repeat(" UNION ALL SELECT 1", 500), refused, "too many terms"},
		{"many columns", "SELECT 1" + strings.Repeat(", 1", 1000), refused, "too many columns"},
		{"a long query", "SELECT 1 -- " + strings.Repeat("x", 100_000), refused, "too long"},
		{"many arguments", "SELECT coalesce(1" + strings.Repeat(", 1", 200) + ")", refused, "too many arguments"},
		{"LIKE with a long pattern", "SELECT " + long + " LIKE '%" + strings.Repeat("a", 2000) + "b%'", refused, "too complex"},
		{"LIKE that backtracks", "SELECT " + long + " LIKE '" + strings.Repeat("%a", 45) + "%b'", rows, ""},
		{"LIKE that compares", "SELECT " + long + " LIKE '%" + strings.Repeat("a", 95) + "b%'", rows, ""},
		{"values that are numbers, added", digits + "SELECT x" + strings.Repeat(strings.Repeat("+x", 150)+", x", 35) + " FROM t", stopped, ""},
		{"many GLOBs", digits + "SELECT x GLOB '" + sets + "'" + strings.Repeat(", x GLOB '"+sets+"'", 120) + " FROM t", ended, "took longer"},
		{"many quotes", digits + "SELECT length(quote(quote(x)))" + strings.Repeat(", length(quote(quote(x)))", 480) + " FROM t", ended, "took longer"},
		{"GLOB with sets", "SELECT " + long + " GLOB '" + sets + "'", rows, ""},
	})
}

func doubling(levels int) string {
	text := "WITH a0 AS (SELECT 1)"
	for i := range levels {
		text += fmt.Sprintf(", a%d AS (SELECT 1 FROM a%d, a%d)", i+1, i, i)
	}
	return text + fmt.Sprintf(" SELECT count(*) FROM a%d", levels)
}

func joined(times int) string {
	text := "SELECT count(*) FROM requests AS r0"
	for i := range times {
		text += fmt.Sprintf(" JOIN requests AS r%d USING (trace_id)", i+1)
	}
	return text
}

// writers would change the file, or make another one.
var writers = []hostile{
	{"attach", "ATTACH 'other.db' AS o", refused, "ATTACH is not allowed"},
	{"attach memory", "ATTACH ':memory:' AS o", refused, "ATTACH is not allowed"},
	{"attach a URI", "ATTACH 'file:other.db?mode=rwc' AS o", refused, "ATTACH is not allowed"},
	{"detach", "DETACH main", refused, "DETACH is not allowed"},
	{"journal mode", "PRAGMA journal_mode = DELETE", refused, "PRAGMA is not allowed"},
	{"query_only off", "PRAGMA query_only = off", refused, "PRAGMA is not allowed"},
	{"writable schema", "PRAGMA writable_schema = on", refused, "PRAGMA is not allowed"},
	{"user version", "PRAGMA user_version = 99", refused, "PRAGMA is not allowed"},
	{"checkpoint", "PRAGMA wal_checkpoint(TRUNCATE)", refused, "PRAGMA is not allowed"},
	{"temp store directory", "PRAGMA temp_store_directory = '.'", refused, "PRAGMA is not allowed"},
	{"optimize", "PRAGMA optimize", refused, "PRAGMA is not allowed"},
	{"vacuum", "VACUUM", refused, "gives no rows"},
	{"vacuum into", "VACUUM INTO 'copy.db'", refused, "gives no rows"},
	{"analyze", "ANALYZE", refused, "is not allowed"},
	{"reindex", "REINDEX", refused, "is not allowed"},
	{"delete", "DELETE FROM meta", refused, "is not allowed"},
	{"delete behind a common table", "WITH t AS (SELECT 1) DELETE FROM meta", refused, "is not allowed"},
	{"delete that returns", "DELETE FROM meta RETURNING key", refused, "is not allowed"},
	{"insert", "INSERT INTO meta VALUES ('a', 'b')", refused, "is not allowed"},
	{"insert that returns", "INSERT INTO meta VALUES ('a', 'b') RETURNING key", refused, "is not allowed"},
	{"replace", "REPLACE INTO meta VALUES ('a', 'b')", refused, "is not allowed"},
	{"update", "UPDATE meta SET value = 1", refused, "is not allowed"},
	{"update of the schema", "UPDATE sqlite_schema SET sql = ''", refused, ""},
	{"create", "CREATE TABLE t (a)", refused, "is not allowed"},
	{"create as select", "CREATE TABLE t AS SELECT 1", refused, "is not allowed"},
	{"temp table", "CREATE TEMP TABLE t AS SELECT 1", refused, "is not allowed"},
	{"temp view", "CREATE TEMP VIEW v AS SELECT 1", refused, "is not allowed"},
	{"temp trigger", "CREATE TEMP TRIGGER t AFTER INSERT ON meta BEGIN SELECT 1; END", refused, "is not allowed"},
	{"virtual table", "CREATE VIRTUAL TABLE v USING fts5(a)", refused, "is not allowed"},
	{"temp virtual table", "CREATE VIRTUAL TABLE temp.v USING dbstat(main)", refused, "is not allowed"},
	{"drop", "DROP TABLE meta", refused, "is not allowed"},
	{"alter", "ALTER TABLE meta RENAME TO m", refused, "is not allowed"},
	{"begin", "BEGIN IMMEDIATE", refused, "is not allowed"},
	{"savepoint", "SAVEPOINT s", refused, "is not allowed"},
	{"stacked", "SELECT 1; DELETE FROM meta", refused, "one statement"},
	{"stacked behind a comment", "SELECT 1 /* ; */ ; ATTACH 'x' AS o", refused, "one statement"},
	{"stacked behind a quote", "SELECT ''; DELETE FROM meta; --'", refused, "one statement"},
	{"stacked selects", "SELECT 1; SELECT 2", refused, "one statement"},
	{"stacked pragma", "SELECT 1; PRAGMA query_only = off", refused, "one statement"},
	{"comment in front", "/* SELECT */ DELETE FROM meta", refused, "is not allowed"},
	{"comment inside", "DEL/**/ETE FROM meta", refused, ""},
	{"NUL", "SELECT 1\x00; DELETE FROM meta", refused, "NUL"},
	{"UTF-16", "S\x00E\x00L\x00E\x00C\x00T\x00 \x001\x00", refused, "NUL"},
	{"no UTF-8", "SELECT '\xff\xfe'", rows, ""},
	{"explained delete", "EXPLAIN DELETE FROM meta", refused, "is not allowed"},
}

// readers reach for other files, for secrets or for pages behind the relations.
var readers = []hostile{
	{"load_extension", "SELECT load_extension('x.so')", refused, "load_extension is not allowed"},
	{"readfile", "SELECT readfile('/etc/passwd')", refused, "readfile"},
	{"writefile", "SELECT writefile('x', 'y')", refused, "writefile"},
	{"edit", "SELECT edit('x')", refused, "edit"},
	{"pages", "SELECT data FROM sqlite_dbpage", refused, "sqlite_dbpage is not readable"},
	{"pages, counted", "SELECT count(*) FROM sqlite_dbpage('main')", refused, "sqlite_dbpage is not readable"},
	{"sizes", "SELECT name FROM dbstat", refused, "dbstat is not readable"},
	{"pragma as a table", "SELECT name FROM pragma_database_list", refused, "pragma_database_list is not readable"},
	{"pragma as a table, counted", "SELECT count(*) FROM pragma_table_info('meta')", refused, "pragma_table_info is not readable"},
	{"pragma behind a common table", "WITH t AS (SELECT * FROM pragma_compile_options) SELECT count(*) FROM t", refused, "not readable"},
	{"the key of the fingerprints", "SELECT hex(key) FROM fingerprint_key", refused, "holds a secret"},
	{"the key in a subquery", "SELECT 1 WHERE (SELECT key FROM main.fingerprint_key) > x'00'", refused, "holds a secret"},
	{"the key, counted", "SELECT count(*) FROM FINGERPRINT_KEY", refused, "holds a secret"},
	{"fts5", "SELECT fts5(1)", refused, "fts5 is not allowed"},
	{"fts5 vocabulary", "SELECT * FROM fts5vocab('main', 'x', 'row')", refused, ""},
	{"rtree", "SELECT rtreecheck('meta')", refused, "rtreecheck is not allowed"},
	{"geopoly", "SELECT geopoly_blob('[[0,0],[1,0],[0,1],[0,0]]')", refused, "geopoly_blob is not allowed"},
	{"compile options", "SELECT sqlite_compileoption_get(1)", refused, "is not allowed"},
	{"offset of a column", "SELECT sqlite_offset(key) FROM meta", refused, "is not allowed"},
	{"zeroblob", "SELECT zeroblob(900000000)", refused, "too big"},
	{"parameter", "SELECT ?1", refused, "parameters"},
	{"nothing", " ; -- nothing", refused, "it is empty"},
	{"no such table", "SELECT * FROM nowhere", refused, "no such table"},
	{"no SQL", "what failed?", refused, "syntax error"},
	{"open quote", "SELECT 'open", refused, "unrecognized token"},
	{"schema", "SELECT sql FROM sqlite_schema", rows, ""},
	{"words in text", "SELECT 1 WHERE '%create%' LIKE '%create%' AND 'drop; delete' <> ''", rows, ""},
	{"counted common table", "WITH t AS (SELECT 1) SELECT count(*) FROM t", rows, ""},
	{"semicolons", ";; SELECT 1;; -- over", rows, ""},
	{"plan", "EXPLAIN QUERY PLAN SELECT * FROM timeseries", rows, ""},
}

// takers want more time, memory or rows than a question needs.
var takers = []hostile{
	{"LIMIT -1", "SELECT a.key FROM meta AS a, meta AS b, meta AS c LIMIT -1", rows, ""},
	{"endless rows", endless + "SELECT i FROM n", rows, ""},
	{"endless count", endless + "SELECT count(*) FROM n", ended, "took longer"},
	{"endless sort", endless + "SELECT i FROM n ORDER BY i DESC", ended, "took longer"},
	{"endless sort of long rows", endless + "SELECT " + long + " || i FROM n ORDER BY 1 DESC", ended, ""},
	{"endless distinct", endless + "SELECT count(DISTINCT i % 7) FROM n", ended, "took longer"},
	{"endless join", "SELECT count(*) FROM latency AS a, latency AS b, latency AS c, latency AS d", ended, "took longer"},
	{"endless window", endless + "SELECT sum(i) OVER (ORDER BY i DESC) FROM n", ended, "took longer"},
	{"endless recursion with an order", "WITH RECURSIVE n (i, t) AS (SELECT 1, 'x' UNION SELECT i + 1, " + long +
		" FROM n ORDER BY 1) SELECT count(*) FROM n", ended, ""},
	{"group_concat of everything", endless + "SELECT group_concat(i) FROM n", ended, "took longer"},
	{"group_concat of long texts", "SELECT group_concat(" + long + ") FROM latency", refused, "too big"},
	{"JSON of long texts", "SELECT json_group_array(" + long + ") FROM latency", ended, ""},
	{"deep JSON", "SELECT json_extract(printf('%.110000c', '['), '$')", refused, "malformed JSON"},
	{"a wide number", "SELECT printf('%1000000000d', 1)", refused, "too big"},
	{"a long fraction", "SELECT printf('%.1000000000f', 1e-300)", refused, "too big"},
	{"randomblob", "SELECT randomblob(900000000)", refused, "randomblob is not allowed"},
	{"a long text doubled", "SELECT hex(" + long + ")", refused, "too big"},
	{"instr of long texts", "SELECT instr(" + long + ", printf('%.60000c', 'a') || 'b')", rows, ""},
	{"replace of long texts", "SELECT length(replace(" + long + ", printf('%.60000c', 'a') || 'b', 'x'))", rows, ""},
	{"replace that grows", "SELECT replace(" + long + ", 'a', " + long + ")", refused, "too big"},
	{"trim of long texts", "SELECT length(trim(" + long + ", printf('%.110000c', 'b') || 'c'))", rows, ""},
	{"unhex of long texts", "SELECT unhex(" + long + ", printf('%.110000c', 'z'))", refused, "unhex is not allowed"},
	{"JSON patch", "SELECT json_patch('{}', '{}')", refused, "json_patch is not allowed"},
}

// within bounds a query as an agent's, but for the time.
func within(most time.Duration) query.Limits {
	l := query.ForAgent()
	l.Time = most
	return l
}

const (
	// soon ends what would not end by itself. Whatever takes longer than that took
	// it in one step.
	soon = 300 * time.Millisecond
	// patient is for what ends by itself, on however busy a machine.
	patient = time.Minute
	// mostTime of a processor is for opening the file and for the longest step that
	// nothing interrupts, besides the limit.
	mostTime = 2500 * time.Millisecond
)

// processorTime is what this process has had so far. Other than what a clock
// says, it does not depend on how busy the machine is.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func makeFile(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "spanbucket.db")
	now := filetest.Begin.Add(time.Hour)
	require.NoError(t, filetest.MakeWithRequests(filetest.Options(path, now), filetest.Traffic(2000)))
	return path
}

// content says what is in a folder, but for the index of the log, whose locks
// readers take.
func content(t *testing.T, folder string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	all := map[string]string{}
	for _, e := range entries {
		bytes, err := os.ReadFile(filepath.Join(folder, e.Name()))
		require.NoError(t, err)
		all[e.Name()] = fmt.Sprintf("%x", sha256.Sum256(bytes))
		if strings.HasSuffix(e.Name(), "-shm") {
			all[e.Name()] = ""
		}
	}
	return all
}

func TestHostileQueriesWriteNothingAndEnd(t *testing.T) {
	require.GreaterOrEqual(t, len(corpus()), 60)
	for _, beside := range []bool{false, true} {
		t.Run(map[bool]string{false: "file at rest", true: "beside a writer"}[beside], func(t *testing.T) {
			path := makeFile(t)
			if beside {
				s, err := storage.Open(t.Context(), filetest.Options(path, filetest.Begin.Add(time.Hour)))
				require.NoError(t, err)
				defer func() { require.NoError(t, s.Close()) }()
			}
			t.Chdir(filepath.Dir(path)) // where relative names would lead
			before := content(t, filepath.Dir(path))
			for _, h := range corpus() {
				meets(t, h, path)
				require.Equal(t, before, content(t, filepath.Dir(path)), h.name)
			}
		})
	}
}

// meets asks one query and compares its fate.
func meets(t *testing.T, h hostile, path string) {
	t.Helper()
	limits := within(patient)
	if h.want == ended || h.want == stopped {
		limits = within(soon)
	}
	begun := processorTime(t)
	answer, err := query.Ask(context.Background(), path, h.sql, limits)
	assert.Less(t, processorTime(t)-begun, mostTime, h.name)
	switch h.want {
	case refused:
		assert.ErrorIs(t, err, query.ErrQuery, h.name)
	case ended:
		assert.ErrorIs(t, err, query.ErrTooMuch, h.name)
	case stopped:
		assert.True(t, errors.Is(err, query.ErrQuery) || errors.Is(err, query.ErrTooMuch), "%s: %v", h.name, err)
	case rows:
		if !assert.NoError(t, err, h.name) {
			return
		}
		assert.NotEmpty(t, answer.Rows, h.name)
		assert.LessOrEqual(t, int64(len(answer.Rows)), limits.Rows, h.name)
	}
	if h.says != "" && h.want != rows && !errors.Is(err, context.DeadlineExceeded) {
		assert.ErrorContains(t, err, h.says, h.name)
	}
	assert.Zero(t, engine.HeapUsed()/(64<<20), "%s: memory was not given back", h.name)
}

// Without the authorizer, some of the corpus gets through: these are refused by
// it and by nothing else.
func TestAuthorizerIsWhatRefuses(t *testing.T) {
	path := makeFile(t)
	r, err := storage.OpenReader(t.Context(), path)
	require.NoError(t, err)
	defer r.Close()
	through := 0
	for _, h := range slices.Concat(writers, readers) {
		answer, err := query.AskUnguarded(t.Context(), r.URI(), h.sql, within(patient))
		if h.want == refused && err == nil && len(answer.Rows) > 0 {
			through++
		}
	}
	require.GreaterOrEqual(t, through, 10)
	for _, statement := range []string{
		"SELECT hex(key) FROM fingerprint_key", "SELECT data FROM sqlite_dbpage", "SELECT name FROM dbstat",
		"SELECT name FROM pragma_database_list", "SELECT length(randomblob(1000))", "SELECT sqlite_compileoption_get(1)",
	} {
		answer, err := query.AskUnguarded(t.Context(), r.URI(), statement, within(patient))
		require.NoError(t, err, statement)
		require.NotEmpty(t, answer.Rows, statement)
	}
}

// On a connection that may write and without the other guards, the corpus writes:
// the comparison of folders above can fail.
func TestHostileQueriesWriteWhereTheyCan(t *testing.T) {
	path := makeFile(t)
	t.Chdir(filepath.Dir(path))
	before := content(t, filepath.Dir(path))
	changed := 0
	for _, h := range writers {
		runUnguarded(t, path, h.sql)
		if after := content(t, filepath.Dir(path)); fmt.Sprint(after) != fmt.Sprint(before) {
			changed, before = changed+1, after
		}
	}
	require.GreaterOrEqual(t, changed, 10)
}
