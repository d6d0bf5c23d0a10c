package main

import (
	"testing"
	"time"

	"github.com/spanbucket/spanbucketexporter/analysis"
)

func TestParseTime(t *testing.T) {
	began := time.Date(2026, 1, 30, 10, 0, 0, 0, time.UTC)
	data := analysis.Extent{Begin: began, End: began.Add(time.Hour)}
	for text, want := range map[string]time.Time{
		"": {}, "2026-01-30T10:00:00Z": began, "2026-01-30t10:00:00z": began, "2026-01-30T12:00:00+02:00": began,
		"2026-01-30T10:00:00.5Z": began.Add(500 * time.Millisecond), "@1769767200": began, "@-1": time.Unix(-1, 0),
		"+40s": began.Add(40 * time.Second), "+0s": began, "+1h2m": began.Add(62 * time.Minute), "+1.5s": began.Add(1500 * time.Millisecond),
		"-10m": began.Add(50 * time.Minute), "-0s": began.Add(time.Hour), "-2h": began.Add(-time.Hour),
	} {
		if got, err := parseTime(text, data); err != nil || !got.Equal(want) {
			t.Errorf("parseTime(%q) = %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		"now", "2026-01-30", "2026-01-30T10:00:00", "2026-02-30T10:00:00Z", "@", "@1.5", "@1e9", "@99999999999", "@-99999999999",
		"+", "+40", "+-40s", "--40s", "-+40s", "-", "-40", "+9999999h", "40s", "1500-01-01T00:00:00Z", " @1", "@1769767200 ",
	} {
		if got, err := parseTime(text, data); err == nil {
			t.Errorf("parseTime(%q) = %s, want an error", text, got)
		}
	}
	if got, err := parseTime("+40s", analysis.Extent{}); err == nil {
		t.Errorf("a relative time in an empty file is %s, want an error", got)
	}
}

func TestParseWidth(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "1s": 1, "5m": 300, "1h": 3600, "1000ms": 1, "1d": 86400} {
		if got, err := parseWidth(text); err != nil || got != want {
			t.Errorf("parseWidth(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"0s", "-1s", "1", "1.5s", "0d", "d", "1.5d", "s"} {
		if got, err := parseWidth(text); err == nil {
			t.Errorf("parseWidth(%q) = %d, want an error", text, got)
		}
	}
}
