package tables

import (
	"math"
	"strconv"
	"strings"

	"github.com/spanbucket/spanbucketexporter/analysis"
)

// Cells of text tables. A nil value is missing.

// Count puts commas between thousands: 1,234,567.
func Count(n int64) string { return group(strconv.FormatInt(n, 10)) }

// Compact rounds counts from a million up: 123.9M.
func Compact(n *int64) string {
	if n == nil {
		return Missing
	}
	v, unit := float64(*n), ""
	for _, next := range []string{"M", "G", "T"} {
		if v < 1e6 && unit == "" || v < 1e3 {
			break
		}
		v, unit = v/map[bool]float64{true: 1e6, false: 1e3}[unit == ""], next
	}
	if unit == "" {
		return Count(*n)
	}
	return decimals(v, 1, 3) + unit
}

// CountOrMissing shows nothing for 0.
func CountOrMissing(n int64) string {
	if n == 0 {
		return Missing
	}
	return Count(n)
}

// MS rounds milliseconds to one decimal; to three significant digits below ten,
// to whole ones from a second up.
func MS(v *float64) string {
	switch {
	case v == nil:
		return Missing
	case *v >= 1000:
		return decimals(*v, 0, 0)
	}
	return decimals(*v, 1, 3)
}

// Percent shows a share as [analysis.Percent] does.
func Percent(v *float64) string {
	if v == nil {
		return Missing
	}
	return analysis.Percent(*v)
}

// USD shows an amount with two decimals, small ones with three significant
// digits.
func USD(v *float64) string {
	if v == nil {
		return Missing
	}
	return decimals(*v, 2, 3)
}

// decimals formats v with a fixed number of decimals, more where v would
// otherwise have fewer significant digits than asked for, but at most six.
func decimals(v float64, fixed, significant int) string {
	places := fixed
	if v != 0 {
		magnitude := int(math.Floor(math.Log10(math.Abs(v)))) + 1
		places = min(max(fixed, significant-magnitude), 6)
	}
	return group(strconv.FormatFloat(v, 'f', places, 64))
}

// group puts commas between thousands.
func group(number string) string {
	whole, fraction, found := strings.Cut(number, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if found {
		whole += "." + fraction
	}
	return sign + whole
}

// Bytes shows a size in binary units.
func Bytes(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	if i == 0 {
		return strconv.FormatInt(n, 10) + " B"
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + units[i]
}
