package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/fakellm"
	"github.com/spanbucket/spanbucketexporter/stress"
	"github.com/spanbucket/spanbucketexporter/stress/chaos"
	"github.com/spanbucket/spanbucketexporter/stress/experiment"
)

func (p *program) stressCommand() *cobra.Command {
	var flags stressFlags
	cmd := &cobra.Command{
		Use:   "stress [--db FILE]",
		Short: "Put a language model, or a fake one, under load and measure what happens",
		Long: `Put an API of OpenAI's dialect under load, and keep what happens in a file: calls by
users who think, ask again and give up, sessions of several turns, agents that call
tools. Without --target the API is a fake model on loopback, with faults at the rates
of a preset; without --otlp a collector is started, which writes --db.

Modes: load (the load of a profile), chaos (tests of how the API takes what is wrong),
full (both; faults are injected in the middle third of the load), quick (three
requests: does anything work at all?).

The load is closed: a user waits for an answer before the next question, so that a
slow server is asked less, and hides part of its own latency. With --rate it is open:
calls begin when they are due, and latency counts from then.

Ctrl-C ends the load; what was measured until then is kept.`,
		Example: `  spanbucket stress --db load.db --profile quick --duration 30s
  spanbucket stress --db chaos.db --mode full --preset chaos --duration 36s --report chaos.html
  spanbucket stress --db mine.db --target http://127.0.0.1:8080 --model llama --rate 20`,
		Args: noArguments,
	}
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := flags.config(cmd.Flags().Changed)
		if err != nil {
			return usageError{err}
		}
		return p.stress(cmd.Context(), &flags, c)
	}
	return cmd
}

// stress runs an experiment and tells what came of it.
func (p *program) stress(ctx context.Context, flags *stressFlags, c *experiment.Config) error {
	shown := p.newStressProgress(flags.quiet)
	c.Progress = shown.progress
	c.Tested = shown.tested
	if !flags.quiet {
		fmt.Fprintln(p.stderr, describeExperiment(c))
	}
	result, err := experiment.Run(ctx, *c)
	shown.end()
	if result == nil {
		return err
	}
	if writing := p.writeStress(flags, c, result); writing != nil {
		return errors.Join(err, writing)
	}
	if err == nil && len(result.ExportErrors) > 0 {
		err = fmt.Errorf("%d batches of spans were not delivered, so the file lacks them: %s", len(result.ExportErrors), result.ExportErrors[0])
	}
	if err != nil {
		return err
	}
	// What was asked of the file afterwards must not end with the load.
	if flags.db == "" {
		return verdict(result)
	}
	if err := p.afterStress(context.WithoutCancel(ctx), flags, c); err != nil {
		return err
	}
	return verdict(result)
}

// verdict is an error where the load did not work at all, or a chaos test
// failed.
func verdict(result *experiment.Result) error {
	var faults []string
	if result.Load != nil {
		if counts := result.Load.Counts(); counts.Calls > 0 && counts.Outcomes[stress.Success] == 0 {
			faults = append(faults, fmt.Sprintf("none of %d calls succeeded", counts.Calls))
		}
	}
	var failed []string
	for _, test := range result.Chaos {
		if !test.Passed {
			failed = append(failed, test.Name)
		}
	}
	if len(failed) > 0 {
		faults = append(faults, fmt.Sprintf("%d of %d chaos tests: %s", len(failed), len(result.Chaos), strings.Join(failed, ", ")))
	}
	if len(faults) > 0 {
		return fmt.Errorf("%w: %s", errCheck, strings.Join(faults, "; "))
	}
	return nil
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
