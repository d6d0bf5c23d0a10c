package analysis_test

import (
	"context"
	"database/sql"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

func overview(q analysis.Query) func(context.Context, *sql.Tx) (*analysis.Overview, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.Overview, error) {
		return analysis.AskOverview(ctx, tx, q)
	}
}

func timeseries(q analysis.Query) func(context.Context, *sql.Tx) (*analysis.Timeseries, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.Timeseries, error) {
		return analysis.AskTimeseries(ctx, tx, q)
	}
}

func latency(q analysis.Query, by ...string) func(context.Context, *sql.Tx) (*analysis.Latency, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.Latency, error) {
		return analysis.AskLatency(ctx, tx, analysis.LatencyQuery{Query: q, By: by})
	}
}

// Every answer leaves out what is open, and says how much: here the last minute
// and a half.
func TestOpenBucketsAreLeftOutAndCounted(t *testing.T) {
	observations := filetest.Traffic(3_000) // five minutes
	end := filetest.Begin.Add(5 * time.Minute)
	path := makeFile(t, observations, end)
	// 30 s after the end, buckets that end after 04:30 are open.
	q := analysis.Query{Now: end.Add(30 * time.Second), Categories: []aggregator.Category{aggregator.CategoryLLM}}
	open := expect(observations, func(o *aggregator.Observation) bool {
		return o.Series.Category == aggregator.CategoryLLM && seconds(o) >= 270
	}, func(*aggregator.Observation) bool { return true })[true]
	settled := "2026-01-30T10:06:00Z"
	for name, scope := range map[string]analysis.Scope{
		"overview":   ask(t, path, overview(q)).Scope,
		"timeseries": ask(t, path, timeseries(analysis.Query{Now: q.Now, Categories: q.Categories, Width: 1})).Scope,
		"latency":    ask(t, path, latency(q)).Scope,
	} {
		o := scope.Open
		buckets, width := int64(30), int64(1)
		if name == "latency" {
			buckets, width = 3, 10
		}
		if o.Included || o.Requests != open.requests || o.Buckets != buckets || o.WidthS != width || o.SettledUTC == nil || *o.SettledUTC != settled {
			t.Errorf("%s: left out %+v, want %d buckets of %d s with %d requests until %s", name, o, buckets, width, open.requests, settled)
		}
		if *scope.ToUTC != "2026-01-30T10:04:30Z" {
			t.Errorf("%s: answered up to %s", name, *scope.ToUTC)
		}
	}
	q.IncludeOpen = true
	if o := ask(t, path, overview(q)).Open; !o.Included || o.Buckets != 0 || o.Requests != 0 {
		t.Errorf("with open buckets: left out %+v", o)
	}
	// Nothing has settled yet.
	q = analysis.Query{Now: filetest.Begin.Add(time.Minute)}
	if a := ask(t, path, timeseries(q)); len(a.Rows) != 0 || a.Open.Buckets == 0 || a.FromUTC != nil {
		t.Errorf("before anything settled: %d rows, left out %+v", len(a.Rows), a.Open)
	}
}

func TestAnswersAboutNothing(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	full := makeFile(t, filetest.Traffic(100), now)
	empty := makeFile(t, nil, now)
	late := analysis.Query{Now: now, From: filetest.Begin.Add(20 * time.Minute), To: filetest.Begin.Add(30 * time.Minute)}
	agents := analysis.Query{Now: now, Categories: []aggregator.Category{aggregator.CategoryAgent}}
	for name, c := range map[string]struct {
		path  string
		query analysis.Query
	}{
		"empty file": {empty, analysis.Query{Now: now}}, "interval without data": {full, late}, "category without data": {full, agents},
	} {
		if a := ask(t, c.path, overview(c.query)); len(a.Rows) != 0 || a.Total != nil {
			t.Errorf("%s: overview has rows: %+v", name, a.Rows)
		}
		if a := ask(t, c.path, timeseries(c.query)); len(a.Rows) != 0 {
			t.Errorf("%s: timeseries has rows: %+v", name, a.Rows)
		}
		if a := ask(t, c.path, latency(c.query, "model")); len(a.Rows) != 0 {
			t.Errorf("%s: latency has rows: %+v", name, a.Rows)
		}
	}
	extent := func(ctx context.Context, tx *sql.Tx) (analysis.Extent, error) {
		return analysis.ReadExtent(ctx, tx, nil)
	}
	if e := ask(t, empty, extent); e != (analysis.Extent{}) {
		t.Errorf("an empty file extends from %s to %s", e.Begin, e.End)
	}
	if e := ask(t, full, extent); !e.Begin.Equal(filetest.Begin) || e.End.Nanosecond() != 0 {
		t.Errorf("the file extends from %s to %s, want from %s to a whole second", e.Begin, e.End, filetest.Begin)
	}
}

func TestQueriesThatCannotBeAsked(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	path := makeFile(t, filetest.Traffic(100), now)
	nobody := "nobody"
	for name, err := range map[string]error{
		"run":       second(try(t, path, overview(analysis.Query{Now: now, Run: &nobody}))),
		"width":     second(try(t, path, timeseries(analysis.Query{Now: now, Width: 7}))),
		"detail":    second(try(t, path, latency(analysis.Query{Now: now, Width: 1}))),
		"dimension": second(try(t, path, latency(analysis.Query{Now: now}, "colour"))),
		"injection": second(try(t, path, latency(analysis.Query{Now: now}, `model, (SELECT 1)`))),
		"quote":     second(try(t, path, latency(analysis.Query{Now: now}, `a"b`))),
		"wildcard":  second(try(t, path, latency(analysis.Query{Now: now}, `user.tier"."x`))),
	} {
		if !errors.Is(err, analysis.ErrQuery) {
			t.Errorf("%s: error %v, want %v", name, err, analysis.ErrQuery)
		}
	}
}

func second[A any](_ A, err error) error { return err }

// Where fine buckets are gone, answers come from the wider ones that are left,
// and the ends move outwards to their edges.
func TestAnswersAfterPruning(t *testing.T) {
	const later = 30 * time.Hour
	observations := filetest.Traffic(900) // a minute and a half
	for _, o := range filetest.Traffic(900) {
		o.StartUnixNano += int64(later)
		if o.EndUnixNano != 0 {
			o.EndUnixNano += int64(later)
		}
		observations = append(observations, o)
	}
	now := filetest.Begin.Add(later + time.Hour)
	path := makeFile(t, observations, now)
	prune(t, path, 1, now.Add(-24*time.Hour))
	want := expect(observations, func(*aggregator.Observation) bool { return true },
		func(o *aggregator.Observation) string { return o.Series.Category.String() })
	all := ask(t, path, overview(analysis.Query{Now: now}))
	for _, r := range all.Rows {
		if r.Requests != want[r.Category].requests {
			t.Errorf("%s: %d requests, want %d", r.Category, r.Requests, want[r.Category].requests)
		}
	}
	early := ask(t, path, overview(analysis.Query{Now: now, From: filetest.Begin.Add(5 * time.Second), To: filetest.Begin.Add(15 * time.Second)}))
	if !early.Moved || *early.FromUTC != "2026-01-30T10:00:00Z" || *early.ToUTC != "2026-01-30T10:00:20Z" {
		t.Errorf("answered for %s to %s, moved %t", *early.FromUTC, *early.ToUTC, early.Moved)
	}
	if width := ask(t, path, timeseries(analysis.Query{Now: now, To: filetest.Begin.Add(time.Minute)})).WidthS; width != 10 {
		t.Errorf("timeseries of pruned seconds in buckets of %d s, want 10 s", width)
	}
}

// prune removes the headline rows of a width before an instant.
func prune(t *testing.T, path string, width int64, before time.Time) {
	t.Helper()
	const old = "(SELECT id FROM headline_bucket WHERE width_s = ? AND bucket_start < ?)"
	execute(t, path, "DELETE FROM headline_histogram WHERE bucket_id IN "+old, width, before.Unix())
	execute(t, path, "DELETE FROM headline_bucket WHERE id IN "+old, width, before.Unix())
}

// execute runs a statement that the program itself never would.
func execute(t *testing.T, path, statement string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement, args...); err != nil {
		t.Fatal(err)
	}
}

// A timeseries reads no histogram, and other answers only those of the widest
// buckets that tile the interval.
func TestAnswersReadNoMoreHistogramsThanTheyMust(t *testing.T) {
	const length = 90 * time.Minute
	now := filetest.Begin.Add(length)
	path := makeFile(t, filetest.Traffic(int(length/(100*time.Millisecond))/10), now) // nine minutes
	hour := analysis.Query{Now: now.Add(time.Hour), From: filetest.Begin, To: filetest.Begin.Add(time.Hour)}
	seconds := analysis.Query{Now: now.Add(time.Hour), Width: 1}
	before := ask(t, path, timeseries(seconds))
	wide := ask(t, path, overview(hour))
	execute(t, path, "UPDATE headline_histogram SET duration = 'garbage' WHERE bucket_id IN (SELECT id FROM headline_bucket WHERE width_s < 3600)")
	execute(t, path, "UPDATE series_histogram SET duration = 'garbage' WHERE bucket_id IN (SELECT id FROM series_bucket WHERE width_s < 3600)")
	if after := ask(t, path, timeseries(seconds)); !reflect.DeepEqual(after.Rows, before.Rows) {
		t.Error("the timeseries changed with the histograms")
	}
	if after := ask(t, path, overview(hour)); !reflect.DeepEqual(after.Rows, wide.Rows) {
		t.Error("the overview read histograms of narrow buckets")
	}
	if rows := ask(t, path, latency(hour, "model")).Rows; len(rows) != 4 {
		t.Errorf("latency has %d rows, want 4", len(rows))
	}
}

func TestTimeseriesChoosesItsWidth(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	path := makeFile(t, filetest.Traffic(2000), now)
	for seconds, want := range map[int]int64{1: 1, 120: 1, 121: 10, 1200: 10, 1201: 300} {
		q := analysis.Query{Now: now, From: filetest.Begin, To: filetest.Begin.Add(time.Duration(seconds) * time.Second)}
		if got := ask(t, path, timeseries(q)).WidthS; got != want {
			t.Errorf("%d s in buckets of %d s, want %d s", seconds, got, want)
		}
	}
}

func TestValuesThatReadTheSameTogetherStayApart(t *testing.T) {
	observations := filetest.Traffic(2)
	observations[0].Series.Provider, observations[0].Series.Model = "ab", "c"
	observations[1].Series.Provider, observations[1].Series.Model = "a", "bc"
	for i := range observations {
		observations[i].Series.Category = aggregator.CategoryLLM
	}
	now := filetest.Begin.Add(time.Hour)
	path := makeFile(t, observations, now)
	if rows := ask(t, path, latency(analysis.Query{Now: now}, "provider", "model")).Rows; len(rows) != 2 {
		t.Errorf("%d rows, want 2: %+v", len(rows), rows)
	}
}
