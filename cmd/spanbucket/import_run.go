package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/spanbucket/spanbucketexporter/folding"
	"github.com/spanbucket/spanbucketexporter/recording"
	"github.com/spanbucket/spanbucketexporter/report/tables"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// importAnswer is the answer of import.
type importAnswer struct {
	Files    int   `json:"files"`
	Bytes    int64 `json:"bytes"`
	Messages int64 `json:"messages"`
	Spans    int64 `json:"spans"` // that were read and are accounted for
	// Ledger says what became of them.
	Ledger map[string]int64 `json:"ledger"`
	// ProblemCount counts all problems, Problems are the first of them.
	ProblemCount int64               `json:"problem_count"`
	Problems     []recording.Problem `json:"problems"`
}

// maxProblems bounds the problems that are named.
const maxProblems = 100

func (p *program) importFiles(ctx context.Context, flags *importFlags, names []string) error {
	files, total, err := p.recordings(names, flags.db)
	if err != nil {
		return err
	}
	settings, err := flags.settings(ctx, p.now)
	if err != nil {
		return err
	}
	answer := &importAnswer{Files: len(files), Ledger: map[string]int64{}, Problems: []recording.Problem{}}
	err = p.importInto(ctx, flags, settings, files, total, answer)
	if errors.Is(err, storage.ErrLocked) || errors.Is(err, storage.ErrOtherWidths) || errors.Is(err, storage.ErrOtherSecret) {
		return usageError{err}
	}
	if err != nil && answer.Bytes == 0 {
		return fmt.Errorf("import: %w", err) // it has not begun
	}
	if err != nil && !errors.Is(err, recording.ErrStrict) {
		p.warnOfWindow(&settings.Storage, answer.Spans)
		return fmt.Errorf("import: %s spans are in the file; to go on, import the same again: %w", tables.Count(answer.Spans), err)
	}
	slices.SortStableFunc(answer.Problems, func(a, b recording.Problem) int {
		return strings.Compare(a.File, b.File) // those of one file come nearly in order
	})
	err = p.writeImportAnswer(flags.format, flags.db, answer)
	p.warnOfWindow(&settings.Storage, answer.Spans)
	switch {
	case answer.ProblemCount > 0:
		return finish(err, fmt.Errorf("%w: %s %s could not be read", errCheck, tables.Count(answer.ProblemCount), tables.Plural(answer.ProblemCount, "part")))
	case answer.Spans == 0:
		return finish(err, fmt.Errorf("%w: the recording holds no spans", errNoData))
	}
	return err
}

// importInto opens the file and writes the spans of the recordings to it.
func (p *program) importInto(ctx context.Context, flags *importFlags, settings folding.Settings, files []recording.File, total int64, answer *importAnswer) (err error) {
	settings.Storage.OnCommit = func(c storage.Commit) { // one at a time
		for reason, spans := range c.Spans {
			answer.Ledger[reason] += spans
		}
	}
	settings.Storage.OnEvent = func(e storage.Event) {
		fmt.Fprintf(p.stderr, "spanbucket: %s\n", tables.Clean(fmt.Sprintf("%s: %s: %v", e.Kind, e.Path, e.Err)))
	}
	store, err := storage.Open(ctx, settings.Storage)
	if err != nil {
		return err
	}
	shown := p.newProgress(flags.talk.progress, flags.talk.quiet, "bytes")
	shown.size = true
	done, err := recording.Import(ctx, files, folding.New(store, folding.Options{Settings: settings, Now: p.now}), recording.Options{
		// Some fold while others wait for a commit.
		Workers: 2 * runtime.GOMAXPROCS(0), Strict: flags.strict,
		OnProblem: func(problem recording.Problem) {
			if len(answer.Problems) < maxProblems {
				shown.end()
				fmt.Fprintf(p.stderr, "spanbucket: %s\n", tables.Clean(problem.String()))
				answer.Problems = append(answer.Problems, problem)
			}
		},
		OnProgress: func(now recording.Progress) {
			perSecond := float64(now.Spans) / max(shown.now().Sub(shown.began).Seconds(), 0.001)
			shown.showWith(now.Bytes, total, fmt.Sprintf(", %s spans, %s/s", tables.Count(now.Spans), tables.Count(int64(perSecond))))
		},
	})
	shown.end()
	answer.Bytes, answer.Messages, answer.Spans, answer.ProblemCount = done.Bytes, done.Messages, done.Spans, done.Problems
	return errors.Join(err, store.Close())
}

// warnOfWindow tells where importing the same again would count spans twice.
func (p *program) warnOfWindow(o *storage.Options, spans int64) {
	switch {
	case o.DedupWindow == 0 || o.DedupMaxSpans == 0:
		fmt.Fprintln(p.stderr, "spanbucket: the file has no deduplication: importing the same again counts it twice")
	case spans > int64(o.DedupMaxSpans):
		fmt.Fprintf(p.stderr, "spanbucket: the file remembers the last %s spans (dedup.max_spans): importing the same again counts the %s before them twice\n",
			tables.Count(int64(o.DedupMaxSpans)), tables.Count(spans-int64(o.DedupMaxSpans)))
	}
}

func (p *program) writeImportAnswer(format, db string, answer *importAnswer) error {
	switch format {
	case "json":
		return writeJSON(p.stdout, answer)
	case "csv":
		records := [][]any{{"problem", answer.ProblemCount}}
		for _, reason := range slices.Sorted(maps.Keys(answer.Ledger)) {
			records = append(records, []any{reason, answer.Ledger[reason]})
		}
		return writeCSV(p.stdout, []string{"what", "count"}, records)
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(answer.Ledger)) {
		if n := answer.Ledger[reason]; n > 0 {
			parts = append(parts, tables.Count(n)+" "+strings.ReplaceAll(reason, "_", " "))
		}
	}
	text := fmt.Sprintf("%s %s of %s %s", tables.Count(answer.Spans), tables.Plural(answer.Spans, "span"), tables.Count(answer.Messages), tables.Plural(answer.Messages, "message"))
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	_, err := fmt.Fprintln(p.stdout, tables.Clean(text+" in "+db))
	return err
}
