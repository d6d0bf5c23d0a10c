package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
)

// faultsCommand is the group of verbs about injected faults, and by itself one
// of them.
func (p *program) faultsCommand() *cobra.Command {
	var flags queryFlags
	var onlyImpact bool
	var limit int
	cmd := &cobra.Command{
		Use:   "faults --db FILE",
		Short: "Print when faults were injected and what they did; take in windows from elsewhere",
		Long: `Print when faults were injected: the windows that an injector's spans, the
configuration or an import state, and those that follow from requests which were
marked as touched by a fault. Windows of one fault and target that overlap are one
fault. Of each it prints requests, errors and latency before, during and after, net
of the injected delay as well, and how long it took until they were as before.

Before and after are as long as the fault, at least a minute and at most an hour, and
keep clear of other faults. Requests in flight when a fault began are in neither.`,
		Example: `  spanbucket faults --db spanbucket.db
  spanbucket faults --db spanbucket.db --run load-7 --impact --format csv
  spanbucket faults import windows.csv --db spanbucket.db`,
		Args: noArguments,
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&onlyImpact, "impact", false, "as text and CSV only what the faults did, one fault after the other")
	cmd.Flags().IntVar(&limit, "limit", 20, "how many faults to print as text, the longest; 0: all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkMost(limit); err != nil {
			return err
		}
		answer, err := askFile(cmd, p, &flags, analysis.AskFaultImpact)
		if err != nil {
			return err
		}
		return p.writeFaults(flags.format, onlyImpact, limit, answer)
	}
	cmd.AddCommand(p.importFaultsCommand())
	return cmd
}

// faultsAnswer is the answer of faults as JSON: rows are the windows.
type faultsAnswer struct {
	analysis.Scope
	Rows   []analysis.FaultWindow `json:"rows"`
	Faults []analysis.Fault       `json:"faults"`
	Left   int64                  `json:"faults_left_out"`
	// Unmet are the faults that no request met.
	Unmet     []analysis.JoinedFault `json:"unmet"`
	UnmetLeft int64                  `json:"unmet_left_out"`
	WidthS    int64                  `json:"width_s"`
}

func (p *program) writeFaults(format string, onlyImpact bool, limit int, answer *analysis.FaultImpact) (err error) {
	any := len(answer.Rows)+len(answer.Unmet) > 0
	if any {
		p.talk(&answer.Scope, format == "text")
	}
	switch {
	case format == "json":
		err = writeJSON(p.stdout, &faultsAnswer{answer.Scope, answer.Windows, answer.Rows, answer.Left, answer.Unmet, answer.UnmetLeft, answer.WidthS})
	case format == "csv" && onlyImpact:
		err = writeCSV(p.stdout, impactNames(), impactRecords(answer))
	case format == "csv":
		err = p.writeWindowRecords(answer.Windows)
	case any:
		answer.KeepLongest(limit)
		err = p.printFaults(onlyImpact, answer)
	}
	if !any {
		return finish(err, fmt.Errorf("%w: no fault was injected%s, as far as the file knows", errNoData, p.asked.interval()))
	}
	return err
}

func (p *program) writeWindowRecords(windows []analysis.FaultWindow) error {
	var records [][]any
	for i := range windows {
		w := &windows[i]
		records = append(records, []any{
			w.WindowID, w.RunID, w.Fault, w.Target, w.StartUTC, w.EndUTC, w.StartNS, w.EndNS, w.Source, w.ExperimentID, w.Requests,
		})
	}
	return writeCSV(p.stdout, []string{
		"window_id", "run_id", "fault", "target", "start_utc", "end_utc", "start_ns", "end_ns", "source", "experiment_id", "requests",
	}, records)
}
