package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/report/tables"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// mergeFlags are those of merge.
type mergeFlags struct {
	outputFlags
	talkFlags
	format              string
	align, allowOverlap bool
}

func (p *program) mergeCommand() *cobra.Command {
	var flags mergeFlags
	cmd := &cobra.Command{
		Use:   "merge FILE… -o FILE",
		Short: "Join files into a new one, exactly",
		Long: `Join the files of several collectors, or of several runs, into a new one. It holds
what one collector would have written that had received all their spans: counts,
sums, histograms (so percentiles are right), runs, sessions, fault windows, single
requests and the ledger. The files are only read; collectors may be writing them.

Copies of one file are refused (exit code 2), and so are files with spans in common
where they can tell: where their collectors have the same dedup.secret, as far back
as their deduplication windows reach (exit code 1). Buckets must have the same
widths.`,
		Example: `  spanbucket merge a.db b.db c.db -o all.db
  spanbucket merge old.db new.db -o all.db --align --force`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("merge: the files to join are missing")}
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"db"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := (&fileFlags{format: flags.format}).check(); err != nil {
			return err
		}
		if flags.output == "" {
			return usageError{errors.New("merge: -o FILE is missing")}
		}
		answer, err := p.merge(cmd.Context(), args, &flags)
		if err != nil {
			return outputError(err)
		}
		return p.writeMerged(flags.format, answer)
	}
	return cmd
}

func (f *mergeFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.outputFlags.add(cmd, "the new file (required)", "replace a spanbucket file that has that name already")
	f.talkFlags.add(cmd)
	addFormat(cmd, &f.format)
	flags.BoolVar(&f.align, "align", false, "keep only the widths of buckets that all files have")
	flags.BoolVar(&f.allowOverlap, "allow-overlap", false, "join files with spans in common, and count these as often as they are stored")
}

// merged is the answer of merge.
type merged struct {
	Output     string               `json:"output"`
	Files      []storage.MergedFile `json:"files"`
	Rows       []storage.MergedRows `json:"relations"`
	LeftOut    []storage.LeftOut    `json:"left_out"`
	Comparable bool                 `json:"overlap_known"` // the files could tell
	Overlap    int64                `json:"overlap_spans"`
}

func (p *program) merge(ctx context.Context, files []string, flags *mergeFlags) (*merged, error) {
	progress := p.newProgress(flags.progress, flags.quiet, "rows")
	result, err := storage.Merge(ctx, files, storage.MergeOptions{
		Output: flags.output, Replace: flags.force, AllowOverlap: flags.allowOverlap, Align: flags.align,
		WriterVersion: programVersion(), Now: p.now, OnProgress: progress.show,
	})
	progress.end()
	var overlap *storage.OverlapError
	switch {
	case errors.As(err, &overlap):
		return nil, fmt.Errorf("%w: %w; --allow-overlap counts them again", errCheck, err)
	case errors.Is(err, storage.ErrNotMergeable):
		return nil, usageError{err}
	case err != nil:
		return nil, err
	}
	answer := &merged{flags.output, result.Files, result.Rows, result.LeftOut, result.Comparable, result.Overlap}
	if answer.LeftOut == nil {
		answer.LeftOut = []storage.LeftOut{}
	}
	p.talkOfMerged(answer)
	return answer, nil
}

// talkOfMerged says what a reader of the new file should know.
func (p *program) talkOfMerged(m *merged) {
	if len(m.Files) > 1 && !m.Comparable {
		fmt.Fprintln(p.stderr, "the files have no dedup.secret in common: spans that are in several of them could not be noticed and "+
			"count as often; the new file begins with an empty deduplication window and a key of its own")
	}
	if m.Overlap > 0 {
		fmt.Fprintf(p.stderr, "%s %s counted again: they are in more than one file\n", tables.Count(m.Overlap), tables.Plural(m.Overlap, "span"))
	}
}

// whyLeftOut explains storage.LeftOut.Why, within one cell of a table.
var whyLeftOut = map[string]string{
	storage.LeftPruned:  "pruned in another file",
	storage.LeftWidth:   "not kept by all files",
	storage.LeftKeys:    "no dedup.secret in common",
	storage.LeftSampled: "more than max_for_cause",
	storage.LeftFull:    "the window holds no more",
}

func (p *program) writeMerged(format string, m *merged) error {
	switch format {
	case "json":
		return writeJSON(p.stdout, m)
	case "csv":
		var records [][]any
		for _, r := range m.Rows {
			records = append(records, []any{r.Relation, nil, r.Read, r.Written, nil, nil})
		}
		for _, l := range m.LeftOut {
			records = append(records, []any{l.Relation, l.WidthS, nil, nil, l.Rows, l.Why})
		}
		return writeCSV(p.stdout, []string{"relation", "width_s", "rows_read", "rows_written", "rows_left_out", "why"}, records)
	}
	n := int64(len(m.Files))
	if _, err := fmt.Fprintln(p.stdout, tables.Clean(fmt.Sprintf("%s: %s %s joined", m.Output, tables.Count(n), tables.Plural(n, "file")))); err != nil {
		return err
	}
	t := tables.New(m.Rows)
	t.Text("relation", func(r *storage.MergedRows) string { return r.Relation })
	t.Number("rows read", func(r *storage.MergedRows) string { return tables.Count(r.Read) })
	t.Number("written", func(r *storage.MergedRows) string { return tables.Count(r.Written) })
	if err := t.Write(p.stdout); err != nil || len(m.LeftOut) == 0 {
		return err
	}
	if _, err := fmt.Fprintln(p.stdout, "left out:"); err != nil {
		return err
	}
	left := tables.New(m.LeftOut)
	left.Text("relation", func(l *storage.LeftOut) string { return l.Relation })
	left.Text("width", func(l *storage.LeftOut) string {
		if l.WidthS == 0 {
			return tables.Missing
		}
		return tables.WidthName(l.WidthS)
	})
	left.Number("rows", func(l *storage.LeftOut) string { return tables.Count(l.Rows) })
	left.Text("why", func(l *storage.LeftOut) string { return whyLeftOut[l.Why] })
	return left.Write(p.stdout)
}

// programVersion is the version that this program was built as.
func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return ""
}
