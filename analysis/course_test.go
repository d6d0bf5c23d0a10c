package analysis_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

func course(q analysis.CourseQuery) func(context.Context, *sql.Tx) (*analysis.Course, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.Course, error) {
		return analysis.AskCourse(ctx, tx, q)
	}
}

// isRequest tells whether a span counts by default.
func isRequest(o *aggregator.Observation) bool {
	return o.Series.Category == aggregator.CategoryLLM || o.Series.Category == aggregator.CategoryEmbedding
}

// secondOf returns the whole second since filetest.Begin of an instant.
func secondOf(unixNano int64) int64 { return aggregator.UnixSeconds(unixNano) - filetest.Begin.Unix() }

// checkCourse compares every bucket of a course with the spans themselves.
// It covers the seconds from from to before to, since filetest.Begin, of the
// spans that keep accepts.
func checkCourse(
	t *testing.T, answer *analysis.Course, observations []aggregator.Observation, from, to int64, keep func(*aggregator.Observation) bool,
) {
	t.Helper()
	kept := func(o *aggregator.Observation) bool {
		return isRequest(o) && keep(o) && seconds(o) >= from && seconds(o) < to
	}
	bucket := func(unixNano int64) int64 {
		return aggregator.BucketStart(aggregator.UnixSeconds(unixNano), answer.WidthS)
	}
	want := expect(observations, kept, func(o *aggregator.Observation) int64 { return bucket(o.StartUnixNano) })
	outcomes := map[int64]*analysis.Outcomes{}
	completed, resends := map[int64]int64{}, map[int64]int64{}
	for i := range observations {
		o := &observations[i]
		if o.Rejected != aggregator.NotRejected || !isRequest(o) || !keep(o) {
			continue
		}
		// By their ends, whenever they started.
		if _, timed := o.Measure(aggregator.MeasureDuration); timed && secondOf(o.EndUnixNano) >= from && secondOf(o.EndUnixNano) < to {
			completed[bucket(o.EndUnixNano)]++
		}
		if !kept(o) {
			continue
		}
		start := bucket(o.StartUnixNano)
		if outcomes[start] == nil {
			outcomes[start] = &analysis.Outcomes{}
		}
		outcomes[start][o.Series.Outcome]++
		resends[start] += o.Resends
	}
	for i := range answer.Rows {
		p := &answer.Rows[i]
		require.Equal(t, answer.Rows[0].BucketStart+int64(i)*answer.WidthS, p.BucketStart, "the axis has no gap")
		s, counted := want[p.BucketStart], outcomes[p.BucketStart]
		if s == nil {
			s, counted = &sum{}, &analysis.Outcomes{}
		}
		require.Equal(t, s.requests, p.Requests, p.BucketUTC)
		require.Equal(t, *counted, p.Outcomes, p.BucketUTC)
		require.Equal(t, p.Requests, p.Outcomes.Requests(), p.BucketUTC)
		require.Equal(t, s.injected, p.Injected, p.BucketUTC)
		require.Equal(t, resends[p.BucketStart], p.Resends, p.BucketUTC)
		require.Equal(t, completed[p.BucketStart], p.Completed, p.BucketUTC)
		checkDistribution(t, p.BucketUTC+" latency", &p.Latency, s.values[aggregator.MeasureDuration], standard)
		checkDistribution(t, p.BucketUTC+" TTFT", &p.TTFT, s.values[aggregator.MeasureTimeToFirstToken], standard)
		checkUsage(t, p.BucketUTC, &p.Usage, s)
		delete(want, p.BucketStart)
	}
	require.Empty(t, want, "buckets with requests that the course does not have")
}

func TestCourseAgainstOracle(t *testing.T) {
	observations := filetest.Traffic(15_000) // 25 minutes
	end := filetest.Begin.Add(25 * time.Minute)
	now := end.Add(time.Hour)
	path := makeFile(t, observations, end)
	run := "load-2"
	at := func(seconds int) time.Time { return filetest.Begin.Add(time.Duration(seconds) * time.Second) }
	for _, c := range []struct {
		name     string
		query    analysis.CourseQuery
		width    int64
		from, to int64 // seconds since Begin, of what is read
	}{
		{"whole file", analysis.CourseQuery{Query: analysis.Query{Now: now}}, 300, 0, 1 << 40},
		{"finer", analysis.CourseQuery{Query: analysis.Query{Now: now}, MaxBuckets: 200}, 10, 0, 1 << 40},
		{"seconds", analysis.CourseQuery{Query: analysis.Query{Now: now}, MaxBuckets: 2000}, 1, 0, 1 << 40},
		{"forced", analysis.CourseQuery{Query: analysis.Query{Now: now, Width: 10}, MaxBuckets: 5}, 10, 0, 1 << 40},
		{"hours, several in one", analysis.CourseQuery{Query: analysis.Query{Now: now}, MaxBuckets: 1}, 3600, 0, 1 << 40},
		{"interval", analysis.CourseQuery{Query: analysis.Query{Now: now, From: at(100), To: at(215)}}, 1, 100, 215},
		{"interval inside buckets", analysis.CourseQuery{Query: analysis.Query{Now: now, From: at(105), To: at(1205), Width: 10}}, 10, 100, 1210},
		{"one run", analysis.CourseQuery{Query: analysis.Query{Now: now, Run: &run, Width: 10}}, 10, 0, 1 << 40},
		{"open left out", analysis.CourseQuery{Query: analysis.Query{Now: end, Width: 10}}, 10, 0, 1440},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := ask(t, path, course(c.query))
			require.Equal(t, c.width, answer.WidthS)
			checkCourse(t, answer, observations, c.from, c.to, func(o *aggregator.Observation) bool {
				return c.query.Run == nil || o.Series.Run == run
			})
		})
	}
}

// requestsAt returns one successful request at each of the given milliseconds
// since filetest.Begin, which change may change.
func requestsAt(milliseconds []int64, change func(i int, o *aggregator.Observation)) []aggregator.Observation {
	all := make([]aggregator.Observation, len(milliseconds))
	for i, ms := range milliseconds {
		o := &all[i]
		o.StartUnixNano = filetest.Begin.UnixNano() + ms*1e6
		o.EndUnixNano = o.StartUnixNano + 50e6
		o.Series.Category = aggregator.CategoryLLM
		if change != nil {
			change(i, o)
		}
		if o.EndUnixNano > o.StartUnixNano {
			o.SetMeasure(aggregator.MeasureDuration, o.EndUnixNano-o.StartUnixNano)
		}
	}
	return all
}

// every returns one instant each step from from to before to, in milliseconds.
func every(step, from, to int64) (all []int64) {
	for ms := from; ms < to; ms += step {
		all = append(all, ms)
	}
	return all
}

func TestCourseFillsGapsAndMarksWhatIsCut(t *testing.T) {
	now := filetest.Begin.Add(2 * time.Hour)
	for _, c := range []struct {
		name        string
		at          []int64
		query       analysis.Query
		rows        int
		first, last bool // partial
	}{
		{"begins on an edge", []int64{0, 29_900}, analysis.Query{Width: 10}, 3, false, true},
		{"asked for whole buckets", every(100, 0, 100_000), analysis.Query{Width: 10, From: filetest.Begin.Add(10 * time.Second), To: filetest.Begin.Add(30 * time.Second)}, 2, false, false},
		{"begins inside", append([]int64{5_000}, every(1000, 10_000, 40_000)...), analysis.Query{Width: 10}, 4, true, true},
		{"ten seconds, silence of a minute, ten seconds", append(every(100, 0, 10_000), every(100, 70_000, 80_000)...),
			analysis.Query{Width: 10}, 8, false, true},
		{"asked from inside", every(100, 0, 29_950), analysis.Query{Width: 10, From: filetest.Begin.Add(5 * time.Second), To: filetest.Begin.Add(20 * time.Second)}, 2, true, false},
		{"asked to inside", every(100, 0, 29_950), analysis.Query{Width: 10, To: filetest.Begin.Add(25 * time.Second)}, 3, false, true},
		{"one span", []int64{3_200}, analysis.Query{Width: 10}, 1, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			observations := requestsAt(c.at, nil)
			path := makeFile(t, observations, now)
			c.query.Now = now
			answer := ask(t, path, course(analysis.CourseQuery{Query: c.query}))
			from := answer.Rows[0].BucketStart - filetest.Begin.Unix() // as far as the caller may choose
			to := from + int64(c.rows)*10
			checkCourse(t, answer, observations, from, to, func(*aggregator.Observation) bool { return true })
			require.Len(t, answer.Rows, c.rows)
			require.Equal(t, c.first, answer.Rows[0].Partial, "first")
			require.Equal(t, c.last, answer.Rows[c.rows-1].Partial, "last")
			for _, p := range answer.Rows[1:max(1, c.rows-1)] {
				require.False(t, p.Partial, p.BucketUTC)
			}
		})
	}
}

// Two runs a year apart: the file cannot be drawn second by second, each run
// can.
func TestCourseOfFarApartRuns(t *testing.T) {
	year := int64(365 * 24 * 3600 * 1000)
	at := append(every(100, 0, 20_000), every(100, year, year+20_000)...)
	observations := requestsAt(at, func(i int, o *aggregator.Observation) {
		o.Series.Run = map[bool]string{true: "old", false: "new"}[i < 200]
	})
	now := filetest.Begin.Add(366 * 24 * time.Hour)
	options := filetest.Options(filepath.Join(t.TempDir(), "file.db"), now)
	for i := range options.Widths {
		options.Widths[i].Retention = 0 // for ever
	}
	filetest.Write(t, options, observations)
	path := options.Path
	all := ask(t, path, course(analysis.CourseQuery{Query: analysis.Query{Now: now}}))
	checkCourse(t, all, observations, 0, 1<<40, func(*aggregator.Observation) bool { return true })
	require.LessOrEqual(t, len(all.Rows), 120)
	require.Zero(t, all.WidthS%3600)
	run := "new"
	one := ask(t, path, course(analysis.CourseQuery{Query: analysis.Query{Now: now, Run: &run}}))
	checkCourse(t, one, observations, 0, 1<<40, func(o *aggregator.Observation) bool { return o.Series.Run == run })
	require.EqualValues(t, 1, one.WidthS)
	_, err := try(t, path, course(analysis.CourseQuery{Query: analysis.Query{Now: now, Width: 10}}))
	require.ErrorIs(t, err, analysis.ErrQuery)
	require.ErrorContains(t, err, "width 10s: 2026-01-30T10:00:00Z to 2027-01-30T10:00:20Z would be 3153602 buckets, more than 100000")
}

func TestCourseOfNothing(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	path := makeFile(t, nil, now)
	answer := ask(t, path, course(analysis.CourseQuery{Query: analysis.Query{Now: now}}))
	text, err := json.Marshal(answer)
	require.NoError(t, err)
	require.Contains(t, string(text), `"rows":[]`)
	require.Zero(t, answer.WidthS)
	_, err = try(t, path, course(analysis.CourseQuery{Query: analysis.Query{Now: now}, MaxBuckets: -1}))
	require.ErrorIs(t, err, analysis.ErrQuery)
}
