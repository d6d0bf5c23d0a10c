package main

import (
	"bytes"
	"context"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

var update = flag.Bool("update", false, "write the outputs that the scripts expect")

// nowVariable sets the clock of the program under test.
const nowVariable = "SPANBUCKET_TEST_NOW"

// olderSchemas is where the steps of the schema are; scripts run elsewhere.
var olderSchemas, _ = filepath.Abs("../../storage/migrations")

// dialects is where recorded traces of every kind are.
var dialects, _ = filepath.Abs("../../testdata/dialects")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"spanbucket": scripted})
}

// scripted is the program as the scripts run it: with the clock they set,
// without what differs from file to file, and with its exit code on stderr.
func scripted() {
	now, err := time.Parse(time.RFC3339, os.Getenv(nowVariable))
	if err != nil {
		panic(err)
	}
	var stdout bytes.Buffer
	p := &program{stdin: os.Stdin, stdout: &stdout, stderr: os.Stderr, now: func() time.Time { return now }}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := p.run(ctx, os.Args[1:])
	stop()
	if _, err := os.Stdout.Write(scrub(stdout.Bytes())); err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stderr, "exit", code)
	os.Exit(code)
}

func scrub(output []byte) []byte {
	for pattern, replacement := range map[string]string{
		`[0-9.]+ [KM]iB`:              "SIZE",
		`"bytes": [0-9]+`:             `"bytes": 0`,
		`"writer_id": "[0-9a-f]{32}"`: `"writer_id": "RANDOM"`,
	} {
		output = regexp.MustCompile(pattern).ReplaceAll(output, []byte(replacement))
	}
	return output
}

func TestScripts(t *testing.T) {
	const folder = "testdata/script"
	if files, err := filepath.Glob(folder + "/*.txtar"); err != nil || len(files) == 0 {
		t.Fatalf("no scripts in %s (error %v)", folder, err)
	}
	testscript.Run(t, testscript.Params{
		Dir: folder, UpdateScripts: *update, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv(nowVariable, "2026-01-30T12:00:00Z")
			e.Setenv("ESC", "\x1b")
			e.Setenv("DIALECTS", dialects)
			e.Setenv("LONG", strings.Repeat("0123456789", 26))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"makefile": makeFile, "makerequests": makeRequests, "damage": damage, "openfile": openFile,
			"makeolder": makeOlder, "manywindows": manyWindows, "makeletters": makeLetters, "makeruns": makeRuns, "collect": collect,
			"makestory": makeStory, "makeload": makeLoad},
	})
}

// makeFile is the command "makefile FILE SPANS": it writes so many spans of
// filetest.Traffic, a tenth of a second apart, to a file.
func makeFile(ts *testscript.TestScript, _ bool, args []string) {
	makeWith(ts, args, "makefile", filetest.Make)
}

// makeRequests is the command "makerequests FILE SPANS": it does as makefile,
// and keeps every span as a request.
func makeRequests(ts *testscript.TestScript, _ bool, args []string) {
	makeWith(ts, args, "makerequests", filetest.MakeWithRequests)
}

func makeWith(ts *testscript.TestScript, args []string, name string, write func(storage.Options, []aggregator.Observation) error) {
	if len(args) != 2 {
		ts.Fatalf("usage: %s FILE SPANS", name)
	}
	spans, err := strconv.Atoi(args[1])
	ts.Check(err)
	now := filetest.Begin.Add(time.Duration(spans) * 100 * time.Millisecond)
	ts.Check(write(filetest.Options(ts.MkAbs(args[0]), now), filetest.Traffic(spans)))
}

// makeLoad is the command "makeload FILE STRETCH…": it writes stretches of steady
// requests, each given as SECONDSxRATE, or SECONDSxRATE:TENTHS:OUTCOME where so
// many of ten fail.
func makeLoad(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: makeload FILE STRETCH…")
	}
	var stretches []filetest.Stretch
	for _, text := range args[1:] {
		var s filetest.Stretch
		rate, failing, some := strings.Cut(text, ":")
		_, err := fmt.Sscanf(rate, "%dx%d", &s.Seconds, &s.PerSecond)
		ts.Check(err)
		if some {
			var outcome string
			_, err = fmt.Sscanf(failing, "%d:%s", &s.Failed, &outcome)
			ts.Check(err)
			s.Outcome, _ = aggregator.ParseOutcome(outcome)
		}
		stretches = append(stretches, s)
	}
	ts.Check(filetest.Make(filetest.Options(ts.MkAbs(args[0]), filetest.Begin.Add(time.Hour)), filetest.Load(stretches...)))
}

// openFile is the command "openfile FILE": until the script ends, a writer has
// the file open, as a collector would.
func openFile(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: openfile FILE")
	}
	s, err := storage.Open(context.Background(), filetest.Options(ts.MkAbs(args[0]), filetest.Begin))
	ts.Check(err)
	ts.Defer(func() { ts.Check(s.Close()) })
}

// damage is the command "damage FILE STATEMENT": it runs SQL that the program
// itself never would.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: damage FILE STATEMENT")
	}
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	_, err = db.Exec(args[1])
	ts.Check(err)
}

// makeOlder is the command "makeolder FILE": an empty file of schema 1.
func makeOlder(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: makeolder FILE")
	}
	first, err := os.ReadFile(filepath.Join(olderSchemas, "0001_initial.sql"))
	ts.Check(err)
	db, err := sql.Open("sqlite", "file:"+ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	_, err = db.Exec(string(first) + `; PRAGMA application_id = 1399865963; PRAGMA user_version = 1;
		INSERT INTO meta (key, value) VALUES ('schema_version', '1'), ('version', '0'), ('histogram_precision_bits', '6'),
			('settle_after_s', '60'), ('max_series', '5'), ('headline_category', 'client'), ('writer_id', 'x'),
			('widths', '[{"width_s": 1, "retention_s": 0, "detail": "series"}]')`)
	ts.Check(err)
}

// manyWindows is the command "manywindows FILE WINDOWS LINE": a CSV file with so
// many windows, each of them LINE with its number in the place of N.
func manyWindows(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: manywindows FILE WINDOWS LINE")
	}
	windows, err := strconv.Atoi(args[1])
	ts.Check(err)
	text := []byte("fault,start,end\n")
	for i := range windows {
		text = append(text, strings.ReplaceAll(args[2], "N", strconv.Itoa(i+1))+"\n"...)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), text, 0o600))
}
