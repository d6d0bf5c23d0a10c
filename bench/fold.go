package main

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/spans"
)

// fold reads and folds a batch into a delta, as the exporter does in its
// caller's goroutine before anything is queued.
type fold struct {
	reader *spans.Reader
	delta  *aggregator.Delta
}

func newFold(context.Context, string) (subject, error) { return newFoldOf(spans.Options{}), nil }

// newPricedFold also prices tokens, and splits series by attributes that the
// services have.
func newPricedFold(context.Context, string) (subject, error) {
	return newFoldOf(spans.Options{
		Prices: []spans.Price{
			{Model: "gpt-4o-mini*", Input: 150_000, Output: 600_000, CacheRead: 75_000},
			{Model: "gpt-*", Input: 2_500_000, Output: 10_000_000, CacheRead: 1_250_000},
			{Model: "*", Input: 1_000_000, Output: 4_000_000, CacheRead: 100_000},
		},
		Dimensions: []spans.Dimension{
			{Name: "deployment.environment.name", Default: "none"}, {Name: "gen_ai.request.stream", Default: "false"},
		},
	}), nil
}

func newFoldOf(options spans.Options) subject {
	return &fold{
		reader: spans.NewReader(options),
		delta:  aggregator.NewDelta(aggregator.Widths{Headline: narrowSeconds, Series: narrowSeconds}),
	}
}

func (f *fold) prepare(ptrace.Traces) error { return nil }
func (f *fold) close() error                { return nil }

func (f *fold) consume(_ context.Context, traces ptrace.Traces) error {
	f.delta.Reset()
	for o := range f.reader.Observations(traces, time.Now()) {
		f.delta.Fold(o)
	}
	if folded, sent := f.delta.Folded(), int64(traces.SpanCount()); folded != sent {
		return fmt.Errorf("fold: %d of %d spans folded", folded, sent)
	}
	return nil
}
