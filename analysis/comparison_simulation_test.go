package analysis

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis/resampling"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// tablePairs are those of the table of docs/compare.md.
var tablePairs = flag.Int("comparison.pairs", 200, "pairs of runs behind each row of the table of error rates")

// load is a simulated run: latencies are log-normal around a level, the same for
// all models, whose logarithm is an autoregression of first order over buckets.
type load struct {
	buckets  int
	requests float64 // a bucket, on average; Poisson
	phi      float64 // correlation of the levels of neighbours
	levelSD  float64 // deviation of the level
	spread   float64 // deviation of the logarithm around the level
}

// simulate returns a run whose latencies are multiplied by factor. More requests
// fail while it is slow.
func (l load) simulate(random *rand.Rand, factor float64) *comparedGrid {
	g := &comparedGrid{buckets: l.buckets}
	level := random.NormFloat64() * l.levelSD
	for bucket := range l.buckets {
		level = l.phi*level + random.NormFloat64()*l.levelSD*math.Sqrt(1-l.phi*l.phi)
		for range poisson(random, l.requests) {
			model := random.IntN(2)
			cell := g.at(bucket, model)
			latency := 600e6 * float64(1+model) * factor * math.Exp(level+l.spread*random.NormFloat64())
			// Values that fit an int64 are recorded without error.
			_ = cell.Measures[aggregator.MeasureDuration].Record(int64(latency))
			_ = cell.Measures[aggregator.MeasureTimeToFirstToken].Record(int64(latency * (0.2 + 0.1*random.Float64())))
			cell.Counters[aggregator.Requests]++
			if random.Float64() < 0.02*math.Exp(3*level) {
				cell.errors++
			}
			tokens := 50 + random.Int64N(400)
			cell.Counters[aggregator.UsageCount]++
			cell.Counters[aggregator.OutputTokens] += tokens
			cell.Counters[aggregator.PricedCount]++
			cell.Counters[aggregator.CostNanoUSD] += tokens * 10_000
		}
	}
	return g
}

// poisson draws by Knuth's product of uniform numbers.
func poisson(random *rand.Rand, mean float64) (n int) {
	for p := random.Float64(); p > math.Exp(-mean); p *= random.Float64() {
		n++
	}
	return n
}

// compareSimulated takes the way of every answer from the figures of buckets on.
func compareSimulated(baseline, candidate *comparedGrid, seed uint64) *Comparison {
	c := &Comparison{WidthS: 10, By: []string{"model"}, MinChange: DefaultMinChange, Seed: seed, Replicates: 400}
	if err := c.compare([2]*comparedGrid{baseline, candidate}, [][]string{{"small"}, {"large"}}); err != nil {
		panic(err)
	}
	return c
}

// verdictCounts counts verdicts over pairs of runs.
type verdictCounts struct {
	better, worse [numMetrics]atomic.Int64
	latency       atomic.Int64 // pairs with a verdict on any of the five figures of latency
}

func (t *verdictCounts) add(c *Comparison) {
	latency := false
	for m, metric := range c.Metrics {
		switch metric.Verdict {
		case VerdictBetter:
			t.better[m].Add(1)
		case VerdictWorse:
			t.worse[m].Add(1)
		default:
			continue
		}
		latency = latency || m <= metricTTFT
	}
	if latency {
		t.latency.Add(1)
	}
}

func (t *verdictCounts) verdicts(m int) int64 { return t.better[m].Load() + t.worse[m].Load() }

// eachPair calls f for so many pairs, each with its own generator.
func eachPair(random *rand.Rand, pairs int, f func(*rand.Rand)) {
	var group sync.WaitGroup
	slots := make(chan bool, runtime.GOMAXPROCS(0))
	for range pairs {
		own := rand.New(rand.NewPCG(random.Uint64(), random.Uint64()))
		slots <- true
		group.Go(func() {
			f(own)
			<-slots
		})
	}
	group.Wait()
}

// An hour at five requests a second, in buckets of 10 s, whose level of latency
// wanders by 12 % with a memory of about a minute.
var wandering = load{buckets: 360, requests: 50, phi: 0.85, levelSD: 0.12, spread: 0.6}

const simulatedPairs = 200

// TestFalseAlarms: of 200 pairs of equal runs, no figure has a verdict in more
// than 7 %.
func TestFalseAlarms(t *testing.T) {
	var found verdictCounts
	eachPair(seedtest.Rand(t), simulatedPairs, func(random *rand.Rand) {
		found.add(compareSimulated(wandering.simulate(random, 1), wandering.simulate(random, 1), random.Uint64()|1))
	})
	for m, name := range MetricNames {
		t.Logf("%s: %d false alarms in %d pairs", name, found.verdicts(m), simulatedPairs)
		require.LessOrEqual(t, found.verdicts(m), int64(simulatedPairs*7/100), name)
	}
}

// TestTrueShifts: where every latency is 15 % longer, each of the figures of
// latency but p99 says so in at least 80 % of the pairs, and none that it is
// better.
func TestTrueShifts(t *testing.T) {
	var found verdictCounts
	eachPair(seedtest.Rand(t), simulatedPairs, func(random *rand.Rand) {
		found.add(compareSimulated(wandering.simulate(random, 1), wandering.simulate(random, 1.15), random.Uint64()|1))
	})
	for m := metricP50; m <= metricTTFT; m++ {
		t.Logf("%s: found in %d of %d pairs", MetricNames[m], found.worse[m].Load(), simulatedPairs)
		require.Zero(t, found.better[m].Load(), MetricNames[m])
		if m != metricP99 {
			require.GreaterOrEqual(t, found.worse[m].Load(), int64(simulatedPairs*80/100), MetricNames[m])
		}
	}
}

// TestIndependentBucketsRaiseFalseAlarms is the control: the same runs, but
// buckets resampled one by one, as if they were independent, fail the bound.
func TestIndependentBucketsRaiseFalseAlarms(t *testing.T) {
	const pairs = 100
	var alarms atomic.Int64
	eachPair(seedtest.Rand(t), pairs, func(random *rand.Rand) {
		if independentAlarm(random) {
			alarms.Add(1)
		}
	})
	t.Logf("%d false alarms on p95 in %d pairs", alarms.Load(), pairs)
	require.Greater(t, alarms.Load(), int64(pairs*7/100), "the bound proves nothing of this traffic")
}

func independentAlarm(random *rand.Rand) bool {
	grids := [2]*comparedGrid{wandering.simulate(random, 1), wandering.simulate(random, 1)}
	var bins [2]*measuredBins
	for i, m := range comparedMeasures {
		bins[i] = newMeasuredBins(grids[:], m)
	}
	const replicates = 100
	var estimates [2]float64
	differences := make([]float64, replicates)
	for i, g := range grids {
		table, err := newComparedTable(g, 10, []float64{0.5, 0.5}, bins)
		if err != nil {
			panic(err)
		}
		estimates[i] = table.estimate(random, 0).logs[metricP95]
		counts, sums := make([]int64, 2*table.stride), make([]float64, 2*numSumColumns)
		draw := resampling.NewResample(g.buckets, 1)
		for k := range differences {
			draw.Draw(random, g.buckets)
			table.counts.Sum(draw, counts)
			v := table.logarithms(table.figures(counts, sums))[metricP95]
			differences[k] += v * float64(2*i-1)
		}
	}
	low, high := resampling.Interval(differences)
	change := math.Abs(math.Expm1(estimates[1] - estimates[0]))
	return change >= DefaultMinChange && (low > 0 || high < 0)
}

// BenchmarkErrorRates measures the table of docs/compare.md, and prints it. What
// of it is promised, TestFalseAlarms and TestTrueShifts hold.
func BenchmarkErrorRates(b *testing.B) {
	for b.Loop() {
		printErrorRates(rand.New(rand.NewPCG(1, 1)))
	}
}

func printErrorRates(random *rand.Rand) {
	for _, buckets := range []int{30, 60, 120, 360} {
		for _, memory := range [][2]float64{{0, 0.12}, {0.5, 0.12}, {0.85, 0.12}, {0.9, 0.12}, {0.9, 0.3}} {
			l := load{buckets: buckets, requests: 50, phi: memory[0], levelSD: memory[1], spread: 0.6}
			var equal, slower verdictCounts
			eachPair(random, *tablePairs, func(random *rand.Rand) {
				equal.add(compareSimulated(l.simulate(random, 1), l.simulate(random, 1), 1))
				slower.add(compareSimulated(l.simulate(random, 1), l.simulate(random, 1.15), 1))
			})
			percent := func(n int64) string { return fmt.Sprintf("%.1f", 100*float64(n)/float64(*tablePairs)) }
			cells := []string{fmt.Sprint(buckets), fmt.Sprint(l.phi), fmt.Sprint(l.levelSD)}
			for _, m := range []int{metricP50, metricP95, metricP99, metricAvg, metricTTFT, metricErrors, metricRPS} {
				cells = append(cells, percent(equal.verdicts(m)))
			}
			cells = append(cells, percent(equal.latency.Load()), percent(slower.worse[metricP95].Load()), percent(slower.worse[metricAvg].Load()))
			fmt.Println("| " + strings.Join(cells, " | ") + " |") // a benchmark's log is cut
		}
	}
}

// BenchmarkComparison compares two runs of 720 buckets with 300 requests each.
func BenchmarkComparison(b *testing.B) {
	l := load{buckets: 720, requests: 300, phi: 0.85, levelSD: 0.12, spread: 0.6}
	random := rand.New(rand.NewPCG(1, 2))
	baseline, candidate := l.simulate(random, 1), l.simulate(random, 1)
	for b.Loop() {
		c := &Comparison{WidthS: 10, By: []string{"model"}, MinChange: DefaultMinChange, Seed: 1, Replicates: comparisonReplicates}
		if err := c.compare([2]*comparedGrid{baseline, candidate}, [][]string{{"small"}, {"large"}}); err != nil {
			b.Fatal(err)
		}
	}
}
