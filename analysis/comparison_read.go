package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// maxComparedBuckets bounds how finely a side is cut: two hours of 10 s.
const maxComparedBuckets = 720

// comparedReading is one side while it is read.
type comparedReading struct {
	*reading
	tx *sql.Tx
	// from and to are the buckets that are compared, of width seconds.
	width, first, end int64
}

func askComparison(ctx context.Context, baseline, candidate *sql.Tx, q ComparisonQuery) (*Comparison, error) {
	if err := q.complete(); err != nil {
		return nil, err
	}
	sides, err := readComparedSides(ctx, baseline, candidate, &q)
	if err != nil {
		return nil, err
	}
	return q.compare(ctx, sides)
}

// complete fills in the defaults and checks the rest.
func (q *ComparisonQuery) complete() error {
	if q.By == nil {
		q.By = []string{"model"}
	}
	if q.MinChange == 0 {
		q.MinChange = DefaultMinChange
	}
	if q.Seed == 0 {
		q.Seed = DefaultSeed
	}
	if !(q.MinChange > 0 && q.MinChange <= 10) {
		return fmt.Errorf("smallest change %g: must be above 0 and at most 10: %w", q.MinChange, ErrQuery)
	}
	if q.Warmup < 0 {
		return fmt.Errorf("warm-up %s: must not be negative: %w", q.Warmup, ErrQuery)
	}
	return nil
}

// readComparedSides decides which buckets are compared: of one width, equally
// many on both sides.
func readComparedSides(ctx context.Context, baseline, candidate *sql.Tx, q *ComparisonQuery) (sides [2]*comparedReading, err error) {
	asked := [2]Query{q.Baseline, q.Candidate}
	asked[1].Categories, asked[1].Width = asked[0].Categories, asked[0].Width
	for i, tx := range []*sql.Tx{baseline, candidate} {
		r, err := newReading(ctx, tx, asked[i], true)
		if err != nil {
			return sides, err
		}
		sides[i] = &comparedReading{reading: r, tx: tx}
		sides[i].query.Categories = sides[0].categories()
	}
	width, err := commonWidth(ctx, sides)
	if err != nil {
		return sides, err
	}
	for _, s := range sides {
		if err := s.settle(ctx, width); err != nil {
			return sides, err
		}
		s.cut(q.Warmup)
	}
	s, o := sides[0], sides[1]
	length := max(0, min(s.end-s.first, o.end-o.first))
	for _, s := range sides {
		s.end = s.first + length
		s.state()
	}
	return sides, nil
}

// commonWidth returns the finest width that both files keep in detail, that is
// complete on both sides, and that cuts neither into too many buckets; else the
// widest; 0 where they have none in common.
func commonWidth(ctx context.Context, sides [2]*comparedReading) (width int64, err error) {
	for _, w := range sides[0].widths {
		if !slices.ContainsFunc(sides[1].widths, func(o planWidth) bool { return o.seconds == w.seconds }) {
			continue
		}
		width = w.seconds
		fits := true
		for _, s := range sides {
			first, end, err := s.edges(ctx, width)
			if err != nil {
				return 0, err
			}
			at := slices.IndexFunc(s.widths, func(o planWidth) bool { return o.seconds == width })
			fits = fits && first >= s.widths[at].completeFrom && (end-first)/width <= maxComparedBuckets
		}
		if fits {
			break
		}
	}
	if width == 0 {
		return 0, fmt.Errorf("the two files keep no common width in detail: %w", ErrQuery)
	}
	return width, nil
}

// edges returns the buckets of a width that the side is made of: those between
// the times that were asked for, else between the first and the last that have
// requests.
func (s *comparedReading) edges(ctx context.Context, width int64) (first, end int64, err error) {
	filter := s.filter(Segment{width, aggregator.BucketStart(s.from, width), s.to})
	where, args := filter.Condition(false)
	var low, high sql.NullInt64
	query := "SELECT min(bucket_start), max(bucket_start) FROM headline_bucket AS b WHERE b.requests > 0 AND " + where
	if err := s.tx.QueryRowContext(ctx, query, args...).Scan(&low, &high); err != nil {
		return 0, 0, fmt.Errorf("look up buckets of %d s: %w", width, err)
	}
	if !low.Valid {
		return s.from, s.from, nil
	}
	first, end = low.Int64, high.Int64+width
	if !s.query.From.IsZero() {
		first = aggregator.BucketStart(s.from, width)
	}
	if !s.query.To.IsZero() {
		end = ceilTo(s.to, width)
	}
	return first, end, nil
}

// settle decides the buckets of the side, those that have settled.
func (s *comparedReading) settle(ctx context.Context, width int64) error {
	first, end, err := s.edges(ctx, width)
	if err != nil {
		return err
	}
	s.width, s.from, s.to = width, first, end
	s.widths = []planWidth{{width, first}}
	if err := s.choose(ctx, s.tx, s.query.Categories); err != nil {
		return err
	}
	s.first, s.end = first, first
	if n := len(s.scope.Segments); n > 0 {
		s.first, s.end = s.scope.Segments[0].From, s.scope.Segments[n-1].To
	}
	return nil
}

// cut leaves out the first and the last bucket of a run, which it fills only in
// part, and the warm-up.
func (s *comparedReading) cut(warmup time.Duration) {
	if (s.end-s.first)/s.width > 2 {
		if s.query.From.IsZero() {
			s.first += s.width
		}
		if s.query.To.IsZero() {
			s.end -= s.width
		}
	}
	s.first = min(s.end, s.first+ceilTo(int64((warmup+time.Second-1)/time.Second), s.width))
}

// state writes what is compared into the scope.
func (s *comparedReading) state() {
	s.scope.Segments, s.scope.FromUTC, s.scope.ToUTC = []Segment{}, nil, nil
	if s.first < s.end {
		s.scope.Segments = append(s.scope.Segments, Segment{s.width, s.first, s.end})
		s.scope.FromUTC, s.scope.ToUTC = utc(s.first), utc(s.end)
	}
}

// read merges the rows of the side into a grid of buckets and strata.
func (s *comparedReading) read(ctx context.Context, by []string, strata *strataIndex) (*comparedGrid, error) {
	grid := &comparedGrid{buckets: int((s.end - s.first) / s.width)}
	series, err := readSeries(ctx, s.tx, s.query, by)
	if err != nil {
		return nil, err
	}
	for _, segment := range s.scope.Segments {
		for row, err := range storage.SeriesRows(ctx, s.tx, s.filter(segment)) {
			if err != nil {
				return nil, err
			}
			values := series[row.Series]
			cell := grid.at(int((row.BucketStart-s.first)/s.width), strata.of(values))
			if err := add(&cell.Cell, &row.Cell); err != nil {
				return nil, err
			}
			if !values.success {
				cell.errors += row.Cell.Counters[aggregator.Requests]
			}
		}
	}
	return grid, nil
}

// strataIndex numbers the strata of both sides.
type strataIndex struct {
	numbers map[string]int
	values  [][]string
}

func (x *strataIndex) of(v seriesValues) int {
	n, ok := x.numbers[v.key]
	if !ok {
		n = len(x.values)
		x.numbers[v.key] = n
		x.values = append(x.values, v.values)
	}
	return n
}

// comparedCell is what one stratum did in one bucket.
type comparedCell struct {
	aggregator.Cell
	errors int64 // requests with any outcome but success
}

// comparedGrid is one side, by stratum and bucket; nil where nothing was.
type comparedGrid struct {
	buckets int
	cells   [][]*comparedCell
}

func (g *comparedGrid) at(bucket, stratum int) *comparedCell {
	for len(g.cells) <= stratum {
		g.cells = append(g.cells, make([]*comparedCell, g.buckets))
	}
	if g.cells[stratum][bucket] == nil {
		g.cells[stratum][bucket] = &comparedCell{}
	}
	return g.cells[stratum][bucket]
}
