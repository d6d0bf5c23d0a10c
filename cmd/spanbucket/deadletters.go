package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// deadLettersCommand is the group of verbs about spans that could not be folded.
func (p *program) deadLettersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deadletters",
		Short: "List, export, retry and purge spans that could not be folded",
		Long: `List, export, retry and purge spans that could not be folded. The collector keeps
them as they came, but for content such as prompts, with the reason.`,
		Example: `  spanbucket deadletters list --db spanbucket.db
  spanbucket deadletters export --out letters --db spanbucket.db
  spanbucket deadletters retry --all --db spanbucket.db
  spanbucket deadletters purge --id 7 --id 9 --db spanbucket.db`,
		Args: noArguments,
	}
	cmd.RunE = func(*cobra.Command, []string) error {
		return usageError{errors.New("deadletters: must be followed by list, export, retry or purge")}
	}
	cmd.AddCommand(p.listLettersCommand(), p.exportLettersCommand(), p.retryLettersCommand(), p.purgeLettersCommand())
	return cmd
}

// letterFlags choose dead letters.
type letterFlags struct {
	fileFlags
	ids []int64
	all bool
}

func (f *letterFlags) add(cmd *cobra.Command, dbUsage string, withAll bool) {
	f.fileFlags.add(cmd, dbUsage)
	cmd.Flags().Int64SliceVar(&f.ids, "id", nil, "this dead letter; several ids are separated by commas, or each has its --id")
	if withAll {
		cmd.Flags().BoolVar(&f.all, "all", false, "every dead letter")
	}
	complete(cmd, "id", func() (ids []string, _ cobra.ShellCompDirective) {
		ctx := context.Background()
		// Without a file there is nothing to offer.
		_ = f.view(ctx, func(tx *sql.Tx) error {
			states, err := storage.ReadLetterStates(ctx, tx, nil)
			for _, s := range states {
				ids = append(ids, fmt.Sprint(s.ID))
			}
			return err
		})
		return ids, cobra.ShellCompDirectiveNoFileComp
	})
}

// chosen checks the flags of a verb that must be told which letters it is for.
func (f *letterFlags) chosen() error {
	if err := f.checkAll(); err != nil {
		return err
	}
	if f.all == (f.ids != nil) {
		return usageError{errors.New("must have either --id or --all")}
	}
	return nil
}

// letterError tells mistakes of the caller apart.
func letterError(err error) error {
	var unknown *storage.UnknownLettersError
	if errors.As(err, &unknown) {
		return usageError{fmt.Errorf("--id: %w; deadletters list names them", unknown)}
	}
	return err
}

func (p *program) listLettersCommand() *cobra.Command {
	var flags fileFlags
	cmd := &cobra.Command{
		Use:   "list --db FILE",
		Short: "Print which spans could not be folded, and why",
		Args:  noArguments,
	}
	flags.add(cmd, "the file to ask (required)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var answer *analysis.DeadLetters
		err := flags.view(cmd.Context(), func(tx *sql.Tx) (err error) {
			answer, err = analysis.AskDeadLetters(cmd.Context(), tx)
			return err
		})
		if err != nil {
			return err
		}
		err = p.writeLetters(flags.format, answer)
		if len(answer.Rows) == 0 {
			return finish(err, fmt.Errorf("%w: the file has no dead letters", errNoData))
		}
		return err
	}
	return cmd
}

func (p *program) writeLetters(format string, answer *analysis.DeadLetters) error {
	switch format {
	case "json":
		return writeJSON(p.stdout, answer)
	case "csv":
		var records [][]any
		for i := range answer.Rows {
			l := &answer.Rows[i]
			records = append(records, []any{l.ID, l.FirstUTC, l.LastUTC, l.Attempts, l.Reason, l.Error, l.Spans, l.Due, l.Bytes})
		}
		return writeCSV(p.stdout, []string{"id", "first_utc", "last_utc", "attempts", "reason", "error", "spans", "due", "bytes"}, records)
	}
	if len(answer.Rows) == 0 {
		return nil
	}
	t := tables.New(answer.Rows)
	t.Number("id", func(l *analysis.DeadLetter) string { return fmt.Sprint(l.ID) })
	t.Text("first attempt", func(l *analysis.DeadLetter) string { return l.FirstUTC })
	t.Text("last attempt", func(l *analysis.DeadLetter) string { return l.LastUTC })
	t.Number("attempts", func(l *analysis.DeadLetter) string { return tables.Count(l.Attempts) })
	t.Number("spans", func(l *analysis.DeadLetter) string { return tables.Count(l.Spans) })
	t.Text("due", func(l *analysis.DeadLetter) string {
		return map[bool]string{true: "yes", false: tables.Missing}[l.Due]
	})
	t.Text("reason", func(l *analysis.DeadLetter) string { return l.Reason })
	t.Text("error", func(l *analysis.DeadLetter) string { return l.Error })
	return t.Write(p.stdout)
}

func (p *program) purgeLettersCommand() *cobra.Command {
	var flags letterFlags
	cmd := &cobra.Command{
		Use:   "purge (--id ID … | --all) --db FILE",
		Short: "Delete spans that could not be folded",
		Long: `Delete spans that could not be folded. The ledger still counts them as dead letters;
the notes, as purged. A collector may be writing to the file meanwhile.`,
		Args: noArguments,
	}
	flags.add(cmd, "the file to delete them from (required)", true)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := flags.chosen(); err != nil {
			return err
		}
		letters, spans, err := storage.PurgeDeadLetters(cmd.Context(), flags.db, flags.ids)
		if err != nil {
			return letterError(err)
		}
		switch flags.format {
		case "json":
			return writeJSON(p.stdout, struct {
				Letters int   `json:"letters"`
				Spans   int64 `json:"spans"`
			}{letters, spans})
		case "csv":
			return writeCSV(p.stdout, []string{"letters", "spans"}, [][]any{{int64(letters), spans}})
		}
		_, err = fmt.Fprintf(p.stdout, "%s dead %s with %s %s deleted\n", tables.Count(int64(letters)), tables.Plural(int64(letters), "letter"),
			tables.Count(spans), tables.Plural(spans, "span"))
		return err
	}
	return cmd
}
