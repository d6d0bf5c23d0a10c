package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// peak is the longest request of a bucket of one run and category.
type peak struct {
	start, width  int64 // of the bucket, Unix seconds and seconds
	run, category string
	trace, span   []byte
	longestNS     int64
}

// readPeaks returns the buckets whose longest request took at least so long,
// the longest first.
func (r *reading) readPeaks(ctx context.Context, tx *sql.Tx, leastNS int64) ([]peak, error) {
	var peaks []peak
	for _, segment := range r.scope.Segments {
		filter := r.filter(segment)
		where, args := filter.Condition(false)
		rows, err := tx.QueryContext(ctx, `SELECT b.bucket_start, b.run_id, b.category, b.slowest_trace_id, b.slowest_span_id, b.max_latency_ns
			FROM headline_bucket AS b WHERE `+where+" AND b.max_latency_ns >= ?", append(args, leastNS)...)
		if err != nil {
			return nil, fmt.Errorf("read slowest of buckets: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			p := peak{width: segment.WidthS}
			if err := rows.Scan(&p.start, &p.run, &p.category, &p.trace, &p.span, &p.longestNS); err != nil {
				return nil, fmt.Errorf("read slowest of buckets: %w", err)
			}
			peaks = append(peaks, p)
		}
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("read slowest of buckets: %w", err)
		}
	}
	slices.SortFunc(peaks, func(a, b peak) int {
		return cmp.Or(cmp.Compare(b.longestNS, a.longestNS), slices.Compare(a.trace, b.trace), slices.Compare(a.span, b.span),
			cmp.Compare(a.start, b.start), cmp.Compare(a.run, b.run), cmp.Compare(a.category, b.category))
	})
	return peaks, nil
}

// slowestRequests finds the slowest requests that are kept, without reading all
// of them: those that took as long as the longest of the k-th bucket, or longer,
// lie in the first k buckets. Where fewer of them are kept than are asked for, k
// grows; where few are kept at all, that leads nowhere.
func (r *reading) slowestRequests(ctx context.Context, tx *sql.Tx, q *SlowQuery, kept *Kept, peaks []peak) ([]Request, error) {
	if r.meta.SchemaVersion < firstWithRequests || len(peaks) == 0 {
		return nil, nil
	}
	for k := q.Limit; kept.Complete && k < int64(len(peaks))/2; k *= 4 {
		least := peaks[k-1].longestNS
		last := k
		for last < int64(len(peaks)) && peaks[last].longestNS == least {
			last++
		}
		ranges := rangesOf(peaks[:last])
		if len(ranges) > maxSlowRanges {
			break
		}
		found, err := r.slowestIn(ctx, tx, ranges, least, q.Limit)
		if err != nil || int64(len(found)) == q.Limit {
			return found, err
		}
	}
	// Every bucket has a request that took as long as the lowest peak: there
	// should be enough of them, and they are few among all.
	found, err := r.scanSlow(ctx, tx, peaks[len(peaks)-1].longestNS, q.Limit)
	if err != nil || int64(len(found)) == q.Limit {
		return found, err
	}
	return r.scanSlow(ctx, tx, int64(q.Threshold), q.Limit)
}

// scanSlow returns the slowest requests of all that are kept and took at least
// so long. It looks through the table itself, and reads in full only what it
// found.
func (r *reading) scanSlow(ctx context.Context, tx *sql.Tx, leastNS, limit int64) ([]Request, error) {
	series, err := readSeries(ctx, tx, r.query, nil)
	if err != nil {
		return nil, err
	}
	ids, err := json.Marshal(slices.Sorted(maps.Keys(series)))
	if err != nil {
		return nil, err
	}
	// The whole of a table is read faster without its index.
	how := "NOT INDEXED"
	if !r.query.From.IsZero() || !r.query.To.IsZero() {
		how = ""
	}
	from, to := r.scope.nanoseconds()
	var starts []int64
	var duration int64
	rows, err := tx.QueryContext(ctx, "SELECT start_ns, duration_ns FROM request "+how+` WHERE kept & 1 AND duration_ns >= ?
			AND start_ns >= ? AND start_ns < ? AND series_id IN (SELECT value FROM json_each(?))
		ORDER BY duration_ns DESC, trace_id, span_id, start_ns, series_id LIMIT ?`, leastNS, from, to, string(ids), limit)
	if err != nil {
		return nil, fmt.Errorf("look for slow requests: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var start int64
		if err := rows.Scan(&start, &duration); err != nil {
			return nil, fmt.Errorf("look for slow requests: %w", err)
		}
		starts = append(starts, start)
	}
	if err := rows.Err(); err != nil || len(starts) == 0 {
		return nil, err
	}
	return r.slowestAt(ctx, tx, starts, duration, limit)
}

// slowestAt returns the slowest requests that start at one of the instants, Unix
// nanoseconds, and took at least so long.
func (r *reading) slowestAt(ctx context.Context, tx *sql.Tx, starts []int64, leastNS, limit int64) ([]Request, error) {
	list, err := json.Marshal(starts)
	if err != nil {
		return nil, err
	}
	from, to := r.scope.nanoseconds()
	where, args := r.requestCondition(from, to)
	where += " AND duration_ns >= ? AND start_ns IN (SELECT value FROM json_each(?))" + slowestFirst
	return readRequests(ctx, tx, where, append(args, leastNS, string(list), limit))
}

// slowestFirst is the order of slow requests, with a limit.
const slowestFirst = " ORDER BY duration_ns DESC, trace_id, span_id, start_ns, series_id LIMIT ?"

// maxSlowRanges bounds how many parts of the time are read one by one.
const maxSlowRanges = 500

// rangesOf joins the times of buckets that touch.
func rangesOf(peaks []peak) []extent {
	var ranges []extent
	for _, p := range peaks {
		ranges = append(ranges, extent{p.start, p.start + p.width})
	}
	slices.SortFunc(ranges, func(a, b extent) int { return cmp.Compare(a.first, b.first) })
	joined := ranges[:0]
	for _, next := range ranges {
		if n := len(joined); n > 0 && next.first <= joined[n-1].last {
			joined[n-1].last = max(joined[n-1].last, next.last)
			continue
		}
		joined = append(joined, next)
	}
	return joined
}

// slowestIn returns the slowest requests that start in one of the ranges
// [first, last), Unix seconds, and took at least so long.
func (r *reading) slowestIn(ctx context.Context, tx *sql.Tx, ranges []extent, leastNS, limit int64) ([]Request, error) {
	var all []Request
	for _, e := range ranges {
		where, args := r.requestCondition(saturated(e.first), saturated(e.last))
		where += " AND duration_ns >= ?" + slowestFirst
		rows, err := readRequests(ctx, tx, where, append(args, leastNS, limit))
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	// Each range is in order; what ties within it stays so.
	slices.SortStableFunc(all, func(a, b Request) int {
		return cmp.Or(cmp.Compare(*b.DurationNS, *a.DurationNS), cmp.Compare(orEmpty(a.TraceID), orEmpty(b.TraceID)),
			cmp.Compare(orEmpty(a.SpanID), orEmpty(b.SpanID)), cmp.Compare(a.StartNS, b.StartNS))
	})
	return all[:min(int64(len(all)), limit)], nil
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
