package stress

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// TestStartsAreThoseThatAreDue: within a time as many calls begin as are due
// before its end, at every rate.
func TestStartsAreThoseThatAreDue(t *testing.T) {
	for _, c := range []struct {
		rate   float64
		within time.Duration
		want   int64
	}{
		{100, 2 * time.Second, 200},
		{100, 2*time.Second + 1, 201},
		{3, time.Second, 3},
		{0.3, 10 * time.Second, 3},
		{MinRate, time.Minute, 1},
		{MaxRate, time.Hour, 3_600_000_000},
		{7, 0, 0},
		{7, 1, 1},
	} {
		l := &Load{config: Config{Rate: c.rate}}
		require.Equal(t, c.want, l.starts(c.within), "%g a second in %v", c.rate, c.within)
	}
	random := seedtest.Rand(t)
	for range 10_000 {
		l := &Load{config: Config{Rate: MinRate * math.Pow(MaxRate/MinRate, random.Float64())}}
		within := time.Duration(random.Int64N(int64(24 * time.Hour)))
		n := l.starts(within)
		require.GreaterOrEqual(t, l.due(n), within)
		if n > 0 {
			require.Less(t, l.due(n-1), within)
		}
	}
	forever := (&Load{config: Config{Rate: MaxRate}}).starts(math.MaxInt64)
	require.Greater(t, forever, int64(1)<<52)
}
