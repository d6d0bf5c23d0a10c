package spanbucketexporter

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/spanbucket/spanbucketexporter/folding"
	"github.com/spanbucket/spanbucketexporter/spans"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// store is what the exporter needs of a *storage.Store. Tests put faults
// between.
type store interface {
	folding.Store
	NextDueLetter(ctx context.Context, after int64) (l storage.DueLetter, found bool, err error)
	WriteAgain(ctx context.Context, l *storage.DueLetter, b storage.Batch) error
	FailedAgain(ctx context.Context, l *storage.DueLetter, failure storage.Failure, reason string) error
	Sizes() (file, wal int64)
	Close() error
}

// tracesExporter hands batches to the folder and says how it went.
type tracesExporter struct {
	config *Config
	set    exporter.Settings
	now    func() time.Time
	open   func(context.Context, storage.Options) (store, error)
	read   func(spans.Options) folding.SpanReader // nil but in tests

	// Set by start.
	store     store
	folder    *folding.Folder
	telemetry *telemetry
	health    *health
	letters   *letterRetrier
}

func newTracesExporter(config *Config, set exporter.Settings) *tracesExporter {
	return &tracesExporter{
		config: config,
		set:    set,
		now:    time.Now,
		open: func(ctx context.Context, o storage.Options) (store, error) {
			return storage.Open(ctx, o)
		},
	}
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
	settings, err := e.config.settings().Complete()
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	options := settings.Storage
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
	e.folder = folding.New(store, folding.Options{Settings: settings, Now: e.now, Read: e.read, OnLetters: e.logLetters})
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
	return e.health.answer(e.folder.Write(ctx, batch))
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
