package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

const nsPerSecond = int64(time.Second)

// interval is [from, to), Unix nanoseconds.
type interval struct{ from, to int64 }

func (i interval) nonEmpty() interval { return interval{i.from, max(i.from, i.to)} }

// impactReading reads what faults did.
type impactReading struct {
	*reading
	tx *sql.Tx
	// series are those of the categories that count, by number.
	series map[int64]*impactSeries
	// settled is the Unix nanosecond from which on buckets are open.
	settled int64
	// longest is the longest duration of all, nanoseconds.
	longest int64
	// estimable is the Unix nanosecond from which on the kept requests and
	// their weights stand for all.
	estimable int64
	// edgeWidth is the finest width with series, else the finest, seconds.
	edgeWidth    int64
	seriesWidths []planWidth
	run          string                  // the one that is looked at
	single       int64                   // requests of the fault that were looked at one by one
	cache        map[[2]int64]*rawBucket // of a run, by start and width
}

type impactSeries struct {
	run    string
	failed bool
}

func newImpactReading(ctx context.Context, tx *sql.Tx, r *reading) (*impactReading, error) {
	f := &impactReading{reading: r, tx: tx, series: map[int64]*impactSeries{}, settled: math.MaxInt64, estimable: math.MinInt64}
	if len(r.widths) > 0 {
		f.settled = settledUntilNS(&r.query, r.meta.SettleAfter, r.widths[0].seconds)
		f.edgeWidth = r.widths[0].seconds
	}
	for _, w := range r.widths {
		for _, m := range r.meta.Widths {
			if m.Seconds == w.seconds && m.Detail == storage.DetailSeries {
				f.seriesWidths = append(f.seriesWidths, w)
			}
		}
	}
	if len(f.seriesWidths) > 0 {
		f.edgeWidth = f.seriesWidths[0].seconds
	}
	if err := f.readSeries(ctx); err != nil {
		return nil, err
	}
	const estimable = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'requests_estimable_from_ns'"
	if err := tx.QueryRowContext(ctx, estimable).Scan(&f.estimable); err != nil && err != sql.ErrNoRows {
		return nil, fmt.Errorf("read reach of requests: %w", err)
	}
	if n := len(r.widths); n > 0 {
		const query = "SELECT coalesce(max(max_latency_ns), 0) FROM headline_bucket WHERE width_s = ?"
		if err := tx.QueryRowContext(ctx, query, r.widths[n-1].seconds).Scan(&f.longest); err != nil {
			return nil, fmt.Errorf("read longest request: %w", err)
		}
	}
	return f, nil
}

func (f *impactReading) readSeries(ctx context.Context) error {
	counts := map[string]bool{}
	for _, c := range f.query.Categories {
		counts[c.String()] = true
	}
	rows, err := f.tx.QueryContext(ctx, "SELECT series_id, run_id, category, outcome <> 'success' FROM series")
	if err != nil {
		return fmt.Errorf("read series: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var category string
		s := &impactSeries{}
		if err := rows.Scan(&id, &s.run, &category, &s.failed); err != nil {
			return fmt.Errorf("read series: %w", err)
		}
		if counts[category] {
			f.series[id] = s
		}
	}
	return rows.Err()
}

// runFilter selects the rows of buckets of the run that is looked at.
func (f *impactReading) runFilter(s Segment) storage.CellFilter {
	filter := f.filter(s)
	filter.Run = &f.run
	return filter
}

// finestAt is the finest width that is complete at a second; where none is, the
// widest, which reaches back furthest. 0 where there are no widths.
func finestAt(widths []planWidth, at int64) int64 {
	for _, w := range widths {
		if aggregator.BucketStart(at, w.seconds) >= w.completeFrom {
			return w.seconds
		}
	}
	if n := len(widths); n > 0 {
		return widths[n-1].seconds
	}
	return 0
}

// sum adds up the requests that start in an interval and end by an instant.
func (f *impactReading) sum(ctx context.Context, of interval, endsBy int64) (*tally, error) {
	t := &tally{}
	if of.from >= of.to {
		return t, nil
	}
	width := finestAt(f.widths, of.from/nsPerSecond)
	if width == 0 {
		return t, nil
	}
	// Buckets to be read request by request: those that the interval cuts, and
	// those with requests that may end too late.
	single, err := f.bucketsReaching(ctx, endsBy, of.from, width)
	if err != nil {
		return nil, err
	}
	first, last := aggregator.BucketStart(of.from/nsPerSecond, width), aggregator.BucketStart((of.to-1)/nsPerSecond, width)
	for _, edge := range []int64{first, last} {
		if edge*nsPerSecond < of.from || (edge+width)*nsPerSecond > of.to {
			single[edge] = true
		}
	}
	whole := wholeBuckets(first, last+width, width, single)
	for _, w := range whole {
		if err := f.sumWhole(ctx, w, t); err != nil {
			return nil, err
		}
	}
	return t, f.sumSingle(ctx, of, endsBy, single, width, len(whole) == 0, t)
}

// wholeBuckets returns what is left of [from, to), Unix seconds, without some
// buckets.
func wholeBuckets(from, to, width int64, without map[int64]bool) (left []Segment) {
	at := from
	for _, b := range sortedKeys(without) {
		if b < from || b >= to {
			continue
		}
		if b > at {
			left = append(left, Segment{width, at, b})
		}
		at = b + width
	}
	if at < to {
		left = append(left, Segment{width, at, to})
	}
	return left
}

// sumWhole adds whole buckets, read from the widest that tile the segment.
func (f *impactReading) sumWhole(ctx context.Context, of Segment, t *tally) error {
	part := tally{}
	for _, s := range plan(f.widths, of.From, of.To) {
		for row, err := range storage.HeadlineRows(ctx, f.tx, f.runFilter(s)) {
			if err != nil {
				return err
			}
			part.addCell(&row.Cell)
		}
	}
	t.covered += (of.To - of.From) * nsPerSecond
	t.join(&part)
	if part.injected == 0 {
		return nil
	}
	return f.takeDelays(ctx, of, part.injected, t)
}

// takeDelays notes the injected delays of whole buckets: from the histograms of
// the series that carry a fault, and from single requests towards the ends.
func (f *impactReading) takeDelays(ctx context.Context, of Segment, injected int64, t *tally) error {
	inner := Segment{From: of.To, To: of.To}
	if w := finestAt(f.seriesWidths, of.From); w > 0 {
		inner.From = min(ceilTo(of.From, w), of.To)
		inner.To = max(inner.From, aggregator.BucketStart(of.To, w))
	}
	var found int64
	for _, s := range plan(f.seriesWidths, inner.From, inner.To) {
		filter := f.runFilter(s)
		filter.Faulty = true
		for row, err := range storage.SeriesRows(ctx, f.tx, filter) {
			if err != nil {
				return err
			}
			found += row.Cell.Counters[aggregator.Requests] * micro
			t.net.addHistogram(&row.Cell.Measures[aggregator.MeasureDuration], -1)
			t.net.addHistogram(&row.Cell.Measures[aggregator.MeasureNetDuration], 1)
		}
	}
	for _, rest := range []Segment{{From: of.From, To: inner.From}, {From: inner.To, To: of.To}} {
		err := f.eachRow(ctx, interval{rest.From * nsPerSecond, rest.To * nsPerSecond}, true, func(row *impactRow) {
			found += row.weight
			t.takeDelay(row)
		})
		if err != nil {
			return err
		}
	}
	switch {
	case found == injected:
	case found == 0 || of.From*nsPerSecond < f.estimable:
		t.netUnknown = true
	default: // a sample, which adds up to about as many
		t.estimated = true
	}
	return nil
}

// sumSingle adds the requests of buckets of which every one is kept. Where
// there is nothing else to go by, those that are kept of others tell as well.
func (f *impactReading) sumSingle(
	ctx context.Context, of interval, endsBy int64, buckets map[int64]bool, width int64, onlyThese bool, t *tally,
) error {
	starts := slices.DeleteFunc(sortedKeys(buckets), func(start int64) bool {
		return start*nsPerSecond >= of.to || (start+width)*nsPerSecond <= of.from
	})
	single, err := f.buckets(ctx, starts, width)
	if err != nil {
		return err
	}
	for _, start := range starts {
		within := interval{max(of.from, start*nsPerSecond), min(of.to, (start+width)*nsPerSecond)}
		b := single[start]
		if !b.exact && (!onlyThese || !b.estimable) {
			continue
		}
		t.estimated = t.estimated || !b.exact
		t.covered += within.to - within.from
		for i := range b.rows {
			switch r := &b.rows[i]; {
			case r.start < within.from || r.start >= within.to:
			case r.end() > endsBy:
				t.keptOut += r.weight
			default:
				t.addRow(r)
			}
		}
	}
	return nil
}
