package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// CourseQuery asks how the headline figures went over time, all runs and
// categories of the query taken together.
type CourseQuery struct {
	Query
	// MaxBuckets is how many buckets the interval is cut into at most, where
	// the query leaves the width open; 0 means 120.
	MaxBuckets int
	// Percentiles to answer with; none means p50, p95 and p99.
	Percentiles []Percentile
}

// CoursePoint is one bucket of a course. All but Completed are of the requests
// that started in it.
type CoursePoint struct {
	BucketStart int64  `json:"bucket_start"` // Unix seconds
	BucketUTC   string `json:"bucket_utc"`
	// Partial: the data, or the interval that was asked for, begin or end
	// inside the bucket, so its counts are not those of a whole bucket.
	Partial   bool         `json:"partial"`
	Settled   bool         `json:"settled"`
	Requests  int64        `json:"requests_total"`
	Outcomes  Outcomes     `json:"outcomes"`
	Injected  int64        `json:"requests_injected"`
	Completed int64        `json:"completed_total"` // by end time
	Resends   int64        `json:"resends"`
	Latency   Distribution `json:"latency"`
	TTFT      Distribution `json:"ttft"`
	Usage
}

// Course is the answer to CourseQuery.
type Course struct {
	Scope
	WidthS      int64    `json:"width_s"` // of every bucket; 0 where there is none
	Percentiles []string `json:"percentiles"`
	// Rows are all buckets from the first to the last with data in the interval
	// that was asked for, those without requests as well.
	Rows []CoursePoint `json:"rows"`
}

// defaultCourseBuckets is how many buckets a course is cut into at most, where
// nothing else was asked for.
const defaultCourseBuckets = 120

// AskCourse answers on an axis of one width without gaps: q.Width, or the
// narrowest width of the file that cuts the data into at most q.MaxBuckets;
// where even the widest makes more, several of them are one bucket. A forced
// width that makes more than 100,000 buckets is ErrQuery. Percentiles come from
// merged histograms.
func AskCourse(ctx context.Context, tx *sql.Tx, q CourseQuery) (*Course, error) {
	answer, err := askCourse(ctx, tx, q, func(int, *aggregator.Cell) {})
	if err != nil {
		return nil, fmt.Errorf("course: %w", err)
	}
	return answer, nil
}

// askCourse calls also for every bucket with what it adds up to.
func askCourse(ctx context.Context, tx *sql.Tx, q CourseQuery, also func(i int, cell *aggregator.Cell)) (*Course, error) {
	if q.MaxBuckets < 0 {
		return nil, fmt.Errorf("max buckets %d: must not be negative: %w", q.MaxBuckets, ErrQuery)
	}
	if q.MaxBuckets == 0 {
		q.MaxBuckets = defaultCourseBuckets
	}
	if len(q.Percentiles) == 0 {
		q.Percentiles = overviewPercentiles
	}
	r, a, err := newAxis(ctx, tx, q.Query, int64(q.MaxBuckets))
	if err != nil {
		return nil, err
	}
	answer := &Course{Scope: r.scope, WidthS: a.widthS, Rows: make([]CoursePoint, 0, a.n)}
	for _, p := range q.Percentiles {
		answer.Percentiles = append(answer.Percentiles, p.Name)
	}
	return answer, r.eachCell(ctx, tx, a, func(i int, cell *aggregator.Cell) {
		answer.Rows = append(answer.Rows, r.coursePoint(a, i, cell, q.Percentiles))
		also(i, cell)
	})
}

// cellsAtOnce is how many buckets with their histograms are held at once.
const cellsAtOnce = 1000

// eachCell calls do for every bucket of the axis, in order.
func (r *reading) eachCell(ctx context.Context, tx *sql.Tx, a *axis, do func(i int, cell *aggregator.Cell)) error {
	for from := 0; from < a.n; from += cellsAtOnce {
		to := min(a.n, from+cellsAtOnce)
		cells := make([]aggregator.Cell, to-from)
		for _, part := range plan(r.sources(a), max(a.at(from), a.segment.From), min(a.at(to), a.segment.To)) {
			for row, err := range storage.HeadlineRows(ctx, tx, r.filter(part)) {
				if err == nil {
					err = add(&cells[a.index(row.BucketStart)-from], &row.Cell)
				}
				if err != nil {
					return err
				}
			}
		}
		for i := range cells {
			do(from+i, &cells[i])
		}
	}
	return nil
}

func (r *reading) coursePoint(a *axis, i int, cell *aggregator.Cell, percentiles []Percentile) CoursePoint {
	n := &cell.Counters
	p := CoursePoint{
		BucketStart: a.at(i), BucketUTC: *utc(a.at(i)), Partial: a.partial(i), Settled: r.settled(a.at(i + 1)),
		Requests: n[aggregator.Requests], Injected: n[aggregator.Injected], Completed: n[aggregator.Completed],
		Resends: n[aggregator.Resends],
		Latency: newDistribution(&cell.Measures[aggregator.MeasureDuration], percentiles),
		TTFT:    newDistribution(&cell.Measures[aggregator.MeasureTimeToFirstToken], percentiles),
		Usage:   newUsage(cell),
	}
	for o := range p.Outcomes {
		p.Outcomes[o] = n[aggregator.OutcomeCounter(aggregator.Outcome(o))]
	}
	return p
}

// settled tells whether a bucket that ends at an instant, Unix seconds, has
// settled.
func (r *reading) settled(end int64) bool {
	return !r.query.IncludeOpen || !time.Unix(end, 0).Add(r.meta.SettleAfter).After(r.query.Now)
}
