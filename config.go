package spanbucketexporter

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// Config is the configuration of the exporter. The README lists every key with
// its default.
type Config struct {
	// Timeout bounds how long one batch may wait for its commit.
	Timeout exporterhelper.TimeoutConfig `mapstructure:",squash"`
	// Retry is off by default: without a queue a retryable error goes back to
	// the client at once. A queue switches it on, without end.
	Retry configretry.BackOffConfig `mapstructure:"retry_on_failure"`
	// Queue is off by default: a queue acknowledges before the commit.
	Queue configoptional.Optional[exporterhelper.QueueBatchConfig] `mapstructure:"sending_queue"`

	// Path of the file; it is created with its folders.
	Path string `mapstructure:"path"`
	// FileMode of a file that is created.
	FileMode FileMode `mapstructure:"file_mode"`
	// Buckets are the bucket widths, finest first.
	Buckets []BucketConfig `mapstructure:"buckets"`
	// SettleAfter is how long after its end a bucket settles.
	SettleAfter time.Duration `mapstructure:"settle_after"`
	// Dimensions are attributes that series are split by, besides the fixed
	// ones.
	Dimensions []DimensionConfig `mapstructure:"dimensions"`
	// MaxSeries bounds the live series.
	MaxSeries int `mapstructure:"max_series"`
	// Outcomes decides the outcome of spans by their error.type.
	Outcomes Outcomes `mapstructure:"outcomes"`
	// Run is the test run of spans that name none.
	Run RunConfig `mapstructure:"run"`
	// Synchronous says whether a commit survives a power cut.
	Synchronous Synchronous `mapstructure:"synchronous"`

	_ struct{} // no unkeyed literals
}

// BucketConfig is one bucket width.
type BucketConfig struct {
	// Width in whole seconds.
	Width time.Duration `mapstructure:"width"`
	// Retention is how long buckets are kept, "forever" by default.
	Retention Retention `mapstructure:"retention"`
	// Detail is "series" (default) or "headline", which keeps the relation
	// timeseries only.
	Detail Detail `mapstructure:"detail"`

	_ struct{}
}

// DimensionConfig is an attribute that series are split by.
type DimensionConfig struct {
	// Name of the attribute, looked for on the span, then on its resource.
	Name string `mapstructure:"name"`
	// Default is the value of spans without it; without a default the
	// dimension is left out.
	Default string `mapstructure:"default"`
	// MaxValues bounds the distinct values; later ones become __overflow__.
	MaxValues int `mapstructure:"max_values"`

	_ struct{}
}

// RunConfig names the test run of spans that name none.
type RunConfig struct {
	ID   string `mapstructure:"id"`
	Name string `mapstructure:"name"`

	_ struct{}
}

// Retention is how long buckets are kept; the zero value keeps them for ever.
type Retention time.Duration

// UnmarshalText reads a duration or "forever".
func (r *Retention) UnmarshalText(text []byte) error {
	if string(text) == "forever" {
		*r = 0
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d <= 0 {
		return fmt.Errorf("retention: %q: must be a positive duration such as 72h, or forever", text)
	}
	*r = Retention(d)
	return nil
}

// MarshalText is the inverse of UnmarshalText.
func (r Retention) MarshalText() ([]byte, error) {
	if r == 0 {
		return []byte("forever"), nil
	}
	return []byte(time.Duration(r).String()), nil
}

// Detail says what is kept of a bucket width.
type Detail storage.Detail

// UnmarshalText reads "series" or "headline".
func (d *Detail) UnmarshalText(text []byte) error {
	for _, known := range []storage.Detail{storage.DetailSeries, storage.DetailHeadline} {
		if string(text) == known.String() {
			*d = Detail(known)
			return nil
		}
	}
	return fmt.Errorf("detail: %q: must be series or headline", text)
}

// MarshalText is the inverse of UnmarshalText.
func (d Detail) MarshalText() ([]byte, error) { return []byte(storage.Detail(d).String()), nil }

// Synchronous is SQLite's setting of that name.
type Synchronous storage.Synchronous

// UnmarshalText reads "full" or "normal".
func (s *Synchronous) UnmarshalText(text []byte) error {
	for _, known := range []storage.Synchronous{storage.SynchronousFull, storage.SynchronousNormal} {
		if string(text) == known.String() {
			*s = Synchronous(known)
			return nil
		}
	}
	return fmt.Errorf("synchronous: %q: must be full or normal", text)
}

// MarshalText is the inverse of UnmarshalText.
func (s Synchronous) MarshalText() ([]byte, error) {
	return []byte(storage.Synchronous(s).String()), nil
}

// Outcome is one of the ten outcomes.
type Outcome aggregator.Outcome

// UnmarshalText reads the name of an outcome, such as "rate_limited".
func (o *Outcome) UnmarshalText(text []byte) error {
	known, ok := aggregator.ParseOutcome(string(text))
	if !ok {
		return fmt.Errorf("outcomes: %q: must be one of the outcomes, such as rate_limited", text)
	}
	*o = Outcome(known)
	return nil
}

// MarshalText is the inverse of UnmarshalText.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(aggregator.Outcome(o).String()), nil }

// Outcomes maps values of error.type to outcomes.
type Outcomes map[string]Outcome

// Unmarshal reads the map. Its keys may contain "::", which otherwise separates
// keys: the error types of some languages do.
func (o *Outcomes) Unmarshal(conf *confmap.Conf) error {
	*o = Outcomes{}
	var errs []error
	for _, errorType := range conf.AllKeys() {
		var outcome Outcome
		if err := outcome.UnmarshalText(fmt.Append(nil, conf.Get(errorType))); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", errorType, err))
			continue
		}
		(*o)[errorType] = outcome
	}
	return errors.Join(errs...)
}

// FileMode is a file mode in octal digits.
type FileMode fs.FileMode

// UnmarshalText reads octal digits such as 0600.
func (m *FileMode) UnmarshalText(text []byte) error {
	mode, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || mode > math.MaxUint16 {
		return fmt.Errorf(`file_mode: %q: must be octal digits in quotes, such as "0640"`, text)
	}
	*m = FileMode(mode)
	return nil
}

// MarshalText is the inverse of UnmarshalText.
func (m FileMode) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%#o", uint32(m)), nil }

var (
	_ component.Config              = (*Config)(nil)
	_ confmap.Unmarshaler           = (*Config)(nil)
	_ confmap.Unmarshaler           = (*BucketConfig)(nil)
	_ confmap.Unmarshaler           = (*DimensionConfig)(nil)
	_ confmap.Unmarshaler           = (*Outcomes)(nil)
	_ interface{ Validate() error } = (*Config)(nil)
)

func createDefaultConfig() component.Config {
	retry := configretry.NewDefaultBackOffConfig()
	retry.Enabled = false
	return &Config{
		Timeout:  exporterhelper.NewDefaultTimeoutConfig(),
		Retry:    retry,
		Queue:    configoptional.Default(exporterhelper.NewDefaultQueueConfig()),
		Path:     "./spanbucket.db",
		FileMode: 0o600,
		Buckets: []BucketConfig{
			{Width: time.Second, Retention: Retention(24 * time.Hour), Detail: Detail(storage.DetailHeadline)},
			{Width: 10 * time.Second, Retention: Retention(72 * time.Hour)},
			{Width: 5 * time.Minute, Retention: Retention(2160 * time.Hour)},
			{Width: time.Hour, Retention: Retention(17520 * time.Hour)},
		},
		SettleAfter: time.Minute,
		MaxSeries:   10_000,
	}
}

// Unmarshal reads the configuration. A queue is on only where it is switched on
// explicitly: mentioning its size must not make OK mean less. A queue retries
// without end unless told otherwise.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	defaults := createDefaultConfig().(*Config)
	if err := conf.Unmarshal(c); err != nil {
		return err
	}
	if enabled, ok := conf.Get("sending_queue::enabled").(bool); !ok || !enabled {
		c.Queue = defaults.Queue
		return nil
	}
	if !conf.IsSet("retry_on_failure::enabled") {
		c.Retry.Enabled = true
	}
	if !conf.IsSet("retry_on_failure::max_elapsed_time") {
		c.Retry.MaxElapsedTime = 0
	}
	return nil
}

// Unmarshal reads one width. A bare number would pass for nanoseconds.
func (b *BucketConfig) Unmarshal(conf *confmap.Conf) error {
	if retention := conf.Get("retention"); retention != nil {
		if _, ok := retention.(string); !ok {
			return fmt.Errorf("retention: %v: must be a positive duration such as 72h, or forever", retention)
		}
	}
	return conf.Unmarshal(b)
}

// defaultMaxValues bounds a dimension that names no bound.
const defaultMaxValues = 100

// Unmarshal reads one dimension.
func (d *DimensionConfig) Unmarshal(conf *confmap.Conf) error {
	d.MaxValues = defaultMaxValues
	return conf.Unmarshal(d)
}
