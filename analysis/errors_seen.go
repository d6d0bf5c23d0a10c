package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// narrowSeen narrows down when the first and the last request of each series
// began: from wide buckets to the narrowest that are kept there.
func (r *reading) narrowSeen(ctx context.Context, tx *sql.Tx, sums map[aggregator.SeriesID]*seriesSum) error {
	for _, p := range placesSeen(sums) {
		width := r.narrowestAt(p.from)
		if width >= p.width() {
			continue
		}
		seen, err := readSeen(ctx, tx, Segment{width, p.from, p.to})
		if err != nil {
			return err
		}
		for id, s := range sums {
			if e, ok := seen[id]; ok {
				s.seenIn(p, period{e.first, e.first + width}, period{e.last, e.last + width})
			}
		}
	}
	return nil
}

// refineSeen goes on from there to the second, where every request of the series
// in the bucket is kept.
func (r *reading) refineSeen(ctx context.Context, tx *sql.Tx, sums map[aggregator.SeriesID]*seriesSum) error {
	if err := r.narrowSeen(ctx, tx, sums); err != nil {
		return err
	}
	left := int64(maxRowsForSamples)
	for _, p := range placesSeen(sums) {
		if p.width() == 1 {
			continue
		}
		if err := r.seenByRows(ctx, tx, p, sums, &left); err != nil || left < 0 {
			return err
		}
	}
	return nil
}

// placesSeen returns the buckets in which a series was first or last seen.
func placesSeen(sums map[aggregator.SeriesID]*seriesSum) []period {
	places := map[period]bool{}
	for _, s := range sums {
		places[s.first], places[s.last] = true, true
	}
	return slices.SortedFunc(maps.Keys(places), func(a, b period) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	})
}

// seenIn puts what was found in a bucket in its place.
func (s *seriesSum) seenIn(place, first, last period) {
	if s.first == place {
		s.first = first
	}
	if s.last == place {
		s.last = last
	}
}

// narrowestAt returns the narrowest width whose buckets are all kept from start
// on.
func (r *reading) narrowestAt(start int64) int64 {
	for _, w := range r.widths {
		if start >= w.completeFrom {
			return w.seconds
		}
	}
	return r.widths[len(r.widths)-1].seconds
}

// readSeen finds the first and the last bucket of each series, in the index
// alone.
func readSeen(ctx context.Context, tx *sql.Tx, s Segment) (map[aggregator.SeriesID]extent, error) {
	const query = `SELECT series_id, min(bucket_start), max(bucket_start) FROM series_bucket
		WHERE width_s = ? AND bucket_start >= ? AND bucket_start < ? GROUP BY series_id`
	rows, err := tx.QueryContext(ctx, query, s.WidthS, s.From, s.To)
	if err != nil {
		return nil, fmt.Errorf("look up buckets of %d s: %w", s.WidthS, err)
	}
	defer rows.Close()
	seen := map[aggregator.SeriesID]extent{}
	for rows.Next() {
		var id aggregator.SeriesID
		var e extent
		if err := rows.Scan(&id, &e.first, &e.last); err != nil {
			return nil, fmt.Errorf("look up buckets of %d s: %w", s.WidthS, err)
		}
		seen[id] = e
	}
	return seen, rows.Err()
}

// seenByRows looks at the rows of the requests of one bucket. Those of a series
// tell when it was seen if there are as many as the bucket counts. It takes what
// the bucket counts from left, and reads no rows where that is not enough.
func (r *reading) seenByRows(
	ctx context.Context, tx *sql.Tx, place period, sums map[aggregator.SeriesID]*seriesSum, left *int64,
) error {
	if r.meta.SchemaVersion < firstWithRequests {
		return nil
	}
	counted, total, err := countBySeries(ctx, tx, Segment{place.width(), place.from, place.to})
	if *left -= total; err != nil || *left < 0 {
		return err
	}
	bits := r.failedBits()
	const query = `SELECT series_id, min(start_ns), max(start_ns), count(*) FROM request
		WHERE start_ns >= ? AND start_ns < ? AND kept & ? = ? GROUP BY series_id`
	rows, err := tx.QueryContext(ctx, query, saturated(place.from), saturated(place.to), bits, bits)
	if err != nil {
		return fmt.Errorf("look up requests: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id aggregator.SeriesID
		var first, last, n int64
		if err := rows.Scan(&id, &first, &last, &n); err != nil {
			return fmt.Errorf("look up requests: %w", err)
		}
		if s, ok := sums[id]; ok && n == counted[id] {
			s.seenIn(place, secondOf(first), secondOf(last))
		}
	}
	return rows.Err()
}

// secondOf returns the second that an instant, Unix nanoseconds, lies in.
func secondOf(ns int64) period {
	at := aggregator.UnixSeconds(ns)
	return period{at, at + 1}
}

// countBySeries returns the requests of a time, by series and all together.
func countBySeries(ctx context.Context, tx *sql.Tx, s Segment) (counted map[aggregator.SeriesID]int64, total int64, err error) {
	const query = `SELECT series_id, sum(requests) FROM series_bucket
		WHERE width_s = ? AND bucket_start >= ? AND bucket_start < ? GROUP BY series_id`
	rows, err := tx.QueryContext(ctx, query, s.WidthS, s.From, s.To)
	if err != nil {
		return nil, 0, fmt.Errorf("count requests: %w", err)
	}
	defer rows.Close()
	counted = map[aggregator.SeriesID]int64{}
	for rows.Next() {
		var id aggregator.SeriesID
		var n int64
		if err := rows.Scan(&id, &n); err != nil {
			return nil, 0, fmt.Errorf("count requests: %w", err)
		}
		counted[id], total = n, total+n
	}
	return counted, total, rows.Err()
}

// refineOutcomes narrows down further when each outcome was seen: buckets
// without series count outcomes too, and may be narrower.
func (r *reading) refineOutcomes(ctx context.Context, tx *sql.Tx, groups map[string]*failure) error {
	widths, err := r.headlineWidths(ctx, tx)
	if err != nil {
		return err
	}
	for o := range aggregator.NumOutcomes {
		f := groups[o.String()]
		if f == nil {
			continue
		}
		for _, w := range widths {
			for _, end := range []struct {
				place *period
				which string
			}{{&f.sum.first, "min"}, {&f.sum.last, "max"}} {
				if end.place.width() <= w.seconds || end.place.from < w.completeFrom {
					continue
				}
				if err := r.outcomeSeen(ctx, tx, w.seconds, o, end.which, end.place); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// outcomeSeen looks for the first (which is min) or the last (max) bucket of a
// width that has the outcome, within a place.
func (r *reading) outcomeSeen(ctx context.Context, tx *sql.Tx, width int64, o aggregator.Outcome, which string, place *period) error {
	filter := r.filter(Segment{width, aggregator.BucketStart(place.from, width), place.to})
	where, args := filter.Condition(false)
	var start sql.NullInt64
	// The name of an outcome, of which there are ten, is that of its column.
	query := "SELECT " + which + "(b.bucket_start) FROM headline_bucket AS b WHERE " + where + " AND b." + o.String() + " > 0"
	if err := tx.QueryRowContext(ctx, query, args...).Scan(&start); err != nil {
		return fmt.Errorf("look up buckets of %d s: %w", width, err)
	}
	if start.Valid {
		*place = period{max(place.from, start.Int64), min(place.to, start.Int64+width)}
	}
	return nil
}
