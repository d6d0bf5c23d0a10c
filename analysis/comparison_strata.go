package analysis

import (
	"cmp"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// weigh fills in the strata, those with most weight first, and returns their
// numbers in that order. The weights are those of Cochran (1954) and of Mantel
// and Haenszel (1959), b·c/(b+c) of the requests on both sides, which give the
// least variance where the strata differ alike.
func (c *Comparison) weigh(grids [2]*comparedGrid, values [][]string) (order []int) {
	requests := make([][2]int64, len(values))
	total := 0.0
	weights := make([]float64, len(values))
	for stratum := range values {
		for i, g := range grids {
			if stratum >= len(g.cells) {
				continue
			}
			for _, cell := range g.cells[stratum] {
				if cell != nil {
					requests[stratum][i] += cell.Counters[aggregator.Requests]
				}
			}
		}
		b, d := float64(requests[stratum][0]), float64(requests[stratum][1])
		c.Baseline.Requests += requests[stratum][0]
		c.Candidate.Requests += requests[stratum][1]
		if b > 0 && d > 0 {
			weights[stratum] = b * d / (b + d)
			total += weights[stratum]
		}
		order = append(order, stratum)
	}
	slices.SortFunc(order, func(x, y int) int {
		return cmp.Or(cmp.Compare(weights[y], weights[x]), cmp.Compare(requests[y][0]+requests[y][1], requests[x][0]+requests[x][1]),
			slices.Compare(values[x], values[y]))
	})
	for _, stratum := range order {
		s := ComparedStratum{Values: values[stratum], BaselineRequests: requests[stratum][0], CandidateRequests: requests[stratum][1]}
		if total > 0 {
			s.Weight = weights[stratum] / total
		}
		c.Strata = append(c.Strata, s)
	}
	return order
}
