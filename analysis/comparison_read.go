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

// maxComparedBuckets bounds how finely a side is cut, and maxReadBuckets how
// finely it is read: six hours of 10 s, merged by threes.
const (
	maxComparedBuckets = 720
	maxReadBuckets     = 3 * maxComparedBuckets
)

// maxWarmup is a day.
const maxWarmup = 24 * time.Hour

// comparedReading is one side while it is read.
type comparedReading struct {
	*reading
	tx *sql.Tx
	// What is compared is [first, end), read in buckets of width seconds and
	// compared in buckets of merged times as many.
	width, merged, first, end int64
	why                       string // nothing is; empty: something is
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
		return &QueryError{Part: "min-change", Value: fmt.Sprint(q.MinChange), Rule: "must be above 0 and at most 10"}
	}
	if q.Warmup < 0 || q.Warmup > maxWarmup {
		return &QueryError{Part: "warmup", Value: q.Warmup.String(), Rule: "must be 0s to " + maxWarmup.String()}
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
		s.cut(ceilTo(int64((q.Warmup+time.Second-1)/time.Second), width))
	}
	b, c := sides[0], sides[1]
	length := max(0, min(b.end-b.first, c.end-c.first))
	merged := max(1, (length/width+maxComparedBuckets-1)/maxComparedBuckets)
	for _, s := range sides {
		s.merged, s.end = merged, s.first+length-length%(merged*width)
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
			fits = fits && (end == first || first >= s.widths[at].completeFrom && (end-first)/width <= maxReadBuckets)
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

// edges returns the buckets of a width that the side is made of: those that lie
// between the times that were asked for, else between the first and the last
// that have requests; 0 and 0 where none has.
func (s *comparedReading) edges(ctx context.Context, width int64) (first, end int64, err error) {
	filter := s.filter(Segment{width, aggregator.BucketStart(s.from, width), s.to})
	where, args := filter.Condition(false)
	var low, high sql.NullInt64
	query := "SELECT min(bucket_start), max(bucket_start) FROM headline_bucket AS b WHERE b.requests > 0 AND " + where
	if err := s.tx.QueryRowContext(ctx, query, args...).Scan(&low, &high); err != nil {
		return 0, 0, fmt.Errorf("look up buckets of %d s: %w", width, err)
	}
	if !low.Valid {
		return 0, 0, nil
	}
	first, end = low.Int64, high.Int64+width
	if !s.query.From.IsZero() {
		first = ceilTo(s.from, width)
	}
	if !s.query.To.IsZero() {
		end = aggregator.BucketStart(s.to, width)
	}
	return first, max(first, end), nil
}

// settle decides the buckets of the side, those that have settled.
func (s *comparedReading) settle(ctx context.Context, width int64) error {
	first, end, err := s.edges(ctx, width)
	if err != nil {
		return err
	}
	nothing := first == end
	switch {
	case nothing && end == 0:
		s.why = "no request"
	case nothing:
		s.why = "no whole bucket of " + WidthName(width)
	}
	if nothing {
		// What has not settled yet is still to be counted.
		first, end = s.from, s.to
	}
	s.width, s.from, s.to = width, first, end
	s.widths = []planWidth{{width, math.MinInt64}}
	if err := s.choose(ctx, s.tx, s.query.Categories); err != nil {
		return err
	}
	s.first, s.end = 0, 0
	if n := len(s.scope.Segments); n > 0 && !nothing {
		s.first, s.end = s.scope.Segments[0].From, s.scope.Segments[n-1].To
	}
	if s.first == s.end && s.why == "" {
		s.why = "no settled bucket of " + WidthName(width)
	}
	return nil
}

// cut leaves out the first and the last bucket of a run, which it fills only in
// part, and warmup seconds after that.
func (s *comparedReading) cut(warmup int64) {
	if (s.end-s.first)/s.width > 2 {
		if s.query.From.IsZero() {
			s.first += s.width
		}
		if s.query.To.IsZero() {
			s.end -= s.width
		}
	}
	s.first += min(warmup, s.end-s.first)
	if s.first == s.end && s.why == "" {
		s.why = "nothing after the warm-up"
	}
}

// shares tells whether a request can be on both sides.
func (s *comparedReading) shares(o *comparedReading) bool {
	run, other := s.query.Run, o.query.Run
	return s.tx == o.tx && s.first < o.end && o.first < s.end && (run == nil || other == nil || *run == *other)
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
	grid := &comparedGrid{buckets: int((s.end - s.first) / (s.merged * s.width))}
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
			cell := grid.at(int((row.BucketStart-s.first)/(s.merged*s.width)), strata.of(values))
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
