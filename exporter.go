package spanbucketexporter

import (
	"context"
	"fmt"
	"iter"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/spans"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// store is what the exporter needs of a *storage.Store. Tests put faults
// between.
type store interface {
	Basis() storage.Basis
	Write(ctx context.Context, b storage.Batch) error
	WriteLetter(ctx context.Context, l *storage.Letter) error
	CountAttempt(ctx context.Context, batchKey int64) (attempts int64, err error)
	NextDueLetter(ctx context.Context, after int64) (l storage.DueLetter, found bool, err error)
	WriteAgain(ctx context.Context, id int64, b storage.Batch) error
	FailedAgain(ctx context.Context, id int64, failure storage.Failure, reason string) error
	Sizes() (file, wal int64)
	Close() error
}

// tracesExporter folds batches in the goroutine of the caller and waits for
// their commit.
type tracesExporter struct {
	config *Config
	set    exporter.Settings
	reader atomic.Pointer[runReader]
	deltas sync.Pool // of *aggregator.Delta
	now    func() time.Time
	open   func(context.Context, storage.Options) (store, error)
	read   func(spans.Options) spanReader

	// Set by start.
	store     store
	telemetry *telemetry
	health    *health
	letters   *letterRetrier
}

// spanReader is what the exporter needs of a *spans.Reader. Tests put spans
// between that cannot be read.
type spanReader interface {
	Observations(batch ptrace.Traces, now time.Time) iter.Seq[*aggregator.Observation]
	Requests(batch ptrace.Traces, now time.Time) iter.Seq[*aggregator.Request]
	Redact(batch ptrace.Traces) ptrace.Traces
}

// runReader reads spans that name no run as those of a run.
type runReader struct {
	run string
	spanReader
}

func newTracesExporter(config *Config, set exporter.Settings) *tracesExporter {
	e := &tracesExporter{
		config: config,
		set:    set,
		now:    time.Now,
		open: func(ctx context.Context, o storage.Options) (store, error) {
			return storage.Open(ctx, o)
		},
		read: func(o spans.Options) spanReader { return spans.NewReader(o) },
	}
	finest := storage.FinestWidths(config.widths())
	e.deltas.New = func() any { return aggregator.NewDelta(finest) }
	return e
}

func (e *tracesExporter) start(ctx context.Context, host component.Host) error {
	if queue := e.config.Queue.Get(); queue != nil && e.config.Queue.HasValue() && queue.StorageID == nil && !queue.WaitForResult {
		e.set.Logger.Warn("sending_queue without storage acknowledges spans before they are stored: " +
			"what it holds is lost when the collector dies; name a storage extension, or leave the queue out")
	}
	telemetry, err := newTelemetry(e.set.TelemetrySettings)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	e.health = newHealth(host, e.set.Logger, telemetry)
	e.letters = newLetterRetrier(e)
	options := e.config.storageOptions()
	options.WriterVersion = e.set.BuildInfo.Version
	options.OnCommit = telemetry.recordCommit
	options.OnLettersDue = e.letters.wake
	options.Now = e.now
	store, err := e.open(ctx, options)
	if err != nil {
		telemetry.shutdown()
		return fmt.Errorf("start: %w", err)
	}
	e.store, e.telemetry = store, telemetry
	telemetry.observeSizes(store.Sizes)
	e.letters.start()
	e.set.Logger.Info("file is open", zap.String("path", options.Path))
	return nil
}

// consume returns nil once a batch is durable. Any other answer is an error
// that may be retried.
func (e *tracesExporter) consume(ctx context.Context, batch ptrace.Traces) error {
	if batch.SpanCount() == 0 {
		return nil
	}
	return e.health.answer(e.write(ctx, batch))
}

// try folds a batch and returns nil once it is durable.
func (e *tracesExporter) try(ctx context.Context, batch ptrace.Traces) (storage.Failure, error) {
	delta := e.deltas.Get().(*aggregator.Delta)
	defer func() {
		if delta.Reset(); !delta.Oversized() {
			e.deltas.Put(delta)
		}
	}()
	folded, err := e.fold(batch, e.store.Basis(), delta)
	if err != nil {
		return storage.FailurePoison, err
	}
	if err := e.store.Write(ctx, folded); err != nil {
		return storage.FailureOf(err), err
	}
	return 0, nil
}

// fold folds a batch into a delta, which is empty. The error is a panic.
func (e *tracesExporter) fold(batch ptrace.Traces, basis storage.Basis, delta *aggregator.Delta) (b storage.Batch, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &storage.PanicError{Value: value, Stack: debug.Stack()}
		}
	}()
	return e.mustFold(batch, basis, delta), nil
}

func (e *tracesExporter) mustFold(batch ptrace.Traces, basis storage.Basis, delta *aggregator.Delta) storage.Batch {
	now, reader := e.now(), e.readerOf(basis.Run)
	observations := reader.Observations(batch, now)
	for o := range observations {
		delta.Fold(o)
	}
	delta.Settle()
	return storage.Batch{
		Delta: delta, Observations: observations, Requests: reader.Requests(batch, now),
		Fingerprints: e.fingerprints(batch, basis), Basis: basis,
		Refold: func(basis storage.Basis) storage.Batch {
			return e.mustFold(batch, basis, aggregator.NewDelta(delta.Widths()))
		},
	}
}

// readerOf returns the reader for spans of which those that name no run belong
// to the given one. It changes hardly ever.
func (e *tracesExporter) readerOf(run string) spanReader {
	if r := e.reader.Load(); r != nil && r.run == run {
		return r.spanReader
	}
	options := e.config.readerOptions()
	options.Run = run
	r := &runReader{run, e.read(options)}
	e.reader.Store(r)
	return r.spanReader
}

// fingerprints returns one for every span of a batch, nil where none is asked
// for.
func (e *tracesExporter) fingerprints(batch ptrace.Traces, basis storage.Basis) []uint64 {
	if !e.config.Dedup.enabled() {
		return nil
	}
	all := make([]uint64, 0, batch.SpanCount())
	for id := range spans.Identities(batch) {
		all = append(all, basis.Key.Fingerprint(id))
	}
	return all
}

// shutdown commits what is waiting and closes the file. The collector has
// stopped sending, and drained the queue if there is one.
func (e *tracesExporter) shutdown(context.Context) error {
	if e.store == nil {
		return nil
	}
	e.letters.stop()
	e.telemetry.shutdown()
	return e.store.Close()
}
