package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// cutEdge is a bucket that an end of the interval cuts, and what is wanted of it.
type cutEdge struct{ bucket, wanted period }

// chooseExactly chooses as choose does, but reads of buckets that an end of the
// interval cuts the single requests, where every one of them is kept: then the
// interval need not be moved. It returns how many requests of each series, and
// when, are added to those of the segments; a segment of width 0 stands for them.
func (r *reading) chooseExactly(ctx context.Context, tx *sql.Tx, categories []aggregator.Category) (map[aggregator.SeriesID]*seriesSum, error) {
	if err := r.choose(ctx, tx, categories); err != nil {
		return nil, err
	}
	edges := r.cutEdges()
	if len(edges) == 0 {
		return nil, nil
	}
	series, err := readSeries(ctx, tx, r.query, nil)
	if err != nil {
		return nil, err
	}
	sums, left := map[aggregator.SeriesID]*seriesSum{}, int64(maxRowsForSamples)
	for _, e := range edges {
		if complete, err := e.read(ctx, tx, series, sums, &left); err != nil || !complete {
			return nil, err
		}
	}
	from, to := r.scope.Segments[0].From, r.scope.Segments[len(r.scope.Segments)-1].To
	var before, after []Segment
	for _, e := range edges {
		if s := (Segment{0, e.wanted.from, e.wanted.to}); e.bucket.from <= from {
			before, from = append(before, s), e.bucket.to
		} else {
			after, to = append(after, s), e.bucket.from
		}
	}
	r.scope.Segments = append(append(before, plan(r.widths, from, to)...), after...)
	first, last := r.scope.Segments[0].From, r.scope.Segments[len(r.scope.Segments)-1].To
	r.scope.FromUTC, r.scope.ToUTC = utc(first), utc(last)
	r.scope.Moved = !r.query.From.IsZero() && time.Unix(first, 0).Before(r.query.From) ||
		!r.query.To.IsZero() && time.Unix(last, 0).After(r.query.To)
	return sums, nil
}

// cutEdges returns the buckets that the interval cuts, of the narrowest width that
// is kept there; none where a width was asked for.
func (r *reading) cutEdges() (edges []cutEdge) {
	n := len(r.scope.Segments)
	if n == 0 || r.query.Width != 0 || r.meta.SchemaVersion < firstWithRequests {
		return nil
	}
	if !r.query.From.IsZero() && r.scope.Segments[0].From < r.from {
		bucket, ok := r.narrowestOf(r.from)
		if !ok {
			return nil
		}
		edges = append(edges, cutEdge{bucket, period{r.from, min(r.to, bucket.to)}})
	}
	if !r.query.To.IsZero() && r.scope.Segments[n-1].To > r.to {
		bucket, ok := r.narrowestOf(r.to - 1)
		if !ok {
			return nil
		}
		if len(edges) == 0 || edges[0].bucket != bucket {
			edges = append(edges, cutEdge{bucket, period{max(r.from, bucket.from), r.to}})
		}
	}
	return edges
}

// narrowestOf returns the narrowest bucket that holds an instant and of which
// nothing was deleted.
func (r *reading) narrowestOf(at int64) (bucket period, ok bool) {
	for _, w := range r.widths {
		if start := aggregator.BucketStart(at, w.seconds); start >= w.completeFrom {
			return period{start, start + w.seconds}, true
		}
	}
	return period{}, false
}

// read adds the requests of some series in the wanted part of a bucket. It tells
// whether every one that the bucket counts has a row, and stops where the buckets
// count more than left.
func (e *cutEdge) read(
	ctx context.Context, tx *sql.Tx, series map[aggregator.SeriesID]seriesValues, sums map[aggregator.SeriesID]*seriesSum, left *int64,
) (complete bool, err error) {
	counted, total, err := countBySeries(ctx, tx, Segment{e.bucket.width(), e.bucket.from, e.bucket.to})
	if *left -= total; err != nil || *left < 0 {
		return false, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT series_id, count(*), count(*) FILTER (WHERE start_ns >= ?1 AND start_ns < ?2),
			coalesce(min(start_ns) FILTER (WHERE start_ns >= ?1), 0), coalesce(max(start_ns) FILTER (WHERE start_ns < ?2), 0)
		FROM request WHERE start_ns >= ?3 AND start_ns < ?4 AND kept & 1 GROUP BY series_id`,
		saturated(e.wanted.from), saturated(e.wanted.to), saturated(e.bucket.from), saturated(e.bucket.to))
	if err != nil {
		return false, fmt.Errorf("read requests: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id aggregator.SeriesID
		var all, wanted, first, last int64
		if err := rows.Scan(&id, &all, &wanted, &first, &last); err != nil {
			return false, fmt.Errorf("read requests: %w", err)
		}
		if _, ok := series[id]; !ok {
			continue
		}
		if all != counted[id] {
			return false, nil
		}
		delete(counted, id)
		if wanted == 0 {
			continue
		}
		if sums[id] == nil {
			sums[id] = &seriesSum{}
		}
		if err := sums[id].add(&seriesSum{requests: wanted, first: secondOf(first), last: secondOf(last)}); err != nil {
			return false, err
		}
	}
	for id, n := range counted {
		if _, ok := series[id]; ok && n > 0 {
			return false, rows.Err() // none of them has a row
		}
	}
	return true, rows.Err()
}
