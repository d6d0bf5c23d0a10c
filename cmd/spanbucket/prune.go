package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/report/tables"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// pruneFlags say what a file may keep, where it is not what the collector was
// configured with.
type pruneFlags struct {
	fileFlags
	talkFlags
	olderThan []string
	maxSize   string
	dryRun    bool
}

func (p *program) pruneCommand() *cobra.Command {
	var flags pruneFlags
	cmd := &cobra.Command{
		Use:   "prune --db FILE [--older-than [WHAT=]DURATION]... [--max-size SIZE]",
		Short: "Remove what is older, or more, than the file is to keep",
		Long: `Remove what is older, or more, than the file is to keep: what the collector does by
itself about every ten seconds, now, or with other bounds than it was configured with.
Age counts from the clock or from the newest bucket, whichever is earlier. What
belongs to pinned runs stays, as does the newest bucket of each width.

  --older-than 30d          all that is older, whatever the configured retention
  --older-than 10s=7d       the buckets of 10 s; may be given several times
  --older-than requests=12h single requests, evaluations and circuits

A collector that writes the file does it itself, between the commits of its clients,
and is waited for. Ctrl-C ends it; what has left stays away.`,
		Example: `  spanbucket prune --db spanbucket.db --dry-run --older-than 30d
  spanbucket prune --db spanbucket.db --max-size 500MiB`,
		Args: noArguments,
	}
	flags.fileFlags.add(cmd, "the file to remove it from (required)")
	flags.talkFlags.add(cmd)
	cmd.Flags().StringArrayVar(&flags.olderThan, "older-than", nil, "remove what is older: [WHAT=]DURATION, such as 30d or 10s=7d")
	cmd.Flags().StringVar(&flags.maxSize, "max-size", "", "remove the oldest until the file is no larger: such as 500MiB")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "only tell how many rows would leave for their age and number")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		bounds, planned, err := p.planPrune(cmd.Context(), &flags)
		if err != nil {
			return err
		}
		if flags.dryRun {
			return p.writePruned(&flags, planned)
		}
		result, err := p.prune(cmd.Context(), &flags, bounds)
		if err != nil {
			return err
		}
		return p.writePruned(&flags, result)
	}
	return cmd
}

// planPrune reads the bounds of the file, changes them to those that were given,
// and for a dry run what would leave.
func (p *program) planPrune(ctx context.Context, flags *pruneFlags) (b storage.PruneBounds, r storage.PruneResult, err error) {
	err = flags.view(ctx, func(tx *sql.Tx) error {
		meta, err := storage.ReadMeta(ctx, tx)
		if err != nil {
			return err
		}
		if meta.SchemaVersion < storage.SchemaVersion {
			return fmt.Errorf("schema %d, needed %d: %w", meta.SchemaVersion, storage.SchemaVersion, storage.ErrOlder)
		}
		if b, err = storage.ReadPruneBounds(ctx, tx); err != nil {
			return err
		}
		if err := flags.apply(&b); err != nil {
			return usageError{err}
		}
		if flags.dryRun {
			r, err = storage.PlanPrune(ctx, tx, b, p.now().Unix())
		}
		return err
	})
	return b, r, err
}

func (p *program) prune(ctx context.Context, flags *pruneFlags, b storage.PruneBounds) (storage.PruneResult, error) {
	shown := p.newProgress(flags.progress, flags.quiet, "rows")
	defer shown.end()
	return storage.PruneFile(ctx, flags.db, b, p.now, func(r storage.PruneResult) {
		shown.showWith(r.Rows(), 0, ", "+tables.Bytes(r.After))
	})
}

// apply changes bounds to what the flags say.
func (f *pruneFlags) apply(b *storage.PruneBounds) error {
	for _, text := range f.olderThan {
		if err := olderThan(b, text); err != nil {
			return fmt.Errorf("--older-than %q: %w", text, err)
		}
	}
	if f.maxSize == "" {
		return nil
	}
	n, err := storage.ParseBytes(f.maxSize)
	if err == nil && n <= 0 {
		err = errors.New("must be more than 0")
	}
	if err != nil {
		return fmt.Errorf("--max-size: %w", err)
	}
	b.Bytes = n
	return nil
}

// requestsBound names the bound of single requests.
const requestsBound = "requests"

// olderThan sets one bound, or all of them.
func olderThan(b *storage.PruneBounds, text string) error {
	what, duration, one := strings.Cut(text, "=")
	if !one {
		what, duration = "", text
	}
	age, err := parseAge(duration)
	if err != nil {
		return err
	}
	known := []string{requestsBound}
	found := false
	for i := range b.Widths {
		w := &b.Widths[i]
		name := tables.WidthName(w.Seconds)
		known = append(known, name)
		if one && what != name && what != strconv.FormatInt(w.Seconds, 10)+"s" {
			continue
		}
		w.Retention, found = max(age, time.Duration(w.Seconds)*time.Second), true
	}
	if !one || what == requestsBound {
		b.RequestAge, found = age, true
	}
	if !found {
		slices.Sort(known[1:])
		return fmt.Errorf("%q is none of what has an age: %s", what, strings.Join(known, ", "))
	}
	return nil
}

// parseAge reads a duration of whole seconds such as 12h or 30d.
func parseAge(text string) (time.Duration, error) {
	fail := errors.New("must be whole seconds, at least 1s, such as 12h or 30d")
	if days, found := strings.CutSuffix(text, "d"); found {
		const mostDays = 100_000
		n, err := strconv.ParseInt(days, 10, 64)
		if err != nil || n < 1 || n > mostDays {
			return 0, fail
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	age, err := time.ParseDuration(text)
	if err != nil || age < time.Second || age%time.Second != 0 {
		return 0, fail
	}
	return age, nil
}
