package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

func (p *program) toolsCommand() *cobra.Command {
	var flags queryFlags
	cmd := &cobra.Command{
		Use:   "tools --db FILE",
		Short: "Print which tools were called, how it went, how long they ran and waited",
		Long: `Print which tools were called, how often that failed, how long they ran, how long
they waited for a human, and how many of the calls that were decided on were
accepted. Several spans of one call are one call.`,
		Example: `  spanbucket tools --db spanbucket.db
  spanbucket tools --db spanbucket.db --run load-7 --from +40s --to +2m --format json`,
		Args: noArguments,
	}
	flags.addTimes(cmd)
	flags.addOpen(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		answer, err := askFile(cmd, p, &flags, analysis.AskTools)
		if err != nil {
			return err
		}
		return p.writeTools(flags.format, answer)
	}
	return cmd
}

func (p *program) writeTools(format string, answer *analysis.Tools) (err error) {
	p.talk(&answer.Scope, format == "text" && len(answer.Rows) > 0)
	switch {
	case format == "json":
		err = writeJSON(p.stdout, answer)
	case format == "csv":
		var records [][]any
		for i := range answer.Rows {
			t := &answer.Rows[i]
			records = append(records, []any{
				t.Tool, t.Calls, t.Errors, t.ErrorRate, t.Share, t.LatencyCount, t.AvgMS, t.P50MS, t.P95MS, t.P99MS, t.MaxMS,
				t.Waits, t.WaitAvgMS, t.Accepted, t.Rejected, t.AutoAccepted, t.AcceptanceRate,
			})
		}
		err = writeCSV(p.stdout, []string{
			"tool", "calls", "errors", "error_rate", "share", "latency_count", "avg_latency_ms", "p50_latency_ms", "p95_latency_ms",
			"p99_latency_ms", "max_latency_ms", "waits", "wait_ms_avg", "accepted", "rejected", "auto_accepted", "acceptance_rate",
		}, records)
	case len(answer.Rows) > 0:
		err = p.printTools(answer)
	}
	if len(answer.Rows) == 0 {
		return finish(err, p.nothing(&answer.Scope, "no call of a tool"))
	}
	return err
}

func (p *program) printTools(answer *analysis.Tools) error {
	total := answer.Total
	text := fmt.Sprintf("%s %s of %s %s", tables.Count(total.Calls), tables.Plural(total.Calls, "call"),
		tables.Count(int64(len(answer.Rows))), tables.Plural(int64(len(answer.Rows)), "tool"))
	switch {
	case total.Errors == 0:
		text += ", none failed"
	default:
		text += fmt.Sprintf(", %s failed (%s %%)", tables.Count(total.Errors), tables.Percent(total.ErrorRate))
	}
	if total.AcceptanceRate != nil {
		text += fmt.Sprintf("; of %s decided on, %s %% were accepted", tables.Count(total.Accepted+total.Rejected), tables.Percent(total.AcceptanceRate))
	}
	if _, err := fmt.Fprintf(p.stdout, "%s\n\n%s.\n%s\n", tables.Caption(&answer.Scope), text, prunedText(answer.CompleteFromUTC)); err != nil {
		return err
	}
	t := tables.New(answer.Rows)
	t.Text("tool", func(r *analysis.Tool) string { return r.Tool })
	t.Number("calls", func(r *analysis.Tool) string { return tables.Count(r.Calls) })
	t.Number("share %", func(r *analysis.Tool) string { return tables.Percent(r.Share) })
	t.Number("err %", func(r *analysis.Tool) string { return tables.Percent(r.ErrorRate) })
	t.Group = "latency ms"
	t.Number("p50", func(r *analysis.Tool) string { return tables.MS(r.P50MS) })
	t.Number("p95", func(r *analysis.Tool) string { return tables.MS(r.P95MS) })
	t.Number("p99", func(r *analysis.Tool) string { return tables.MS(r.P99MS) })
	t.Group = ""
	t.Number("wait ms", func(r *analysis.Tool) string { return tables.MS(r.WaitAvgMS) })
	t.Number("accepted %", func(r *analysis.Tool) string { return tables.Percent(r.AcceptanceRate) })
	if err := t.Write(p.stdout); err != nil {
		return err
	}
	return tables.WriteOpen(p.stdout, &answer.Open)
}

// prunedText is a line for an answer from single spans of which some have been
// deleted; empty where none has.
func prunedText(completeFrom *string) string {
	if completeFrom == nil {
		return ""
	}
	return "Spans that started before " + *completeFrom + " may have been deleted.\n"
}
