package spanbucketexporter

import (
	"context"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/spans"
	"github.com/spanbucket/spanbucketexporter/storage"
)

const (
	// maxRuns bounds the test runs of a file; spans of later ones are kept
	// under the run __overflow__.
	maxRuns = 10_000
	// maxOverflowSeries bounds the overflow series that keep their service.
	maxOverflowSeries = 1_000
)

// store is what the exporter needs of a *storage.Store. Tests put faults
// between.
type store interface {
	Write(ctx context.Context, b storage.Batch) error
	Sizes() (file, wal int64)
	Close() error
}

// tracesExporter folds batches in the goroutine of the caller and waits for
// their commit.
type tracesExporter struct {
	config *Config
	set    exporter.Settings
	reader *spans.Reader
	deltas sync.Pool // of *aggregator.Delta
	now    func() time.Time
	open   func(context.Context, storage.Options) (store, error)

	// Set by start.
	store     store
	telemetry *telemetry
}

func newTracesExporter(config *Config, set exporter.Settings) *tracesExporter {
	e := &tracesExporter{
		config: config,
		set:    set,
		reader: spans.NewReader(config.readerOptions()),
		now:    time.Now,
		open: func(ctx context.Context, o storage.Options) (store, error) {
			return storage.Open(ctx, o)
		},
	}
	finest := storage.FinestWidths(config.widths())
	e.deltas.New = func() any { return aggregator.NewDelta(finest) }
	return e
}

func (e *tracesExporter) start(ctx context.Context, _ component.Host) error {
	if queue := e.config.Queue.Get(); queue != nil && e.config.Queue.HasValue() && queue.StorageID == nil && !queue.WaitForResult {
		e.set.Logger.Warn("sending_queue without storage acknowledges spans before they are stored: " +
			"what it holds is lost when the collector dies; name a storage extension, or leave the queue out")
	}
	telemetry, err := newTelemetry(e.set.TelemetrySettings)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	options := e.config.storageOptions()
	options.WriterVersion = e.set.BuildInfo.Version
	options.OnCommit = telemetry.recordCommit
	options.Now = e.now
	store, err := e.open(ctx, options)
	if err != nil {
		telemetry.shutdown()
		return fmt.Errorf("start: %w", err)
	}
	e.store, e.telemetry = store, telemetry
	telemetry.observeSizes(store.Sizes)
	e.set.Logger.Info("file is open", zap.String("path", options.Path))
	return nil
}

// consume folds a batch and returns nil once it is durable. Any other answer is
// an error that may be retried.
func (e *tracesExporter) consume(ctx context.Context, batch ptrace.Traces) error {
	if batch.SpanCount() == 0 {
		return nil
	}
	delta := e.deltas.Get().(*aggregator.Delta)
	defer func() {
		if delta.Reset(); !delta.Oversized() {
			e.deltas.Put(delta)
		}
	}()
	now := e.now()
	observations := e.reader.Observations(batch, now)
	for o := range observations {
		delta.Fold(o)
	}
	delta.Settle()
	return e.store.Write(ctx, storage.Batch{
		Delta: delta, Observations: observations, Requests: e.reader.Requests(batch, now),
	})
}

// shutdown commits what is waiting and closes the file. The collector has
// stopped sending, and drained the queue if there is one.
func (e *tracesExporter) shutdown(context.Context) error {
	if e.store == nil {
		return nil
	}
	e.telemetry.shutdown()
	return e.store.Close()
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

func (c *Config) readerOptions() spans.Options {
	o := spans.Options{Run: c.Run.ID, Fields: c.Fields, Outcomes: map[string]aggregator.Outcome{}}
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
	limits := aggregator.Limits{MaxSeries: c.MaxSeries, MaxRuns: maxRuns, MaxOverflowSeries: maxOverflowSeries}
	for _, d := range c.Dimensions {
		limits.Dimensions = append(limits.Dimensions, aggregator.DimensionLimit{Name: d.Name, MaxValues: d.MaxValues})
	}
	windows := make([]aggregator.FaultWindow, len(c.Faults.Windows))
	for i := range c.Faults.Windows {
		windows[i] = c.Faults.Windows[i].window()
	}
	return storage.Options{
		Path:         c.Path,
		FileMode:     fs.FileMode(c.FileMode),
		Widths:       c.widths(),
		SettleAfter:  c.SettleAfter,
		Limits:       limits,
		Synchronous:  storage.Synchronous(c.Synchronous),
		RunID:        c.Run.ID,
		RunName:      c.Run.Name,
		RunPinned:    c.Run.Pinned,
		DropRequests: c.Requests.SamplingRatio == 0,
		DropSessions: !c.Requests.Sessions,
		FaultWindows: windows,
		FaultGap:     c.Faults.Gap,
	}
}
