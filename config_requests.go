package spanbucketexporter

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/confmap"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// RequestsConfig says which requests are kept row by row.
type RequestsConfig struct {
	// SamplingRatio is the share of traces that are kept, from 0 to 1 with at
	// most 6 decimals.
	SamplingRatio float64 `mapstructure:"sampling_ratio"`
	// SlowThreshold is the duration from which on a request is slow, and kept
	// for cause like one that failed or that a fault marks.
	SlowThreshold time.Duration `mapstructure:"slow_threshold"`
	// PerCategory says where some categories differ, by name.
	PerCategory map[string]CategoryRequestsConfig `mapstructure:"per_category"`
	// MaxForCause bounds what is kept for cause besides the sampled traces, of
	// each minute, category and outcome.
	MaxForCause int `mapstructure:"max_for_cause"`
	// Retention is how long requests are kept.
	Retention Retention `mapstructure:"retention"`
	// MaxRows bounds the requests that are kept; 0: no bound.
	MaxRows int64 `mapstructure:"max_rows"`
	// Sessions keeps what sessions, turns and tools are made of, also of
	// requests that are not kept.
	Sessions bool `mapstructure:"sessions"`

	_ struct{}
}

// CategoryRequestsConfig says where the requests of a category differ.
type CategoryRequestsConfig struct {
	// SlowThreshold takes the place of that of all categories.
	SlowThreshold time.Duration `mapstructure:"slow_threshold"`

	_ struct{}
}

const (
	maxSlowThreshold = 24 * time.Hour // of longer ones no span has a usable duration
	maxMaxForCause   = 100_000
	maxRequestRows   = 1_000_000_000_000
)

// requestsConfig returns what means the same as options of a file.
func requestsConfig(o *storage.Options) RequestsConfig {
	r := RequestsConfig{
		SamplingRatio: float64(o.Sampling.RatioMicro) / sampling.Whole,
		SlowThreshold: time.Duration(o.Sampling.SlowNanos[aggregator.CategoryOther]),
		PerCategory:   map[string]CategoryRequestsConfig{},
		MaxForCause:   o.Sampling.MaxForCause,
		Retention:     Retention(o.RequestRetention),
		MaxRows:       o.RequestMaxRows,
		Sessions:      !o.DropSessions,
	}
	for c, nanos := range o.Sampling.SlowNanos {
		if d := time.Duration(nanos); d != r.SlowThreshold {
			r.PerCategory[aggregator.Category(c).String()] = CategoryRequestsConfig{SlowThreshold: d}
		}
	}
	return r
}

// Unmarshal reads the block. Categories are added to the default ones; one that
// names no threshold keeps what it has.
func (r *RequestsConfig) Unmarshal(conf *confmap.Conf) error {
	whole, before := *r, maps.Clone(r.PerCategory)
	err := errors.Join(r.refuseBareNumbers(conf), conf.Unmarshal(r))
	if err != nil && dropKeysWithoutValue(conf) {
		*r, r.PerCategory = whole, maps.Clone(before)
		_ = conf.Unmarshal(r) // as before
	}
	for name := range r.PerCategory {
		if conf.IsSet("per_category::" + name + "::slow_threshold") {
			continue
		}
		if kept, ok := before[name]; ok {
			r.PerCategory[name] = kept
		} else {
			r.PerCategory[name] = CategoryRequestsConfig{SlowThreshold: r.SlowThreshold}
		}
	}
	if err == nil {
		return nil // what is out of range comes with that of the other blocks
	}
	return besides(err, (&Config{Requests: *r}).validateRequests, func(key string) string { return key + ": " })
}

func (*RequestsConfig) refuseBareNumbers(conf *confmap.Conf) error {
	var faults []error
	if retention := conf.Get("retention"); retention != nil {
		if _, ok := retention.(string); !ok {
			faults = append(faults, fmt.Errorf("requests::retention: %v: must be a positive duration such as 72h, or forever", retention))
		}
	}
	for _, key := range conf.AllKeys() {
		example := "1s"
		if strings.HasPrefix(key, "per_category::") && strings.HasSuffix(key, "::slow_threshold") {
			example = "30s"
		} else if key != "slow_threshold" {
			continue
		}
		faults = append(faults, refuseBareDuration("requests::"+key, conf.Get(key), example))
	}
	return errors.Join(faults...)
}

func (c *Config) validateRequests(fault faultFunc) {
	r := &c.Requests
	if _, err := r.ratioMicro(); err != nil {
		fault("requests::sampling_ratio", r.SamplingRatio, "%v", err)
	}
	threshold := func(key string, d time.Duration) {
		if d < time.Millisecond || d > maxSlowThreshold {
			fault(key+"slow_threshold", d, "must be from 1ms to %v", maxSlowThreshold)
		}
	}
	threshold("requests::", r.SlowThreshold)
	for _, name := range slices.Sorted(maps.Keys(r.PerCategory)) {
		if _, ok := aggregator.ParseCategory(name); !ok {
			fault("requests::per_category", fmt.Sprintf("%q", name), "must be one of the categories, such as llm")
			continue
		}
		threshold("requests::per_category::"+name+"::", r.PerCategory[name].SlowThreshold)
	}
	if r.MaxForCause < 0 || r.MaxForCause > maxMaxForCause {
		fault("requests::max_for_cause", r.MaxForCause, "must be from 0 to %d", maxMaxForCause)
	}
	if r.MaxRows < 0 || r.MaxRows > maxRequestRows {
		fault("requests::max_rows", r.MaxRows, "must be from 0, which is no bound, to %d", maxRequestRows)
	}
	if r.Retention != 0 && time.Duration(r.Retention) < time.Minute {
		fault("requests::retention", time.Duration(r.Retention), "must not be shorter than 1m0s")
	}
}

// ratioMicro returns the sampling ratio in millionths, by the shortest decimal
// that stands for it: the one that was written.
func (r *RequestsConfig) ratioMicro() (int64, error) {
	return sampling.ParseRatio(strconv.FormatFloat(r.SamplingRatio, 'f', -1, 64))
}

// policy returns what a valid configuration says.
func (r *RequestsConfig) policy() sampling.Policy {
	ratio, _ := r.ratioMicro()
	p := sampling.Policy{RatioMicro: ratio, MaxForCause: r.MaxForCause}
	for c := range p.SlowNanos {
		p.SlowNanos[c] = int64(r.SlowThreshold)
		if of, ok := r.PerCategory[aggregator.Category(c).String()]; ok {
			p.SlowNanos[c] = int64(of.SlowThreshold)
		}
	}
	return p
}
