package resampling

import (
	"math"
	"math/rand/v2"
)

// Resample is one draw of blocks.
type Resample struct {
	length int
	starts []int
}

// NewResample returns a draw of blocks of length buckets, 1 to buckets, out of
// so many; the last block is cut where the blocks would have more buckets than
// there are.
func NewResample(buckets, length int) *Resample {
	return &Resample{length, make([]int, (buckets+length-1)/length)}
}

// Draw draws the blocks anew. The buckets form a circle: a block that begins
// near the end goes on at the beginning, so that every bucket is drawn equally
// often.
func (r *Resample) Draw(random *rand.Rand, buckets int) {
	for i := range r.starts {
		r.starts[i] = random.IntN(buckets)
	}
}

// MinBlocks is how many blocks a resample has at least.
const MinBlocks = 8

// Bounds returns the shortest and the longest block for so many buckets:
// 1.3 √n, the bandwidth that Lazarus, Lewis, Stock and Watson (2018) advise for
// intervals, and the length that leaves MinBlocks blocks, which wins.
func Bounds(buckets int) (shortest, longest int) {
	longest = max(1, buckets/MinBlocks)
	return max(1, min(int(math.Ceil(1.3*math.Sqrt(float64(buckets)))), longest)), longest
}

// BlockLength returns the length of block that suits the mean of a series best,
// in buckets, at least 1 and not bounded above: the automatic choice of Politis
// and White (2004) for the circular bootstrap, with the correction of Patton,
// Politis and White (2009). A series that does not vary has length 1.
func BlockLength(series []float64) float64 {
	n := len(series)
	if n < 4 {
		return 1
	}
	log := math.Log10(float64(n))
	window := max(5, int(math.Ceil(math.Sqrt(log)))) // K_N of the paper
	most := min(int(math.Ceil(math.Sqrt(float64(n))))+window, n-1)
	covariance := autocovariance(series, most)
	if covariance[0] <= 0 {
		return 1
	}
	lags := min(2*lastCorrelated(covariance, 2*math.Sqrt(log/float64(n)), window), most)
	spectrum, weighted := covariance[0], 0.0
	for k := 1; k <= lags; k++ {
		weight := flatTop(float64(k) / float64(lags))
		spectrum += 2 * weight * covariance[k]
		weighted += 2 * weight * float64(k) * covariance[k]
	}
	if spectrum <= 0 {
		return 1
	}
	// (2 G² / D)^(1/3) n^(1/3) with D = 4/3 g(0)².
	return max(1, math.Cbrt(1.5*weighted*weighted/(spectrum*spectrum)*float64(n)))
}

// autocovariance returns the covariances of a series with itself at the lags 0
// to most, each divided by the length of the series.
func autocovariance(series []float64, most int) []float64 {
	n, mean := float64(len(series)), 0.0
	for _, x := range series {
		mean += x / n
	}
	out := make([]float64, most+1)
	for k := range out {
		for i := k; i < len(series); i++ {
			out[k] += (series[i] - mean) * (series[i-k] - mean)
		}
		out[k] /= n
	}
	return out
}

// lastCorrelated returns the smallest lag after which window correlations in a
// row are below the threshold; where there is none, the largest lag above it.
func lastCorrelated(covariance []float64, threshold float64, window int) int {
	last, below := 0, 0
	for k := 1; k < len(covariance); k++ {
		if math.Abs(covariance[k]) >= threshold*covariance[0] {
			last, below = k, 0
			continue
		}
		if below++; below == window {
			return max(1, k-window)
		}
	}
	return max(1, last)
}

// flatTop is the trapezoidal lag window of Politis and Romano (1995).
func flatTop(x float64) float64 { return min(1, 2*(1-x)) }
