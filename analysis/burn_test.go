package analysis

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// TestBurnRatesAreExact: in floating point 144 of 1000 at 0.99 burn less than
// 14.4 times as fast.
func TestBurnRatesAreExact(t *testing.T) {
	one := 1.0
	require.Less(t, 0.144/(one-0.99), 14.4)
	for _, c := range []struct {
		good, total, target, tenths int64
		compared                    int
		rate                        float64
	}{
		{856, 1000, 990_000_000, 144, 0, 14.4},
		{857, 1000, 990_000_000, 144, -1, 14.3},
		{855, 1000, 990_000_000, 144, 1, 14.5},
		{990, 1000, 990_000_000, 10, 0, 1},
		{0, 1, 999_999_999, 144, 1, 1e9},
		{1, 1, 1, 10, -1, 0},
		{1 << 61, 1 << 62, 500_000_000, 10, 0, 1},
	} {
		n := aggregator.ObjectiveCount{Good: c.good, Total: c.total}
		require.Equal(t, c.compared, compareBurn(n, c.target, c.tenths), c)
		require.InDelta(t, c.rate, *burnRate(n, c.target), 0, c)
	}
	require.Nil(t, burnRate(aggregator.ObjectiveCount{}, 1))
}
