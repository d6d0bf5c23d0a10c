package spanbucketexporter

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/confmap"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

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

// ByteSize is a number of bytes.
type ByteSize int64

// UnmarshalText reads a size such as 10GiB or 500MB; a bare number is of bytes.
func (s *ByteSize) UnmarshalText(text []byte) error {
	n, err := storage.ParseBytes(string(text))
	if err != nil {
		return fmt.Errorf("max_size: %w", err)
	}
	*s = ByteSize(n)
	return nil
}

// MarshalText is the inverse of UnmarshalText.
func (s ByteSize) MarshalText() ([]byte, error) { return []byte(storage.BytesText(int64(s))), nil }

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
