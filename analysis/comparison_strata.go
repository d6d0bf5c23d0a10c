package analysis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

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
	for i, stratum := range order {
		s := ComparedStratum{Values: values[stratum], BaselineRequests: requests[stratum][0], CandidateRequests: requests[stratum][1]}
		if total > 0 {
			s.Weight = weights[stratum] / total
		}
		if i >= maxStrata {
			s.Weight = 0
		}
		c.Strata = append(c.Strata, s)
	}
	c.spread()
	return order
}

// maxStrata bounds the strata that figures are put together from: those with
// most weight.
const maxStrata = 16

// spread makes the weights that are left add up to 1.
func (c *Comparison) spread() {
	total := 0.0
	for i := range c.Strata {
		total += c.Strata[i].Weight
	}
	for i := range c.Strata {
		if total > 0 {
			c.Strata[i].Weight /= total
		}
	}
}

// note writes down what a reader must know of the answer.
func (c *Comparison) note() {
	add := func(format string, args ...any) { c.Notes = append(c.Notes, fmt.Sprintf(format, args...)) }
	add("one run a side: differences between runs of the same build are not known")
	var only [2]int64
	strata, few := [2]int{}, 0
	for _, s := range c.Strata {
		switch {
		case s.Weight > 0:
		case s.CandidateRequests == 0:
			only[0] += s.BaselineRequests
			strata[0]++
		case s.BaselineRequests == 0:
			only[1] += s.CandidateRequests
			strata[1]++
		default:
			few++
		}
	}
	for i, side := range []string{"baseline", "candidate"} {
		if strata[i] > 0 {
			add("only in the %s: %d of the strata by %s, with %d requests, which only requests_per_s counts",
				side, strata[i], strings.Join(c.By, ", "), only[i])
		}
	}
	if few > 0 {
		add("the %d largest strata are compared; %d smaller ones are left out, but for requests_per_s", maxStrata, few)
	}
}
