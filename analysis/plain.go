package analysis

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// figure writes a number with three significant digits, as sentences have it.
func figure(x float64) string {
	if x == 0 {
		return "0"
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(x))))
	text := strconv.FormatFloat(x, 'f', min(max(digits, 0), 6), 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// percentText writes a share as a percentage.
func percentText(share float64) string { return figure(100*share) + " %" }

// lasting writes a length in seconds.
func lasting(seconds int64) string {
	switch {
	case seconds < 600:
		return fmt.Sprintf("%d s", seconds)
	case seconds < 7200:
		return figure(float64(seconds)/60) + " min"
	}
	return figure(float64(seconds)/3600) + " h"
}

// median returns the middle of values, which it sorts; between two, their mean.
// There must be at least one.
func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}
