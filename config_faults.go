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

// FaultsConfig says when faults are injected.
type FaultsConfig struct {
	// Gap joins requests that a fault touched to one window where no more lies
	// between them.
	Gap time.Duration `mapstructure:"gap"`
	// Windows are intervals in which a fault is known to be injected.
	Windows []FaultWindowConfig `mapstructure:"windows"`

	_ struct{}
}

// FaultWindowConfig is an interval in which a fault is injected, half-open.
type FaultWindowConfig struct {
	Fault string  `mapstructure:"fault"`
	Start Instant `mapstructure:"start"`
	End   Instant `mapstructure:"end"`
	// Target is what the fault is aimed at.
	Target string `mapstructure:"target"`
	// Run is the run that the fault is injected into; empty: any.
	Run          string `mapstructure:"run"`
	ExperimentID string `mapstructure:"experiment_id"`

	_ struct{}
}

// Unmarshal reads the block. A bare number would pass for nanoseconds.
func (f *FaultsConfig) Unmarshal(conf *confmap.Conf) error {
	var bare error
	switch gap := conf.Get("gap").(type) {
	case nil, string, time.Duration:
	default:
		bare = fmt.Errorf("gap: %v: must be a duration such as 5s", gap)
	}
	return errors.Join(bare, conf.Unmarshal(f))
}

// Unmarshal reads one window. YAML hands times over as such where they are not
// quoted.
func (w *FaultWindowConfig) Unmarshal(conf *confmap.Conf) error {
	for _, key := range []string{"start", "end"} {
		var text string
		switch given := conf.Get(key).(type) {
		case time.Time:
			text = given.Format(time.RFC3339Nano)
		case int, int32, int64, uint64, float64:
			text = fmt.Sprint(given) // to be refused like other texts that are no time
		default:
			continue
		}
		if err := conf.Merge(confmap.NewFromStringMap(map[string]any{key: text})); err != nil {
			return err
		}
	}
	return conf.Unmarshal(w)
}

func (w *FaultWindowConfig) window() aggregator.FaultWindow {
	return aggregator.FaultWindow{
		Run: w.Run, Fault: w.Fault, Target: w.Target, ExperimentID: w.ExperimentID,
		StartUnixNano: int64(w.Start), EndUnixNano: int64(w.End),
	}
}

// Instant is a time in nanoseconds since the Unix epoch; 0 is none.
type Instant int64

// UnmarshalText reads 2026-01-30T10:00:00Z or @1769767200, Unix seconds.
func (i *Instant) UnmarshalText(text []byte) error {
	t, err := parseInstant(string(text))
	if err != nil || t.Year() < minYear || t.Year() > maxYear || t.UnixNano() == 0 {
		return fmt.Errorf(`%.40q: must be a time such as 2026-01-30T10:00:00Z or "@1769767200", in the years %d to %d`, text, minYear, maxYear)
	}
	*i = Instant(t.UnixNano())
	return nil
}

// The years of instants: no span starts earlier, and the nanoseconds of later
// ones do not fit.
const minYear, maxYear = 1970, 2261

func parseInstant(text string) (time.Time, error) {
	if digits, found := strings.CutPrefix(text, "@"); found {
		// Seconds far ahead would wrap around inside time.Time.
		seconds, err := strconv.ParseUint(digits, 10, 40)
		return time.Unix(int64(seconds), 0).UTC(), err
	}
	t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text))
	return t.UTC(), err
}

// MarshalText is the inverse of UnmarshalText.
func (i Instant) MarshalText() ([]byte, error) {
	if i == 0 {
		return nil, nil
	}
	return []byte(i.String()), nil
}

// String returns the time as UnmarshalText reads it.
func (i Instant) String() string { return time.Unix(0, int64(i)).UTC().Format(time.RFC3339Nano) }
