package storage_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// goodFile holds the bytes of a file in which every rule holds.
var goodFile = sync.OnceValue(func() []byte {
	folder, err := os.MkdirTemp("", "verify")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "good.db")
	err = filetest.Make(filetest.Options(path, filetest.Begin.Add(10*time.Minute)), filetest.Traffic(2500))
	if err != nil {
		panic(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return content
})

// copyOfGood writes the good file anew and runs statements on it that the
// program itself never would.
func copyOfGood(t *testing.T, statements ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(path, goodFile(), 0o600); err != nil {
		t.Fatal(err)
	}
	corrupt(t, path, statements...)
	return path
}

func corrupt(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, statement := range append([]string{"PRAGMA ignore_check_constraints = ON", "PRAGMA foreign_keys = OFF"}, statements...) {
		result, err := db.Exec(statement)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 && strings.HasPrefix(statement, "UPDATE") {
			t.Fatalf("%s: changed %d rows, error %v", statement, n, err)
		}
	}
}

func verify(t *testing.T, path string) (problems []storage.Problem) {
	t.Helper()
	r, err := storage.OpenReader(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for p, err := range r.Verify(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		problems = append(problems, p)
	}
	return problems
}

func TestVerifyFindsNothingInAGoodFile(t *testing.T) {
	for _, p := range verify(t, copyOfGood(t)) {
		t.Error(p)
	}
}

// row picks one row of a bucket table that holds more than one request.
func row(table, width string) string {
	return "(SELECT id FROM " + table + " WHERE width_s = " + width +
		" AND requests > 1 AND latency_count > 1 AND ttft_count > 0 ORDER BY id LIMIT 1 OFFSET 1)"
}

// Each corruption breaks one rule, and must be reported as that and nothing
// else. rule begins the rule that is reported; numbers are parts of the line.
var corruptions = []struct {
	name       string
	statements []string
	relation   string
	rule       string
	numbers    []string
	count      int // of problems
}{
	{"bucket is not aligned",
		[]string{"UPDATE series_bucket SET bucket_start = bucket_start + 7 WHERE id = " + row("series_bucket", "300")},
		"series_bucket", "bucket_start: is a multiple of width_s", []string{"stored 1769767207", "expected 1769767200"}, 1},
	{"width is unknown",
		[]string{
			"CREATE TEMP TABLE copy AS SELECT * FROM headline_bucket WHERE width_s = 3600 LIMIT 1",
			"UPDATE copy SET id = 1000000, width_s = 7200",
			"INSERT INTO headline_bucket SELECT * FROM copy",
		},
		"headline_bucket", "width_s: is one of the widths in meta", []string{"stored 7200"}, 1},
	{"outcomes are no partition",
		[]string{"UPDATE headline_bucket SET success = success + 1 WHERE id = " + row("headline_bucket", "10")},
		"headline_bucket", "requests: is the sum of the ten outcomes", nil, 1},
	{"more late spans than requests",
		[]string{"UPDATE headline_bucket SET late = requests + 1 WHERE id = " + row("headline_bucket", "10")},
		"headline_bucket", "late: is from 0 to requests", nil, 1},
	{"counter is negative",
		[]string{"UPDATE series_bucket SET input_tokens = -5 WHERE id = " + row("series_bucket", "10")},
		"series_bucket", "input_tokens: is not negative", []string{"stored -5"}, 1},
	{"bins do not add up in the headline",
		[]string{"UPDATE headline_histogram SET duration = '{\"5\":1}' WHERE bucket_id = " + row("headline_bucket", "1")},
		"headline_bucket", "duration: the bins fit count, sum, minimum and maximum", []string{"bins add up to 1"}, 1},
	{"bins do not add up by series",
		[]string{"UPDATE series_histogram SET time_per_output_token = '{\"5\":100}' WHERE bucket_id = " + row("series_bucket", "10")},
		"series_bucket", "time_per_output_token: the bins fit count, sum, minimum and maximum", []string{"bins add up to 100"}, 1},
	{"histogram is no JSON",
		[]string{"UPDATE series_histogram SET time_to_first_token = 'x' WHERE bucket_id = " + row("series_bucket", "10")},
		"series_bucket", "time_to_first_token: the bins fit count, sum, minimum and maximum", []string{"text is not"}, 1},
	{"sum does not fit",
		[]string{"UPDATE headline_bucket SET sum_latency_ns = max_latency_ns * latency_count + 1 WHERE id = " + row("headline_bucket", "10")},
		"headline_bucket", "duration: the bins fit count, sum, minimum and maximum", []string{"does not fit"}, 1},
	{"minimum does not fit",
		[]string{"UPDATE headline_bucket SET min_ttft_ns = 1 WHERE id = " + row("headline_bucket", "10")},
		"headline_bucket", "time_to_first_token: the bins fit count, sum, minimum and maximum", []string{"min 1"}, 1},
	{"measured, yet NULL",
		[]string{"UPDATE headline_bucket SET p95_ttft_ns = NULL WHERE id = " + row("headline_bucket", "10")},
		"headline_bucket", "p95_ttft_ns: is NULL where nothing was measured, and only there", []string{"stored NULL"}, 1},
	{"not measured, yet not NULL",
		[]string{"UPDATE headline_bucket SET p50_ttft_ns = 0 WHERE id = (SELECT id FROM headline_bucket WHERE ttft_count = 0 AND width_s = 10 LIMIT 1)"},
		"headline_bucket", "p50_ttft_ns: is NULL where nothing was measured, and only there", []string{"stored 0", "expected NULL"}, 1},
	{"percentiles do not ascend",
		[]string{"UPDATE headline_bucket SET p90_latency_ns = p50_latency_ns - 1 WHERE id = " + row("headline_bucket", "10")},
		"headline_bucket", "p90_latency_ns: minimum, percentiles and maximum ascend", nil, 1},
	{"percentile above the maximum",
		[]string{"UPDATE series_bucket SET p99_latency_ns = max_latency_ns + 1 WHERE id = " + row("series_bucket", "10")},
		"series_bucket", "max_latency_ns: minimum, percentiles and maximum ascend", nil, 1},
	{"percentile is another one",
		[]string{"UPDATE headline_bucket SET p50_latency_ns = min_latency_ns WHERE id = (SELECT id FROM headline_bucket WHERE min_latency_ns < p50_latency_ns LIMIT 1)"},
		"headline_bucket", "p50_latency_ns: is the percentile that the histogram gives", nil, 1},
	{"slowest span is missing",
		[]string{"UPDATE headline_bucket SET slowest_span_id = NULL WHERE id = " + row("headline_bucket", "10")},
		"headline_bucket", "slowest_trace_id: names the slowest span where there is one", []string{"stored 16 and 0 bytes"}, 1},
	{"row without histograms",
		[]string{"DELETE FROM series_histogram WHERE bucket_id = " + row("series_bucket", "10")},
		"series_bucket", "has a row of histograms", nil, 1},
	{"histograms without row",
		[]string{"INSERT INTO headline_histogram (bucket_id) VALUES (999999)"},
		"headline_histogram", "refers to a row that exists", []string{"rowid=999999"}, 1},
	{"bucket of an unknown series",
		[]string{"UPDATE series_bucket SET series_id = 5 WHERE id = " + row("series_bucket", "3600")},
		"series_bucket", "refers to a row that exists", []string{"a row in series"}, 1},
	{"bucket of an unknown run",
		[]string{"UPDATE headline_bucket SET run_id = 'nobody' WHERE id = " + row("headline_bucket", "1")},
		"headline_bucket", "run_id: has a row in run", []string{`stored "nobody"`}, 1},
	{"unknown category",
		[]string{"UPDATE headline_bucket SET category = 'nothing' WHERE id = " + row("headline_bucket", "10")},
		"headline_bucket", "category: is a known name", []string{"stored nothing"}, 1},
	{"series id does not fit the values",
		[]string{"UPDATE series SET model = 'other' WHERE model = 'gpt-4o' AND outcome = 'success' AND fault = '' AND run_id = '' AND dimensions = '{}'"},
		"series", "series_id: is derived from the values of the series", nil, 1},
	{"dimensions are not canonical",
		[]string{"UPDATE series SET dimensions = '{ }' WHERE series_id = (SELECT min(series_id) FROM series WHERE dimensions = '{}')"},
		"series", "dimensions: is a JSON object of texts, keys ascending", []string{"stored { }", "expected {}"}, 1},
	{"series has an unknown kind",
		[]string{"UPDATE series SET kind = 'sideways' WHERE series_id = (SELECT min(series_id) FROM series)"},
		"series", "kind: is a known name", []string{"stored sideways"}, 1},
	{"version is from the future",
		[]string{"UPDATE headline_bucket SET version = 1000 WHERE id = " + row("headline_bucket", "10")},
		"headline_bucket", "version: is a version from 1 to that in meta", []string{"stored 1000", "expected 1 to 3"}, 1},
	{"version of a series is from the future",
		[]string{"UPDATE series SET version = 1000 WHERE series_id = (SELECT min(series_id) FROM series)"},
		"series", "version: is a version from 1 to that in meta", []string{"stored 1000"}, 1},
	{"run ends before it begins",
		[]string{"UPDATE run SET last_ns = first_ns - 1 WHERE run_id = 'load-1'"},
		"run", "first_ns: a run begins before it ends", nil, 1},
	{"wider bucket lost a request",
		[]string{"UPDATE headline_bucket SET requests = requests - 1, success = success - 1 WHERE id = " + row("headline_bucket", "3600")},
		"headline_bucket", "requests: is the merge of the narrower buckets", nil, 1},
	{"wider bucket has another sum",
		[]string{"UPDATE series_bucket SET sum_latency_ns = sum_latency_ns + 1 WHERE id = " + row("series_bucket", "3600")},
		"series_bucket", "sum_latency_ns: is the merge of the narrower buckets", nil, 1},
	{"wider bucket is missing",
		[]string{
			"DELETE FROM headline_histogram WHERE bucket_id = (SELECT min(id) FROM headline_bucket WHERE width_s = 3600)",
			"DELETE FROM headline_bucket WHERE id = (SELECT min(id) FROM headline_bucket WHERE width_s = 3600)",
		},
		"headline_bucket", "is the merge of the narrower buckets", []string{"stored no row", "width_s=3600"}, 1},
	{"narrow bucket is missing",
		[]string{
			"DELETE FROM headline_histogram WHERE bucket_id = " + row("headline_bucket", "1"),
			"DELETE FROM headline_bucket WHERE id NOT IN (SELECT bucket_id FROM headline_histogram)",
		},
		"headline_bucket", "is the merge of the narrower buckets", []string{"width_s=10 "}, 1},
	{"headline disagrees with its series",
		[]string{"UPDATE headline_bucket SET output_tokens = output_tokens + 1 WHERE category = 'llm' AND run_id = 'load-1'" +
			" AND 1769767203 BETWEEN bucket_start AND bucket_start + width_s - 1"},
		"headline_bucket", "output_tokens: is the sum over its series", nil, 3},
	{"spans completed without a duration",
		[]string{"UPDATE headline_bucket SET completed = completed + 1 WHERE category = 'llm' AND run_id = 'load-1'" +
			" AND 1769767203 BETWEEN bucket_start AND bucket_start + width_s - 1"},
		"headline_bucket", "completed: as many spans completed as have a duration", nil, 4},
	{"requests do not add up to the spans of the run",
		[]string{
			"UPDATE run_category SET spans = spans + 2 WHERE run_id = 'load-1' AND category = 'llm'",
			"UPDATE ledger SET spans = spans + 2 WHERE reason IN ('folded', 'received')",
		},
		"headline_bucket", "requests: all requests add up to the spans of the run and category", nil, 4},
	{"a span is lost",
		[]string{"UPDATE ledger SET spans = spans + 1 WHERE reason = 'received'"},
		"ledger", "spans: received is the sum of all other rows", []string{"stored 2501", "expected 2500"}, 1},
	{"folded is not what the runs hold",
		[]string{"UPDATE ledger SET spans = spans - 1 WHERE reason IN ('folded', 'received')"},
		"ledger", "spans: folded is the sum of the spans of all runs", nil, 1},
	{"headline category does not fit",
		[]string{"UPDATE meta SET value = 'server' WHERE key = 'headline_category'"},
		"meta", "follows from the categories of the file", []string{"stored server", "expected llm,embedding"}, 1},
	{"histograms of another precision",
		[]string{"UPDATE meta SET value = '7' WHERE key = 'histogram_precision_bits'"},
		"meta", "says what a reader must know", []string{"stored 7", "expected 6"}, 1},
	{"widths are gone",
		[]string{"DELETE FROM meta WHERE key = 'widths'"},
		"meta", "says what a reader must know", []string{"widths"}, 1},
	{"a CHECK that no rule of ours repeats",
		[]string{"CREATE TABLE later (n INTEGER CHECK (n > 0))", "INSERT INTO later VALUES (-1)"},
		"later", "SQLite's integrity check finds nothing", nil, 1},
	{"a note is negative",
		[]string{"UPDATE notes SET spans = -1 WHERE reason = 'late'"},
		"notes", "spans: is not negative", []string{"stored -1"}, 1},
	{"an index lacks a row",
		[]string{
			"CREATE INDEX notes_spans ON notes (spans)",
			"PRAGMA writable_schema = ON",
			"UPDATE sqlite_schema SET sql = 'CREATE INDEX notes_spans ON notes (0 - spans)' WHERE name = 'notes_spans'",
		},
		"sqlite", "SQLite's integrity check finds nothing", []string{"missing from index notes_spans"}, 2},
}

func TestVerifyNamesEachProblem(t *testing.T) {
	for _, c := range corruptions {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			problems := verify(t, copyOfGood(t, c.statements...))
			if len(problems) != c.count {
				t.Errorf("%d problems, want %d", len(problems), c.count)
			}
			for _, p := range problems {
				line := p.String()
				if p.Relation != c.relation || !strings.Contains(line, c.rule+": stored ") {
					t.Errorf("got %s\nwant %s … %s", line, c.relation, c.rule)
				}
				if missing := slices.DeleteFunc(slices.Clone(c.numbers), func(n string) bool { return strings.Contains(line, n) }); len(missing) > 0 {
					t.Errorf("%s\ndoes not contain %q", line, missing)
				}
			}
		})
	}
}

// A page overwritten with noise must be found, and must not keep the rest from
// being looked at without an error.
func TestVerifySurvivesDamagedPages(t *testing.T) {
	const pageBytes = 4096
	good := goodFile()
	for page := 2; page < len(good)/pageBytes; page += len(good) / pageBytes / 12 {
		path := copyOfGood(t)
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		noise := []byte(strings.Repeat("spanbucket", pageBytes/10+1))[:pageBytes]
		if _, err := f.WriteAt(noise, int64(page)*pageBytes); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if len(verify(t, path)) == 0 {
			t.Errorf("page %d: damage was not found", page)
		}
	}
}

func TestVerifyStopsWhenAskedTo(t *testing.T) {
	path := copyOfGood(t, "UPDATE headline_bucket SET success = success + 1")
	r, err := storage.OpenReader(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n := 0
	for _, err := range r.Verify(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("%d problems before the break, want 2", n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, err := range r.Verify(ctx) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want that of the context", err)
		}
	}
}

// What retention has taken away is no problem, and what it left is checked.
func TestVerifyAfterPruning(t *testing.T) {
	observations := filetest.Traffic(900)
	for _, o := range filetest.Traffic(900) {
		o.StartUnixNano += int64(30 * time.Hour)
		if o.EndUnixNano != 0 {
			o.EndUnixNano += int64(30 * time.Hour)
		}
		observations = append(observations, o)
	}
	path := filepath.Join(t.TempDir(), "pruned.db")
	filetest.Write(t, filetest.Options(path, filetest.Begin.Add(31*time.Hour)), observations)
	const old = "bucket_start < (SELECT max(bucket_start) - 86400 FROM headline_bucket) AND width_s = 1"
	corrupt(t, path,
		"DELETE FROM headline_histogram WHERE bucket_id IN (SELECT id FROM headline_bucket WHERE "+old+")",
		"DELETE FROM headline_bucket WHERE "+old)
	for _, p := range verify(t, path) {
		t.Error(p)
	}
	corrupt(t, path, "UPDATE headline_bucket SET resends = resends + 1 WHERE id = (SELECT max(id) FROM headline_bucket WHERE width_s = 1)")
	if n := len(verify(t, path)); n != 1 {
		t.Errorf("%d problems in what is left, want 1", n)
	}
}

// The file is checked as it was at one instant, whatever a writer does
// meanwhile.
func TestVerifyBesideAWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "live.db")
	observations := filetest.Traffic(1000)
	o := filetest.Options(path, filetest.Begin.Add(time.Hour))
	filetest.Write(t, o, observations[:100])
	done := make(chan error, 1)
	go func() {
		for batch := range slices.Chunk(observations[100:], 100) {
			if err := filetest.Make(o, batch); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
		}
		for _, p := range verify(t, path) {
			t.Error(p)
		}
	}
}
