package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/report/tables"
	"github.com/spanbucket/spanbucketexporter/storage"
)

type rebuildFlags struct {
	fileFlags
	talkFlags
	dryRun, estimate bool
}

func (p *program) rebuildCommand() *cobra.Command {
	var flags rebuildFlags
	cmd := &cobra.Command{
		Use:   "rebuild --db FILE",
		Short: "Recompute buckets from the requests that are kept",
		Long: `Recompute the buckets of all widths from the requests that are kept, in one
transaction: those in which every request is. They come out as the exporter folded
them; what is right already is not touched, and older buckets stay as they are.
How many spans were late stays too.

Where requests are sampled it is refused, unless with --estimate: that replaces
buckets, which are exact as the exporter writes them, by what the weights of the
sample give. It is for files whose buckets are lost.

No collector may write the file meanwhile. It takes room for the recomputed buckets
in the folder for temporary files, and for those that differ beside the file.`,
		Example: `  spanbucket rebuild --db spanbucket.db --dry-run
  spanbucket rebuild --db spanbucket.db`,
		Args: noArguments,
	}
	flags.fileFlags.add(cmd, "the file whose buckets are recomputed (required)")
	flags.talkFlags.add(cmd)
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "say what would change, and change nothing")
	cmd.Flags().BoolVar(&flags.estimate, "estimate", false, "also where requests are sampled, from their weights")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := flags.checkAll(); err != nil {
			return err
		}
		done, err := p.rebuild(cmd.Context(), &flags)
		if err != nil {
			return err
		}
		return p.writeRebuilt(flags.format, newRebuilt(&flags, done))
	}
	return cmd
}

func (p *program) rebuild(ctx context.Context, flags *rebuildFlags) (*storage.Rebuilt, error) {
	progress := p.newProgress(flags.progress, flags.quiet, "requests")
	done, err := storage.Rebuild(ctx, storage.RebuildOptions{
		Path: flags.db, DryRun: flags.dryRun, Estimate: flags.estimate, Holder: "spanbucket rebuild", Progress: progress.show,
	})
	progress.end()
	var incomplete *storage.IncompleteError
	switch {
	case errors.As(err, &incomplete) && flags.estimate:
		return nil, fmt.Errorf("%w: %w", errNoData, err)
	case errors.As(err, &incomplete):
		return nil, usageError{fmt.Errorf("%w; --estimate recomputes these from what is kept", err)}
	case errors.Is(err, storage.ErrLocked):
		return nil, usageError{fmt.Errorf("%w; stop it first", err)}
	}
	return done, err
}

// rebuilt is the answer of rebuild.
type rebuilt struct {
	DryRun   bool  `json:"dry_run"`
	Requests int64 `json:"requests"`
	// CompleteFrom is the start from which on every request is kept, null: all
	// are; EstimatedFrom where buckets that are estimated begin, null: nothing
	// is estimated, or all that is kept.
	CompleteFrom  *string `json:"complete_from_utc"`
	Estimated     bool    `json:"estimated"`
	EstimatedFrom *string `json:"estimated_from_utc"`
	// Objectives is how many counts for service level objectives were corrected,
	// Runs how many rows about runs.
	Objectives int64          `json:"objectives"`
	Runs       int64          `json:"runs"`
	Widths     []rebuiltWidth `json:"widths"`
}

// rebuiltWidth counts rows, by category and by series.
type rebuiltWidth struct {
	Width     int64   `json:"width_s"`
	From      *string `json:"from_utc"` // null: all
	Buckets   int64   `json:"buckets"`  // recomputed
	Unchanged int64   `json:"unchanged"`
	Corrected int64   `json:"corrected"`
	Added     int64   `json:"added"`
	Removed   int64   `json:"removed"`
	Left      int64   `json:"left"` // older ones
}

func newRebuilt(flags *rebuildFlags, done *storage.Rebuilt) *rebuilt {
	r := &rebuilt{
		DryRun: flags.dryRun, Requests: done.Requests, CompleteFrom: boundUTC(done.CompleteFromUnixNano),
		Estimated: done.EstimatedFromUnixNano < done.CompleteFromUnixNano, Objectives: done.Objectives, Runs: done.Runs,
	}
	if r.Estimated {
		r.EstimatedFrom = boundUTC(done.EstimatedFromUnixNano)
	}
	for _, w := range done.Widths {
		var from *string
		if w.FromUnix > math.MinInt64 {
			text := time.Unix(w.FromUnix, 0).UTC().Format(time.RFC3339)
			from = &text
		}
		r.Widths = append(r.Widths, rebuiltWidth{
			w.Seconds, from, w.Rows, w.Rows - w.Corrected - w.Added, w.Corrected, w.Added, w.Removed, w.Left,
		})
	}
	return r
}

// boundUTC shows an instant, nil for one that is before or after all others.
func boundUTC(unixNano int64) *string {
	if unixNano == math.MinInt64 || unixNano == math.MaxInt64 {
		return nil
	}
	text := instantText(unixNano)
	return &text
}

func (p *program) writeRebuilt(format string, r *rebuilt) error {
	switch format {
	case "json":
		return writeJSON(p.stdout, r)
	case "csv":
		var records [][]any
		for _, w := range r.Widths {
			records = append(records, []any{w.Width, w.From, w.Buckets, w.Unchanged, w.Corrected, w.Added, w.Removed, w.Left})
		}
		return writeCSV(p.stdout, []string{"width_s", "from_utc", "buckets", "unchanged", "corrected", "added", "removed", "left"}, records)
	}
	var text strings.Builder
	verb := "are"
	if r.DryRun {
		verb = "would be"
	}
	fmt.Fprintf(&text, "buckets %s recomputed from %s %s\n", verb, tables.Count(r.Requests), tables.Plural(r.Requests, "request"))
	for _, w := range r.Widths {
		from := ""
		if w.From != nil {
			from = " from " + *w.From + " on"
		}
		fmt.Fprintf(&text, "%8s%s: %s", tables.WidthName(w.Width), from, tables.Count(w.Buckets))
		for _, part := range []struct {
			n    int64
			what string
		}{{w.Unchanged, "unchanged"}, {w.Corrected, "corrected"}, {w.Added, "added"}, {w.Removed, "removed"}, {w.Left, "older ones left"}} {
			if part.n > 0 {
				fmt.Fprintf(&text, ", %s %s", tables.Count(part.n), part.what)
			}
		}
		text.WriteString("\n")
	}
	if r.Objectives > 0 {
		fmt.Fprintf(&text, "    objectives: %s %s corrected\n", tables.Count(r.Objectives), tables.Plural(r.Objectives, "count"))
	}
	if r.Runs > 0 {
		fmt.Fprintf(&text, "    runs: %s corrected\n", tables.Count(r.Runs))
	}
	if r.Estimated {
		text.WriteString("what starts before requests were complete is estimated from a sample\n")
	}
	_, err := fmt.Fprint(p.stdout, text.String())
	return err
}
