package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

func (p *program) testsCommand() *cobra.Command {
	var flags queryFlags
	cmd := &cobra.Command{
		Use:   "tests --db FILE",
		Short: "Print which tests passed, of stress or of any other runner",
		Long: `Print which tests passed, what was expected and what was seen: the chaos tests of
"spanbucket stress", and those of any runner whose spans have the attributes
test.case.name and test.case.result.status. Tests that failed change nothing about
the exit code; "spanbucket check --chaos" is for that.`,
		Example: `  spanbucket tests --db spanbucket.db
  spanbucket tests --db spanbucket.db --run nightly --format json`,
		Args: noArguments,
	}
	flags.addTimes(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		answer, err := askFile(cmd, p, &flags, analysis.AskChaosResults)
		if err != nil {
			return err
		}
		return p.writeTests(flags.format, answer)
	}
	return cmd
}

func (p *program) writeTests(format string, answer *analysis.ChaosResults) (err error) {
	switch {
	case format == "json":
		err = writeJSON(p.stdout, answer)
	case format == "csv":
		var records [][]any
		for i := range answer.Rows {
			c := &answer.Rows[i]
			records = append(records, []any{
				c.RunID, c.Suite, c.Name, c.Passed, c.Expected, c.Actual, c.DurationMS, c.Error, c.AtUTC, c.TraceID,
			})
		}
		err = writeCSV(p.stdout, []string{
			"run_id", "suite", "name", "passed", "expected", "actual", "duration_ms", "error", "at_utc", "trace_id",
		}, records)
	case len(answer.Rows) > 0:
		err = p.printTests(answer)
	}
	if len(answer.Rows) == 0 {
		return finish(err, fmt.Errorf("%w: no span of this interval tells of a test", errNoData))
	}
	return err
}

func (p *program) printTests(answer *analysis.ChaosResults) error {
	if _, err := fmt.Fprintf(p.stdout, "%s\n\n%s\n%s\n", tables.Caption(&answer.Scope), testsText(answer), prunedText(answer.CompleteFromUTC)); err != nil {
		return err
	}
	t := tables.New(answer.Rows)
	t.Text("result", func(c *analysis.ChaosResult) string {
		return map[bool]string{true: "passed", false: "FAILED"}[c.Passed]
	})
	t.Text("test", func(c *analysis.ChaosResult) string { return c.Name })
	t.Text("expected", func(c *analysis.ChaosResult) string { return textOrMissing(c.Expected) })
	t.Text("actual", func(c *analysis.ChaosResult) string { return textOrMissing(c.Actual) })
	t.Text("error", func(c *analysis.ChaosResult) string { return textOrMissing(c.Error) })
	t.Number("ms", func(c *analysis.ChaosResult) string { return tables.MS(c.DurationMS) })
	t.Text("suite", func(c *analysis.ChaosResult) string { return textOrMissing(c.Suite) })
	if answer.RunID == nil {
		t.Text("run", func(c *analysis.ChaosResult) string { return tables.RunName(c.RunID) })
	}
	t.Keep = 2
	return t.Write(p.stdout)
}

// testsText says how many tests passed.
func testsText(answer *analysis.ChaosResults) string {
	all := answer.Passed + answer.Failed
	if answer.Failed == 0 {
		return fmt.Sprintf("%s of %s %s passed.", tables.Count(answer.Passed), tables.Count(all), tables.Plural(all, "test"))
	}
	return fmt.Sprintf("%s of %s %s FAILED.", tables.Count(answer.Failed), tables.Count(all), tables.Plural(all, "test"))
}
