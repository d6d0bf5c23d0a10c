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

func newFold(context.Context, string) (subject, error) {
	return &fold{
		reader: spans.NewReader(spans.Options{}),
		delta:  aggregator.NewDelta(aggregator.Widths{Headline: narrowSeconds, Series: narrowSeconds}),
	}, nil
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
