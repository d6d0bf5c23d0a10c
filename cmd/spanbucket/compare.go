package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
)

// sideFlags say which spans are one side of a comparison.
type sideFlags struct {
	name, run, from, to string
	set                 func(flag string) bool
	asked               askedScope
}

func (f *sideFlags) add(cmd *cobra.Command, name string) {
	f.name, f.set = name, cmd.Flags().Changed
	cmd.Flags().StringVar(&f.run, name, "", "the run that is the "+name+` ("": spans outside any run)`)
	cmd.Flags().StringVar(&f.from, name+"-from", "", "only its spans that start at this time or later: as --from of other verbs, such as +5m")
	cmd.Flags().StringVar(&f.to, name+"-to", "", "only its spans that start before this time")
	completeNothing(cmd, name, name+"-from", name+"-to")
}

// given tells whether anything was said of the side.
func (f *sideFlags) given() bool { return f.set(f.name) || f.from != "" || f.to != "" }

// narrow restricts a query of the file to the side.
func (f *sideFlags) narrow(ctx context.Context, tx *sql.Tx, q analysis.Query) (analysis.Query, error) {
	q.Run = nil
	if f.set(f.name) {
		q.Run = &f.run
		var unknown *analysis.QueryError
		if err := analysis.CheckRun(ctx, tx, f.run); errors.As(err, &unknown) {
			return q, usageError{fmt.Errorf("--%s %s: %s", f.name, unknown.Value, unknown.Rule)}
		} else if err != nil {
			return q, err
		}
	}
	data, err := analysis.ReadExtent(ctx, tx, q.Run)
	if err != nil {
		return q, err
	}
	if q.From, err = parseTime(f.from, data); err != nil {
		return q, usageError{fmt.Errorf("--%s-from %w", f.name, err)}
	}
	if q.To, err = parseTime(f.to, data); err != nil {
		return q, usageError{fmt.Errorf("--%s-to %w", f.name, err)}
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		return q, usageError{fmt.Errorf("--%s-from %s --%s-to %s: the interval must not be empty", f.name, f.from, f.name, f.to)}
	}
	f.asked = askedScope{q, data}
	return q, nil
}

// compareFlags are those of a comparison.
type compareFlags struct {
	queryFlags
	baseline, candidate sideFlags
	baselineDB          string
	by                  []string
	warmup              time.Duration
	minChange           string
	seed                uint64
}

func (p *program) compareCommand() *cobra.Command {
	var flags compareFlags
	cmd := &cobra.Command{
		Use:   "compare --db FILE --baseline RUN --candidate RUN",
		Short: "Print whether one run is better or worse than another",
		Long: `Print whether one run, or window, is better or worse than another. Both are aligned
on their starts and cut to the same length; the first and the last bucket of a run,
which it fills only in part, are left out.

A verdict is given only where the 95 % interval of the change excludes zero and the
change is at least --min-change. The intervals come from resampling blocks of
consecutive buckets, since latency is correlated in time; figures are computed for
each model and put together with the same weights on both sides, so that another mix
of models is no change (--by "" switches that off). Equal files and flags give equal
answers.`,
		Example: `  spanbucket compare --db spanbucket.db --baseline v1 --candidate v2 --warmup 30s
  spanbucket compare --db spanbucket.db --baseline-to +10m --candidate-from +20m --candidate-to +30m
  spanbucket compare --db new.db --candidate v2 --baseline-db old.db --baseline v1 --format json`,
		Args: noArguments,
	}
	flags.fileFlags.add(cmd, "the file to ask (required)")
	flags.addBuckets(cmd)
	flags.addCategory(cmd)
	flags.baseline.add(cmd, "baseline")
	flags.candidate.add(cmd, "candidate")
	flags.addMethod(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := flags.checkSides(); err != nil {
			return err
		}
		q, err := flags.method()
		if err != nil {
			return err
		}
		answer, err := flags.ask(cmd.Context(), p, q)
		if err != nil {
			return err
		}
		return p.writeComparison(&flags, answer)
	}
	return cmd
}

// addMethod adds the flags that say how to compare.
func (f *compareFlags) addMethod(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.baselineDB, "baseline-db", "", "the file that has the baseline (default: that of --db)")
	flags.DurationVar(&f.warmup, "warmup", 0, "leave out so much at the beginning of both sides, such as 30s")
	flags.StringVar(&f.minChange, "min-change", "5%", "the smallest change that is better or worse")
	flags.Uint64Var(&f.seed, "seed", analysis.DefaultSeed, "seed of the resampling, from 1 on")
	addBy(cmd, &f.by)
	complete(cmd, "baseline-db", func() ([]string, cobra.ShellCompDirective) {
		return []string{"db"}, cobra.ShellCompDirectiveFilterFileExt
	})
	completeNothing(cmd, "warmup", "min-change", "seed")
}

// checkSides refuses a comparison of something with itself by omission.
func (f *compareFlags) checkSides() error {
	switch {
	case f.baselineDB != "" && f.db != "":
		return nil
	case !f.baseline.given():
		return usageError{errors.New("--baseline RUN is missing, or --baseline-from and --baseline-to")}
	case !f.candidate.given():
		return usageError{errors.New("--candidate RUN is missing, or --candidate-from and --candidate-to")}
	}
	return nil
}

// method turns the flags that say how to compare into a query.
func (f *compareFlags) method() (q analysis.ComparisonQuery, err error) {
	q = analysis.ComparisonQuery{By: slices.DeleteFunc(f.by, func(name string) bool { return name == "" }), Warmup: f.warmup, Seed: f.seed}
	if q.By == nil {
		q.By = []string{}
	}
	if f.warmup < 0 {
		return q, usageError{fmt.Errorf("--warmup %s: must not be negative", f.warmup)}
	}
	if f.seed == 0 {
		return q, usageError{errors.New("--seed 0: must be 1 or more")}
	}
	if q.MinChange, err = parseShare(f.minChange); err != nil {
		return q, usageError{fmt.Errorf("--min-change %w", err)}
	}
	if q.MinChange == 0 {
		return q, usageError{fmt.Errorf("--min-change %s: must be above 0", f.minChange)}
	}
	return q, nil
}

// ask compares, reading one file or two.
func (f *compareFlags) ask(ctx context.Context, p *program, q analysis.ComparisonQuery) (answer *analysis.Comparison, err error) {
	err = f.view(ctx, func(candidate *sql.Tx) error {
		compare := func(baseline *sql.Tx) error {
			base, err := f.query(ctx, p, candidate)
			if err != nil {
				return err
			}
			if q.Baseline, err = f.baseline.narrow(ctx, baseline, base); err != nil {
				return err
			}
			if q.Candidate, err = f.candidate.narrow(ctx, candidate, base); err != nil {
				return err
			}
			answer, err = analysis.AskComparison(ctx, baseline, candidate, q)
			return err
		}
		if f.baselineDB == "" {
			return compare(candidate)
		}
		other := fileFlags{db: f.baselineDB, format: f.format}
		if err := other.view(ctx, compare); err != nil {
			return fmt.Errorf("--baseline-db %s: %w", f.baselineDB, err)
		}
		return nil
	})
	return answer, err
}
