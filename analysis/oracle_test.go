package analysis_test

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// ask opens a file and asks one question of it.
func ask[A any](t *testing.T, path string, question func(context.Context, *sql.Tx) (A, error)) A {
	t.Helper()
	answer, err := try(t, path, question)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func try[A any](t *testing.T, path string, question func(context.Context, *sql.Tx) (A, error)) (answer A, err error) {
	t.Helper()
	r, err := storage.OpenReader(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	err = r.View(context.Background(), func(tx *sql.Tx) error {
		answer, err = question(context.Background(), tx)
		return err
	})
	return answer, err
}

// makeFile writes observations as if at the instant now.
func makeFile(t *testing.T, observations []aggregator.Observation, now time.Time) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file.db")
	filetest.Write(t, filetest.Options(path, now), observations)
	return path
}

// sum is what the oracle computes: everything, one by one.
type sum struct {
	requests, errors, injected         int64
	values                             [aggregator.NumMeasures][]int64
	net                                []int64
	usage, input, output, priced, cost int64
}

func (s *sum) add(o *aggregator.Observation) {
	s.requests++
	if o.Series.Outcome != aggregator.OutcomeSuccess {
		s.errors++
	}
	if o.Series.Fault != "" {
		s.injected++
	}
	for m := range aggregator.NumMeasures {
		if v, ok := o.Measure(m); ok {
			s.values[m] = append(s.values[m], v)
		}
	}
	if v, ok := o.Measure(aggregator.MeasureNetDuration); ok {
		s.net = append(s.net, v)
	} else if v, ok := o.Measure(aggregator.MeasureDuration); ok {
		s.net = append(s.net, v)
	}
	if o.Usage {
		s.usage++
		s.input += o.InputTokens
		s.output += o.OutputTokens
	}
	if o.Priced {
		s.priced++
		s.cost += o.CostNanoUSD
	}
}

// expect groups the observations that keep accepts.
func expect[K comparable](
	observations []aggregator.Observation, keep func(*aggregator.Observation) bool, key func(*aggregator.Observation) K,
) map[K]*sum {
	groups := map[K]*sum{}
	for i := range observations {
		o := &observations[i]
		if o.Rejected != aggregator.NotRejected || !keep(o) {
			continue
		}
		k := key(o)
		if groups[k] == nil {
			groups[k] = &sum{}
		}
		groups[k].add(o)
	}
	return groups
}

// nearest returns the value of rank ceil(num*n/den).
func nearest(values []int64, num, den int) int64 {
	rank := max(1, (len(values)*num+den-1)/den)
	return values[rank-1]
}

// checkDistribution compares a distribution with values: all exact but the
// percentiles, which may be off by 1/128.
func checkDistribution(t *testing.T, what string, d *analysis.Distribution, values []int64, ratios map[string][2]int) {
	t.Helper()
	if d.Count != int64(len(values)) {
		t.Errorf("%s: count %d, want %d", what, d.Count, len(values))
		return
	}
	if len(values) == 0 {
		if d.SumNS != nil || d.AvgMS != nil || d.MinMS != nil || d.MaxMS != nil || len(d.Percentiles) != 0 {
			t.Errorf("%s: there are figures of nothing: %+v", what, d)
		}
		return
	}
	slices.Sort(values)
	var total int64
	for _, v := range values {
		total += v
	}
	low, high := float64(values[0])/1e6, float64(values[len(values)-1])/1e6
	if *d.SumNS != total || *d.MinMS != low || *d.MaxMS != high || *d.AvgMS != float64(total)/1e6/float64(len(values)) {
		t.Errorf("%s: sum %d, min %g, max %g, avg %g; want %d, %g, %g", what, *d.SumNS, *d.MinMS, *d.MaxMS, *d.AvgMS, total, low, high)
	}
	for name, ratio := range ratios {
		got, want := d.Percentiles.Get(name), float64(nearest(values, ratio[0], ratio[1]))/1e6
		if got == nil || math.Abs(*got-want) > want/128 || *got < low || *got > high {
			t.Errorf("%s: %s is %v, want %g within 1/128", what, name, got, want)
		}
	}
}

var standard = map[string][2]int{"p50": {50, 100}, "p95": {95, 100}, "p99": {99, 100}}

func checkUsage(t *testing.T, what string, u *analysis.Usage, s *sum) {
	t.Helper()
	ok := u.UsageCount == s.usage && u.PricedCount == s.priced &&
		(u.InputTokens == nil) == (s.usage == 0) && (u.CostUSD == nil) == (s.priced == 0)
	if ok && s.usage > 0 {
		ok = *u.InputTokens == s.input && *u.OutputTokens == s.output
	}
	if ok && s.priced > 0 {
		ok = *u.CostUSD == float64(s.cost)/1e9
	}
	if !ok {
		t.Errorf("%s: usage %+v, want %+v", what, u, s)
	}
}

// seconds returns the start of a span in seconds since filetest.Begin, rounded
// down.
func seconds(o *aggregator.Observation) int64 {
	return aggregator.UnixSeconds(o.StartUnixNano) - filetest.Begin.Unix()
}

func TestOverviewAgainstOracle(t *testing.T) {
	observations := filetest.Traffic(15_000) // 25 minutes
	end := filetest.Begin.Add(25 * time.Minute)
	path := makeFile(t, observations, end)
	run := "load-2"
	for _, c := range []struct {
		name     string
		query    analysis.Query
		from, to int64 // seconds since Begin
	}{
		{"all settled", analysis.Query{Now: end.Add(time.Hour)}, 0, 1 << 40},
		{"the last minute is open", analysis.Query{Now: end}, 0, 1440},
		{"open included", analysis.Query{Now: end, IncludeOpen: true}, 0, 1 << 40},
		{"interval", analysis.Query{Now: end, From: filetest.Begin.Add(7 * time.Second), To: filetest.Begin.Add(1003 * time.Second)}, 7, 1003},
		{"one run", analysis.Query{Now: end, Run: &run}, 0, 1440},
		{"forced width", analysis.Query{Now: end, Width: 300}, 0, 1200},
		{"fraction of a second", analysis.Query{Now: end, From: filetest.Begin.Add(7500 * time.Millisecond), To: filetest.Begin.Add(9500 * time.Millisecond)}, 7, 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := expect(observations, func(o *aggregator.Observation) bool {
				return seconds(o) >= c.from && seconds(o) < c.to && (c.query.Run == nil || o.Series.Run == run)
			}, func(o *aggregator.Observation) string { return o.Series.Category.String() })
			answer := ask(t, path, func(ctx context.Context, tx *sql.Tx) (*analysis.Overview, error) {
				return analysis.AskOverview(ctx, tx, c.query)
			})
			if len(answer.Rows) != len(want) {
				t.Fatalf("%d categories, want %d", len(answer.Rows), len(want))
			}
			for i := range answer.Rows {
				r := &answer.Rows[i]
				s := want[r.Category]
				if r.Requests != s.requests || r.Errors != s.errors || r.Injected != s.injected || *r.ErrorShare != float64(s.errors)/float64(s.requests) {
					t.Errorf("%s: %+v, want %+v", r.Category, r, s)
				}
				checkDistribution(t, r.Category+" latency", &r.Latency, s.values[aggregator.MeasureDuration], standard)
				checkDistribution(t, r.Category+" TTFT", &r.TTFT, s.values[aggregator.MeasureTimeToFirstToken], standard)
				checkUsage(t, r.Category, &r.Usage, s)
			}
			if answer.Rows[0].Category != "llm" || answer.Rows[1].Category != "embedding" {
				t.Errorf("the headline categories do not come first: %s, %s", answer.Rows[0].Category, answer.Rows[1].Category)
			}
			if got := answer.Total.Requests; got != want["llm"].requests+want["embedding"].requests {
				t.Errorf("headline has %d requests", got)
			}
		})
	}
}

func TestLatencyAgainstOracle(t *testing.T) {
	observations := filetest.Traffic(9_000) // 15 minutes
	end := filetest.Begin.Add(15 * time.Minute)
	path := makeFile(t, observations, end)
	percentiles := []analysis.Percentile{}
	ratios := map[string][2]int{"p1": {1, 100}, "p50": {50, 100}, "p99": {99, 100}, "p99.9": {999, 1000}, "p100": {1, 1}}
	for name := range ratios {
		p, err := analysis.ParsePercentile(name)
		if err != nil {
			t.Fatal(err)
		}
		percentiles = append(percentiles, p)
	}
	value := map[string]func(*aggregator.Observation) string{
		"run_id":     func(o *aggregator.Observation) string { return o.Series.Run },
		"service":    func(o *aggregator.Observation) string { return o.Series.Service },
		"operation":  func(o *aggregator.Observation) string { return o.Series.Operation },
		"kind":       func(o *aggregator.Observation) string { return o.Series.Kind.String() },
		"category":   func(o *aggregator.Observation) string { return o.Series.Category.String() },
		"provider":   func(o *aggregator.Observation) string { return o.Series.Provider },
		"model":      func(o *aggregator.Observation) string { return o.Series.Model },
		"tool":       func(o *aggregator.Observation) string { return o.Series.Tool },
		"agent":      func(o *aggregator.Observation) string { return o.Series.Agent },
		"outcome":    func(o *aggregator.Observation) string { return o.Series.Outcome.String() },
		"error_type": func(o *aggregator.Observation) string { return o.Series.ErrorType },
		"fault":      func(o *aggregator.Observation) string { return o.Series.Fault },
		"user.tier": func(o *aggregator.Observation) string {
			if o.Series.Dimensions == "" {
				return ""
			}
			return "gold"
		},
	}
	tool := []aggregator.Category{aggregator.CategoryTool, aggregator.CategoryServer, aggregator.CategoryLLM}
	for _, by := range [][]string{
		nil, {"model"}, {"provider", "model", "outcome"}, {"run_id", "service"}, {"operation", "kind", "category"},
		{"tool", "agent"}, {"error_type", "fault"}, {"user.tier"},
	} {
		t.Run(fmt.Sprint(by), func(t *testing.T) {
			want := expect(observations, func(o *aggregator.Observation) bool {
				return slices.Contains(tool, o.Series.Category) && seconds(o) >= 10 && seconds(o) < 770
			}, func(o *aggregator.Observation) string {
				key := ""
				for _, name := range by {
					key += value[name](o) + "\x00"
				}
				return key
			})
			answer := ask(t, path, func(ctx context.Context, tx *sql.Tx) (*analysis.Latency, error) {
				return analysis.AskLatency(ctx, tx, analysis.LatencyQuery{
					// Ten seconds is the finest width by series: both ends move.
					Query: analysis.Query{Now: end, Categories: tool, From: filetest.Begin.Add(17 * time.Second), To: filetest.Begin.Add(763 * time.Second)},
					By:    by, Percentiles: percentiles,
				})
			})
			if !answer.Moved || *answer.FromUTC != "2026-01-30T10:00:10Z" || *answer.ToUTC != "2026-01-30T10:12:50Z" {
				t.Errorf("answered for %s to %s, moved %t", *answer.FromUTC, *answer.ToUTC, answer.Moved)
			}
			if len(answer.Rows) != len(want) {
				t.Fatalf("%d rows, want %d", len(answer.Rows), len(want))
			}
			if !slices.IsSortedFunc(answer.Rows, func(a, b analysis.LatencyRow) int { return cmp.Compare(b.Requests, a.Requests) }) {
				t.Error("rows are not sorted")
			}
			for i := range answer.Rows {
				r := &answer.Rows[i]
				key := ""
				for _, v := range r.Values {
					key += v + "\x00"
				}
				s := want[key]
				if s == nil || r.Requests != s.requests || r.Errors != s.errors || r.Injected != s.injected {
					t.Fatalf("%q: %+v, want %+v", key, r, s)
				}
				checkDistribution(t, key+" latency", &r.Latency, s.values[aggregator.MeasureDuration], ratios)
				checkDistribution(t, key+" TTFT", &r.TTFT, s.values[aggregator.MeasureTimeToFirstToken], ratios)
				checkDistribution(t, key+" per token", &r.TimePerOutputToken, s.values[aggregator.MeasureTimePerOutputToken], ratios)
				checkDistribution(t, key+" net", &r.NetLatency, s.net, ratios)
				checkUsage(t, key, &r.Usage, s)
			}
		})
	}
}

func TestTimeseriesAgainstOracle(t *testing.T) {
	observations := filetest.Traffic(6_000) // ten minutes
	end := filetest.Begin.Add(10 * time.Minute)
	path := makeFile(t, observations, end)
	type key struct {
		bucket        int64
		run, category string
	}
	for _, c := range []struct {
		name            string
		query           analysis.Query
		from, to, width int64
	}{
		{"width is chosen", analysis.Query{Now: end.Add(time.Hour)}, 0, 1 << 40, 10},
		{"settled only", analysis.Query{Now: end, Width: 1}, 0, 540, 1},
		{"interval", analysis.Query{Now: end, From: filetest.Begin.Add(60 * time.Second), To: filetest.Begin.Add(100 * time.Second)}, 60, 100, 1},
		{"wide", analysis.Query{Now: end.Add(time.Hour), Width: 300}, 0, 1 << 40, 300},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := expect(observations, func(o *aggregator.Observation) bool {
				headline := o.Series.Category == aggregator.CategoryLLM || o.Series.Category == aggregator.CategoryEmbedding
				return headline && seconds(o) >= c.from && seconds(o) < c.to
			}, func(o *aggregator.Observation) key {
				bucket := aggregator.BucketStart(aggregator.UnixSeconds(o.StartUnixNano), c.width)
				return key{bucket, o.Series.Run, o.Series.Category.String()}
			})
			answer := ask(t, path, func(ctx context.Context, tx *sql.Tx) (*analysis.Timeseries, error) {
				return analysis.AskTimeseries(ctx, tx, c.query)
			})
			if answer.WidthS != c.width {
				t.Errorf("width %d s, want %d s", answer.WidthS, c.width)
			}
			found := 0
			for i := range answer.Rows {
				r := &answer.Rows[i]
				s := want[key{r.BucketStart, r.RunID, r.Category}]
				if s == nil {
					// Spans completed in it, but none started.
					if r.Requests != 0 || r.Completed == 0 || r.ErrorShare != nil || r.P50MS != nil || r.InputTokens != nil {
						t.Errorf("row of nothing: %+v", r)
					}
					continue
				}
				found++
				d := analysis.Distribution{Count: r.LatencyCount}
				if r.Requests != s.requests || r.Errors != s.errors || r.Injected != s.injected || d.Count != int64(len(s.values[0])) {
					t.Errorf("%+v, want %+v", r, s)
				}
				if d.Count == 0 {
					continue
				}
				slices.Sort(s.values[0])
				for _, p := range []struct {
					got *float64
					num int
				}{{r.P50MS, 50}, {r.P95MS, 95}, {r.P99MS, 99}, {r.MaxMS, 100}} {
					exact := float64(nearest(s.values[0], p.num, 100)) / 1e6
					if math.Abs(*p.got-exact) > exact/128 {
						t.Errorf("p%d is %g, want %g", p.num, *p.got, exact)
					}
				}
			}
			if found != len(want) {
				t.Errorf("%d rows with requests, want %d", found, len(want))
			}
		})
	}
}
