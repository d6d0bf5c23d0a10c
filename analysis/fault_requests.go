package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// rawBucket is a bucket with its single requests.
type rawBucket struct {
	rows    []impactRow
	counted int64 // requests
	// exact tells whether every request that the bucket counts is there;
	// estimable whether, if not, those that are stand for the others.
	exact, estimable bool
}

// maxSingle is how many requests of one fault are looked at one by one.
const maxSingle = 200_000

func sortedKeys(of map[int64]bool) []int64 { return slices.Sorted(maps.Keys(of)) }

// buckets reads the requests of buckets of the run that is looked at, which
// ascend, neighbours together.
func (f *impactReading) buckets(ctx context.Context, starts []int64, width int64) (map[int64]*rawBucket, error) {
	all := map[int64]*rawBucket{}
	var missing []int64
	for _, start := range starts {
		if b, ok := f.cache[[2]int64{start, width}]; ok {
			all[start] = b
		} else {
			missing = append(missing, start)
		}
	}
	for len(missing) > 0 {
		n := 1
		for n < len(missing) && missing[n] == missing[n-1]+width {
			n++
		}
		if err := f.readBuckets(ctx, missing[:n], width, all); err != nil {
			return nil, err
		}
		missing = missing[n:]
	}
	return all, nil
}

// readBuckets reads neighbours.
func (f *impactReading) readBuckets(ctx context.Context, starts []int64, width int64, into map[int64]*rawBucket) error {
	first, last := starts[0], starts[len(starts)-1]+width
	counted, total, err := f.countRequests(ctx, Segment{width, first, last})
	if err != nil {
		return err
	}
	for _, start := range starts {
		b := &rawBucket{counted: counted[start]}
		into[start], f.cache[[2]int64{start, width}] = b, b
	}
	if f.single += total; f.single > maxSingle {
		return nil // neither exact nor estimable
	}
	err = f.eachRow(ctx, interval{first * nsPerSecond, last * nsPerSecond}, false, func(r *impactRow) {
		b := into[aggregator.BucketStart(r.start/nsPerSecond, width)]
		b.rows = append(b.rows, *r)
	})
	for _, start := range starts {
		into[start].judge(start*nsPerSecond >= f.estimable)
	}
	return err
}

// countRequests returns how many requests buckets count.
func (f *impactReading) countRequests(ctx context.Context, s Segment) (counted map[int64]int64, total int64, err error) {
	filter := f.runFilter(s)
	where, args := filter.Condition(false)
	rows, err := f.tx.QueryContext(ctx, "SELECT b.bucket_start, sum(b.requests) FROM headline_bucket AS b WHERE "+where+" GROUP BY b.bucket_start", args...)
	if err != nil {
		return nil, 0, fmt.Errorf("count requests: %w", err)
	}
	defer rows.Close()
	counted = map[int64]int64{}
	for rows.Next() {
		var start, requests int64
		if err := rows.Scan(&start, &requests); err != nil {
			return nil, 0, fmt.Errorf("count requests: %w", err)
		}
		counted[start] = requests
		total += requests
	}
	return counted, total, rows.Err()
}

// judge finds out what the rows are worth.
func (b *rawBucket) judge(estimable bool) {
	var weight int64
	b.exact = true
	for i := range b.rows {
		weight += b.rows[i].weight
		b.exact = b.exact && b.rows[i].weight == micro
	}
	b.exact = b.exact && weight == b.counted*micro
	b.estimable = len(b.rows) > 0 && estimable
}

// eachRow calls look with the kept requests of the run that start in the
// interval, or only with those that a fault touched.
func (f *impactReading) eachRow(ctx context.Context, of interval, marked bool, look func(*impactRow)) error {
	if of.from >= of.to {
		return nil
	}
	weight := "coalesce(r.weight_micro, 1000000)"
	if f.meta.SchemaVersion >= firstWithProfiles {
		weight = `CASE WHEN r.kept & 16 THEN (
			SELECT (st.spans * 1000000 + st.rows / 2) / st.rows FROM series AS s, request_stratum AS st
			WHERE s.series_id = r.series_id AND st.minute_s = r.start_ns / 60000000000 * 60 AND st.category = s.category AND st.outcome = s.outcome
		) ELSE ` + weight + " END"
	}
	query := `SELECT r.series_id, r.start_ns, r.duration_ns, coalesce(r.injected_delay_ns, -1), coalesce(r.ttft_ns, -1), ` + weight + `,
			coalesce(r.marked, 0), coalesce(r.input_tokens, -1), coalesce(r.output_tokens, -1), coalesce(r.cost_nano_usd, -1)
		FROM request AS r WHERE r.start_ns >= ? AND r.start_ns < ? AND r.kept & 1`
	if marked {
		query += " AND r.marked = 1"
	}
	rows, err := f.tx.QueryContext(ctx, query, of.from, of.to)
	if err != nil {
		return fmt.Errorf("read requests: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var r impactRow
		var weight sql.NullInt64
		if err := rows.Scan(&id, &r.start, &r.duration, &r.delay, &r.ttft, &weight, &r.marked, &r.input, &r.output, &r.cost); err != nil {
			return fmt.Errorf("read requests: %w", err)
		}
		s, ok := f.series[id]
		if !ok || s.run != f.run {
			continue
		}
		r.failed, r.weight = s.failed, weight.Int64
		look(&r)
	}
	return rows.Err()
}

// bucketsReaching returns the buckets of a width that start before an instant,
// but not before from, and hold a request that may end after it. It goes from
// wide buckets to narrow ones.
func (f *impactReading) bucketsReaching(ctx context.Context, instant, from, width int64) (map[int64]bool, error) {
	found := map[int64]bool{}
	if instant == math.MaxInt64 {
		return found, nil
	}
	ranges := []interval{{max(from, addCapped(instant, -f.longest-nsPerSecond)), instant}}
	for _, w := range slices.Backward(f.widths) {
		if w.seconds < width {
			break
		}
		var next []interval
		for _, r := range ranges {
			starts, err := f.reaching(ctx, r, instant, w.seconds)
			if err != nil {
				return nil, err
			}
			for _, start := range starts {
				piece := interval{max(r.from, start*nsPerSecond), min(r.to, (start+w.seconds)*nsPerSecond)}
				if n := len(next); n > 0 && next[n-1].to >= piece.from {
					next[n-1].to = max(next[n-1].to, piece.to)
				} else {
					next = append(next, piece)
				}
				if w.seconds == width {
					found[start] = true
				}
			}
		}
		ranges = next
	}
	return found, nil
}

// reaching finds such buckets of one width in an interval.
func (f *impactReading) reaching(ctx context.Context, in interval, instant, width int64) (starts []int64, err error) {
	first := aggregator.BucketStart(in.from/nsPerSecond, width)
	filter := f.runFilter(Segment{width, first, (in.to-1)/nsPerSecond + 1})
	where, args := filter.Condition(false)
	rows, err := f.tx.QueryContext(ctx, `SELECT DISTINCT b.bucket_start FROM headline_bucket AS b
		WHERE b.requests > 0 AND (b.bucket_start + b.width_s) * 1000000000 + coalesce(b.max_latency_ns, 0) > ? AND `+where+`
		ORDER BY b.bucket_start`, append([]any{instant}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("find long requests: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var start int64
		if err := rows.Scan(&start); err != nil {
			return nil, fmt.Errorf("find long requests: %w", err)
		}
		starts = append(starts, start)
	}
	return starts, rows.Err()
}

// straddling counts the requests that were in flight when the fault began.
func (f *impactReading) straddling(ctx context.Context, g *faultGroup, known runExtent, fault *Fault) error {
	width := finestAt(f.widths, (g.start-1)/nsPerSecond)
	if width == 0 || g.start > known.last {
		return nil
	}
	reaching, err := f.bucketsReaching(ctx, g.start, known.first-nsPerSecond*width, width)
	if err != nil {
		return err
	}
	starts := sortedKeys(reaching)
	buckets, err := f.buckets(ctx, starts, width)
	if err != nil {
		return err
	}
	var weight int64
	for _, start := range starts {
		b := buckets[start]
		if !b.exact && !b.estimable {
			return nil
		}
		for i := range b.rows {
			if r := &b.rows[i]; r.start < g.start && r.end() > g.start {
				weight += r.weight
				fault.StraddlingEstimated = fault.StraddlingEstimated || !b.exact
			}
		}
	}
	n := float64(weight) / micro
	fault.Straddling = &n
	return nil
}

// edges finds the share of the touched buckets that the fault cuts.
func (f *impactReading) edges(ctx context.Context, g *faultGroup, fault *Fault) error {
	if f.edgeWidth == 0 {
		return nil
	}
	const query = `SELECT count(DISTINCT bucket_start),
			count(DISTINCT CASE WHEN bucket_start * 1000000000 < ?1 OR (bucket_start + width_s) * 1000000000 > ?2 THEN bucket_start END)
		FROM headline_bucket WHERE width_s = ?3 AND bucket_start >= ?4 AND bucket_start <= ?5 AND run_id = ?6`
	var buckets, edges int64
	err := f.tx.QueryRowContext(ctx, query, g.start, g.until(), f.edgeWidth, aggregator.BucketStart(g.start/nsPerSecond, f.edgeWidth),
		(g.until()-1)/nsPerSecond, g.run).Scan(&buckets, &edges)
	if err != nil {
		return fmt.Errorf("count edges: %w", err)
	}
	fault.EdgeShare = share(edges, buckets)
	return nil
}

// join adds what another tally counts.
func (t *tally) join(o *tally) {
	t.covered += o.covered
	t.requests += o.requests
	t.keptOut += o.keptOut
	t.failed += o.failed
	t.injected += o.injected
	t.duration.join(&o.duration)
	t.ttft.join(&o.ttft)
	t.net.join(&o.net)
	t.netUnknown, t.estimated = t.netUnknown || o.netUnknown, t.estimated || o.estimated
	t.usage, t.priced = t.usage+o.usage, t.priced+o.priced
	t.input, t.output, t.cost = t.input+o.input, t.output+o.output, t.cost+o.cost
}

// compareSlots puts slots in the order of time.
func compareSlots(a, b *recoverySlot) int { return cmp.Compare(a.start, b.start) }
