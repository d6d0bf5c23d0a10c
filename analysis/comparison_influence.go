package analysis

import "math"

// influences returns for each figure a series over buckets: how much each bucket
// moves it, up to a factor; nil where the figure has no value. How these are
// correlated in time decides how long blocks must be, and how wide intervals.
func (t *comparedTable) influences(counts []int64, sums []float64, f figures) (all [numMetrics][]float64) {
	in := influence{t, counts}
	parts := [numMetrics]func(bucket int) float64{
		metricP50: in.above(0, columnLatency, f[metricP50], 0.50), metricP95: in.above(0, columnLatency, f[metricP95], 0.95),
		metricP99: in.above(0, columnLatency, f[metricP99], 0.99), metricTTFT: in.above(1, columnTTFT, f[metricTTFT], 0.95),
		metricAvg:    in.mean(columnLatency, sums, func(stratum int) int { return stratum*numSumColumns + columnLatencySum }),
		metricErrors: in.share(columnRequests, columnErrors), metricRPS: in.requests,
		metricCost: in.mean(columnPriced, sums, func(stratum int) int { return stratum*numSumColumns + columnCost }),
	}
	// The product of two figures moves with both.
	tokens := in.share(columnRequests, columnOutputTokens)
	parts[metricTokens] = func(bucket int) float64 {
		perRequest := f[metricTokens] / f[metricRPS]
		return float64(f[metricRPS]*tokens(bucket)) + float64(perRequest/float64(t.seconds)*in.requests(bucket))
	}
	for m, part := range parts {
		if math.IsNaN(f[m]) {
			continue
		}
		all[m] = make([]float64, t.buckets)
		for bucket := range all[m] {
			all[m][bucket] = part(bucket)
		}
	}
	return all
}

// influence computes parts of influences. counts are those of all buckets.
type influence struct {
	t      *comparedTable
	counts []int64
}

func (in influence) count(bucket, stratum, column int) float64 {
	return float64(in.t.counts.Value(bucket, stratum*in.t.stride+column))
}

func (in influence) requests(bucket int) (sum float64) {
	for stratum := range in.t.weights {
		sum += in.count(bucket, stratum, columnRequests)
	}
	return sum
}

// weighted adds up a part of every stratum, scaled to its weight.
func (in influence) weighted(column int, part func(bucket, stratum int, n float64) float64) func(int) float64 {
	return func(bucket int) (sum float64) {
		for stratum, w := range in.t.weights {
			if n := in.counts[stratum*in.t.stride+column]; n > 0 && w > 0 {
				sum += float64(w / float64(n) * part(bucket, stratum, float64(n)))
			}
		}
		return sum
	}
}

// above is the influence on a percentile: how many more values than expected lie
// above it.
func (in influence) above(measure, column int, percentile, share float64) func(int) float64 {
	offset := numCountColumns
	if measure == 1 {
		offset += len(in.t.bins[0].numbers)
	}
	values := in.t.values[measure]
	first := 0
	for first < len(values) && values[first] <= percentile {
		first++
	}
	return in.weighted(column, func(bucket, stratum int, _ float64) float64 {
		above := 0.0
		for i := first; i < len(values); i++ {
			above += in.count(bucket, stratum, offset+i)
		}
		return above - float64((1-share)*in.count(bucket, stratum, column))
	})
}

// mean is the influence on a mean: by how much the sum is above what is expected
// of so many values.
func (in influence) mean(column int, sums []float64, of func(stratum int) int) func(int) float64 {
	return in.weighted(column, func(bucket, stratum int, n float64) float64 {
		return in.t.sums.Value(bucket, of(stratum)) - float64(sums[of(stratum)]/n*in.count(bucket, stratum, column))
	})
}

// share is mean, of a column of counts.
func (in influence) share(column, part int) func(int) float64 {
	return in.weighted(column, func(bucket, stratum int, n float64) float64 {
		total := float64(in.counts[stratum*in.t.stride+part])
		return in.count(bucket, stratum, part) - float64(total/n*in.count(bucket, stratum, column))
	})
}
