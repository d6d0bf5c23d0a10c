package check

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// Rule sets thresholds for one figure.
type Rule struct {
	Metric string // one of Names
	// Category and Model restrict the rule to some requests; nil: to those that
	// the check is about. At most one of them is set.
	Category *aggregator.Category
	Model    *string
	// Warn and Fail are the levels, one of them at least. Milliseconds for
	// latency, a fraction for error_rate, US dollars for cost.
	Warn, Fail *float64
}

// NewRule returns a rule that fails beyond a threshold given as text.
func NewRule(name, text string) (Rule, error) {
	m, ok := metricOf(strings.ReplaceAll(name, "-", "_"))
	if !ok {
		return Rule{}, fmt.Errorf("%q: must be one of %s", name, strings.Join(Names(), ", "))
	}
	value, err := m.parse(text)
	if err != nil {
		return Rule{}, err
	}
	return Rule{Metric: m.name, Fail: &value}, nil
}

var numberForm = regexp.MustCompile(`^[0-9]{1,15}(\.[0-9]{1,9})?$`)

// parse reads a threshold: a plain decimal number of 0 or more, or, for a share,
// one with a percent sign.
func (m *metric) parse(text string) (float64, error) {
	digits, percent := text, false
	if m.share {
		digits, percent = strings.CutSuffix(text, "%")
	}
	value, err := strconv.ParseFloat(digits, 64)
	if err != nil || !numberForm.MatchString(digits) || math.IsInf(value, 0) {
		if m.share {
			return 0, fmt.Errorf("%q: must be a share like 0.01 or 1%%", text)
		}
		unit := map[string]string{"ms": " in milliseconds", "/s": " per second", "USD": " in US dollars"}[m.unit]
		return 0, fmt.Errorf("%q: must be a number of 0 or more%s, like 800 or 0.5", text, unit)
	}
	if percent {
		value /= 100
	}
	if m.share && value > 1 {
		return 0, fmt.Errorf("%q: a share must not be above 1, which is 100%%", text)
	}
	return value, nil
}

// checkLevels refuses levels of which the warning comes after the failure.
func (r *Rule) checkLevels() error {
	m, _ := metricOf(r.Metric)
	switch {
	case r.Warn == nil || r.Fail == nil:
		return nil
	case m.minimum && *r.Warn < *r.Fail:
		return fmt.Errorf("warn %g must not be below fail %g", *r.Warn, *r.Fail)
	case !m.minimum && *r.Warn > *r.Fail:
		return fmt.Errorf("warn %g must not be above fail %g", *r.Warn, *r.Fail)
	}
	return nil
}

// judge compares a value with the levels: what equals one passes it.
func (r *Rule) judge(value float64) Status {
	m, _ := metricOf(r.Metric)
	beyond := func(level *float64) bool {
		return level != nil && (!m.minimum && value > *level || m.minimum && value < *level)
	}
	switch {
	case beyond(r.Fail):
		return Fail
	case beyond(r.Warn):
		return Warn
	}
	return Pass
}

// Regression bounds how much worse than a baseline a figure may be.
type Regression struct {
	Metric string  // one of RegressionNames
	Limit  float64 // of the relative change, a fraction
}

var regressionForm = regexp.MustCompile(`^([a-z0-9_-]+)=([0-9]{1,9}(?:\.[0-9]{1,9})?)(%?)$`)

// ParseRegression reads NAME=10% or NAME=0.1. A limit above 1 without the sign
// is refused: it is hardly a fraction.
func ParseRegression(text string) (Regression, error) {
	parts := regressionForm.FindStringSubmatch(text)
	if parts == nil {
		return Regression{}, fmt.Errorf("%q: must be like p99=10%% or p99=0.1", text)
	}
	name := strings.ReplaceAll(parts[1], "-", "_")
	if _, ok := comparedName(name); !ok {
		return Regression{}, fmt.Errorf("%q: must name one of %s", text, strings.Join(RegressionNames(), ", "))
	}
	limit, err := strconv.ParseFloat(parts[2], 64)
	if err != nil {
		return Regression{}, fmt.Errorf("%q: %w", text, err)
	}
	switch {
	case parts[3] != "":
		limit /= 100
	case limit > 1:
		return Regression{}, fmt.Errorf("%q: %s is above 1; write %s%% for percent", text, parts[2], parts[2])
	}
	return Regression{name, limit}, nil
}
