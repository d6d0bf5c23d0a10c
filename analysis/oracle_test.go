package analysis_test

import (
	"context"
	"database/sql"
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
