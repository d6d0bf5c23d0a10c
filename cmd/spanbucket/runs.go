package main

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// runsCommand is the group of verbs about test runs, and by itself one of them.
func (p *program) runsCommand() *cobra.Command {
	var flags fileFlags
	cmd := &cobra.Command{
		Use:   "runs --db FILE",
		Short: "Print the test runs of a file; begin, end and remove one",
		Long: `Print the test runs of a file, and which one is open. Spans belong to the run that
they name themselves, else to the one that is open, else to the configured one,
else to none.`,
		Example: `  spanbucket runs --db spanbucket.db
  spanbucket runs new --name "pool of 20" --db spanbucket.db
  spanbucket runs end --db spanbucket.db
  spanbucket runs purge --run run-20260130T100000Z --db spanbucket.db`,
		Args: noArguments,
	}
	flags.add(cmd, "the file to ask (required)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var answer *analysis.Runs
		err := flags.view(cmd.Context(), func(tx *sql.Tx) (err error) {
			answer, err = analysis.AskRuns(cmd.Context(), tx)
			return err
		})
		if err != nil {
			return err
		}
		err = p.writeRuns(flags.format, answer)
		if len(answer.Rows) == 0 {
			return finish(err, fmt.Errorf("%w: the file has no runs yet", errNoData))
		}
		return err
	}
	cmd.AddCommand(p.newRunCommand(), p.endRunCommand(), p.purgeRunCommand())
	return cmd
}

func (p *program) writeRuns(format string, answer *analysis.Runs) error {
	switch format {
	case "json":
		return writeJSON(p.stdout, answer)
	case "csv":
		var records [][]any
		for i := range answer.Rows {
			r := &answer.Rows[i]
			records = append(records, []any{
				r.RunID, r.Name, r.Open, r.FirstUTC, r.LastUTC, r.FirstNS, r.LastNS, r.Requests, r.Spans, r.Pinned,
				r.Mode, r.Profile, r.Preset, r.ConfigJSON, r.Attributes,
			})
		}
		return writeCSV(p.stdout, []string{
			"run_id", "name", "open", "first_utc", "last_utc", "first_ns", "last_ns", "requests", "spans", "pinned",
			"mode", "profile", "preset", "config_json", "attributes",
		}, records)
	}
	if len(answer.Rows) == 0 {
		return nil
	}
	t := tables.New(answer.Rows)
	t.Text("run", func(r *analysis.RunRow) string { return tables.RunName(r.RunID) })
	t.Text("name", func(r *analysis.RunRow) string { return textOrMissing(r.Name) })
	t.Text("state", func(r *analysis.RunRow) string { return runState(r) })
	t.Text("start", func(r *analysis.RunRow) string { return textOrMissing(r.FirstUTC) })
	t.Text("end", func(r *analysis.RunRow) string { return textOrMissing(r.LastUTC) })
	t.Number("length", func(r *analysis.RunRow) string {
		if r.FirstNS == nil || r.LastNS == nil {
			return tables.Missing
		}
		return tables.Length(*r.LastNS - *r.FirstNS)
	})
	t.Number("requests", func(r *analysis.RunRow) string { return tables.Count(r.Requests) })
	t.Number("spans", func(r *analysis.RunRow) string { return tables.Count(r.Spans) })
	for _, said := range []struct {
		head string
		text func(*analysis.RunRow) *string
	}{
		{"mode", func(r *analysis.RunRow) *string { return r.Mode }},
		{"profile", func(r *analysis.RunRow) *string { return r.Profile }},
		{"preset", func(r *analysis.RunRow) *string { return r.Preset }},
	} {
		t.Text(said.head, func(r *analysis.RunRow) string { return textOrMissing(said.text(r)) })
	}
	return t.Write(p.stdout)
}

func runState(r *analysis.RunRow) string {
	switch {
	case r.Open && r.Pinned:
		return "open, pinned"
	case r.Open:
		return "open"
	case r.Pinned:
		return "pinned"
	}
	return tables.Missing
}

// completeRuns offers the runs of the file that --db names.
func completeRuns(cmd *cobra.Command, flags *fileFlags) {
	complete(cmd, "run", func() (ids []string, _ cobra.ShellCompDirective) {
		ctx := context.Background()
		// Without a file there is nothing to offer.
		_ = flags.view(ctx, func(tx *sql.Tx) error {
			answer, err := analysis.AskRuns(ctx, tx)
			if err != nil {
				return err
			}
			for i := range answer.Rows {
				ids = append(ids, tables.Clean(answer.Rows[i].RunID))
			}
			return nil
		})
		return ids, cobra.ShellCompDirectiveNoFileComp
	})
}
