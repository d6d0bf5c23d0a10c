package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/check"
	"github.com/spanbucket/spanbucketexporter/fakellm"
	"github.com/spanbucket/spanbucketexporter/report/tables"
	"github.com/spanbucket/spanbucketexporter/stress"
	"github.com/spanbucket/spanbucketexporter/stress/chaos"
	"github.com/spanbucket/spanbucketexporter/stress/experiment"
)

func (p *program) stressCommand() *cobra.Command {
	flags := newStressFlags()
	cmd := &cobra.Command{
		Use:   "stress [--db FILE]",
		Short: "Put a language model, or a fake one, under load and measure what happens",
		Long: `Put an API of OpenAI's dialect under load, and keep what happens in a file: calls by
users who think, ask again and give up, sessions of several turns, agents that call
tools. Without --target the API is a fake model on loopback, with faults at the rates
of a preset; without --otlp a collector is started, which writes --db.

Modes: load (the load of a profile), chaos (tests of how the API takes what is wrong),
full (both; the fake model has faults in the middle third of the load, a --target
those of its own), quick (three requests: does anything work at all?).

The load is closed: a user waits for an answer before the next question, so that a
slow server is asked less, and hides part of its own latency. With --rate it is open:
single chats begin when they are due, and latency counts from then.

With thresholds the run is held to them when it has ended, as "spanbucket check" does.
Exit codes: 1 where no call succeeded, or a chaos test or a threshold failed; 2 wrong
usage, or no data; 3 where spans were not delivered or the collector failed. Where
there are several reasons, 3 goes before 1, and 1 before 2.

Ctrl-C ends the load; what was measured until then is kept.`,
		Example: `  spanbucket stress --db load.db --profile quick --duration 30s
  spanbucket stress --db chaos.db --mode full --preset chaos --duration 36s --report chaos.html
  spanbucket stress --db mine.db --target http://127.0.0.1:8080 --model llama --rate 20 --p99 2000 --error-rate 1%`,
		Args: noArguments,
	}
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := flags.config(cmd.Flags().Changed)
		if err != nil {
			return usageError{err}
		}
		held, err := flags.held(cmd, p.stdin)
		if err != nil {
			return err
		}
		if err := flags.checkFiles(); err != nil { // before the work
			return err
		}
		return p.stress(cmd.Context(), flags, c, held)
	}
	return cmd
}

// stress runs an experiment, tells what came of it, and holds it to thresholds
// where there are any.
func (p *program) stress(ctx context.Context, flags *stressFlags, c *experiment.Config, held *check.Options) error {
	shown := p.newStressProgress(flags.quiet)
	c.Progress = shown.progress
	c.Tested = shown.tested
	if !flags.quiet {
		fmt.Fprintln(p.stderr, describeExperiment(c))
	}
	result, failure := experiment.Run(ctx, *c)
	shown.end()
	if result == nil {
		return failure
	}
	// What is asked of the file afterwards must not end with the load.
	return p.conclude(context.WithoutCancel(ctx), flags, c, result, failure, held)
}

// conclude tells what came of an experiment, and returns the error that the exit
// code comes from: the worst of what failed in it and of what it is held to.
func (p *program) conclude(
	ctx context.Context, flags *stressFlags, c *experiment.Config, result *experiment.Result, failure error, held *check.Options,
) error {
	faults := []error{failure, loadVerdict(result), chaosVerdict(result)}
	answer := newStressAnswer(c, result)
	if held != nil {
		var err error
		answer.Check, err = flags.checks.run(ctx, p, *held)
		faults = append(faults, err)
	}
	// Whatever cannot be shown, the files that were asked for are written.
	faults = append(faults, unread(p.writeStress(flags, answer)))
	if flags.db != "" {
		faults = append(faults, p.afterStress(ctx, flags, c))
	}
	if answer.Check != nil {
		faults = append(faults, p.finishStressCheck(ctx, flags, answer.Check))
	}
	return worst(faults...)
}

// finishStressCheck writes the results of a check, which formats for programs
// have already, and returns the error that the exit code comes from.
func (p *program) finishStressCheck(ctx context.Context, flags *stressFlags, r *check.Report) error {
	faults := []error{flags.checks.writeJUnit(ctx, r)}
	if flags.format == "text" {
		_, err := fmt.Fprintln(p.stdout)
		faults = append(faults, unread(errors.Join(err, p.printCheck(r))))
	}
	return worst(append(faults, flags.checks.verdict(r))...)
}

// unread is the error of writing an answer: none where its reader has seen enough
// and left, which is no fault of the run.
func unread(written error) error {
	if errors.Is(written, syscall.EPIPE) {
		return nil
	}
	return written
}

// loadVerdict is an error where nothing worked, or nothing was tried.
func loadVerdict(result *experiment.Result) error {
	if result.Load == nil {
		return nil
	}
	counts := result.Load.Counts()
	switch {
	case counts.Calls == 0:
		return fmt.Errorf("%w: no call was made", errNoData)
	case counts.Outcomes[stress.Success] == 0:
		return fmt.Errorf("%w: none of %d %s succeeded", errCheck, counts.Calls, tables.Plural(counts.Calls, "call"))
	}
	return nil
}

// chaosVerdict is an error where a chaos test failed.
func chaosVerdict(result *experiment.Result) error {
	var failed []string
	for _, test := range result.Chaos {
		if !test.Passed {
			failed = append(failed, test.Name)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d of %d chaos tests: %s", errCheck, len(failed), len(result.Chaos), strings.Join(failed, ", "))
}

// worstError is several errors of which one decides about the exit code.
type worstError struct {
	text  string
	worst error
}

func (e *worstError) Error() string { return e.text }
func (e *worstError) Unwrap() error { return e.worst }

// worst joins errors so that the worst of them decides about the exit code:
// what could not be read or written, then a check that failed, then usage and
// missing data.
func worst(all ...error) error {
	severity := map[int]int{exitUsage: 1, exitCheck: 2, exitUnreadable: 3}
	var decides error
	for _, err := range all {
		if severity[exitCode(err)] > severity[exitCode(decides)] {
			decides = err
		}
	}
	if decides == nil {
		return nil
	}
	return &worstError{errors.Join(all...).Error(), decides}
}

// describeExperiment says in one line what is about to happen.
func describeExperiment(c *experiment.Config) string {
	target := "a fake model, preset " + c.Preset.Name
	if c.Target != nil {
		target = c.Target.String()
	}
	load := fmt.Sprintf("%d users, %g new ones a second, for %v", c.Profile.Users, c.Profile.SpawnRate, c.Profile.Duration)
	switch {
	case c.Mode == stress.ModeQuick:
		load = "three requests"
	case c.Mode == stress.ModeChaos:
		load = fmt.Sprintf("%d chaos tests", len(chaos.Cases))
	case c.Rate > 0:
		load = fmt.Sprintf("%g calls a second for %v, at most %d at once", c.Rate, c.Profile.Duration, c.Profile.Users)
	}
	return fmt.Sprintf("run %s: %s, against %s", c.RunID, load, target)
}

func presetNames() (names []string) {
	for _, p := range fakellm.Presets {
		names = append(names, p.Name)
	}
	return names
}
