package analysis

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// maxAxisBuckets bounds an axis whose width is forced.
const maxAxisBuckets = 100_000

// axis is a row of buckets of one width without a gap.
type axis struct {
	start  int64 // of the first bucket, Unix seconds
	widthS int64
	n      int
	// segment is where its figures are read from: buckets of its width, or
	// narrower ones that are folded.
	segment Segment
	// partialFirst and partialLast tell that the data, or the interval that was
	// asked for, begin or end inside the bucket.
	partialFirst, partialLast bool
}

// index returns the place of an instant.
func (a *axis) index(seconds int64) int {
	return int((aggregator.BucketStart(seconds, a.widthS) - a.start) / a.widthS)
}

// at returns where a bucket starts, Unix seconds.
func (a *axis) at(i int) int64 { return a.start + int64(i)*a.widthS }

// partial tells whether a bucket is cut.
func (a *axis) partial(i int) bool {
	return i == 0 && a.partialFirst || i == a.n-1 && a.partialLast
}

// newAxis brings q together with the file, over the data of the runs and
// categories asked for: with q.Width, or the narrowest width that needs at most
// maxBuckets. Where even the widest needs more, several of them are one.
func newAxis(ctx context.Context, tx *sql.Tx, q Query, maxBuckets int64) (*reading, *axis, error) {
	r, err := newReading(ctx, tx, q, false)
	if err != nil {
		return nil, nil, err
	}
	if err := r.clip(ctx, tx); err != nil {
		return nil, nil, err
	}
	a := &axis{}
	if len(r.widths) > 0 && r.from < r.to {
		if a.widthS, err = r.cut(maxBuckets); err != nil {
			return nil, nil, err
		}
	}
	if err := r.choose(ctx, tx, r.categories()); err != nil {
		return nil, nil, err
	}
	if len(r.scope.Segments) == 0 {
		return r, a, nil
	}
	a.segment = r.scope.Segments[0] // all of one width
	a.start = aggregator.BucketStart(a.segment.From, a.widthS)
	a.n = int((ceilTo(a.segment.To, a.widthS) - a.start) / a.widthS)
	// What was cut off because there are no data has not been moved.
	r.scope.Moved = !q.From.IsZero() && time.Unix(a.segment.From, 0).Before(q.From) ||
		!q.To.IsZero() && time.Unix(a.segment.To, 0).After(q.To)
	return r, a, r.markPartial(ctx, tx, a)
}

// clip cuts the interval down to the data of the runs and categories asked for.
func (r *reading) clip(ctx context.Context, tx *sql.Tx) error {
	r.query.Categories = r.categories()
	if r.from >= r.to {
		return nil
	}
	r.extents = map[int64]extent{}
	widths := r.widths
	if r.query.Width != 0 && r.query.Width != r.finest {
		widths = append(slices.Clone(widths), planWidth{seconds: r.finest}) // tells what has settled
	}
	for _, w := range widths {
		filter := r.filter(Segment{w.seconds, aggregator.BucketStart(r.from, w.seconds), r.to})
		where, args := filter.Condition(false)
		var e extent
		for _, end := range []struct {
			order string
			into  *int64
		}{{"ASC", &e.first}, {"DESC", &e.last}} {
			query := "SELECT b.bucket_start FROM headline_bucket AS b WHERE " + where + " ORDER BY b.bucket_start " + end.order + " LIMIT 1"
			err := tx.QueryRowContext(ctx, query, args...).Scan(end.into)
			if errors.Is(err, sql.ErrNoRows) {
				break
			}
			if err != nil {
				return fmt.Errorf("look up buckets of %d s: %w", w.seconds, err)
			}
			r.extents[w.seconds] = e
		}
	}
	from, to := r.dataEdges()
	r.from, r.to = max(r.from, from), min(r.to, to)
	return nil
}

// cut leaves one width to read, and returns the width of the axis.
func (r *reading) cut(maxBuckets int64) (int64, error) {
	buckets := func(width int64) int64 {
		return (ceilTo(r.to, width) - aggregator.BucketStart(r.from, width)) / width
	}
	if forced := r.query.Width; forced != 0 {
		if n := buckets(forced); n > maxAxisBuckets {
			return 0, &QueryError{Part: "width", Value: WidthName(forced), Rule: fmt.Sprintf(
				"%s to %s would be %d buckets, more than %d; ask for wider ones or for a shorter interval", *utc(r.from), *utc(r.to), n, maxAxisBuckets)}
		}
		return forced, nil
	}
	for i, w := range r.widths {
		if r.from >= w.completeFrom && buckets(w.seconds) <= maxBuckets {
			r.widths, r.wider = r.widths[i:i+1], r.widths[i+1:]
			return w.seconds, nil
		}
	}
	widest := r.widths[len(r.widths)-1]
	r.widths = []planWidth{widest}
	several := max(1, buckets(widest.seconds)/maxBuckets)
	for buckets(several*widest.seconds) > maxBuckets {
		several++
	}
	return several * widest.seconds, nil
}

// sources returns the widths that the buckets of an axis can be read from.
func (r *reading) sources(a *axis) []planWidth {
	all := slices.Clone(r.widths)
	for _, w := range r.wider {
		if a.widthS%w.seconds == 0 {
			all = append(all, w)
		}
	}
	return all
}

// markPartial finds out whether the first and the last bucket are whole. A run
// knows its first start and last end to the nanosecond; the finest buckets
// stand in for what it does not tell of single categories.
func (r *reading) markPartial(ctx context.Context, tx *sql.Tx, a *axis) error {
	var firstNS, lastNS sql.NullInt64
	const query = "SELECT min(first_ns), max(last_ns) FROM run WHERE ?1 IS NULL OR run_id = ?1"
	if err := tx.QueryRowContext(ctx, query, r.query.Run).Scan(&firstNS, &lastNS); err != nil {
		return fmt.Errorf("look up runs: %w", err)
	}
	from, to := a.at(0), a.at(a.n)
	start, end := time.Unix(from, 0), time.Unix(to, 0)
	begins, ends := time.Unix(r.from, 0), time.Unix(min(r.to, a.segment.To), 0)
	a.partialFirst = start.Before(begins) || start.Before(r.query.From) ||
		firstNS.Valid && firstNS.Int64 < end.UnixNano() && start.Before(time.Unix(0, firstNS.Int64))
	a.partialLast = end.After(ends) || !r.query.To.IsZero() && end.After(r.query.To) ||
		lastNS.Valid && lastNS.Int64 >= start.UnixNano() && end.After(time.Unix(0, lastNS.Int64))
	return nil
}
