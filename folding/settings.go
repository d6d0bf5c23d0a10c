package folding

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
	"github.com/spanbucket/spanbucketexporter/spans"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// Settings say how spans are read and how they are stored.
type Settings struct {
	Spans   spans.Options
	Storage storage.Options
	// MaxAttempts is how often a batch is refused that fails for an unknown
	// reason, before it becomes a dead letter.
	MaxAttempts int
	// OnlyRun is the run of spans that name none, whatever the file says; nil:
	// the run that is open in the file, else Storage.RunID.
	OnlyRun *string
}

// The length of storage.Options.DedupSecret, where there is one.
const (
	MinSecretBytes = 16
	MaxSecretBytes = 1_024
)

// The bounds that are not configured.
const (
	// maxRuns bounds the test runs of a file; spans of later ones are kept
	// under the run __overflow__.
	maxRuns = 10_000
	// maxOverflowSeries bounds the overflow series that keep their service.
	maxOverflowSeries = 1_000
)

// Default returns the settings of those who set nothing. Storage.Path is empty.
func Default() Settings {
	const day = 24 * time.Hour
	policy := sampling.Default()
	return Settings{
		Storage: storage.Options{
			FileMode: 0o600,
			Widths: []storage.Width{
				{Seconds: 1, Retention: day, Detail: storage.DetailHeadline},
				{Seconds: 10, Retention: 3 * day},
				{Seconds: 300, Retention: 90 * day},
				{Seconds: 3600, Retention: 730 * day},
			},
			SettleAfter:      time.Minute,
			Limits:           aggregator.Limits{MaxSeries: 10_000, MaxRuns: maxRuns, MaxOverflowSeries: maxOverflowSeries},
			Sampling:         &policy,
			RequestRetention: 3 * day,
			RequestMaxRows:   1_000_000,
			FaultGap:         5 * time.Second,
			DedupWindow:      day,
			DedupMaxSpans:    4_000_000,
			MaxSize:          10 << 30,
			MaxLetters:       1000,
		},
		MaxAttempts: 3,
	}
}

// OfFile returns the settings that a file was last written with. What it does
// not say is as in Default. Storage.Path is that of the file.
func OfFile(ctx context.Context, path string) (s Settings, err error) {
	s = Default()
	if err := storage.ReadOptions(ctx, path, &s.Storage); err != nil {
		return s, fmt.Errorf("read settings: %w", err)
	}
	if text := s.Storage.Reading; text != "" {
		if s.Spans, err = parseReading(text); err != nil {
			return s, fmt.Errorf("read settings: meta options: reading: %w", err)
		}
	}
	return s, nil
}

// reading is how a file remembers spans.Options: outcomes by their names, whose
// numbers may change.
type reading struct {
	spans.Options
	Outcomes map[string]string
}

// Complete returns the settings with what the file is to remember of Spans.
func (s Settings) Complete() (Settings, error) {
	r := reading{s.Spans, map[string]string{}}
	for errorType, outcome := range s.Spans.Outcomes {
		r.Outcomes[errorType] = outcome.String()
	}
	text, err := json.Marshal(r)
	if err != nil {
		return s, fmt.Errorf("settings: %w", err)
	}
	s.Storage.Reading = string(text)
	return s, nil
}

func parseReading(text string) (spans.Options, error) {
	var r reading
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return r.Options, err
	}
	for errorType, name := range r.Outcomes {
		outcome, ok := aggregator.ParseOutcome(name)
		if !ok {
			return r.Options, fmt.Errorf("unknown outcome %q", name)
		}
		if r.Options.Outcomes == nil {
			r.Options.Outcomes = map[string]aggregator.Outcome{}
		}
		r.Options.Outcomes[errorType] = outcome
	}
	return r.Options, nil
}
