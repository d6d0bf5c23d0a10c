package storage_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/spanbucket/spanbucketexporter/aggregator"
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
	if err := makeWithRequests(filetest.Options(path, filetest.Begin.Add(10*time.Minute)), filetest.Traffic(2500)); err != nil {
		panic(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return content
})

// makeWithRequests is filetest.Make, with a row for every span and some of what
// spans tell besides.
func makeWithRequests(o storage.Options, observations []aggregator.Observation) (err error) {
	o.FaultWindows = []aggregator.FaultWindow{{Fault: "latency", StartUnixNano: 1, EndUnixNano: 2}}
	s, err := storage.Open(context.Background(), o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	n := 0
	for batch := range slices.Chunk(observations, 1000) {
		delta := aggregator.NewDelta(storage.FinestWidths(o.Widths), o.Objectives...)
		for i := range batch {
			delta.Fold(&batch[i])
		}
		err := s.Write(context.Background(), storage.Batch{Delta: delta, Requests: func(wanted func(span int) bool) iter.Seq[*aggregator.Request] {
			return func(yield func(*aggregator.Request) bool) {
				for i := range batch {
					n++
					if r := detailedRequest(batch[i], n); wanted(i) && !yield(&r) {
						return
					}
				}
			}
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// detailedRequest makes more of an observation.
func detailedRequest(o aggregator.Observation, n int) aggregator.Request {
	r := aggregator.Request{Observation: o, SpanName: "span", Known: aggregator.FactInputTokens | aggregator.FactStatusCode, StatusCode: 200}
	if n%50 == 0 {
		r.SpanID = [8]byte{}
	}
	if n%3 == 0 {
		r.Session, r.ParentSpanID, r.Role = fmt.Sprint("session-", n%30), [8]byte{1}, aggregator.RoleTurn
	}
	if o.Series.Category == aggregator.CategoryTool {
		r.ToolCallID, r.Decision = fmt.Sprint("call-", n), "accept"
	}
	if n%100 == 1 {
		r.Circuit, r.Instance = "payments", "pod-1"
		r.Circuits = []aggregator.CircuitState{{Circuit: "payments", AtUnixNano: o.StartUnixNano, State: aggregator.CircuitOpen}}
		r.Evaluations = []aggregator.Evaluation{{AtUnixNano: o.StartUnixNano, Name: "helpful", Verdict: aggregator.VerdictAccepted}}
	}
	if o.Series.Run != "" {
		r.RunFacts = aggregator.RunFacts{Mode: "load", ConfigJSON: `{"users": 5}`}
	}
	return r
}

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

// TestVerifyLetsTheLimitsThrough: what lies just inside of them is fine.
func TestVerifyLetsTheLimitsThrough(t *testing.T) {
	for _, p := range verify(t, copyOfGood(t,
		"UPDATE request SET duration_ns = 86400000000000, ttft_ns = 86400000000000 WHERE "+aRequest("marked IS NULL"),
		"UPDATE request SET duration_ns = 0 WHERE "+aRequest("duration_ns > 0 AND marked = 1"),
		"UPDATE request SET duration_ns = -1 WHERE "+aRequest("duration_ns > 0 AND span_id = zeroblob(8)"),
		"UPDATE request SET start_ns = 1, kept = 2 | (kept & 4), ttft_ns = NULL WHERE "+aRequest("kept = 3"),
		"UPDATE request SET weight_micro = 1, message_count = 0, cost_nano_usd = 0, resend_count = 0, role = 4 WHERE "+aRequest("kept = 1"),
		"UPDATE evaluation SET at_ns = 1, name = '', score = -1e300",
		"UPDATE circuit_state SET circuit = '', from_state = 'half_open' WHERE at_ns = (SELECT min(at_ns) FROM circuit_state)",
		"UPDATE fault_window SET end_ns = start_ns, fault = ''",
		"UPDATE run SET config_json = '{}', attributes = NULL, pinned = 1",
		"UPDATE meta SET value = '0' WHERE key = 'fault_gap_ns'",
		"CREATE VIEW of_my_own AS SELECT 1 AS one",
		"DELETE FROM request WHERE kept & 7 = 7",
	)) {
		t.Error(p)
	}
}

// TestVerifyWithoutATable names it, and does not fail for what follows.
func TestVerifyWithoutATable(t *testing.T) {
	for _, table := range []string{"request", "evaluation", "fault_window", "ledger", "meta", "series_bucket"} {
		problems := verify(t, copyOfGood(t, "DROP TABLE "+table))
		if !slices.ContainsFunc(problems, func(p storage.Problem) bool {
			return p.Relation == table && p.String() == table+": is there as in every file of its schema: stored none, expected the table of schema 6"
		}) {
			t.Errorf("%s: got %v", table, problems)
		}
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
		// Without its schema a file cannot even be opened.
		if r, err := storage.OpenReader(context.Background(), path); err != nil {
			if !strings.Contains(err.Error(), "malformed") {
				t.Errorf("page %d: %v", page, err)
			}
			continue
		} else if err := r.Close(); err != nil {
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
