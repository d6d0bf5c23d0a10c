package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// tick is what one bucket of an axis counts.
type tick struct {
	outcomes Outcomes
	requests int64
	resends  int64
}

func (t *tick) add(other *tick) {
	t.outcomes.add(&other.outcomes)
	t.requests += other.requests
	t.resends += other.resends
}

// errors counts every outcome but success.
func (t *tick) errors() int64 { return t.requests - t.outcomes.Success() }

// refusedShare returns the share of requests that were refused; nil where
// there were none.
func (t *tick) refusedShare() *float64 { return share(t.outcomes.Refused(), t.requests) }

// ticks are the counts along an axis. It reads no histograms.
type ticks struct {
	axis
	reading *reading
	rows    []tick // one per bucket
	// first and last are the first and the last bucket with requests, both
	// included; last < first where there is none.
	first, last int
}

const (
	// maxTickBuckets is into how many buckets an interval is cut at most to
	// look for what happened when: a day in buckets of 10 s.
	maxTickBuckets = 10_000
	// minTickBuckets is how many buckets are left at least when they are made
	// wider to hold more requests.
	minTickBuckets = 20
)

// tickWidths are the widths, in seconds, that an axis is widened to.
var tickWidths = []int64{1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200, 86400}

// observed is what to look for events in: the counts along the finest axis, and
// the faults that are known.
type observed struct {
	query  Query
	fine   *ticks
	faults *knownFaults
}

// observe reads the counts in buckets of q.Width, else in the narrowest that
// cut the data into at most maxTickBuckets. windows are those of the file; nil:
// they are read.
func observe(ctx context.Context, tx *sql.Tx, q Query, windows *FaultWindows) (*observed, error) {
	r, a, err := newAxis(ctx, tx, q, maxTickBuckets)
	if err != nil {
		return nil, err
	}
	t := &ticks{axis: *a, reading: r, rows: make([]tick, a.n)}
	if err := t.read(ctx, tx); err != nil {
		return nil, err
	}
	t.markEnds()
	faults, err := readKnownFaults(ctx, tx, q, windows)
	if err != nil {
		return nil, err
	}
	return &observed{q, t, faults}, nil
}

// holding returns the counts in the narrowest buckets of which those with
// requests hold so many on average, as long as minTickBuckets are left; in those
// of query.Width where it is set.
func (o *observed) holding(requests int64) *ticks {
	if o.query.Width != 0 {
		return o.fine
	}
	return o.fine.widened(requests)
}

func (t *ticks) read(ctx context.Context, tx *sql.Tx) error {
	if t.n == 0 {
		return nil
	}
	var outcomes strings.Builder
	for o := range aggregator.NumOutcomes {
		fmt.Fprintf(&outcomes, ", sum(b.%s)", o)
	}
	filter := t.reading.filter(t.segment)
	where, args := filter.Condition(false)
	rows, err := tx.QueryContext(ctx, "SELECT b.bucket_start, sum(b.requests), sum(b.resends)"+outcomes.String()+
		" FROM headline_bucket AS b WHERE "+where+" GROUP BY b.bucket_start", args...)
	if err != nil {
		return fmt.Errorf("read headline: %w", err)
	}
	defer rows.Close()
	var start int64
	var row tick
	into := []any{&start, &row.requests, &row.resends}
	for o := range row.outcomes {
		into = append(into, &row.outcomes[o])
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return fmt.Errorf("read headline: %w", err)
		}
		t.rows[t.index(start)].add(&row)
	}
	return rows.Err()
}

// widened returns the counts in wider buckets, where these are too thin.
func (t *ticks) widened(perBucket int64) *ticks {
	best := t
	for _, width := range tickWidths {
		if best.dense(perBucket) || best.n == 0 {
			break
		}
		if width <= t.widthS || width%t.widthS != 0 {
			continue
		}
		wide := t.inWidth(width)
		if wide.n < minTickBuckets {
			break
		}
		best = wide
	}
	return best
}

// dense tells whether the buckets with requests hold so many on average.
func (t *ticks) dense(perBucket int64) bool {
	var buckets, requests int64
	for i := range t.rows {
		if t.rows[i].requests > 0 {
			buckets++
			requests += t.rows[i].requests
		}
	}
	return requests >= perBucket*buckets
}

// inWidth returns the counts in buckets of a multiple of their width.
func (t *ticks) inWidth(width int64) *ticks {
	wide := *t
	wide.widthS = width
	wide.start = aggregator.BucketStart(t.start, width)
	wide.n = int((ceilTo(t.at(t.n), width) - wide.start) / width)
	wide.partialFirst = t.partialFirst || wide.start < t.start
	wide.partialLast = t.partialLast || wide.at(wide.n) > t.at(t.n)
	wide.rows = make([]tick, wide.n)
	for i := range t.rows {
		wide.rows[wide.index(t.at(i))].add(&t.rows[i])
	}
	wide.markEnds()
	return &wide
}

func (t *ticks) markEnds() {
	busy := func(row tick) bool { return row.requests > 0 }
	t.first, t.last = 0, -1
	if i := slices.IndexFunc(t.rows, busy); i >= 0 {
		t.first = i
		for t.last = len(t.rows) - 1; !busy(t.rows[t.last]); {
			t.last--
		}
	}
}

// cut tells whether a bucket may hold less than happened in that time: where
// the data begin or end, or the interval that was asked for.
func (t *ticks) cut(i int) bool {
	return i == 0 && t.partialFirst || i > t.last || i == t.last && (i < t.n-1 || t.partialLast)
}

// sum adds up the buckets [from, to).
func (t *ticks) sum(from, to int) (sum tick) {
	for i := max(0, from); i < min(to, t.n); i++ {
		sum.add(&t.rows[i])
	}
	return sum
}

// cell reads the buckets [from, to) with their histograms, from the widest
// buckets that tile them.
func (t *ticks) cell(ctx context.Context, tx *sql.Tx, from, to int) (sum aggregator.Cell, err error) {
	r := t.reading
	widths := slices.Concat(r.widths, r.wider)
	for _, s := range plan(widths, max(t.at(from), t.segment.From), min(t.at(to), t.segment.To)) {
		for row, err := range storage.HeadlineRows(ctx, tx, r.filter(s)) {
			if err == nil {
				err = add(&sum, &row.Cell)
			}
			if err != nil {
				return sum, err
			}
		}
	}
	return sum, nil
}
