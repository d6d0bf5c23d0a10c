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
	Check(ctx context.Context, b storage.Batch) error
	WriteLetters(ctx context.Context, letters []*storage.Letter) error
	CountAttempt(ctx context.Context, batchKey int64) (attempts int64, err error)
	NextDueLetter(ctx context.Context, after int64) (l storage.DueLetter, found bool, err error)
	WriteAgain(ctx context.Context, l *storage.DueLetter, b storage.Batch) error
	FailedAgain(ctx context.Context, l *storage.DueLetter, failure storage.Failure, reason string) error
	Sizes() (file, wal int64)
	Close() error
}

// tracesExporter folds batches in the goroutine of the caller and waits for
// their commit.
type tracesExporter struct {
	config *Config
	set    exporter.Settings
	reader atomic.Pointer[runReader]
	spaces sync.Pool // of *space
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
	e.spaces.New = func() any { return e.newSpace() }
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
	options.OnEvent = e.health.event
	options.Holder = "exporter " + e.set.ID.String()
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

// try folds a batch and returns nil once it is durable, with its letters.
func (e *tracesExporter) try(ctx context.Context, batch ptrace.Traces, letters []*storage.Letter) (storage.Failure, error) {
	return e.folded(batch, func(b storage.Batch) error {
		b.Letters = letters
		return e.store.Write(ctx, b)
	})
}

// check tells whether try would succeed, and stores nothing.
func (e *tracesExporter) check(ctx context.Context, batch ptrace.Traces) (storage.Failure, error) {
	return e.folded(batch, func(b storage.Batch) error { return e.store.Check(ctx, b) })
}

// folded folds a batch and hands it to do.
func (e *tracesExporter) folded(batch ptrace.Traces, do func(storage.Batch) error) (storage.Failure, error) {
	s := e.spaces.Get().(*space)
	defer func() {
		if s.delta.Reset(); !s.delta.Oversized() && cap(s.fingerprints) <= maxKeptFingerprints {
			e.spaces.Put(s)
		}
	}()
	folded, err := e.fold(batch, e.store.Basis(), s)
	if err != nil {
		return storage.FailurePoison, err
	}
	if err := do(folded); err != nil {
		return storage.FailureOf(err), err
	}
	return 0, nil
}

// space is the memory that folding a batch takes. It is reused.
type space struct {
	delta        *aggregator.Delta
	fingerprints []uint64
}

// maxKeptFingerprints is how many are worth keeping room for.
const maxKeptFingerprints = 1 << 16

func (e *tracesExporter) newSpace() *space {
	return &space{delta: aggregator.NewDelta(storage.FinestWidths(e.config.widths()))}
}

// fold folds a batch into a space, which is empty. The error is a panic.
func (e *tracesExporter) fold(batch ptrace.Traces, basis storage.Basis, s *space) (b storage.Batch, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &storage.PanicError{Value: value, Stack: debug.Stack()}
		}
	}()
	return e.mustFold(batch, basis, s), nil
}

func (e *tracesExporter) mustFold(batch ptrace.Traces, basis storage.Basis, s *space) storage.Batch {
	now, reader := e.now(), e.readerOf(basis.Run)
	observations := reader.Observations(batch, now)
	for o := range observations {
		s.delta.Fold(o)
	}
	s.delta.Settle()
	s.fingerprints = e.fingerprints(batch, basis, s.fingerprints[:0])
	return storage.Batch{
		Delta: s.delta, Observations: observations, Requests: reader.Requests(batch, now),
		Fingerprints: s.fingerprints, Basis: basis,
		Refold: func(basis storage.Basis) storage.Batch {
			return e.mustFold(batch, basis, e.newSpace())
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

// fingerprints appends one of every span of a batch, nothing where none is
// asked for.
func (e *tracesExporter) fingerprints(batch ptrace.Traces, basis storage.Basis, to []uint64) []uint64 {
	if e.config.Dedup.enabled() {
		for id := range spans.Identities(batch) {
			to = append(to, basis.Key.Fingerprint(id))
		}
	}
	return to
}

// shutdown commits what is waiting and closes the file. The collector has
// stopped sending, and drained the queue if there is one.
func (e *tracesExporter) shutdown(context.Context) error {
	if e.store == nil {
		return nil
	}
	e.letters.stop()
	e.health.stop()
	e.telemetry.shutdown()
	return e.store.Close()
}
