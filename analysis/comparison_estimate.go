package analysis

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

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
	"p50_latency_ms", "p95_latency_ms", "p99_latency_ms", "avg_latency_ms", "p95_ttft_ms", "error_rate",
	"requests_per_s", "cost_usd_per_request", "output_tokens_per_s",
}

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
		Baseline: ComparedSide{Scope: b.scope, Why: b.why}, Candidate: ComparedSide{Scope: c.scope, Why: c.why},
		WidthS: b.width * b.merged, Buckets: (b.end - b.first) / (b.width * b.merged), DurationS: b.end - b.first,
		By: q.By, Strata: []ComparedStratum{}, MinChange: q.MinChange, Seed: q.Seed, Replicates: comparisonReplicates, Notes: []string{},
	}
	if q.By == nil {
		answer.By = []string{}
	}
	answer.WarmupS = ceilTo(int64((q.Warmup+time.Second-1)/time.Second), b.width)
	if err := answer.compare(grids, strata.values); err != nil {
		return nil, err
	}
	if b.shares(c) {
		answer.Notes = append(answer.Notes, "the two sides have requests in common, which cannot differ")
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
