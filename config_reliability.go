package spanbucketexporter

import (
	"fmt"
	"time"

	"go.opentelemetry.io/collector/config/configopaque"

	"github.com/spanbucket/spanbucketexporter/folding"
)

// DedupConfig bounds the window in which a second delivery of a span is noticed
// and not counted.
type DedupConfig struct {
	// Window is how long a span is remembered after it arrived; 0: not at all.
	Window time.Duration `mapstructure:"window"`
	// MaxSpans is how many spans are remembered; 0: none.
	MaxSpans int `mapstructure:"max_spans"`
	// Secret makes the fingerprints of several files comparable; empty: every
	// file has a random one.
	Secret configopaque.String `mapstructure:"secret"`

	_ struct{}
}

// DeadLettersConfig says what becomes of spans that cannot be stored.
type DeadLettersConfig struct {
	// MaxAttempts is how often a batch is refused that fails for an unknown
	// reason, before it becomes a dead letter.
	MaxAttempts int `mapstructure:"max_attempts"`
	// MaxRows bounds the dead letters of a file; the oldest go first.
	MaxRows int `mapstructure:"max_rows"`

	_ struct{}
}

const (
	minDedupSpans       = 1_000
	maxDedupSpans       = 100_000_000
	maxDedupWindow      = 366 * 24 * time.Hour
	maxMaxAttempts      = 1_000
	maxDeadLetters      = 1_000_000
	noDeduplicationHint = "; 0 of either key switches deduplication off"
)

func (c *Config) validateReliability(fault faultFunc) {
	d := &c.Dedup
	if d.Window != 0 && (d.Window < time.Minute || d.Window > maxDedupWindow || d.Window%time.Second != 0) {
		fault("dedup::window", d.Window, "must be whole seconds, from %v to %v, or 0s%s", time.Minute, maxDedupWindow, noDeduplicationHint)
	}
	if d.MaxSpans != 0 && (d.MaxSpans < minDedupSpans || d.MaxSpans > maxDedupSpans) {
		fault("dedup::max_spans", d.MaxSpans, "must be from %d to %d, or 0%s", minDedupSpans, maxDedupSpans, noDeduplicationHint)
	}
	if n := len(d.Secret); n != 0 && (n < folding.MinSecretBytes || n > folding.MaxSecretBytes) {
		fault("dedup::secret", fmt.Sprintf("%d bytes", n), "must be from %d to %d bytes", folding.MinSecretBytes, folding.MaxSecretBytes)
	}
	if n := c.DeadLetters.MaxAttempts; n < 1 || n > maxMaxAttempts {
		fault("dead_letters::max_attempts", n, "must be from 1 to %d", maxMaxAttempts)
	}
	if n := c.DeadLetters.MaxRows; n < 1 || n > maxDeadLetters {
		fault("dead_letters::max_rows", n, "must be from 1 to %d", maxDeadLetters)
	}
}
