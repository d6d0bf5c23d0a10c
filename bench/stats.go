package main

import "slices"

// summary describes a few measurements of one thing.
type summary struct{ least, median, most float64 }

func summarize(values []float64) summary {
	if len(values) == 0 {
		return summary{}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return summary{sorted[0], (sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[n-1]}
}

// spread is the range of the measurements as a fraction of the median.
func (s summary) spread() float64 {
	if s.median == 0 {
		return 0
	}
	return (s.most - s.least) / s.median
}

func (r result) nanoseconds() summary {
	return summarize(each(r.costs, func(c cost) float64 { return c.nanoseconds }))
}

func (r result) allocations() summary {
	return summarize(each(r.costs, func(c cost) float64 { return c.allocations }))
}

func (r result) bytes() summary {
	return summarize(each(r.costs, func(c cost) float64 { return c.bytes }))
}

// ratio compares the row with its peer, round by round.
func (r result) ratio() summary {
	var ratios []float64
	for i := range r.peers {
		ratios = append(ratios, r.costs[i].nanoseconds/r.peers[i].nanoseconds)
	}
	return summarize(ratios)
}

// ratioOfLeast compares the best rounds of both: least disturbed by what else
// the machine did, but of different moments.
func (r result) ratioOfLeast() float64 {
	peer := summarize(each(r.peers, func(c cost) float64 { return c.nanoseconds }))
	return r.nanoseconds().least / peer.least
}

func each(costs []cost, value func(cost) float64) []float64 {
	values := make([]float64, len(costs))
	for i, c := range costs {
		values[i] = value(c)
	}
	return values
}
