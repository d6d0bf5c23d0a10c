package spanbucketexporter

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exporterhelper"

	"github.com/spanbucket/spanbucketexporter/folding"
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
	// Requests says which requests are kept row by row.
	Requests RequestsConfig `mapstructure:"requests"`
	// Fields names the attributes that a field is read from, in order, in place
	// of the built-in ones.
	Fields map[string][]string `mapstructure:"fields"`
	// Outcomes decides the outcome of spans by their error.type.
	Outcomes Outcomes `mapstructure:"outcomes"`
	// Prices of tokens; the first whose model matches counts.
	Prices []PriceConfig `mapstructure:"prices"`
	// Faults says when faults were, or will be, injected.
	Faults FaultsConfig `mapstructure:"faults"`
	// SLOs are the service level objectives that good requests are counted for.
	SLOs []SLOConfig `mapstructure:"slos"`
	// Dedup bounds the window in which a second delivery of a span is noticed.
	Dedup DedupConfig `mapstructure:"dedup"`
	// DeadLetters says what becomes of spans that cannot be stored.
	DeadLetters DeadLettersConfig `mapstructure:"dead_letters"`
	// Run is the test run of spans that name none.
	Run RunConfig `mapstructure:"run"`
	// Synchronous says whether a commit survives a power cut.
	Synchronous Synchronous `mapstructure:"synchronous"`
	// MaxSize bounds the file; 0: no bound.
	MaxSize ByteSize `mapstructure:"max_size"`

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
	// Pinned keeps what belongs to the run whatever the retention.
	Pinned bool `mapstructure:"pinned"`

	_ struct{}
}

var (
	_ component.Config              = (*Config)(nil)
	_ confmap.Unmarshaler           = (*Config)(nil)
	_ confmap.Unmarshaler           = (*BucketConfig)(nil)
	_ confmap.Unmarshaler           = (*DimensionConfig)(nil)
	_ confmap.Unmarshaler           = (*Outcomes)(nil)
	_ confmap.Unmarshaler           = (*RequestsConfig)(nil)
	_ confmap.Unmarshaler           = (*PriceConfig)(nil)
	_ confmap.Unmarshaler           = (*FaultsConfig)(nil)
	_ confmap.Unmarshaler           = (*SLOConfig)(nil)
	_ confmap.Unmarshaler           = (*FaultWindowConfig)(nil)
	_ interface{ Validate() error } = (*Config)(nil)
)

func createDefaultConfig() component.Config {
	retry := configretry.NewDefaultBackOffConfig()
	retry.Enabled = false
	defaults := folding.Default()
	o := &defaults.Storage
	return &Config{
		Timeout:     exporterhelper.NewDefaultTimeoutConfig(),
		Retry:       retry,
		Queue:       configoptional.Default(exporterhelper.NewDefaultQueueConfig()),
		Path:        "./spanbucket.db",
		FileMode:    FileMode(o.FileMode),
		Buckets:     bucketConfigs(o.Widths),
		SettleAfter: o.SettleAfter,
		MaxSeries:   o.Limits.MaxSeries,
		Requests:    requestsConfig(o),
		Faults:      FaultsConfig{Gap: o.FaultGap},
		Dedup:       DedupConfig{Window: o.DedupWindow, MaxSpans: o.DedupMaxSpans},
		MaxSize:     ByteSize(o.MaxSize),
		DeadLetters: DeadLettersConfig{MaxAttempts: defaults.MaxAttempts, MaxRows: o.MaxLetters},
	}
}

// Unmarshal reads the configuration. A queue is on only where it is switched on
// explicitly: mentioning its size must not make OK mean less. A queue retries
// without end unless told otherwise.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	defaults := createDefaultConfig().(*Config)
	// Once with every key, since unknown ones are refused even without a value.
	if err := errors.Join(refuseBareNumbers(conf), conf.Unmarshal(c)); err != nil {
		if dropKeysWithoutValue(conf) {
			*c = *defaults
			_ = conf.Unmarshal(c) // as before
		}
		return besides(err, c.validate, func(key string) string { // a block with faults may be half read
			block, _, _ := strings.Cut(key, "::")
			return block
		})
	}
	if dropKeysWithoutValue(conf) {
		*c = *defaults
		if err := conf.Unmarshal(c); err != nil {
			return err
		}
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

// dropKeysWithoutValue takes out the keys that stand there without a value, or
// with a variable that is not set, and tells whether there were any: they mean
// the default, not zero. A field without sources is left to be refused.
func dropKeysWithoutValue(conf *confmap.Conf) (found bool) {
	for _, key := range conf.AllKeys() {
		if conf.Get(key) == nil && !strings.HasPrefix(key, "fields::") {
			found = conf.Delete(key) || found
		}
	}
	return found
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
