package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

type objectiveCounts map[aggregator.ObjectiveID]aggregator.ObjectiveCount

// burning reads what is counted for objectives.
type burning struct {
	*reading
	any        bool  // there are buckets that have settled
	end, reach int64 // of them, and from when on they are complete, Unix seconds
	counts     objectiveCounts
	windows    []objectiveCounts // of BurnWindows
}

func (b *burning) read(ctx context.Context, tx *sql.Tx, objectives []storage.StoredObjective) (err error) {
	// The others have nothing to be read.
	b.query.Categories = nil
	for i := range objectives {
		if c := objectives[i].Category; !slices.Contains(b.query.Categories, c) {
			b.query.Categories = append(b.query.Categories, c)
		}
	}
	if b.counts, err = b.count(ctx, tx, b.scope.Segments); err != nil {
		return err
	}
	if err := b.findEnd(ctx, tx); err != nil {
		return err
	}
	for _, w := range BurnWindows {
		var segments []Segment
		if b.any {
			segments = plan(b.widths, b.end-w.Seconds, b.end)
		}
		counts, err := b.count(ctx, tx, segments)
		if err != nil {
			return err
		}
		b.windows = append(b.windows, counts)
	}
	return nil
}

func (b *burning) count(ctx context.Context, tx *sql.Tx, segments []Segment) (objectiveCounts, error) {
	all := objectiveCounts{}
	for _, s := range segments {
		counts, err := storage.CountObjectives(ctx, tx, b.filter(s))
		if err != nil {
			return nil, err
		}
		for id, n := range counts {
			sum := all[id]
			all[id] = aggregator.ObjectiveCount{Good: sum.Good + n.Good, Total: sum.Total + n.Total}
		}
	}
	return all, nil
}

// findEnd finds the end of the newest finest bucket that has settled and lies in
// what was asked for, and from when on buckets are complete.
func (b *burning) findEnd(ctx context.Context, tx *sql.Tx) error {
	if len(b.widths) == 0 {
		return nil
	}
	finest := b.widths[0].seconds
	e, ok := b.extents[finest]
	if !ok {
		return nil
	}
	b.any, b.end, b.reach = true, e.last+finest, b.completeSince()
	if b.query.Run != nil {
		var last sql.NullInt64
		if err := tx.QueryRowContext(ctx, "SELECT last_ns FROM run WHERE run_id = ?", *b.query.Run).Scan(&last); err != nil {
			return fmt.Errorf("look up run: %w", err)
		}
		if last.Valid {
			b.end = min(b.end, aggregator.BucketStart(aggregator.UnixSeconds(last.Int64), finest)+finest)
		}
	}
	if !b.query.To.IsZero() {
		b.end = min(b.end, ceilTo(b.to, finest))
	}
	if !b.query.IncludeOpen {
		b.end = min(b.end, aggregator.BucketStart(b.query.Now.Add(-b.meta.SettleAfter).Unix(), finest))
	}
	b.any = b.end > b.reach
	return nil
}

// completeSince is the Unix second from which on every bucket is kept, in some
// width.
func (r *reading) completeSince() int64 {
	first := int64(math.MaxInt64)
	for _, e := range r.extents {
		first = min(first, e.first)
	}
	for _, w := range r.widths {
		if e, ok := r.extents[w.seconds]; ok && w.completeFrom <= first {
			return e.first
		}
	}
	widest := r.widths[len(r.widths)-1]
	return max(first, widest.completeFrom)
}
