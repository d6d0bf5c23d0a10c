package analysis_test

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

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
				if r.Requests != s.requests || r.Errors != s.errors || r.Injected != s.injected || *r.ErrorRate != float64(s.errors)/float64(s.requests) {
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
			found, next := 0, map[[2]string]int64{}
			for i := range answer.Rows {
				r := &answer.Rows[i]
				if start, known := next[[2]string{r.RunID, r.Category}]; known && r.BucketStart != start {
					t.Errorf("%s %s: after %d comes %d", r.RunID, r.Category, start-c.width, r.BucketStart)
				}
				next[[2]string{r.RunID, r.Category}] = r.BucketStart + c.width
				s := want[key{r.BucketStart, r.RunID, r.Category}]
				if s == nil {
					// None started: some completed in it, or it is a gap.
					if r.Requests != 0 || r.ErrorRate != nil || r.P50MS != nil || r.InputTokens != nil {
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
