package analysis

import "math"

// influences returns a series over buckets for each metric that has values: how
// much each bucket moves it, up to a factor. How these are correlated in time
// decides how long blocks must be.
func (t *comparedTable) influences() [][]float64 {
	counts := make([]int64, t.stride*len(t.weights))
	sums := make([]float64, numSumColumns*len(t.weights))
	t.counts.Total(counts)
	t.sums.Total(sums)
	f := t.figures(counts, sums)
	var all [][]float64
	add := func(figure float64, part func(bucket int) float64) {
		if math.IsNaN(figure) {
			return
		}
		series := make([]float64, t.buckets)
		for bucket := range series {
			series[bucket] = part(bucket)
		}
		all = append(all, series)
	}
	// A count by stratum, each scaled to its weight.
	weighted := func(column int, part func(bucket, stratum int) float64) func(int) float64 {
		return func(bucket int) (sum float64) {
			for stratum, w := range t.weights {
				if n := counts[stratum*t.stride+column]; n > 0 && w > 0 {
					sum += float64(w / float64(n) * part(bucket, stratum))
				}
			}
			return sum
		}
	}
	count := func(bucket, stratum, column int) float64 {
		return float64(t.counts.Value(bucket, stratum*t.stride+column))
	}
	for _, p := range []struct {
		metric int
		share  float64
	}{{metricP50, 0.5}, {metricP95, 0.95}} {
		add(f[p.metric], weighted(columnLatency, func(bucket, stratum int) float64 {
			above := 0.0
			for i, value := range t.values[0] {
				if value > f[p.metric] {
					above += float64(t.counts.Value(bucket, stratum*t.stride+numCountColumns+i))
				}
			}
			return above - (1-p.share)*count(bucket, stratum, columnLatency)
		}))
	}
	add(f[metricAvg], weighted(columnLatency, func(bucket, stratum int) float64 {
		n := float64(counts[stratum*t.stride+columnLatency])
		mean := sums[stratum*numSumColumns+columnLatencySum] / n
		return t.sums.Value(bucket, stratum*numSumColumns+columnLatencySum) - mean*count(bucket, stratum, columnLatency)
	}))
	return all
}
