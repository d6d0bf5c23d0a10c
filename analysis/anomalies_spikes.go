package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"math"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// A latency spike is a p95 that stands out of those around it. Latencies are
// skewed, so they are compared on a logarithmic scale.
const (
	spikeRequests   = 20  // with a latency in a bucket, at least
	spikeReach      = 15  // buckets on either side it is compared with
	spikeNeighbours = 10  // of those that have enough requests, at least
	spikeRatio      = 1.5 // to the median around it, at least
	spikeDeviations = 8   // median absolute deviations, scaled
	// madToSigma makes the median absolute deviation of a normal distribution
	// its standard deviation: 1/Φ⁻¹(3/4).
	madToSigma = 1.4826
)

// spikes finds buckets whose p95 is above the median of the p95 around it by
// half of it and by six scaled median absolute deviations of their logarithms.
// Neighbours are one spike.
func (s *anomalySearch) spikes(ctx context.Context, tx *sql.Tx) error {
	t := s.wide
	p95 := overviewPercentiles[1].Ratio
	logs := make([]float64, t.n) // 0: too few requests
	values := make([]int64, t.n)
	err := t.reading.eachCell(ctx, tx, &t.axis, func(i int, cell *aggregator.Cell) {
		h := &cell.Measures[aggregator.MeasureDuration]
		if v, ok := h.Percentile(p95); ok && h.Count() >= spikeRequests && v > 0 {
			logs[i], values[i] = math.Log(float64(v)), v
		}
	})
	if err != nil {
		return err
	}
	from := -1
	var peak, usual float64
	for i := 0; i <= t.n; i++ {
		stands, around := false, 0.0
		if i < t.n && values[i] > 0 {
			stands, around = standsOut(logs, values, i)
		}
		switch {
		case stands && from < 0:
			from, peak, usual = i, milliseconds(values[i]), around
		case stands:
			if ms := milliseconds(values[i]); ms/around > peak/usual {
				peak, usual = ms, around
			}
		case from >= 0:
			s.reportSpike(from, i, peak, usual)
			from = -1
		}
	}
	return nil
}

// standsOut tells whether the p95 of a bucket stands out of its neighbourhood,
// and returns the median p95 there in milliseconds.
func standsOut(logs []float64, values []int64, i int) (bool, float64) {
	var around []float64
	for k := max(0, i-spikeReach); k <= min(len(logs)-1, i+spikeReach); k++ {
		if k != i && values[k] > 0 {
			around = append(around, logs[k])
		}
	}
	if len(around) < spikeNeighbours {
		return false, 0
	}
	middle := median(around)
	for k := range around {
		around[k] = math.Abs(around[k] - middle)
	}
	least := max(math.Log(spikeRatio), spikeDeviations*madToSigma*median(around))
	return logs[i]-middle > least, math.Exp(middle) / 1e6
}

func (s *anomalySearch) reportSpike(from, to int, peak, usual float64) {
	t := s.wide
	s.report(t, from, to, Anomaly{
		Kind: AnomalyLatencySpike, Severity: graded(peak/usual, 2.5, 5), StillActive: to > t.last,
		Figure: &peak, Reference: &usual, Unit: "p95 ms",
		Text: fmt.Sprintf("p95 rose to %s ms, %s times the %s ms around it, for %s.",
			figure(peak), figure(peak/usual), figure(usual), lasting(t.at(to)-t.at(from))),
	})
}
