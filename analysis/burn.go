package analysis

import (
	"math/big"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// burnRate returns the share of bad requests divided by the share of those that
// may be bad, the float64 next to the exact ratio; nil without requests. target
// is the share that should be good, in 1e-9.
func burnRate(n aggregator.ObjectiveCount, target int64) *float64 {
	if n.Total == 0 {
		return nil
	}
	rate, _ := new(big.Rat).SetFrac(bad(n), allowed(n, target)).Float64()
	return &rate
}

// compareBurn compares the burn rate with tenths of 1, exactly: in floating point
// a rate at a threshold may be below it. There must be requests.
func compareBurn(n aggregator.ObjectiveCount, target, tenths int64) int {
	x := new(big.Int).Mul(bad(n), big.NewInt(10))
	y := new(big.Int).Mul(allowed(n, target), big.NewInt(tenths))
	return x.Cmp(y)
}

// bad and allowed are how many requests are bad, and may be, in 1e-9.
func bad(n aggregator.ObjectiveCount) *big.Int {
	return new(big.Int).Mul(big.NewInt(n.Total-n.Good), big.NewInt(1_000_000_000))
}

func allowed(n aggregator.ObjectiveCount, target int64) *big.Int {
	return new(big.Int).Mul(big.NewInt(n.Total), big.NewInt(1_000_000_000-target))
}
