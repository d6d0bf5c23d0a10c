package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/report/tables"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// retried is the answer of deadletters retry.
type retried struct {
	Due int `json:"due"` // letters that were marked
	// Collector: one that writes the file is running.
	Collector bool `json:"collector_running"`
	// What became of them until the answer; all 0 without a collector.
	Stored  int `json:"stored"`
	Failed  int `json:"failed_again"`
	Waiting int `json:"waiting"`
}

func (p *program) retryLettersCommand() *cobra.Command {
	var flags letterFlags
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "retry (--id ID … | --all) --db FILE",
		Short: "Ask for another attempt to fold spans",
		Long: `Ask for another attempt to fold spans, such as after an update. The collector that
writes the file makes it, within about a second, or when it is started. Where one
is running, the verb waits for it and says what became of the spans; exit code 1 if
some could not be folded again.`,
		Args: noArguments,
	}
	flags.add(cmd, "the file whose dead letters are meant (required)", true)
	cmd.Flags().DurationVar(&wait, "wait", 10*time.Second, "how long to wait for a collector that is running")
	completeNothing(cmd, "wait")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := flags.chosen(); err != nil {
			return err
		}
		if wait < 0 {
			return usageError{fmt.Errorf("--wait %v: must not be negative", wait)}
		}
		answer, err := retryLetters(cmd.Context(), &flags, wait)
		if err != nil {
			return letterError(err)
		}
		err = p.writeRetried(flags.format, answer)
		if n := int64(answer.Failed); n > 0 {
			return finish(err, fmt.Errorf("%w: %s dead %s failed again; deadletters list says why", errCheck, tables.Count(n), tables.Plural(n, "letter")))
		}
		return err
	}
	return cmd
}

// retryLetters marks letters, and waits for a collector that is running.
func retryLetters(ctx context.Context, flags *letterFlags, wait time.Duration) (answer *retried, err error) {
	r, err := flags.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	asked, err := lettersNow(ctx, r, flags.ids)
	if err != nil {
		return nil, err
	}
	answer = &retried{}
	if answer.Due, err = storage.RequestRetry(ctx, flags.db, flags.ids); err != nil {
		return nil, err
	}
	if answer.Collector, _ = storage.Held(flags.db); !answer.Collector || len(asked) == 0 {
		return answer, nil
	}
	const pause = 50 * time.Millisecond
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for until := time.Now().Add(wait); ; {
		if err := answer.look(ctx, r, asked); err != nil || answer.Waiting == 0 || time.Now().After(until) {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-ticker.C:
		}
	}
}

func lettersNow(ctx context.Context, r *storage.Reader, ids []int64) (states []storage.LetterState, err error) {
	err = r.View(ctx, func(tx *sql.Tx) error {
		const firstWithLetters = 4 // schema
		if err := storage.CheckSchema(ctx, tx, firstWithLetters); err != nil {
			return err
		}
		states, err = storage.ReadLetterStates(ctx, tx, ids)
		return err
	})
	return states, err
}

// look counts what became of the letters that were asked for.
func (a *retried) look(ctx context.Context, r *storage.Reader, asked []storage.LetterState) error {
	now, err := lettersNow(ctx, r, nil)
	if err != nil {
		return err
	}
	left := make(map[int64]storage.LetterState, len(now))
	for _, s := range now {
		left[s.ID] = s
	}
	a.Stored, a.Failed, a.Waiting = 0, 0, 0
	for _, before := range asked {
		s, there := left[before.ID]
		switch {
		case !there:
			a.Stored++
		case !s.Due && s.Attempts > before.Attempts:
			a.Failed++
		default:
			a.Waiting++
		}
	}
	return nil
}

func (p *program) writeRetried(format string, answer *retried) error {
	switch format {
	case "json":
		return writeJSON(p.stdout, answer)
	case "csv":
		return writeCSV(p.stdout, []string{"due", "collector_running", "stored", "failed_again", "waiting"}, [][]any{{
			int64(answer.Due), answer.Collector, int64(answer.Stored), int64(answer.Failed), int64(answer.Waiting),
		}})
	}
	n := int64(answer.Due)
	text := fmt.Sprintf("%s dead %s to be tried again", tables.Count(n), tables.Plural(n, "letter"))
	switch {
	case n == 0:
	case !answer.Collector:
		text += ": by the next collector that opens the file"
	default:
		var parts []string
		for _, part := range []struct {
			n    int
			what string
		}{{answer.Stored, "stored"}, {answer.Failed, "failed again"}, {answer.Waiting, "still waiting for the collector"}} {
			if part.n > 0 {
				parts = append(parts, tables.Count(int64(part.n))+" "+part.what)
			}
		}
		text += ": " + strings.Join(parts, ", ")
	}
	_, err := fmt.Fprintln(p.stdout, text)
	return err
}
