package analysis

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// MaxYear and minYear are the years that a time may lie in: those whose
// nanoseconds fit an int64.
const minYear, MaxYear = 1678, 2261

// ParseTime reads 2026-01-30T10:00:00Z, @1769767200 (Unix seconds), +40s (since
// the begin of the data) or -10m (before their end). The empty text is the zero
// time.
func ParseTime(text string, data Extent) (time.Time, error) {
	const forms = "must be like 2026-01-30T10:00:00Z, @1769767200, +40s or -10m"
	var t time.Time
	switch {
	case text == "":
		return time.Time{}, nil
	case text[0] == '@':
		seconds, err := strconv.ParseInt(text[1:], 10, 64)
		// Seconds far outside would wrap around inside time.Time.
		if err != nil || seconds < -1<<40 || seconds > 1<<40 {
			return time.Time{}, fmt.Errorf("%q: %s", text, forms)
		}
		t = time.Unix(seconds, 0).UTC()
	case text[0] == '+' || text[0] == '-':
		distance, err := time.ParseDuration(text[1:])
		switch {
		case err != nil || strings.ContainsAny(text[1:], "+-"):
			return time.Time{}, fmt.Errorf("%q: %s", text, forms)
		case data.Begin.IsZero():
			return time.Time{}, fmt.Errorf("%q: the file has no spans to count from", text)
		}
		if t = data.Begin.Add(distance); text[0] == '-' {
			t = data.End.Add(-distance)
		}
	default:
		var err error
		if t, err = time.Parse(time.RFC3339Nano, strings.ToUpper(text)); err != nil {
			return time.Time{}, fmt.Errorf("%q: %s", text, forms)
		}
		t = t.UTC()
	}
	if t.Year() < minYear || t.Year() > MaxYear {
		return time.Time{}, fmt.Errorf("%q: must lie in the years %d to %d", text, minYear, MaxYear)
	}
	return t, nil
}

// WidthName shows a width in seconds as 10s, 5m, 1h or 1d.
func WidthName(seconds int64) string {
	for _, unit := range []struct {
		seconds int64
		name    string
	}{{86400, "d"}, {3600, "h"}, {60, "m"}} {
		if seconds%unit.seconds == 0 {
			return strconv.FormatInt(seconds/unit.seconds, 10) + unit.name
		}
	}
	return strconv.FormatInt(seconds, 10) + "s"
}

// ParseWidth reads a width such as 10s, 5m, 1h or 1d as whole seconds; the empty
// text is 0.
func ParseWidth(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil && n > 0 {
			return int64(n) * 86400, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d%time.Second != 0 {
		return 0, fmt.Errorf("%q: must be whole seconds, such as 10s, 5m or 1h", text)
	}
	return int64(d / time.Second), nil
}
