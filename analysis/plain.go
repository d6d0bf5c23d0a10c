package analysis

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// figure writes a number with three significant digits, as sentences have it.
func figure(x float64) string {
	if math.Abs(x) >= 1000 {
		return thousands(int64(math.Round(x)))
	}
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

// Percent writes a share as a percentage with one decimal, without the sign. One
// that is not 0 never looks like it, nor one below 1 like all.
func Percent(share float64) string {
	switch {
	case share > 0 && share < 0.0005:
		return "<0.1"
	case share < 1 && share >= 0.9995:
		return "99.9"
	}
	return strconv.FormatFloat(share*100, 'f', 1, 64)
}

// percentText writes a share as a percentage, as sentences have it.
func percentText(share float64) string { return strings.TrimSuffix(Percent(share), ".0") + " %" }

// lasting writes a length in seconds.
func lasting(seconds int64) string {
	switch {
	case seconds < 120 || seconds < 600 && seconds%60 != 0:
		return fmt.Sprintf("%d s", seconds)
	case seconds < 7200:
		return figure(float64(seconds)/60) + " min"
	}
	return figure(float64(seconds)/3600) + " h"
}

// lastingExactly writes a length in seconds, short ones with one decimal, those
// below a second to the millisecond, as tables have it.
func lastingExactly(seconds float64) string {
	switch {
	case seconds < 1:
		return figure(math.Round(seconds*1000)/1000) + " s"
	case seconds < 100:
		return strings.TrimSuffix(strconv.FormatFloat(seconds, 'f', 1, 64), ".0") + " s"
	}
	return lasting(int64(math.Round(seconds)))
}

// median returns the middle of values, which it sorts; between two, their mean.
// There must be at least one.
func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// counted writes a number with its noun.
func counted(n int64, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + several
}

// thousands writes a number as 12,345.
func thousands(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// shortened cuts text to a number of characters.
func shortened(text string, characters int) string {
	if utf8.RuneCountInString(text) <= characters {
		return text
	}
	return string([]rune(text)[:characters-1]) + "…"
}
