package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/report/tables"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// newRun is the answer of runs new.
type newRun struct {
	RunID  string  `json:"run_id"`
	Name   *string `json:"name"`
	Known  bool    `json:"known"`           // the file had it already
	Before *string `json:"open_run_before"` // that was open; null: none
}

func (p *program) newRunCommand() *cobra.Command {
	var flags fileFlags
	var id, name string
	cmd := &cobra.Command{
		Use:   "new --db FILE",
		Short: "Begin a run",
		Long: `Begin a run: spans that are stored from now on and name no run of their own belong
to it, until another one begins or runs end. A run that the file has already goes
on. A collector may be writing to the file meanwhile, and need not be told.`,
		Example: `  spanbucket runs new --db spanbucket.db
  spanbucket runs new --id load-7 --name "pool of 20" --db spanbucket.db`,
		Args: noArguments,
	}
	flags.add(cmd, "the file to begin it in (required)")
	cmd.Flags().StringVar(&id, "id", "", "the id of the run (default: run- and the time)")
	cmd.Flags().StringVar(&name, "name", "", "a name for people; of several the lowest stands")
	completeNothing(cmd, "id", "name")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := flags.checkAll(); err != nil {
			return err
		}
		if cmd.Flags().Changed("id") {
			if err := storage.CheckRunID(id); err != nil {
				return usageError{fmt.Errorf("--id %q: %w", tables.Cut(id, tables.MaxCell), err)}
			}
		}
		if err := storage.CheckRunText(name); err != nil {
			return usageError{fmt.Errorf("--name %q: %w", tables.Cut(name, tables.MaxCell), err)}
		}
		opened, err := storage.OpenRun(cmd.Context(), flags.db, storage.NewRun{ID: id, Name: name, At: p.now()})
		if errors.Is(err, storage.ErrTooManyRuns) {
			return usageError{fmt.Errorf("%w, must be less than %s; runs purge removes one", err, tables.Count(storage.MaxRuns))}
		}
		if err != nil {
			return err
		}
		return p.writeNewRun(flags.format, &newRun{opened.ID, opened.Name, opened.Known, opened.Before})
	}
	return cmd
}

func (p *program) writeNewRun(format string, answer *newRun) error {
	switch format {
	case "json":
		return writeJSON(p.stdout, answer)
	case "csv":
		return writeCSV(p.stdout, []string{"run_id", "name", "known", "open_run_before"},
			[][]any{{answer.RunID, answer.Name, answer.Known, answer.Before}})
	}
	text := "run " + answer.RunID
	if answer.Name != nil {
		text += fmt.Sprintf(" (%s)", *answer.Name)
	}
	if text += " is open"; answer.Known {
		text += " again"
	}
	if answer.Before != nil && *answer.Before != answer.RunID {
		text += ", " + *answer.Before + " no longer"
	}
	_, err := fmt.Fprintln(p.stdout, tables.Clean(text))
	return err
}

func (p *program) endRunCommand() *cobra.Command {
	var flags fileFlags
	cmd := &cobra.Command{
		Use:   "end --db FILE",
		Short: "End the run that is open",
		Long: `End the run that is open: spans that are stored from now on and name no run of
their own belong to the configured one, or to none.`,
		Args: noArguments,
	}
	flags.add(cmd, "the file to end it in (required)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := flags.checkAll(); err != nil {
			return err
		}
		id, err := storage.EndRun(cmd.Context(), flags.db)
		if errors.Is(err, storage.ErrNoOpenRun) {
			return usageError{err}
		}
		if err != nil {
			return err
		}
		switch flags.format {
		case "json":
			return writeJSON(p.stdout, struct {
				RunID string `json:"run_id"`
			}{id})
		case "csv":
			return writeCSV(p.stdout, []string{"run_id"}, [][]any{{id}})
		}
		_, err = fmt.Fprintln(p.stdout, tables.Clean("run "+id+" has ended"))
		return err
	}
	return cmd
}

// purgedRun is the answer of runs purge.
type purgedRun struct {
	RunID         string `json:"run_id"`
	Spans         int64  `json:"spans"`
	Series        int64  `json:"series"`
	Buckets       int64  `json:"buckets"`
	Requests      int64  `json:"requests"`
	Evaluations   int64  `json:"evaluations"`
	ChaosResults  int64  `json:"chaos_results"`
	CircuitStates int64  `json:"circuit_states"`
	FaultWindows  int64  `json:"fault_windows"`
	Open          bool   `json:"open"`
}

func (p *program) purgeRunCommand() *cobra.Command {
	var flags fileFlags
	var run string
	var force bool
	cmd := &cobra.Command{
		Use:   "purge --run ID --db FILE",
		Short: "Remove a run and all that belongs to it",
		Long: `Remove a run and all that belongs to it: its buckets, requests, sessions, tools,
evaluations, circuits and fault windows. Windows of no run belong to any and stay.
The ledger still says that its spans were folded; the notes, that they were purged.
A run that is open stays open, and a second delivery of its spans is noticed all the
same.

A collector may be writing to the file meanwhile. It waits, about five seconds for
a million spans; after three it tells its clients to send again later.`,
		Example: `  spanbucket runs purge --run load-7 --db spanbucket.db
  spanbucket runs purge --run "" --db spanbucket.db`,
		Args: noArguments,
	}
	flags.add(cmd, "the file to remove it from (required)")
	cmd.Flags().StringVar(&run, "run", "", `the id of the run; --run "" means what belongs to none (required)`)
	cmd.Flags().BoolVar(&force, "force", false, "remove it even if it is pinned")
	completeRuns(cmd, &flags)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := flags.checkAll(); err != nil {
			return err
		}
		if !cmd.Flags().Changed("run") {
			return usageError{errors.New("--run ID is missing")}
		}
		purged, err := storage.PurgeRun(cmd.Context(), flags.db, run, force)
		if err != nil {
			return purgeError(run, err)
		}
		return p.writePurgedRun(flags.format, &purgedRun{
			run, purged.Spans, purged.Series, purged.Buckets, purged.Requests, purged.Evaluations, purged.ChaosResults, purged.CircuitStates,
			purged.FaultWindows, purged.Open,
		})
	}
	return cmd
}

// purgeError tells mistakes of the caller apart.
func purgeError(run string, err error) error {
	var unknown *storage.UnknownRunError
	switch {
	case errors.Is(err, storage.ErrPinned):
		return usageError{fmt.Errorf("--run %q: the run is pinned; --force removes it all the same", run)}
	case !errors.As(err, &unknown):
		return err
	case unknown.Runs == 0:
		return usageError{fmt.Errorf("--run %q: the file has no runs", run)}
	}
	names := make([]string, len(unknown.Known))
	for i, id := range unknown.Known {
		names[i] = tables.RunName(id)
	}
	text := strings.Join(names, ", ")
	if more := unknown.Runs - int64(len(names)); more > 0 {
		text += fmt.Sprintf(" and %s more", tables.Count(more))
	}
	return usageError{fmt.Errorf("--run %q: the file has no such run; it has %s", run, text)}
}

func (p *program) writePurgedRun(format string, r *purgedRun) error {
	switch format {
	case "json":
		return writeJSON(p.stdout, r)
	case "csv":
		return writeCSV(p.stdout, []string{
			"run_id", "spans", "series", "buckets", "requests", "evaluations", "chaos_results", "circuit_states", "fault_windows", "open",
		}, [][]any{{r.RunID, r.Spans, r.Series, r.Buckets, r.Requests, r.Evaluations, r.ChaosResults, r.CircuitStates, r.FaultWindows, r.Open}})
	}
	parts := []string{tables.Count(r.Spans) + " " + tables.Plural(r.Spans, "span")}
	for _, removed := range []struct {
		n    int64
		noun string
	}{
		{r.Buckets, "bucket"}, {r.Requests, "request"}, {r.Evaluations, "evaluation"}, {r.ChaosResults, "test result"}, {r.CircuitStates, "circuit state"},
		{r.FaultWindows, "fault window"},
	} {
		if removed.n > 0 {
			parts = append(parts, tables.Count(removed.n)+" "+tables.Plural(removed.n, removed.noun))
		}
	}
	text := fmt.Sprintf("run %s is removed: %s", tables.RunName(r.RunID), strings.Join(parts, ", "))
	if r.Open {
		text += "; it is still open"
	}
	_, err := fmt.Fprintln(p.stdout, tables.Clean(text))
	return err
}
