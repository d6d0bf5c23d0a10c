package spanbucketexporter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/confmap"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// SLOConfig is a service level objective: what share of which spans should be
// good.
type SLOConfig struct {
	// Name tells it from the others.
	Name string `mapstructure:"name"`
	// Category of the spans it is about.
	Category string `mapstructure:"category"`
	// Service, Operation and Model narrow it to spans with exactly this value.
	Service   string `mapstructure:"service"`
	Operation string `mapstructure:"operation"`
	Model     string `mapstructure:"model"`
	// Latency is the longest duration of a good span; nil: any.
	Latency *time.Duration `mapstructure:"latency"`
	// Objective is the share of good spans that is aimed at.
	Objective Share `mapstructure:"objective"`

	_ struct{}
}

// Unmarshal reads one objective. YAML hands numbers over as binary fractions;
// their shortest text is what was written. A bare number would pass for
// nanoseconds.
func (s *SLOConfig) Unmarshal(conf *confmap.Conf) error {
	var text string
	switch number := conf.Get("objective").(type) {
	case float64:
		text = strconv.FormatFloat(number, 'f', -1, 64)
	case int, int32, int64, uint64:
		text = fmt.Sprint(number)
	}
	if text != "" {
		if err := conf.Merge(confmap.NewFromStringMap(map[string]any{"objective": text})); err != nil {
			return err
		}
	}
	return errors.Join(refuseBareDuration("latency", conf.Get("latency"), "2s"), conf.Unmarshal(s))
}

// objective returns what a valid configuration says.
func (s *SLOConfig) objective() aggregator.Objective {
	category, _ := aggregator.ParseCategory(s.Category)
	j := aggregator.Objective{
		Name: s.Name, Category: category, Service: s.Service, Operation: s.Operation, Model: s.Model, TargetNano: int64(s.Objective),
	}
	if s.Latency != nil {
		j.LatencyNano = int64(*s.Latency)
	}
	return j
}

// Share is a share from 0 to 1, in 1e-9; the zero value is none.
type Share int64

const (
	shareDecimals = 9
	wholeShare    = Share(1_000_000_000)
)

// UnmarshalText reads a decimal number such as 0.999.
func (s *Share) UnmarshalText(text []byte) error {
	share, err := parseShare(string(text))
	if err != nil {
		return fmt.Errorf("%.40q: must be a share such as 0.999, with at most %d decimals", text, shareDecimals)
	}
	*s = share
	return nil
}

var errShare = errors.New("not a share")

// parseShare reads a decimal number digit by digit: floating point would round
// it.
func parseShare(text string) (Share, error) {
	number, negative := strings.CutPrefix(text, "-")
	whole, fraction, point := strings.Cut(number, ".")
	if whole == "" || point && fraction == "" || len(fraction) > shareDecimals || strings.ContainsAny(number, "+-") {
		return 0, errShare
	}
	share, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", shareDecimals-len(fraction)), 10, 64)
	if negative {
		share = -share
	}
	return Share(share), err
}

// MarshalText is the inverse of UnmarshalText.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String returns the share as a decimal number.
func (s Share) String() string {
	sign, s := map[bool]string{true: "-"}[s < 0], max(s, -s)
	text := fmt.Sprintf("%s%d.%09d", sign, s/wholeShare, s%wholeShare)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

const (
	maxSLOs       = 50
	maxSLOLatency = 24 * time.Hour // of longer ones no span has a usable duration
)

func (c *Config) validateSLOs(fault faultFunc) {
	if n := len(c.SLOs); n > maxSLOs {
		fault("slos", fmt.Sprintf("%d objectives", n), "must be at most %d", maxSLOs)
	}
	first := map[string]int{}
	for i := range c.SLOs {
		s := &c.SLOs[i]
		key := fmt.Sprintf("slos::%d::", i)
		if s.Name == "" {
			fault(key+"name", `""`, "must name the objective")
		} else if before, again := first[s.Name]; again {
			fault(key+"name", fmt.Sprintf("%.40q", s.Name), "is objective %d already", before)
		} else {
			first[s.Name] = i
		}
		s.validate(fault, key)
	}
}

func (s *SLOConfig) validate(fault faultFunc, key string) {
	if _, ok := aggregator.ParseCategory(s.Category); !ok {
		fault(key+"category", fmt.Sprintf("%.40q", s.Category), "must be one of the categories, such as llm")
	}
	for _, text := range [][2]string{{"name", s.Name}, {"service", s.Service}, {"operation", s.Operation}, {"model", s.Model}} {
		validateText(fault, key+text[0], text[1])
	}
	if s.Latency != nil && (*s.Latency <= 0 || *s.Latency > maxSLOLatency) {
		fault(key+"latency", *s.Latency, "must be more than 0s, up to %v", maxSLOLatency)
	}
	if s.Objective <= 0 || s.Objective >= wholeShare {
		fault(key+"objective", s.Objective, "must be more than 0 and less than 1, such as 0.99")
	}
}
