package analysis

import (
	"math"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
	"github.com/spanbucket/spanbucketexporter/analysis/resampling"
)

// The columns of counts that a stratum has in a table, before its bins.
const (
	columnRequests = iota
	columnErrors
	columnOutputTokens
	columnPriced
	columnLatency // values of latency
	columnTTFT
	numCountColumns
)

// The columns of sums.
const (
	columnLatencySum = iota // nanoseconds
	columnCost              // nano-dollars
	numSumColumns
)

// measuredBins are the bins of one measure that are in use on either side, with
// the values that stand for them, in milliseconds.
type measuredBins struct {
	numbers []histogram.Bin
	index   map[histogram.Bin]int
}

func newMeasuredBins(grids []*comparedGrid, m aggregator.Measure) *measuredBins {
	var used [histogram.MaxBin + 1]bool
	for _, g := range grids {
		for _, cells := range g.cells {
			for _, cell := range cells {
				if cell == nil {
					continue
				}
				for _, b := range cell.Measures[m].Bins() {
					used[b.Bin] = true
				}
			}
		}
	}
	all := &measuredBins{index: map[histogram.Bin]int{}}
	for b, is := range used {
		if is {
			all.index[histogram.Bin(b)] = len(all.numbers)
			all.numbers = append(all.numbers, histogram.Bin(b))
		}
	}
	return all
}

// values returns what stands for each bin, within the extremes of a histogram.
func (b *measuredBins) values(h *histogram.Histogram) []float64 {
	out := make([]float64, len(b.numbers))
	for i, number := range b.numbers {
		out[i] = milliseconds(min(max(number.Mid(), h.Min()), h.Max()))
	}
	return out
}

// comparedTable is one side, ready for resampling.
type comparedTable struct {
	seconds int64 // of all buckets
	buckets int
	weights []float64 // of the strata
	bins    [2]*measuredBins
	values  [2][]float64 // of the bins
	totals  []comparedCell
	counts  *resampling.Table[int64]
	sums    *resampling.Table[float64]
	stride  int // columns of counts a stratum
}

// comparedMeasures are those that percentiles are compared of.
var comparedMeasures = [2]aggregator.Measure{aggregator.MeasureDuration, aggregator.MeasureTimeToFirstToken}

func newComparedTable(g *comparedGrid, width int64, weights []float64, bins [2]*measuredBins) (*comparedTable, error) {
	t := &comparedTable{
		seconds: width * int64(g.buckets), buckets: g.buckets, weights: weights, bins: bins,
		totals: make([]comparedCell, len(weights)),
		stride: numCountColumns + len(bins[0].numbers) + len(bins[1].numbers),
	}
	t.counts = resampling.NewTable[int64](g.buckets, t.stride*len(weights))
	t.sums = resampling.NewTable[float64](g.buckets, numSumColumns*len(weights))
	for stratum, cells := range g.cells {
		for bucket, cell := range cells {
			if cell == nil {
				continue
			}
			if err := add(&t.totals[stratum].Cell, &cell.Cell); err != nil {
				return nil, err
			}
			t.totals[stratum].errors += cell.errors
			t.fill(bucket, stratum, cell)
		}
	}
	t.counts.Seal()
	t.sums.Seal()
	for i, m := range comparedMeasures {
		var all histogram.Histogram
		for stratum := range t.totals {
			if weights[stratum] == 0 {
				continue
			}
			if err := all.Merge(&t.totals[stratum].Measures[m]); err != nil {
				return nil, err
			}
		}
		t.values[i] = bins[i].values(&all)
	}
	return t, nil
}

func (t *comparedTable) fill(bucket, stratum int, cell *comparedCell) {
	base := stratum * t.stride
	for column, n := range map[int]int64{
		columnRequests: cell.Counters[aggregator.Requests], columnErrors: cell.errors,
		columnOutputTokens: cell.Counters[aggregator.OutputTokens], columnPriced: cell.Counters[aggregator.PricedCount],
		columnLatency: cell.Measures[aggregator.MeasureDuration].Count(),
		columnTTFT:    cell.Measures[aggregator.MeasureTimeToFirstToken].Count(),
	} {
		t.counts.Add(bucket, base+column, n)
	}
	base += numCountColumns
	for i, m := range comparedMeasures {
		for _, b := range cell.Measures[m].Bins() {
			t.counts.Add(bucket, base+t.bins[i].index[b.Bin], b.Count)
		}
		base += len(t.bins[i].numbers)
	}
	t.sums.Add(bucket, stratum*numSumColumns+columnLatencySum, float64(cell.Measures[aggregator.MeasureDuration].Sum()))
	t.sums.Add(bucket, stratum*numSumColumns+columnCost, float64(cell.Counters[aggregator.CostNanoUSD]))
}

// figures are the values of all metrics; NaN where there is none.
type figures [numMetrics]float64

// figures computes the metrics from sums over buckets.
func (t *comparedTable) figures(counts []int64, sums []float64) (f figures) {
	t.percentiles(counts, 0, columnLatency, f[metricP50:metricP99+1], []float64{0.50, 0.95, 0.99})
	t.percentiles(counts, 1, columnTTFT, f[metricTTFT:metricTTFT+1], []float64{0.95})
	count := func(stratum, column int) float64 { return float64(counts[stratum*t.stride+column]) }
	sum := func(stratum, column int) float64 { return sums[stratum*numSumColumns+column] }
	f[metricAvg] = t.mean(columnLatency, count, func(s int) float64 { return sum(s, columnLatencySum) / 1e6 })
	f[metricErrors] = t.mean(columnRequests, count, func(s int) float64 { return count(s, columnErrors) })
	f[metricCost] = t.mean(columnPriced, count, func(s int) float64 { return sum(s, columnCost) / 1e9 })
	tokens := t.mean(columnRequests, count, func(s int) float64 { return count(s, columnOutputTokens) })
	requests := 0.0
	for stratum := range t.weights {
		requests += count(stratum, columnRequests)
	}
	f[metricRPS] = requests / float64(t.seconds)
	f[metricTokens] = tokens * f[metricRPS]
	return f
}

// mean returns the weighted mean over the strata of sum/count.
func (t *comparedTable) mean(column int, count func(stratum, column int) float64, sum func(stratum int) float64) float64 {
	total, weight := 0.0, 0.0
	for stratum, w := range t.weights {
		if n := count(stratum, column); n > 0 && w > 0 {
			// The conversion keeps processors from fusing both operations: every
			// machine computes the same.
			total += float64(w * (sum(stratum) / n))
			weight += w
		}
	}
	return total / weight // NaN for 0/0
}

// percentiles fills out with percentiles, which ascend, of the mixture of the
// strata with the common weights: nearest rank in the merged counts, each
// stratum scaled to its weight.
func (t *comparedTable) percentiles(counts []int64, measure, column int, out, shares []float64) {
	bins := len(t.bins[measure].numbers)
	offset := numCountColumns
	if measure == 1 {
		offset += len(t.bins[0].numbers)
	}
	type scaled struct {
		bins  []int64
		scale float64
	}
	strata := make([]scaled, 0, 32)
	weight := 0.0
	for stratum, w := range t.weights {
		base := stratum * t.stride
		if n := counts[base+column]; n > 0 && w > 0 {
			strata = append(strata, scaled{counts[base+offset:][:bins], w / float64(n)})
			weight += w
		}
	}
	next, seen := 0, 0.0
	for i := range bins {
		for _, s := range strata {
			if s.bins[i] > 0 {
				seen += float64(s.scale * float64(s.bins[i]))
			}
		}
		// The slack takes up the rounding of the sum.
		for next < len(shares) && seen > 0 && seen >= (shares[next]-1e-11)*weight {
			out[next] = t.values[measure][i]
			next++
		}
	}
	for ; next < len(shares); next++ {
		out[next] = math.NaN()
	}
}
