package main

import (
	"database/sql"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// faultsCommand is the group of verbs about injected faults, and by itself one
// of them.
func (p *program) faultsCommand() *cobra.Command {
	var flags fileFlags
	cmd := &cobra.Command{
		Use:   "faults --db FILE",
		Short: "Print when faults were injected; take in windows from elsewhere",
		Long: `Print when faults were injected: the windows that an injector's spans, the
configuration or an import state, and those that follow from requests which were
marked as touched by a fault.`,
		Example: `  spanbucket faults --db spanbucket.db
  spanbucket faults import windows.csv --db spanbucket.db`,
		Args: noArguments,
	}
	flags.add(cmd, "the file to ask (required)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var answer *analysis.FaultWindows
		err := flags.view(cmd.Context(), func(tx *sql.Tx) (err error) {
			answer, err = analysis.AskFaultWindows(cmd.Context(), tx)
			return err
		})
		if err != nil {
			return err
		}
		if err := p.writeFaultWindows(flags.format, answer); err != nil {
			return err
		}
		if len(answer.Rows) == 0 {
			return fmt.Errorf("%w: no fault was injected, as far as the file knows", errNoData)
		}
		return nil
	}
	cmd.AddCommand(p.importFaultsCommand())
	return cmd
}

func (p *program) writeFaultWindows(format string, answer *analysis.FaultWindows) error {
	switch format {
	case "json":
		return writeJSON(p.stdout, answer)
	case "csv":
		var records [][]any
		for i := range answer.Rows {
			w := &answer.Rows[i]
			records = append(records, []any{
				w.WindowID, w.RunID, w.Fault, w.Target, w.StartUTC, w.EndUTC, w.StartNS, w.EndNS, w.Source, w.ExperimentID, w.Requests,
			})
		}
		return writeCSV(p.stdout, []string{
			"window_id", "run_id", "fault", "target", "start_utc", "end_utc", "start_ns", "end_ns", "source", "experiment_id", "requests",
		}, records)
	}
	if len(answer.Rows) == 0 {
		return nil
	}
	t := tables.New(answer.Rows)
	t.Text("fault", func(w *analysis.FaultWindow) string { return w.Fault })
	t.Text("target", func(w *analysis.FaultWindow) string { return textOrMissing(w.Target) })
	t.Text("run", func(w *analysis.FaultWindow) string { return w.RunID })
	t.Text("start", func(w *analysis.FaultWindow) string { return w.StartUTC })
	t.Text("end", func(w *analysis.FaultWindow) string { return w.EndUTC })
	t.Number("length", func(w *analysis.FaultWindow) string {
		return time.Duration(w.EndNS - w.StartNS).Round(time.Millisecond).String()
	})
	t.Text("said by", func(w *analysis.FaultWindow) string { return w.Source })
	t.Text("experiment", func(w *analysis.FaultWindow) string { return textOrMissing(w.ExperimentID) })
	t.Number("requests", func(w *analysis.FaultWindow) string { return tables.Count(w.Requests) })
	return t.Write(p.stdout)
}

func textOrMissing(text *string) string {
	if text == nil {
		return tables.Missing
	}
	return *text
}
