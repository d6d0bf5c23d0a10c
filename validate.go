package spanbucketexporter

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/spans"
	"github.com/spanbucket/spanbucketexporter/storage"
)

const (
	maxBuckets     = 8
	maxWidth       = 366 * 24 * time.Hour
	maxSettleAfter = 24 * time.Hour
	maxMaxSeries   = 1_000_000
	maxMaxValues   = 100_000
	minMaxSize     = 1 << 20
)

// Validate reports every fault at once, each as "key: value: rule". It looks at
// nothing but the configuration.
func (c *Config) Validate() error {
	return besides(nil, c.validate, nil)
}

// besides returns err and, so that all faults come at once, those of validate
// but for the ones whose subject err names already.
func besides(err error, validate func(faultFunc), subject func(key string) string) error {
	faults := []error{err}
	validate(func(key string, value any, rule string, args ...any) {
		if err == nil || !strings.Contains(err.Error(), subject(key)) {
			faults = append(faults, fmt.Errorf("%s: %v: %s", key, value, fmt.Sprintf(rule, args...)))
		}
	})
	return errors.Join(faults...)
}

func (c *Config) validate(fault faultFunc) {
	if err := storage.CheckPath(c.Path); err != nil {
		fault("path", fmt.Sprintf("%q", c.Path), "%v", err)
	}
	if m := uint32(c.FileMode); m&0o600 != 0o600 || m&^0o660 != 0 {
		fault("file_mode", fmt.Sprintf("%#o", m), "must let the owner read and write, may let the group, and nobody else")
	}
	if c.SettleAfter < 0 || c.SettleAfter > maxSettleAfter || c.SettleAfter%time.Second != 0 {
		fault("settle_after", c.SettleAfter, "must be whole seconds, from 0s to %v", maxSettleAfter)
	}
	if c.MaxSeries < 1 || c.MaxSeries > maxMaxSeries {
		fault("max_series", c.MaxSeries, "must be from 1 to %d", maxMaxSeries)
	}
	if c.MaxSize != 0 && c.MaxSize < minMaxSize {
		fault("max_size", storage.BytesText(int64(c.MaxSize)), "must be 0, which is no bound, or at least 1MiB")
	}
	c.validateRequests(fault)
	c.validateBuckets(fault)
	c.validateDimensions(fault)
	c.validateFields(fault)
	c.validatePrices(fault)
	c.validateFaults(fault)
	c.validateSLOs(fault)
	c.validateRun(fault)
	c.validateReliability(fault)
}

type faultFunc func(key string, value any, rule string, args ...any)

func (c *Config) validateBuckets(fault faultFunc) {
	if n := len(c.Buckets); n < 1 || n > maxBuckets {
		fault("buckets", fmt.Sprintf("%d widths", n), "must be from 1 to %d", maxBuckets)
	}
	for i, b := range c.Buckets {
		key := fmt.Sprintf("buckets::%d::", i)
		if b.Width < time.Second || b.Width > maxWidth || b.Width%time.Second != 0 {
			fault(key+"width", b.Width, "must be whole seconds, from 1s to %v", maxWidth)
			continue
		}
		if b.Retention != 0 && time.Duration(b.Retention) < b.Width {
			fault(key+"retention", time.Duration(b.Retention), "must not be shorter than the width, %v", b.Width)
		}
		if i == 0 || c.Buckets[i-1].Width < time.Second {
			continue
		}
		if before := c.Buckets[i-1].Width; b.Width <= before || b.Width%before != 0 {
			fault(key+"width", b.Width, "must be a multiple of the width before it, %v, and larger", before)
		}
	}
}

func (c *Config) validateDimensions(fault faultFunc) {
	if n := len(c.Dimensions); n > spans.MaxDimensions {
		fault("dimensions", fmt.Sprintf("%d dimensions", n), "must be at most %d", spans.MaxDimensions)
	}
	first := map[string]int{}
	for i, d := range c.Dimensions {
		key := fmt.Sprintf("dimensions::%d::", i)
		if d.Name == "" {
			fault(key+"name", `""`, "must name an attribute")
		} else if before, again := first[d.Name]; again {
			fault(key+"name", fmt.Sprintf("%q", d.Name), "is dimension %d already", before)
		} else {
			first[d.Name] = i
		}
		validateText(fault, key+"name", d.Name)
		validateText(fault, key+"default", d.Default)
		if d.MaxValues < 1 || d.MaxValues > maxMaxValues {
			fault(key+"max_values", d.MaxValues, "must be from 1 to %d", maxMaxValues)
		}
	}
}

func (c *Config) validateRun(fault faultFunc) {
	validateText(fault, "run::id", c.Run.ID)
	validateText(fault, "run::name", c.Run.Name)
	if c.Run.Name != "" && c.Run.ID == "" {
		fault("run::name", fmt.Sprintf("%q", c.Run.Name), "needs run::id")
	}
	if c.Run.Pinned && c.Run.ID == "" {
		fault("run::pinned", true, "needs run::id")
	}
}

// validateText refuses what would not be stored as it is written.
func validateText(fault faultFunc, key, text string) {
	if _, notes := aggregator.CleanText(text); notes != 0 {
		fault(key, fmt.Sprintf("%.40q", text), "must be valid UTF-8 without NUL, at most %d bytes", aggregator.MaxValueBytes)
	}
}
