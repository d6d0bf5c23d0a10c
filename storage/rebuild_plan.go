package storage

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"
)

// rebuildRange is what is recomputed of one width.
type rebuildRange struct {
	Width
	from int64 // the first bucket, Unix seconds
	// completedFrom: buckets that start before may hold ends of spans that
	// have no row.
	completedFrom int64
}

// plan finds out what can be recomputed.
func (r *rebuild) plan(ctx context.Context) error {
	values, err := metaValues(ctx, r.conn)
	if err != nil {
		return fmt.Errorf("read meta: %w", err)
	}
	if r.meta, err = parseMeta(values); err != nil {
		return fmt.Errorf("read meta: %w", err)
	}
	r.complete, err = completeFrom(values)
	if err != nil {
		return err
	}
	if err := r.countKept(ctx); err != nil {
		return err
	}
	stored, err := ReadObjectives(ctx, r.conn)
	if err != nil {
		return err
	}
	r.objectives = configured(stored)
	pruned, err := ReadPruned(ctx, r.conn, SchemaVersion)
	if err != nil {
		return err
	}
	requests, buckets := int64(math.MinInt64), map[int64]int64{} // by width
	for _, p := range pruned {
		switch p.Relation {
		case prunedBuckets:
			buckets[p.WidthS] = p.CompleteFrom
		case "request":
			requests = max(requests, p.CompleteFrom*int64(time.Second))
		}
	}
	r.from = r.complete
	if r.options.Estimate {
		r.from = min(r.complete, requests)
	}
	for _, w := range r.meta.Widths {
		span := rebuildRange{Width: w, from: math.MinInt64, completedFrom: math.MinInt64}
		if r.from > math.MinInt64 {
			second := ceilSecond(r.from)
			span.from = ceilBucket(second, w.Seconds)
			if r.from == r.complete {
				span.completedFrom = second + int64(maxSpan/time.Second)
			}
		}
		if from, ok := buckets[w.Seconds]; ok {
			span.from = max(span.from, ceilBucket(from, w.Seconds))
		}
		r.ranges = append(r.ranges, span)
		r.done.Widths = append(r.done.Widths, RebuiltWidth{Seconds: w.Seconds, FromUnix: span.from})
	}
	r.done.CompleteFromUnixNano, r.done.EstimatedFromUnixNano = r.complete, r.from
	return r.checkComplete(ctx)
}

// maxSpan is the longest duration that a span has.
const maxSpan = 24 * time.Hour

// completeFrom returns the start from which on every span has its row, Unix
// nanoseconds; math.MinInt64 for any.
func completeFrom(values map[string]string) (int64, error) {
	text, ok := values[metaCompleteFrom]
	if !ok || text == "0" {
		if values["keep_requests"] == "0" {
			return math.MaxInt64, nil
		}
		return math.MinInt64, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("meta %s: %q is not an integer", metaCompleteFrom, text)
	}
	return n, nil
}

// ceilSecond returns the first whole second that is not before an instant.
func ceilSecond(unixNano int64) int64 {
	second := unixNano / int64(time.Second)
	if unixNano%int64(time.Second) > 0 {
		second++
	}
	return second
}

// ceilBucket returns the start of the first bucket that does not begin before a
// second.
func ceilBucket(second, width int64) int64 {
	if over := second % width; over != 0 {
		second += width - over // no span starts before 1970
	}
	return second
}

// countKept finds out how many spans are kept as requests. Where every span is
// said to be and is not, nothing is complete.
func (r *rebuild) countKept(ctx context.Context) error {
	const query = `SELECT (SELECT count(*) FROM request WHERE kept & 1),
		(SELECT coalesce(sum(spans), 0) FROM ledger WHERE reason = 'folded')
			- (SELECT coalesce(sum(spans), 0) FROM notes WHERE reason = 'purged')`
	if err := r.conn.QueryRowContext(ctx, query).Scan(&r.kept, &r.spans); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	if r.complete == math.MinInt64 && r.kept != r.spans {
		r.complete = math.MaxInt64
	}
	return nil
}

// checkComplete returns an IncompleteError where the file has buckets and no
// request that they could be recomputed from.
func (r *rebuild) checkComplete(ctx context.Context) error {
	e := IncompleteError{CompleteFromUnixNano: r.complete, Kept: r.kept, Spans: r.spans}
	var some bool
	const query = `SELECT EXISTS (SELECT 1 FROM request WHERE start_ns >= ? AND kept & 1),
		(SELECT count(*) FROM headline_bucket) + (SELECT count(*) FROM series_bucket)`
	if err := r.conn.QueryRowContext(ctx, query, r.from).Scan(&some, &e.Buckets); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	if some || e.Buckets == 0 && e.Spans == 0 {
		return nil
	}
	return &e
}

// countLeft counts the rows that stay as they are.
func (r *rebuild) countLeft(ctx context.Context) error {
	for i, span := range r.ranges {
		const query = `SELECT (SELECT count(*) FROM main.headline_bucket WHERE width_s = ?1 AND bucket_start < ?2)
			+ (SELECT count(*) FROM main.series_bucket WHERE width_s = ?1 AND bucket_start < ?2)`
		if err := r.conn.QueryRowContext(ctx, query, span.Seconds, span.from).Scan(&r.done.Widths[i].Left); err != nil {
			return fmt.Errorf("read buckets: %w", err)
		}
	}
	return nil
}
