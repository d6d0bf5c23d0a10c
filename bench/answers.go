package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// question is what the command line is asked of a day.
type question struct {
	verb    string // with its flags
	seconds float64
	// megabytes of memory that it may take; 0, as of seconds: no limit.
	megabytes float64
}

var questions = []question{
	{verb: "stats", seconds: 1},
	{verb: "timeseries"},
	{verb: "latency"},
	{verb: "errors", seconds: 1},
	{verb: "window --from +5h --to +6h"},
	{verb: "slow"},
	{verb: "usage"},
	{verb: "bursts"},
	{verb: "anomalies"},
	{verb: "diagnose", seconds: 1},
	{verb: "faults", seconds: 1},
	{verb: "circuits"},
	{verb: "sessions"},
	{verb: "tools"},
	{verb: "report -o report.json", seconds: 3, megabytes: 200},
}

// answerRounds is how often each question is asked.
const answerRounds = 5

// answer is what a question took.
type answer struct {
	question
	took   summary // seconds, of the whole process
	memory float64 // megabytes at most, in the worst round; 0: not known
}

// answers are those of one file.
type answers struct {
	all         []answer
	bytes, rows int64 // of the file; by series, of the narrowest width
	bins        int64 // of these
	requests    int64
}

// runAnswers writes a day and asks the program that people run about it.
func runAnswers(ctx context.Context, o options, dir string, talk io.Writer) (_ *answers, err error) {
	program, err := filepath.Abs(filepath.Join(dir, "spanbucket"))
	if err != nil {
		return nil, fmt.Errorf("answers: %w", err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-C", "..", "-o", program, "./cmd/spanbucket")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("answers: build: %w: %s", err, text)
	}
	path := filepath.Join(filepath.Dir(program), "day.db")
	d := day{start: time.Now().Truncate(24 * time.Hour).Add(-48 * time.Hour), over: o.answers, spans: 44}
	if err := d.write(ctx, path, o.seed, talk); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.Remove(path)) }()
	found := &answers{}
	if err := found.count(path); err != nil {
		return nil, err
	}
	for _, q := range questions {
		fmt.Fprintf(talk, "answers: %s\n", q.verb)
		a, err := ask(ctx, o, program, path, q)
		if err != nil {
			return nil, err
		}
		found.all = append(found.all, a)
	}
	return found, nil
}

func ask(ctx context.Context, o options, program, path string, q question) (answer, error) {
	a := answer{question: q}
	var times []float64
	for range min(answerRounds, o.rounds) {
		took, memory, err := runProgram(ctx, program, append(strings.Fields(q.verb), "--db", path)...)
		if err != nil {
			return a, fmt.Errorf("answers: %s: %w", q.verb, err)
		}
		times = append(times, took.Seconds())
		a.memory = max(a.memory, memory/1e6)
	}
	a.took = summarize(times)
	return a, nil
}

// runProgram runs a program in its folder and returns how long it took and the
// most memory it had, in bytes, as seen every other millisecond.
func runProgram(ctx context.Context, program string, args ...string) (took time.Duration, memory float64, err error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = filepath.Dir(program)
	var text bytes.Buffer
	cmd.Stderr = &text
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	watch := time.NewTicker(2 * time.Millisecond)
	defer watch.Stop()
	for {
		select {
		case <-watch.C:
			memory = max(memory, peakMemory(cmd.Process.Pid, filepath.Base(program)))
			continue
		case err = <-ended:
		}
		break
	}
	took = time.Since(began)
	// There are no sessions, tools and circuits, say.
	if err != nil && !strings.Contains(text.String(), "no data") {
		return took, memory, fmt.Errorf("%w: %s", err, text.String())
	}
	return took, memory, nil
}

// count says how large the file is.
func (a *answers) count(path string) error {
	for query, into := range map[string]*int64{
		"SELECT count(*) FROM series_bucket WHERE width_s = 10": &a.rows,
		// Every bin has one colon.
		`SELECT coalesce(sum(length(duration) - length(replace(duration, ':', ''))
				+ coalesce(length(net_duration) - length(replace(net_duration, ':', '')), 0)), 0)
			FROM series_histogram WHERE bucket_id IN (SELECT id FROM series_bucket WHERE width_s = 10)`: &a.bins,
		"SELECT count(*) FROM request":                                           &a.requests,
		"SELECT page_count * page_size FROM pragma_page_count, pragma_page_size": &a.bytes,
	} {
		if err := queryNumber(path, query, into); err != nil {
			return fmt.Errorf("answers: count: %w", err)
		}
	}
	return nil
}

func (r *report) writeAnswers(w io.Writer) error {
	if r.answers == nil {
		return nil
	}
	a := r.answers
	fmt.Fprintf(w, "\nanswers: a day in buckets of 1 s, 10 s, 5 min and 1 h: %d rows by series at 10 s with %.1f million bins, %d requests, %.0f MB\n",
		a.rows, float64(a.bins)/1e6, a.requests, float64(a.bytes)/1e6)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "spanbucket\ts median\tmin\tmax\tlimit\t\tMB\tlimit\t\t")
	for _, x := range a.all {
		fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%.2f\t%s\t%.0f\t%s\t\n", x.verb, x.took.median, x.took.least, x.took.most,
			bound(x.took.median, x.seconds), x.memory, bound(x.memory, x.megabytes))
	}
	return t.Flush()
}
