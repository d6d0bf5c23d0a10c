package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

func (p *program) anomaliesCommand() *cobra.Command {
	var flags queryFlags
	silence := "30s"
	cmd := &cobra.Command{
		Use:   "anomalies --db FILE",
		Short: "Print what was out of the ordinary, and what known faults explain",
		Long: `Print what was out of the ordinary: silence, time in which nothing succeeded,
throughput cliffs, latency spikes, clusters of errors, and errors that no known
fault explains. What begins inside the window of a fault is expected, and said so.`,
		Example: `  spanbucket anomalies --db spanbucket.db
  spanbucket anomalies --db spanbucket.db --run load-7 --silence 10s --format json`,
		Args: noArguments,
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&silence, "silence", silence, "how long a time without requests is remarkable at least")
	completeNothing(cmd, "silence")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		seconds, err := parseWidth(silence)
		if err != nil || seconds == 0 {
			return usageError{fmt.Errorf("--silence %q: must be whole seconds, such as 10s or 5m", silence)}
		}
		answer, err := askFile(cmd, p, &flags, func(ctx context.Context, tx *sql.Tx, q analysis.Query) (*analysis.Anomalies, error) {
			return analysis.AskAnomalies(ctx, tx, analysis.AnomaliesQuery{Query: q, SilenceS: seconds})
		})
		if err != nil {
			return err
		}
		return p.writeAnomalies(flags.format, answer)
	}
	return cmd
}

func (p *program) writeAnomalies(format string, answer *analysis.Anomalies) error {
	return p.writeAnswer(format, answer, &answer.Scope, answer.Requests > 0, answerForms{
		csv:  func() error { return writeCSV(p.stdout, anomalyNames, anomalyRecords(answer)) },
		text: func() error { return p.printAnomalies(answer) },
	})
}

var anomalyNames = []string{
	"kind", "severity", "expected", "faults", "start", "start_utc", "end", "end_utc", "duration_s", "still_active", "figure",
	"reference", "unit", "text",
}

func anomalyRecords(answer *analysis.Anomalies) [][]any {
	records := make([][]any, len(answer.Rows))
	for i := range answer.Rows {
		a := &answer.Rows[i]
		records[i] = []any{
			a.Kind, a.Severity, a.Expected, strings.Join(a.Faults, ", "), a.Start, a.StartUTC, a.End, a.EndUTC, a.DurationS,
			a.StillActive, a.Figure, a.Reference, a.Unit, a.Text,
		}
	}
	return records
}

// printAnomalies shows each anomaly in two lines: sentences do not fit a table.
func (p *program) printAnomalies(answer *analysis.Anomalies) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%s  ·  buckets of %s, %s for rates\n\n%s\n", tables.Caption(&answer.Scope), tables.WidthName(answer.WidthS),
		tables.WidthName(answer.RateWidthS), folded(anomaliesText(answer)))
	oneDay := isOneDay(&answer.Scope)
	for i := range answer.Rows {
		a := &answer.Rows[i]
		fmt.Fprintf(&out, "\n%s  for %s  %s  %s\n", timeText(a.StartUTC, oneDay), tables.Seconds(a.DurationS), strings.ReplaceAll(a.Kind, "_", " "), a.Severity)
		text := a.Text
		if a.Expected {
			text += " Expected: " + strings.Join(a.Faults, ", ") + "."
		}
		fmt.Fprintln(&out, folded(text))
	}
	if _, err := fmt.Fprint(p.stdout, out.String()); err != nil {
		return err
	}
	return tables.WriteOpen(p.stdout, &answer.Open)
}

func anomaliesText(answer *analysis.Anomalies) string {
	text := "Nothing out of the ordinary"
	if n := int64(answer.Unexpected); n == 1 {
		text = "1 anomaly"
	} else if n > 0 {
		text = tables.Count(n) + " anomalies"
	}
	if n := int64(answer.Expected); n > 0 {
		text += fmt.Sprintf("; %s more that known faults explain", tables.Count(n))
	}
	if all := answer.Unexpected + answer.Expected; all > len(answer.Rows) {
		text += fmt.Sprintf("; the first %d are shown", len(answer.Rows))
	}
	return text + "."
}

// folded makes text safe for a terminal and breaks it into lines.
func folded(text string) string {
	const columns = 100
	return tables.Wrap(tables.Clean(text), columns)
}
