package resampling

import (
	"math"
	"slices"
)

// normal975 is the 97.5th percentile of the normal distribution.
const normal975 = 1.959964

// Widening returns by how much replicates of the mean of a series must move
// away from it, so that the middle 95 % of them are a 95 % interval though there
// are few blocks: the product of two factors.
//
// The first is the critical value of Kiefer and Vogelsang (2005, table 1,
// Bartlett kernel, 97.5 %) over that of the normal distribution. The variance of
// the block bootstrap is the Bartlett estimate with the block as its bandwidth,
// and their values allow for a bandwidth that is a share of the sample.
//
// The second is what correlation over longer times than a block adds to the
// deviation: the root of the long-run variance over what blocks of this length
// see of it, where that is more. The long-run variance is the larger of two
// estimates: prewhitened by an autoregression of first order (Andrews and
// Monahan 1992), and that of such an autoregression under noise, an ARMA(1,1),
// by its first three autocovariances.
func Widening(series []float64, length int) float64 {
	share := float64(length) / float64(len(series))
	critical := 1.9600 + 2.9694*share + 0.4160*share*share - 0.5324*share*share*share
	return critical / normal975 * math.Sqrt(missed(series, length))
}

// missed returns the long-run variance over that which blocks see, at least 1.
func missed(series []float64, length int) float64 {
	if len(series) < 8 {
		return 1
	}
	seen := bartlett(autocovariance(series, min(length, len(series)-1)), length)
	if seen <= 0 {
		return 1
	}
	return max(1, max(prewhitened(series, length), underNoise(series, seen))/seen)
}

// bartlett returns the long-run variance of a series with these
// autocovariances: with weights that fall to 0 at the bandwidth.
func bartlett(covariance []float64, bandwidth int) float64 {
	sum := covariance[0]
	for k := 1; k < len(covariance); k++ {
		sum += 2 * (1 - float64(k)/float64(bandwidth)) * covariance[k]
	}
	return sum
}

// prewhitened returns the long-run variance of a series by way of the residuals
// of an autoregression of first order. Its coefficient is corrected for the bias
// of short series (Kendall 1954), and bounded by 0.97.
func prewhitened(series []float64, length int) float64 {
	n := float64(len(series))
	covariance := autocovariance(series, 1)
	phi := covariance[1] / covariance[0]
	phi = min(max(phi+(1+3*phi)/n, 0), 0.97)
	residuals := make([]float64, len(series)-1)
	for i := range residuals {
		// The mean drops out: autocovariance takes it off.
		residuals[i] = series[i+1] - phi*series[i]
	}
	white := bartlett(autocovariance(residuals, min(length, len(residuals)-1)), length)
	return white / ((1 - phi) * (1 - phi))
}

// underNoise returns the long-run variance of a series as that of an
// autoregression of first order with independent noise on top, whose
// autocovariances are a phi^k from lag 1 on. seen is a first estimate: short
// series look less correlated than they are, by about that over their length.
func underNoise(series []float64, seen float64) float64 {
	n := float64(len(series))
	covariance := autocovariance(series, 3)
	variance := seen
	for range 3 {
		bias := variance / n
		c0, c1, c2, c3 := covariance[0]+bias, covariance[1]+bias, covariance[2]+bias, covariance[3]+bias
		if c1 <= 2*c0/math.Sqrt(n) || c1+c2 <= 0 {
			return variance // no correlation that can be told from none
		}
		phi := min(max((c2+c3)/(c1+c2), 0), 0.95)
		variance = c0 + 2*c1/(1-phi)
	}
	return variance
}

// Interval returns the middle 95 % of the replicates of an estimate. It sorts
// them; there must be one at least.
func Interval(replicates []float64) (low, high float64) {
	slices.Sort(replicates)
	cut := (len(replicates) - 1) * 25 / 1000
	return replicates[cut], replicates[len(replicates)-1-cut]
}
