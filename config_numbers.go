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
		faults = append(faults, refuseBareDuration(key, conf.Get(key), example))
	}
	for _, key := range wholeKeys {
		if value, ok := conf.Get(key).(float64); ok && value != math.Trunc(value) {
			faults = append(faults, fmt.Errorf("%s: %v: must be a whole number", key, value))
		}
	}
	return errors.Join(faults...)
}

// refuseBareDuration returns an error where the value of a key has no unit, or
// is no duration at all.
func refuseBareDuration(key string, value any, example string) error {
	switch value := value.(type) {
	case nil, time.Duration:
		return nil
	case string:
		if _, err := time.ParseDuration(strings.TrimSpace(value)); err != nil && value != "" {
			return fmt.Errorf("%s: %q: must be a duration such as %s", key, value, example)
		}
		return nil
	default:
		return fmt.Errorf("%s: %v: must be a duration such as %s", key, value, example)
	}
}
