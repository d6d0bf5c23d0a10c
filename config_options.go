package spanbucketexporter

import (
	"io/fs"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/folding"
	"github.com/spanbucket/spanbucketexporter/spans"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// settings returns what folding needs to know.
func (c *Config) settings() folding.Settings {
	return folding.Settings{Spans: c.readerOptions(), Storage: c.storageOptions(), MaxAttempts: c.DeadLetters.MaxAttempts}
}

func (c *Config) widths() []storage.Width {
	widths := make([]storage.Width, len(c.Buckets))
	for i, b := range c.Buckets {
		widths[i] = storage.Width{
			Seconds:   int64(b.Width / time.Second),
			Retention: time.Duration(b.Retention),
			Detail:    storage.Detail(b.Detail),
		}
	}
	return widths
}

// bucketConfigs is the inverse of widths.
func bucketConfigs(widths []storage.Width) []BucketConfig {
	buckets := make([]BucketConfig, len(widths))
	for i, w := range widths {
		buckets[i] = BucketConfig{Width: time.Duration(w.Seconds) * time.Second, Retention: Retention(w.Retention), Detail: Detail(w.Detail)}
	}
	return buckets
}

func (c *Config) readerOptions() spans.Options {
	policy := c.Requests.policy()
	o := spans.Options{
		Run: c.Run.ID, Fields: c.Fields, Outcomes: map[string]aggregator.Outcome{},
		DropSessions: !c.Requests.Sessions && policy.KeepsNone(),
	}
	for _, d := range c.Dimensions {
		o.Dimensions = append(o.Dimensions, spans.Dimension{Name: d.Name, Default: d.Default})
	}
	for errorType, outcome := range c.Outcomes {
		o.Outcomes[errorType] = aggregator.Outcome(outcome)
	}
	for i := range c.Prices {
		o.Prices = append(o.Prices, c.Prices[i].price())
	}
	return o
}

func (c *Config) storageOptions() storage.Options {
	limits := folding.Default().Storage.Limits
	limits.MaxSeries = c.MaxSeries
	for _, d := range c.Dimensions {
		limits.Dimensions = append(limits.Dimensions, aggregator.DimensionLimit{Name: d.Name, MaxValues: d.MaxValues})
	}
	windows := make([]aggregator.FaultWindow, len(c.Faults.Windows))
	for i := range c.Faults.Windows {
		windows[i] = c.Faults.Windows[i].window()
	}
	var objectives []aggregator.Objective
	for i := range c.SLOs {
		objectives = append(objectives, c.SLOs[i].objective())
	}
	policy := c.Requests.policy()
	return storage.Options{
		Path:             c.Path,
		FileMode:         fs.FileMode(c.FileMode),
		Widths:           c.widths(),
		SettleAfter:      c.SettleAfter,
		Limits:           limits,
		Synchronous:      storage.Synchronous(c.Synchronous),
		RunID:            c.Run.ID,
		RunName:          c.Run.Name,
		RunPinned:        c.Run.Pinned,
		Sampling:         &policy,
		DropSessions:     !c.Requests.Sessions,
		RequestRetention: time.Duration(c.Requests.Retention),
		RequestMaxRows:   c.Requests.MaxRows,
		Objectives:       objectives,
		FaultWindows:     windows,
		FaultGap:         c.Faults.Gap,
		DedupWindow:      c.Dedup.Window,
		DedupMaxSpans:    c.Dedup.MaxSpans,
		DedupSecret:      string(c.Dedup.Secret),
		MaxSize:          int64(c.MaxSize),
		MaxLetters:       c.DeadLetters.MaxRows,
	}
}
