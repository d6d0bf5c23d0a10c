package analysis

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// Deduplication says how far back a second delivery of a span is noticed, as
// the relation deduplication has it.
type Deduplication struct {
	Spans    int64   `json:"spans"`     // that are remembered
	SinceUTC *string `json:"since_utc"` // when the first of them arrived
	MaxSpans int64   `json:"max_spans"` // as configured; 0: none is remembered
	WindowS  int64   `json:"window_s"`  // likewise
	// ReachS holds as long as as many spans arrive as in the last minute that
	// had any.
	ReachS int64 `json:"reach_s"`
	// BoundedBy is what ends the reach: window, or max_spans where that is
	// sooner.
	BoundedBy string `json:"bounded_by"`
}

// On tells whether any span is remembered.
func (d *Deduplication) On() bool { return d.MaxSpans > 0 && d.WindowS > 0 }

// Waiting sums up the dead letters.
type Waiting struct {
	Letters int64 `json:"letters"`
	Spans   int64 `json:"spans"`
	Due     int64 `json:"due"` // letters that are to be tried again
}

// readDeliveries reads what a file of an older schema does not have.
func (r *reading) readDeliveries(ctx context.Context, tx *sql.Tx, answer *Overview) error {
	err := storage.CheckSchema(ctx, tx, firstWithLetters)
	if errors.Is(err, storage.ErrOlder) {
		return nil
	}
	if err != nil {
		return err
	}
	var d Deduplication
	const dedup = "SELECT spans, since_utc, coalesce(max_spans, 0), coalesce(window_s, 0), coalesce(reach_s, 0) FROM deduplication"
	if err := tx.QueryRowContext(ctx, dedup).Scan(&d.Spans, &d.SinceUTC, &d.MaxSpans, &d.WindowS, &d.ReachS); err != nil {
		return fmt.Errorf("read deduplication: %w", err)
	}
	d.BoundedBy = "window"
	if d.ReachS < d.WindowS {
		d.BoundedBy = "max_spans"
	}
	var w Waiting
	const letters = "SELECT count(*), coalesce(sum(spans), 0), coalesce(sum(due), 0) FROM dead_letters"
	if err := tx.QueryRowContext(ctx, letters).Scan(&w.Letters, &w.Spans, &w.Due); err != nil {
		return fmt.Errorf("read dead letters: %w", err)
	}
	answer.Deduplication, answer.DeadLetters = &d, &w
	return nil
}
