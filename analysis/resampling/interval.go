package resampling

import "slices"

// normal975 is the 97.5th percentile of the normal distribution.
const normal975 = 1.959964

// Stretch returns by how much the ends of a 95 % interval move away from the
// estimate, because blocks are a share of the buckets: the critical value of
// Kiefer and Vogelsang (2005, table 1, Bartlett kernel, 97.5 %), at length
// block out of so many buckets, over that of the normal distribution.
func Stretch(length, buckets int) float64 {
	b := float64(length) / float64(buckets)
	return (1.9600 + 2.9694*b + 0.4160*b*b - 0.5324*b*b*b) / normal975
}

// Interval returns the middle 95 % of the replicates of an estimate, both ends
// moved away from it by the factor stretch. It sorts replicates, which must not
// be empty.
func Interval(estimate float64, replicates []float64, stretch float64) (low, high float64) {
	slices.Sort(replicates)
	n := len(replicates)
	low = replicates[(n-1)*25/1000]
	high = replicates[n-1-(n-1)*25/1000]
	return estimate + stretch*(low-estimate), estimate + stretch*(high-estimate)
}
