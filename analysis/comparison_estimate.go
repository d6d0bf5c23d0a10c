package analysis

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis/resampling"
)

// The metrics, in the order of the answer.
const (
	metricP50 = iota
	metricP95
	metricP99
	metricAvg
	metricTTFT
	metricErrors
	metricRPS
	metricCost
	metricTokens
	numMetrics
)

// MetricNames are the figures of a Comparison, in its order. Rates are those of
// the side as a whole, per second of time, not of request time.
var MetricNames = []string{
	"p50_latency_ms", "p95_latency_ms", "p99_latency_ms", "avg_latency_ms", "p95_ttft_ms", "error_share",
	"requests_per_s", "cost_usd_per_request", "output_tokens_per_s",
}

// minValues is how many values a percentile takes for an interval: of fewer than
// 3/(1-p) it is likely (5 %) that all are below the true percentile, so that
// nothing says how high it is.
var minValues = map[int]int64{metricP50: 6, metricP95: 60, metricP99: 300, metricTTFT: 60}

// minErrors is how many requests must have failed on both sides together: of
// fewer, one side having all of them is still likely (2^-5 · 2 > 5 %).
const minErrors = 6

// compare reads both sides and compares them.
func (q *ComparisonQuery) compare(ctx context.Context, sides [2]*comparedReading) (*Comparison, error) {
	strata := &strataIndex{numbers: map[string]int{}}
	var grids [2]*comparedGrid
	for i, s := range sides {
		var err error
		if grids[i], err = s.read(ctx, q.By, strata); err != nil {
			return nil, err
		}
	}
	b, c := sides[0], sides[1]
	answer := &Comparison{
		Baseline: ComparedSide{Scope: b.scope}, Candidate: ComparedSide{Scope: c.scope},
		WidthS: b.width, Buckets: (b.end - b.first) / b.width, LengthS: b.end - b.first,
		By: q.By, Strata: []ComparedStratum{}, MinChange: q.MinChange, Seed: q.Seed, Replicates: comparisonReplicates, Notes: []string{},
	}
	if q.By == nil {
		answer.By = []string{}
	}
	answer.WarmupS = ceilTo(int64(q.Warmup.Seconds()), b.width)
	if err := answer.compare(grids, strata.values); err != nil {
		return nil, err
	}
	return answer, nil
}

// compare fills in what follows from the figures of all buckets, and from
// nothing else.
func (c *Comparison) compare(grids [2]*comparedGrid, values [][]string) error {
	order := c.weigh(grids, values)
	weights := make([]float64, len(order))
	for i := range order {
		weights[i] = c.Strata[i].Weight
	}
	for _, g := range grids {
		cells := make([][]*comparedCell, len(order))
		for i, stratum := range order {
			if stratum < len(g.cells) {
				cells[i] = g.cells[stratum]
			}
		}
		g.cells = cells
	}
	var bins [2]*measuredBins
	for i, m := range comparedMeasures {
		bins[i] = newMeasuredBins(grids[:], m)
	}
	var tables [2]*comparedTable
	for i, g := range grids {
		var err error
		if tables[i], err = newComparedTable(g, c.WidthS, weights, bins); err != nil {
			return err
		}
	}
	c.estimate(tables)
	c.note()
	return nil
}

// estimate fills in the metrics.
func (c *Comparison) estimate(tables [2]*comparedTable) {
	var sides [2]*comparedFigures
	for i, t := range tables {
		sides[i] = t.estimate(rand.New(rand.NewPCG(c.Seed, uint64(i))), c.Replicates)
	}
	c.Baseline.BlockS, c.Candidate.BlockS = sides[0].block*c.WidthS, sides[1].block*c.WidthS
	for m := range numMetrics {
		c.Metrics = append(c.Metrics, c.metric(m, tables, sides))
	}
}

// comparedFigures are the figures of one side.
type comparedFigures struct {
	figures
	block int64 // length in buckets; 0: nothing was resampled
	// replicates are logarithms of the figures, as are logs.
	replicates [numMetrics][]float64
	logs       figures
}

// estimate computes the figures of a side and, where it has enough buckets,
// replicates of their logarithms, already widened.
func (t *comparedTable) estimate(random *rand.Rand, replicates int) *comparedFigures {
	counts := make([]int64, t.stride*len(t.weights))
	sums := make([]float64, numSumColumns*len(t.weights))
	t.counts.Total(counts)
	t.sums.Total(sums)
	out := &comparedFigures{figures: t.figures(counts, sums)}
	out.logs = t.logarithms(out.figures)
	if t.buckets < MinComparedBuckets {
		return out
	}
	series := t.influences(counts, sums, out.figures)
	length := blockLength(series, t.buckets)
	out.block = int64(length)
	var widening figures
	for m, s := range series {
		if s != nil {
			widening[m] = resampling.Widening(s, length)
		}
	}
	r := resampling.NewResample(t.buckets, length)
	for range replicates {
		r.Draw(random, t.buckets)
		t.counts.Sum(r, counts)
		t.sums.Sum(r, sums)
		for m, v := range t.logarithms(t.figures(counts, sums)) {
			out.replicates[m] = append(out.replicates[m], out.logs[m]+float64(widening[m]*(v-out.logs[m])))
		}
	}
	return out
}

// logarithms returns the logarithm of every figure; NaN where there is none. To
// the share of failed requests, which may be 0, half a request is added (Haldane
// 1956).
func (t *comparedTable) logarithms(f figures) (logs figures) {
	f[metricErrors] += 0.5 / max(1, float64(t.count(metricErrors)))
	for m, v := range f {
		logs[m] = math.NaN()
		if v > 0 {
			logs[m] = math.Log(v)
		}
	}
	return logs
}

// blockLength returns the length of block for a side, in buckets: the longest
// that suits one of the figures of latency.
func blockLength(series [numMetrics][]float64, buckets int) int {
	shortest, longest := resampling.Bounds(buckets)
	best := 0.0
	for _, m := range []int{metricP50, metricP95, metricAvg} {
		best = max(best, resampling.BlockLength(series[m]))
	}
	return min(max(int(math.Ceil(best)), shortest), longest)
}

// binError is how far a percentile may be off, as a logarithm: both sides by
// 1/128.
const binError = 2.0 / 128

func (c *Comparison) metric(m int, tables [2]*comparedTable, sides [2]*comparedFigures) ComparedMetric {
	out := ComparedMetric{Name: MetricNames[m], LowerIsBetter: m != metricRPS && m != metricTokens, Verdict: VerdictNoEvidence}
	for i, into := range []**float64{&out.Baseline, &out.Candidate} {
		if v := sides[i].figures[m]; !math.IsNaN(v) {
			*into = &v
		}
	}
	out.BaselineCount, out.CandidateCount = tables[0].count(m), tables[1].count(m)
	if out.Baseline == nil || out.Candidate == nil {
		out.Verdict, out.Why = VerdictTooLittle, "no values"
		return out
	}
	if *out.Baseline > 0 {
		change := *out.Candidate / *out.Baseline - 1
		out.Change = &change
	} else if *out.Candidate == 0 {
		out.Change = new(float64)
	}
	var replicates []float64
	for k := range min(len(sides[0].replicates[m]), len(sides[1].replicates[m])) {
		if v := sides[1].replicates[m][k] - sides[0].replicates[m][k]; !math.IsNaN(v) {
			replicates = append(replicates, v)
		}
	}
	if len(replicates) < c.Replicates*9/10 || len(replicates) == 0 {
		out.Verdict = VerdictTooLittle
		out.Why = fmt.Sprintf("%d buckets; %d are needed", tables[0].buckets, MinComparedBuckets)
		return out
	}
	c.judge(m, &out, replicates)
	return out
}

func (c *Comparison) judge(m int, out *ComparedMetric, replicates []float64) {
	low, high := resampling.Interval(replicates)
	if minValues[m] > 0 {
		estimate := math.Log(*out.Candidate / *out.Baseline)
		low, high = min(low, estimate-binError), max(high, estimate+binError)
	}
	if out.Change != nil {
		l, h := math.Expm1(low), math.Expm1(high)
		out.Low, out.High = &l, &h
	}
	if need := minValues[m]; min(out.BaselineCount, out.CandidateCount) < need {
		if out.BaselineCount < need {
			out.Low = nil
		}
		if out.CandidateCount < need {
			out.High = nil
		}
		out.Verdict = VerdictTooLittle
		out.Why = fmt.Sprintf("of fewer than %d values it has no upper bound", need)
		return
	}
	large := out.Change == nil || math.Abs(*out.Change) >= c.MinChange
	switch {
	case !large, low <= 0 && high >= 0:
	case (high < 0) == out.LowerIsBetter:
		out.Verdict = VerdictBetter
	default:
		out.Verdict = VerdictWorse
	}
}

// count returns how many values a metric comes from.
func (t *comparedTable) count(metric int) (n int64) {
	for stratum := range t.totals {
		total := &t.totals[stratum]
		if t.weights[stratum] == 0 && metric != metricRPS {
			continue
		}
		switch metric {
		case metricTTFT:
			n += total.Measures[aggregator.MeasureTimeToFirstToken].Count()
		case metricErrors, metricRPS:
			n += total.Counters[aggregator.Requests]
		case metricCost:
			n += total.Counters[aggregator.PricedCount]
		case metricTokens:
			n += total.Counters[aggregator.UsageCount]
		default:
			n += total.Measures[aggregator.MeasureDuration].Count()
		}
	}
	return n
}
