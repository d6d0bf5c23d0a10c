package histogram

import "math/bits"

// Ratio is a percentile as a fraction of two integers, Num/Den with
// 0 <= Num <= Den and Den > 0. A float would be wrong for some counts:
// 0.07*100 rounds to 7.000000000000001, whose ceiling is 8.
type Ratio struct{ Num, Den uint32 }

// The percentiles that are stored beside every bucket.
var (
	P50 = Ratio{50, 100}
	P90 = Ratio{90, 100}
	P95 = Ratio{95, 100}
	P99 = Ratio{99, 100}
)

// rank returns ceil(n * Num/Den), at least 1: the nearest-rank definition.
func (r Ratio) rank(n int64) int64 {
	hi, lo := bits.Mul64(uint64(n), uint64(r.Num))
	quotient, remainder := bits.Div64(hi, lo, uint64(r.Den))
	if remainder > 0 {
		quotient++
	}
	return max(1, int64(quotient))
}

// Percentile returns the value of rank ceil(r*n) and false when the histogram
// is empty. Rank 1 is exactly the minimum and rank n exactly the maximum;
// between them the value differs from the true one by at most 1/128 of it.
func (h *Histogram) Percentile(r Ratio) (int64, bool) {
	var out [1]int64
	ok := h.Percentiles([]Ratio{r}, out[:])
	return out[0], ok
}

// Percentiles fills out with the percentiles for ratios, which must ascend, in
// one pass over the bins. It returns false, and leaves out alone, when the
// histogram is empty.
func (h *Histogram) Percentiles(ratios []Ratio, out []int64) bool {
	if h.count == 0 {
		return false
	}
	h.settle()
	i, seen := -1, int64(0)
	for k, r := range ratios {
		rank := r.rank(h.count)
		for seen < rank {
			i++
			seen += h.bins[i].Count
		}
		switch rank {
		case 1:
			out[k] = h.min
		case h.count:
			out[k] = h.max
		default:
			out[k] = min(max(h.bins[i].Bin.Mid(), h.min), h.max)
		}
	}
	return true
}
