package analysis

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// rated returns the time that the rates of an answer are computed of: from the
// first to the last second with a request of the categories (none: of any), both
// included, by the narrowest buckets that are kept there. An end that was asked
// for is an end of that time. Without requests it is empty, or what was asked for.
func (r *reading) rated(ctx context.Context, tx *sql.Tx, categories []aggregator.Category) (period, error) {
	n := len(r.scope.Segments)
	if n == 0 {
		return period{}, nil
	}
	read := period{r.scope.Segments[0].From, r.scope.Segments[n-1].To}
	openFrom := r.query.From.IsZero() || r.query.FromData
	openTo := r.query.To.IsZero() || r.query.ToData
	if !openFrom && !openTo {
		return read, nil
	}
	widths, err := r.headlineWidths(ctx, tx)
	if err != nil {
		return period{}, err
	}
	first, found, err := r.endRequest(ctx, tx, widths, read, categories, "ASC")
	if err != nil {
		return period{}, err
	}
	if !found {
		return period{}, nil
	}
	last, _, err := r.endRequest(ctx, tx, widths, read, categories, "DESC")
	if err != nil {
		return period{}, err
	}
	if openFrom {
		read.from = first.from
	}
	if openTo {
		read.to = last.to
	}
	return read, nil
}

// headlineWidths are all widths of the headline, whichever the query reads.
func (r *reading) headlineWidths(ctx context.Context, tx *sql.Tx) ([]planWidth, error) {
	completeFrom, err := storage.CompleteFrom(ctx, tx, r.meta)
	if err != nil {
		return nil, err
	}
	var widths []planWidth
	for _, w := range r.meta.Widths {
		known := planWidth{w.Seconds, math.MinInt64}
		if from, pruned := completeFrom[w.Seconds]; pruned {
			known.completeFrom = from
		}
		widths = append(widths, known)
	}
	return widths, nil
}

// endRequest finds the bucket of the first request of a time (order is ASC) or
// of the last (DESC). Wide buckets tell where to look for narrow ones.
func (r *reading) endRequest(
	ctx context.Context, tx *sql.Tx, widths []planWidth, in period, categories []aggregator.Category, order string,
) (place period, found bool, err error) {
	place = in
	for _, w := range slices.Backward(widths) {
		if found && w.completeFrom > place.from {
			continue
		}
		start, ok, err := r.endBucket(ctx, tx, w.seconds, place, categories, order)
		if err == nil && !ok && found {
			// What the wide bucket counts begins outside of the time.
			start, ok, err = r.endBucket(ctx, tx, w.seconds, in, categories, order)
		}
		if err != nil {
			return place, false, err
		}
		if ok {
			place, found = period{max(in.from, start), min(in.to, start+w.seconds)}, true
		}
	}
	return place, found, nil
}

// endBucket finds the first or the last bucket of a width with a request.
func (r *reading) endBucket(
	ctx context.Context, tx *sql.Tx, width int64, in period, categories []aggregator.Category, order string,
) (start int64, found bool, err error) {
	filter := r.filter(Segment{width, aggregator.BucketStart(in.from, width), in.to})
	filter.Categories = categories
	where, args := filter.Condition(false)
	query := "SELECT b.bucket_start FROM headline_bucket AS b WHERE b.requests > 0 AND " + where + " ORDER BY b.bucket_start " + order + " LIMIT 1"
	err = tx.QueryRowContext(ctx, query, args...).Scan(&start)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("look up buckets of %d s: %w", width, err)
	}
	return start, true, nil
}
