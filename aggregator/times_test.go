package aggregator_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
)

// TestTimes: n times a delta is what folding everything n times gives, and the
// delta stays as it is.
func TestTimes(t *testing.T) {
	eachWidths(t, func(t *testing.T, widths aggregator.Widths, random *rand.Rand) {
		observations := newTraffic(random).draw(100)
		for _, n := range []int64{1, 2, 3, 10, 63} {
			d := fold(t, widths, observations)
			before := content(d)
			times, err := d.Times(n)
			if err != nil {
				require.ErrorIs(t, err, histogram.ErrOverflow)
				continue
			}
			want := aggregator.NewDelta(widths)
			for range n {
				foldInto(want, observations)
			}
			want.Settle()
			compare(t, "times", content(times), content(want))
			compare(t, "the delta", content(d), before)
		}
	})
}

func TestTimesRefusesOverflow(t *testing.T) {
	o := plain()
	o.AdjustedMicro = math.MaxInt64 / 4
	d := fold(t, aggregator.Widths{Headline: 1}, []aggregator.Observation{o})
	_, err := d.Times(4)
	require.NoError(t, err)
	_, err = d.Times(5)
	require.ErrorIs(t, err, histogram.ErrOverflow)
}
