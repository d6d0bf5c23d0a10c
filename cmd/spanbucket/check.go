package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/check"
)

// thresholdFlags are those of single thresholds, with what they bound.
var thresholdFlags = [][2]string{
	{"p50", "fail where the median latency is above so many milliseconds"},
	{"p95", "fail where p95 latency is above so many milliseconds"},
	{"p99", "fail where p99 latency is above so many milliseconds"},
	{"ttft-p95", "fail where p95 of the time to first token is above so many milliseconds"},
	{"error-rate", "fail where the share of failed requests is above this: 0.01 or 1%"},
	{"min-rps", "fail where there are fewer requests per second"},
	{"cost", "fail where the requests cost more US dollars together"},
	{"circuit-trips", "fail where circuit breakers tripped more often"},
}

// checkFlags are those of a check.
type checkFlags struct {
	queryFlags
	values      map[string]*string
	thresholds  string
	baseline    sideFlags
	baselineDB  string
	regressions []string
	warmup      time.Duration
	junit       string
	strict      bool
	slo         bool
	chaos       bool
}

func (p *program) checkCommand() *cobra.Command {
	flags := checkFlags{values: map[string]*string{}}
	cmd := &cobra.Command{
		Use:   "check --db FILE --p99 2000",
		Short: "Exit with 1 where a threshold, or a comparison, fails",
		Long: `Hold a file to thresholds, or to a baseline. Exit codes: 0 all passed, 1 a check
failed, 2 wrong usage or no data, 3 the file cannot be read. No data is never a pass,
also where only one threshold has none; a failure counts more.

A value that equals its threshold passes. What is compared is the value that the
other verbs print: percentiles are within 0.79 %. --max-regression fails where
"spanbucket compare" finds the figure worse and the change is above the limit.

A file of thresholds has the same names, with _ for -; each is a number or has two
levels, {warn: 800, fail: 1200}; categories and models have thresholds of their own:

  p99: 2000
  error_rate: {warn: 1%, fail: 5%}
  categories: {tool: {p95: 10000}}
  models: {gpt-4o: {p99: {fail: 5000}}}`,
		Example: `  spanbucket check --db spanbucket.db --run nightly --warmup 30s --p99 2000 --error-rate 1% --junit check.xml
  spanbucket check --db spanbucket.db --run v2 --baseline v1 --max-regression p95=10% --max-regression error_rate=50%
  spanbucket check --db spanbucket.db --thresholds thresholds.yaml --strict`,
		Args: noArguments,
	}
	flags.add(cmd)
	flags.addRules(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o, err := flags.rules(cmd, p.stdin)
		if err != nil {
			return err
		}
		if flags.junit != "" {
			if err := flags.junitFile().check(); err != nil {
				return err
			}
		}
		report, err := flags.run(cmd.Context(), p, o)
		if err != nil {
			return err
		}
		return p.finishCheck(cmd.Context(), &flags, report)
	}
	return cmd
}

func (f *checkFlags) addRules(cmd *cobra.Command) {
	flags := cmd.Flags()
	for _, t := range thresholdFlags {
		f.values[t[0]] = flags.String(t[0], "", t[1])
	}
	flags.StringVar(&f.thresholds, "thresholds", "", "a YAML file of thresholds; - is stdin")
	f.baseline.add(cmd, "baseline")
	flags.StringVar(&f.baselineDB, "baseline-db", "", "the file that has the baseline (default: that of --db)")
	flags.StringArrayVar(&f.regressions, "max-regression", nil,
		"fail where this is worse than in the baseline by more, such as p99=10%; may be repeated: "+strings.Join(check.RegressionNames(), ", "))
	flags.BoolVar(&f.slo, "slo", false, "fail where a service level objective of the file is missed")
	flags.BoolVar(&f.chaos, "chaos", false, "fail where a test failed of those that spans tell of, such as the chaos tests of stress")
	flags.DurationVar(&f.warmup, "warmup", 0, "leave out so much at the beginning, such as 30s")
	flags.StringVar(&f.junit, "junit", "", "write the results to this file too, as JUnit XML")
	flags.BoolVar(&f.strict, "strict", false, "let warnings fail the check")
	complete(cmd, "max-regression", func() (names []string, _ cobra.ShellCompDirective) {
		for _, name := range check.RegressionNames() {
			names = append(names, name+"=")
		}
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	})
}

// ruleNames are the names of the flags that addRules adds.
func ruleNames() []string {
	names := []string{"thresholds", "baseline", "baseline-from", "baseline-to", "baseline-db", "max-regression", "slo", "chaos", "warmup", "junit", "strict"}
	for _, t := range thresholdFlags {
		names = append(names, t[0])
	}
	return names
}

// rules turns the flags into what is checked.
func (f *checkFlags) rules(cmd *cobra.Command, stdin io.Reader) (o check.Options, err error) {
	for _, t := range thresholdFlags {
		if !cmd.Flags().Changed(t[0]) {
			continue
		}
		rule, err := check.NewRule(t[0], *f.values[t[0]])
		if err != nil {
			return o, usageError{fmt.Errorf("--%s %w", t[0], err)}
		}
		o.Rules = append(o.Rules, rule)
	}
	if f.thresholds != "" {
		rules, err := f.readThresholds(stdin)
		if err != nil {
			return o, usageError{fmt.Errorf("--thresholds %s: %w", f.thresholds, err)}
		}
		o.Rules = append(o.Rules, rules...)
	}
	for _, text := range f.regressions {
		g, err := check.ParseRegression(text)
		if err != nil {
			return o, usageError{fmt.Errorf("--max-regression %w", err)}
		}
		if slices.ContainsFunc(o.Regressions, func(other check.Regression) bool { return other.Metric == g.Metric }) {
			return o, usageError{fmt.Errorf("--max-regression %q: %s is there twice", text, g.Metric)}
		}
		o.Regressions = append(o.Regressions, g)
	}
	o.SLOs, o.Tests = f.slo, f.chaos
	return o, f.checkCombination(o)
}

// checkCombination refuses flags that say nothing together.
func (f *checkFlags) checkCombination(o check.Options) error {
	hasBaseline := f.baseline.given() || f.baselineDB != ""
	switch {
	case f.warmup < 0:
		return usageError{fmt.Errorf("--warmup %s: must not be negative", f.warmup)}
	case hasBaseline && len(o.Regressions) == 0:
		return usageError{errors.New("--baseline: --max-regression is missing, such as --max-regression p95=10%")}
	case !hasBaseline && len(o.Regressions) > 0:
		return usageError{errors.New("--max-regression: --baseline RUN is missing")}
	case len(o.Rules) == 0 && len(o.Regressions) == 0 && !o.SLOs && !o.Tests:
		return usageError{errors.New("there is nothing to check: a threshold is missing, such as --p99 2000")}
	}
	return nil
}

func (f *checkFlags) readThresholds(stdin io.Reader) (rules []check.Rule, err error) {
	if f.thresholds == "-" {
		return check.ParseFile(stdin)
	}
	file, err := os.Open(f.thresholds)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return check.ParseFile(file)
}

// run checks one file, or compares two.
func (f *checkFlags) run(ctx context.Context, p *program, o check.Options) (report *check.Report, err error) {
	err = f.view(ctx, func(tx *sql.Tx) error {
		if o.Query, err = f.query(ctx, p, tx); err != nil {
			return err
		}
		perform := func(baseline *sql.Tx) error {
			o.BaselineTx = baseline
			if o.Comparison.Baseline, err = f.baseline.narrow(ctx, baseline, o.Query); err != nil {
				return err
			}
			// The comparison cuts the warm-up off both sides itself.
			o.Comparison.Warmup = f.warmup
			report, err = check.Run(ctx, tx, o)
			return err
		}
		o.Warmup = f.warmup
		data, failed := analysis.ReadExtent(ctx, tx, o.Query.Run)
		if failed != nil {
			return failed
		}
		o.Began = data.Begin
		if f.baselineDB == "" {
			return perform(tx)
		}
		other := fileFlags{db: f.baselineDB, format: f.format}
		if err := other.view(ctx, perform); err != nil {
			return fmt.Errorf("--baseline-db %s: %w", f.baselineDB, err)
		}
		return nil
	})
	return report, err
}
