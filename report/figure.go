package report

import (
	"math"
	"strconv"
)

// Figure is a number whose JSON has at most nine significant digits and three
// decimals, amounts below one six: charts have many of them, and percentiles
// are no better than 0.79 %.
type Figure float64

// MarshalJSON writes the rounded number.
func (f Figure) MarshalJSON() ([]byte, error) {
	places := 3
	if math.Abs(float64(f)) < 1 {
		places = 6
	}
	scale := math.Pow10(places)
	rounded := math.Round(float64(f)*scale) / scale
	return strconv.AppendFloat(nil, rounded, 'f', -1, 64), nil
}

func figure(v float64) *Figure {
	f := Figure(v)
	return &f
}

func figureOf(v *float64) *Figure {
	if v == nil {
		return nil
	}
	return figure(*v)
}
