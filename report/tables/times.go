package tables

import (
	"strconv"
	"strings"
	"time"

	"github.com/spanbucket/spanbucketexporter/analysis"
)

// Time shows an instant such as 2006-01-02T15:04:05Z as a table does: without
// its letters, and without the day where all of the table lies within one. What
// is no such instant stays as it is.
func Time(utc string, oneDay bool) string {
	if len(utc) != len("2006-01-02T15:04:05Z") {
		return utc
	}
	if oneDay {
		return utc[11:19]
	}
	return strings.Replace(utc[:19], "T", " ", 1)
}

// IsOneDay tells whether an answer lies within one day.
func IsOneDay(s *analysis.Scope) bool {
	return s.FromUTC != nil && s.ToUTC != nil && (*s.FromUTC)[:10] == (*s.ToUTC)[:10]
}

// Length shows how long something took: 93ms, 12.9s, 1m5s, 26h10m.
func Length(nanoseconds int64) string {
	length := time.Duration(nanoseconds)
	switch {
	case length.Abs() < time.Second:
		return length.Round(time.Millisecond).String()
	case length.Abs() < time.Minute-50*time.Millisecond:
		return strconv.FormatFloat(length.Seconds(), 'f', 1, 64) + "s"
	}
	return Seconds(int64(length.Round(time.Second) / time.Second))
}

// Seconds shows whole seconds: 90 is 1m30s, 3600 is 1h.
func Seconds(seconds int64) string {
	text := (time.Duration(seconds) * time.Second).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if rest, found := strings.CutSuffix(text, zero); found {
			text = rest + zero[:1]
		}
	}
	return text
}
