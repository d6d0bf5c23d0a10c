package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// fileFlags are those of every verb.
type fileFlags struct {
	db     string
	format string
}

var formats = []string{"text", "json", "csv"}

func (f *fileFlags) add(cmd *cobra.Command, dbUsage string) {
	cmd.Flags().StringVar(&f.db, "db", "", dbUsage)
	complete(cmd, "db", func() ([]string, cobra.ShellCompDirective) {
		return []string{"db"}, cobra.ShellCompDirectiveFilterFileExt
	})
	addFormat(cmd, &f.format)
}

// addFormat adds the flag of every verb that answers.
func addFormat(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVar(format, "format", formats[0], "how to answer: "+strings.Join(formats, ", "))
	complete(cmd, "format", func() ([]string, cobra.ShellCompDirective) {
		return formats, cobra.ShellCompDirectiveNoFileComp
	})
}

// complete offers values for a flag in the shell.
func complete(cmd *cobra.Command, flag string, values func() ([]string, cobra.ShellCompDirective)) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return values()
	})
	if err != nil {
		panic(err) // the flag is defined just before
	}
}

// completeNothing keeps the shell from offering files as values of flags.
func completeNothing(cmd *cobra.Command, flags ...string) {
	for _, flag := range flags {
		complete(cmd, flag, func() ([]string, cobra.ShellCompDirective) { return nil, cobra.ShellCompDirectiveNoFileComp })
	}
}

func (f *fileFlags) check() error {
	if !slices.Contains(formats, f.format) {
		return usageError{fmt.Errorf("--format %q: must be one of %s", f.format, strings.Join(formats, ", "))}
	}
	return nil
}

// view opens the file and calls read with a transaction in which it stands
// still.
func (f *fileFlags) view(ctx context.Context, read func(*sql.Tx) error) (err error) {
	r, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return r.View(ctx, read)
}

// checkAll checks the flags of a verb that needs a file.
func (f *fileFlags) checkAll() error {
	if err := f.check(); err != nil {
		return err
	}
	if f.db == "" {
		return usageError{errors.New("--db FILE is missing")}
	}
	return nil
}

func (f *fileFlags) open(ctx context.Context) (*storage.Reader, error) {
	if err := f.checkAll(); err != nil {
		return nil, err
	}
	return f.openUnchecked(ctx)
}

// openUnchecked opens the file for a verb with formats of its own.
func (f *fileFlags) openUnchecked(ctx context.Context) (*storage.Reader, error) {
	return storage.OpenReader(ctx, f.db)
}

// queryFlags are those of every question.
type queryFlags struct {
	fileFlags
	from, to    string
	run         string
	runSet      func() bool
	categories  []string
	width       string
	includeOpen bool
}

func (f *queryFlags) add(cmd *cobra.Command) {
	f.addInterval(cmd)
	f.addBuckets(cmd)
}

// addBuckets adds the flags that say which buckets to read.
func (f *queryFlags) addBuckets(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.width, "width", "", "width of the buckets to read, such as 10s or 5m (default: chosen)")
	completeNothing(cmd, "width")
	f.addOpen(cmd)
}

// addOpen adds the flag of questions about what has settled.
func (f *queryFlags) addOpen(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.includeOpen, "include-open", false, "take recent buckets into account that may still lack spans")
}

// addInterval adds the flags that have nothing to do with buckets.
func (f *queryFlags) addInterval(cmd *cobra.Command) {
	f.addTimes(cmd)
	f.addCategory(cmd)
}

// addCategory adds the flag that restricts an answer to categories.
func (f *queryFlags) addCategory(cmd *cobra.Command) {
	const usage = "only these categories, separated by commas (default: what the file calls requests)"
	cmd.Flags().StringSliceVar(&f.categories, "category", nil, usage)
	complete(cmd, "category", func() ([]string, cobra.ShellCompDirective) {
		return aggregator.CategoryNames(), cobra.ShellCompDirectiveNoFileComp
	})
}

// addTimes adds the flags of questions that are not about requests.
func (f *queryFlags) addTimes(cmd *cobra.Command) {
	f.fileFlags.add(cmd, "the file to ask (required)")
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "only spans that start at this time or later: 2026-01-30T10:00:00Z, @1769767200, +40s since the run (or the file) began, or -10m before its end")
	flags.StringVar(&f.to, "to", "", "only spans that start before this time")
	flags.StringVar(&f.run, "run", "", `only this run; --run "" means spans outside any run (default: all)`)
	f.runSet = func() bool { return flags.Changed("run") }
	completeNothing(cmd, "from", "to", "run")
}

// query turns the flags into a query of the file.
func (f *queryFlags) query(ctx context.Context, p *program, tx *sql.Tx) (q analysis.Query, err error) {
	q = analysis.Query{Now: p.now(), IncludeOpen: f.includeOpen}
	if f.runSet != nil && f.runSet() {
		q.Run = &f.run
	}
	for _, name := range f.categories {
		c, ok := aggregator.ParseCategory(name)
		if !ok {
			return q, usageError{fmt.Errorf("--category %q: must be one of %s", name, strings.Join(aggregator.CategoryNames(), ", "))}
		}
		q.Categories = append(q.Categories, c)
	}
	if q.Width, err = parseWidth(f.width); err != nil {
		return q, usageError{fmt.Errorf("--width %w", err)}
	}
	data, err := analysis.ReadExtent(ctx, tx, q.Run)
	if err != nil {
		return q, err
	}
	if q.From, err = parseTime(f.from, data); err != nil {
		return q, usageError{fmt.Errorf("--from %w", err)}
	}
	if q.To, err = parseTime(f.to, data); err != nil {
		return q, usageError{fmt.Errorf("--to %w", err)}
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		return q, usageError{fmt.Errorf("--from %s --to %s: the interval must not be empty", f.from, f.to)}
	}
	p.asked = askedScope{q, data}
	return q, nil
}
