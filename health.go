package spanbucketexporter

import (
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.uber.org/zap"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// fullDiskDelay is how long a client is asked to wait while the disk is full.
const fullDiskDelay = 30 * time.Second

// health turns failures of the file into what the collector understands: errors
// that clients may retry, the status of the component, a counter and a line in
// the log.
type health struct {
	host      component.Host
	logger    *zap.Logger
	telemetry *telemetry

	mu      sync.Mutex
	failing bool
	failure storage.Failure // while failing
	since   time.Time
}

func newHealth(host component.Host, logger *zap.Logger, telemetry *telemetry) *health {
	return &health{host: host, logger: logger, telemetry: telemetry}
}

// answer returns the error of a write as the caller is to have it.
func (h *health) answer(err error) error {
	if err == nil {
		h.recovered()
		return nil
	}
	failure := storage.FailureOf(err)
	h.telemetry.recordFailure(failure)
	if failure == storage.FailureCancelled {
		return err // says nothing of the file
	}
	h.failed(failure, err)
	if failure == storage.FailureFull {
		return exporterhelper.NewThrottleRetry(err, fullDiskDelay)
	}
	return err
}

// event tells of something about the file. Only a log that cannot be emptied is
// a trouble that lasts: data goes on, but it will fill the disk.
func (h *health) event(e storage.Event) {
	h.telemetry.recordEvent(e.Kind)
	fields := []zap.Field{
		zap.Stringer("event", e.Kind), zap.String("path", e.Path), zap.Int64("bytes", e.Bytes), zap.Error(e.Err),
	}
	switch e.Kind {
	case storage.EventWALPinned:
		h.logger.Warn("the write-ahead log grows: a reader holds on to it", fields...)
		componentstatus.ReportStatus(h.host, componentstatus.NewRecoverableErrorEvent(e.Err))
	case storage.EventWALReleased:
		h.logger.Info("the write-ahead log is small again", fields...)
		componentstatus.ReportStatus(h.host, componentstatus.NewEvent(componentstatus.StatusOK))
	case storage.EventQuarantined:
		h.logger.Error("the file is damaged; it was given another name, and a new one begins", fields...)
	case storage.EventMoved:
		h.logger.Error("the file was moved, replaced or deleted; its path is opened anew", fields...)
	default:
		h.logger.Warn("the engine is not the one that was tested", fields...)
	}
}

func (h *health) recovered() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.failing {
		return
	}
	h.failing = false
	h.logger.Info("file is written again", zap.Stringer("after", h.failure), zap.Duration("for", time.Since(h.since)))
	componentstatus.ReportStatus(h.host, componentstatus.NewEvent(componentstatus.StatusOK))
}

// failed reports a failure once, until it is over or another one.
func (h *health) failed(failure storage.Failure, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failing && h.failure == failure {
		return
	}
	if !h.failing {
		h.since = time.Now()
	}
	h.failing, h.failure = true, failure
	h.logger.Error("file cannot be written; clients are told to try again", zap.Stringer("failure", failure), zap.Error(err))
	event := componentstatus.NewRecoverableErrorEvent(err)
	if failure == storage.FailureCorrupt {
		event = componentstatus.NewPermanentErrorEvent(err)
	}
	componentstatus.ReportStatus(h.host, event)
}
