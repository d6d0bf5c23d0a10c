package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// A latency spike is a p95 that stands out of those around it. Latencies are
// skewed, so they are compared on a logarithmic scale.
const (
	spikeRequests   = 20  // with a latency in a bucket, at least
	spikeReach      = 15  // buckets on either side it is compared with, clear of known faults
	spikeNeighbours = 10  // of those that have enough requests, at least
	spikeRatio      = 1.5 // to the median around it, at least
	spikeDeviations = 8   // median absolute deviations, scaled
	// madToSigma makes the median absolute deviation of a normal distribution
	// its standard deviation: 1/Φ⁻¹(3/4).
	madToSigma = 1.4826
)

// spikes finds buckets whose p95 is above the median of the p95 around it by
// half of it and by eight scaled median absolute deviations of their logarithms.
// Neighbours are one spike. What is around it are buckets that no known fault
// touches, where there are enough: else a long fault would be compared with
// itself.
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
	var all, clear []int // buckets; clear of faults
	for i := range t.n {
		all = append(all, i)
		if !s.faults.touch(t.at(i), t.at(i+1)) {
			clear = append(clear, i)
		}
	}
	from, to := -1, -1
	var peak, usual float64
	for i := 0; i <= t.n; i++ {
		if i < t.n && i-to < spikeReach && values[i] == 0 {
			continue // too few requests to tell that it is over
		}
		stands, middle := false, 0.0
		if i < t.n && values[i] > 0 {
			with := around(clear, values, i)
			if len(with) < spikeNeighbours {
				with = around(all, values, i)
			}
			stands, middle = standsOut(logs, with, i)
		}
		switch {
		case stands && from < 0:
			from, to, peak, usual = i, i+1, milliseconds(values[i]), middle
		case stands:
			to = i + 1
			if ms := milliseconds(values[i]); ms/middle > peak/usual {
				peak, usual = ms, middle
			}
		case from >= 0:
			s.reportSpike(from, to, peak, usual)
			from = -1
		}
	}
	return nil
}

// around returns those of some buckets, which ascend, that another is compared
// with: those of the nearest on either side that have enough requests.
func around(of []int, values []int64, i int) (taken []int) {
	before, _ := slices.BinarySearch(of, i)
	after, _ := slices.BinarySearch(of, i+1)
	for _, k := range slices.Concat(of[max(0, before-spikeReach):before], of[after:min(len(of), after+spikeReach)]) {
		if values[k] > 0 {
			taken = append(taken, k)
		}
	}
	return taken
}

// standsOut tells whether the p95 of a bucket stands out of those it is compared
// with, and returns their median in milliseconds.
func standsOut(logs []float64, with []int, i int) (bool, float64) {
	if len(with) < spikeNeighbours {
		return false, 0
	}
	around := make([]float64, len(with))
	for n, k := range with {
		around[n] = logs[k]
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
