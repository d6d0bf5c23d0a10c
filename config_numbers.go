package spanbucketexporter

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"go.opentelemetry.io/collector/confmap"
)

// Durations that the collector's decoder would take for nanoseconds where they
// are bare numbers, each with an example; and whole numbers, of which it would
// cut off a fraction.
var (
	durationKeys = map[string]string{
		"timeout": "5s", "settle_after": "60s", "dedup::window": "24h",
	}
	wholeKeys = []string{
		"max_series", "max_size", "requests::max_for_cause", "requests::max_rows", "dedup::max_spans", "dead_letters::max_attempts",
		"dead_letters::max_rows",
	}
)

// refuseBareNumbers returns an error for each number that would not mean what
// it says.
func refuseBareNumbers(conf *confmap.Conf) error {
	var faults []error
	for key, example := range durationKeys {
		switch value := conf.Get(key).(type) {
		case nil, time.Duration:
		case string:
			if _, err := time.ParseDuration(strings.TrimSpace(value)); err != nil && value != "" {
				faults = append(faults, fmt.Errorf("%s: %q: must be a duration such as %s", key, value, example))
			}
		default:
			faults = append(faults, fmt.Errorf("%s: %v: must be a duration such as %s", key, value, example))
		}
	}
	for _, key := range wholeKeys {
		if value, ok := conf.Get(key).(float64); ok && value != math.Trunc(value) {
			faults = append(faults, fmt.Errorf("%s: %v: must be a whole number", key, value))
		}
	}
	return errors.Join(faults...)
}
