package aggregator_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// TestCeilingOfMoreThanFits: cells that together exceed an int64 have room
// nowhere, not even in an empty row; those that fill it do.
func TestCeilingOfMoreThanFits(t *testing.T) {
	for _, c := range []struct {
		second int64
		room   bool
	}{{math.MaxInt64/2 + 1, true}, {math.MaxInt64/2 + 2, false}, {math.MaxInt64, false}} {
		a, b := plain(), plain()
		a.AdjustedMicro, b.AdjustedMicro = math.MaxInt64/2, c.second
		b.StartUnixNano += 60e9
		b.EndUnixNano += 60e9
		headline, series := fold(t, aggregator.Widths{Headline: 1, Series: 10}, []aggregator.Observation{a, b}).Ceilings()
		var empty aggregator.Cell
		require.Equal(t, c.room, empty.HasRoom(&headline), "%+v", c)
		require.Equal(t, c.room, empty.HasRoom(&series), "%+v", c)
	}
}
