package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// reading is a query brought together with the file: which buckets answer it.
type reading struct {
	query    Query
	meta     *storage.Meta
	bySeries bool        // series_bucket is read, not headline_bucket
	widths   []planWidth // that may be read, ascending
	wider    []planWidth // than the one that was chosen for an axis
	extents  map[int64]extent
	// finest is the width, seconds, of the finest buckets of the file: the first
	// to have settled.
	finest int64
	// from and to are what was asked for, or the edges of the data, in Unix
	// seconds.
	from, to int64
	scope    Scope
}

// extent is the range of bucket starts of one width, both ends included.
type extent struct{ first, last int64 }

// newReading checks q against the file.
func newReading(ctx context.Context, tx *sql.Tx, q Query, bySeries bool) (*reading, error) {
	meta, err := storage.ReadMeta(ctx, tx)
	if err != nil {
		return nil, err
	}
	r := &reading{query: q, meta: meta, bySeries: bySeries, extents: map[int64]extent{}}
	r.scope.RunID = q.Run
	r.scope.Categories, r.scope.Segments = []string{}, []Segment{}
	if err := r.checkRun(ctx, tx); err != nil {
		return nil, err
	}
	if err := r.findWidths(ctx, tx); err != nil {
		return nil, err
	}
	r.bound()
	return r, nil
}

func (r *reading) checkRun(ctx context.Context, tx *sql.Tx) error {
	run := r.query.Run
	if run == nil {
		return nil
	}
	return CheckRun(ctx, tx, *run)
}

// table is the name of the table that is read.
func (r *reading) table() string {
	if r.bySeries {
		return "series_bucket"
	}
	return "headline_bucket"
}

// findWidths finds the widths that can be read, and how far back each is
// complete.
func (r *reading) findWidths(ctx context.Context, tx *sql.Tx) error {
	for _, w := range r.meta.Widths {
		if r.bySeries && w.Detail != storage.DetailSeries {
			continue
		}
		r.widths = append(r.widths, planWidth{seconds: w.Seconds})
		r.finest = r.widths[0].seconds
		var first, last sql.NullInt64
		// Two lookups in the index; asked for together, they would be a scan.
		end := func(which string) string {
			return "(SELECT " + which + "(bucket_start) FROM " + r.table() + " WHERE width_s = ?1)"
		}
		query := "SELECT " + end("min") + ", " + end("max")
		if err := tx.QueryRowContext(ctx, query, w.Seconds).Scan(&first, &last); err != nil {
			return fmt.Errorf("look up buckets of %d s: %w", w.Seconds, err)
		}
		if first.Valid {
			r.extents[w.Seconds] = extent{first.Int64, last.Int64}
		}
	}
	if r.query.Width != 0 {
		return r.forceWidth()
	}
	from, err := storage.CompleteFrom(ctx, tx, r.meta)
	if err != nil {
		return err
	}
	for i, w := range r.widths {
		r.widths[i].completeFrom = math.MinInt64
		if completeFrom, pruned := from[w.seconds]; pruned {
			r.widths[i].completeFrom = completeFrom
		}
	}
	return nil
}

func (r *reading) forceWidth() error {
	width := r.query.Width
	var names []string
	for _, w := range r.widths {
		names = append(names, WidthName(w.seconds))
	}
	if !slices.ContainsFunc(r.widths, func(w planWidth) bool { return w.seconds == width }) {
		rule := "the file keeps buckets of " + strings.Join(names, ", ")
		if r.bySeries {
			rule += " in the detail that this needs"
		}
		return &QueryError{Part: "width", Value: WidthName(width), Rule: rule}
	}
	r.widths = []planWidth{{width, math.MinInt64}}
	return nil
}

// bound turns the ends of the query into seconds, unbounded ones into the
// edges of the data.
func (r *reading) bound() {
	r.from, r.to = r.dataEdges()
	if !r.query.From.IsZero() {
		r.from = r.query.From.Unix()
	}
	if !r.query.To.IsZero() {
		r.to = r.query.To.Unix()
		if r.query.To.Nanosecond() > 0 {
			r.to++
		}
	}
}

// dataEdges returns where the data begin and end: the edges of the finest
// buckets that nothing was pruned from. Without data the end comes first.
func (r *reading) dataEdges() (from, to int64) {
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for _, w := range r.widths {
		if e, ok := r.extents[w.seconds]; ok {
			first, last = min(first, e.first), max(last, e.last)
		}
	}
	from, to = first, last
	for _, w := range slices.Backward(r.widths) {
		e, ok := r.extents[w.seconds]
		if ok && w.completeFrom <= first {
			from = e.first
		}
		if ok && w.completeFrom <= last {
			to = e.last + w.seconds
		}
	}
	return from, to
}

// choose decides the segments for the given categories, and counts what is
// left out because it is open. No categories means all.
func (r *reading) choose(ctx context.Context, tx *sql.Tx, categories []aggregator.Category) error {
	r.query.Categories = categories
	for _, c := range categories {
		r.scope.Categories = append(r.scope.Categories, c.String())
	}
	r.scope.Open.Included = r.query.IncludeOpen
	to := r.to
	if !r.query.IncludeOpen && len(r.widths) > 0 {
		var err error
		if to, err = r.settledUntil(ctx, tx); err != nil {
			return err
		}
	}
	r.scope.Segments = append(r.scope.Segments, plan(r.widths, r.from, to)...)
	if n := len(r.scope.Segments); n > 0 {
		first, last := r.scope.Segments[0].From, r.scope.Segments[n-1].To
		r.scope.FromUTC, r.scope.ToUTC = utc(first), utc(last)
		r.scope.Moved = !r.query.From.IsZero() && !r.query.From.Equal(time.Unix(first, 0)) ||
			!r.query.To.IsZero() && to == r.to && !r.query.To.Equal(time.Unix(last, 0))
	}
	return nil
}

// settledUntil returns the end of the part of the interval that has settled:
// r.to where all data in it has.
func (r *reading) settledUntil(ctx context.Context, tx *sql.Tx) (int64, error) {
	now := r.query.Now.Add(-r.meta.SettleAfter).Unix()
	// Where the finest buckets have settled, so has all that wider ones hold,
	// though these may not have ended.
	if e, ok := r.extents[r.finest]; ok && e.last+r.finest <= now {
		return r.to, nil
	}
	finest := r.widths[0].seconds
	edge := aggregator.BucketStart(now, finest)
	last, ok := r.extents[finest]
	if !ok || r.to <= edge || last.last+finest <= edge {
		return r.to, nil
	}
	filter := r.filter(Segment{finest, max(edge, aggregator.BucketStart(r.from, finest)), r.to})
	where, args := filter.Condition(r.bySeries)
	query := "SELECT count(DISTINCT b.bucket_start), coalesce(sum(b.requests), 0), max(b.bucket_start) FROM " +
		r.table() + " AS b WHERE b.requests > 0 AND " + where
	open := &r.scope.Open
	var newest sql.NullInt64
	if err := tx.QueryRowContext(ctx, query, args...).Scan(&open.Buckets, &open.Requests, &newest); err != nil {
		return 0, fmt.Errorf("count open buckets: %w", err)
	}
	open.WidthS = finest
	if newest.Valid {
		open.SettledUTC = utc(newest.Int64 + finest + int64(r.meta.SettleAfter/time.Second))
	}
	return edge, nil
}

// filter selects the rows of a segment.
func (r *reading) filter(s Segment) storage.CellFilter {
	return storage.CellFilter{
		Width: s.WidthS, From: s.From, To: s.To, Run: r.query.Run, Categories: r.query.Categories,
	}
}

// categories are those of the query, else the headline ones of the file.
func (r *reading) categories() []aggregator.Category {
	if len(r.query.Categories) > 0 {
		return r.query.Categories
	}
	return r.meta.Headline
}
