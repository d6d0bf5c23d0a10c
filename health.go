package spanbucketexporter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.uber.org/zap"

	"github.com/spanbucket/spanbucketexporter/storage"
)

const (
	// calmAfter is how long nothing must have failed for the file to be fine
	// again: of callers that come at once some succeed while others fail.
	calmAfter = time.Second
	// stuckAfter is how long nothing may be committed while callers run out of
	// time: a disk that does not answer gives no error.
	stuckAfter = 30 * time.Second
)

// health turns failures of the file into what the collector understands: errors
// that clients may retry, the status of the component, counters and lines in the
// log.
type health struct {
	host      component.Host
	logger    *zap.Logger
	telemetry *telemetry
	now       func() time.Time

	mu          sync.Mutex
	status      componentstatus.Status // last reported
	failing     error                  // nil: the file can be written
	failure     storage.Failure        // of failing
	since       time.Time              // failing
	lastFailure time.Time
	lastSuccess time.Time
	pinned      error // nil: the log can be emptied
	oversize    error // nil: the file is no larger than it may be
	growing     error // nil: what is over its bound leaves
	calm        *time.Timer
	stopped     bool
}

func newHealth(host component.Host, logger *zap.Logger, telemetry *telemetry) *health {
	return &health{
		host: host, logger: logger, telemetry: telemetry, now: time.Now, lastSuccess: time.Now(),
		status: componentstatus.StatusOK,
	}
}

// stop ends what runs by itself.
func (h *health) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopped = true
	if h.calm != nil {
		h.calm.Stop()
	}
}

// answer returns the error of a write as the caller is to have it.
func (h *health) answer(err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	if err == nil {
		h.lastSuccess = now
		h.recover(now)
		return nil
	}
	failure := storage.FailureOf(err)
	h.telemetry.recordFailure(failure)
	switch {
	case failure == storage.FailureUnknown:
		// It is the batch that fails, not the file.
	case failure != storage.FailureCancelled:
		h.fail(now, failure, err)
	case errors.Is(err, context.DeadlineExceeded) && now.Sub(h.lastSuccess) > stuckAfter:
		h.fail(now, failure, fmt.Errorf("nothing was committed for %v: %w", now.Sub(h.lastSuccess).Round(time.Second), err))
	}
	if failure == storage.FailureFull {
		return &fullDiskError{exporterhelper.NewThrottleRetry(err, fullDiskDelay)}
	}
	return err
}

// fail reports a failure once, until it is over or another one.
func (h *health) fail(now time.Time, failure storage.Failure, err error) {
	h.lastFailure = now
	if h.failing != nil && h.failure == failure {
		return
	}
	if h.failing == nil {
		h.since = now
	}
	h.failing, h.failure = err, failure
	h.logger.Error("file cannot be written; clients are told to try again", zap.Stringer("failure", failure), zap.Error(err))
	h.report()
}

// recover ends a failure, now or when it has been calm for long enough.
func (h *health) recover(now time.Time) {
	if h.failing == nil || h.stopped {
		return
	}
	if rest := calmAfter - now.Sub(h.lastFailure); rest > 0 {
		if h.calm == nil {
			h.calm = time.AfterFunc(rest, h.calmed)
		}
		return
	}
	h.logger.Info("file is written again", zap.Stringer("after", h.failure), zap.Duration("for", now.Sub(h.since)))
	h.failing = nil
	h.report()
}

// calmed is called some time after the first success after a failure.
func (h *health) calmed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.calm = nil; h.lastSuccess.After(h.lastFailure) {
		h.recover(h.now())
	}
}

// event tells of something about the file. A log that cannot be emptied, a file
// that is too large, and one that nothing leaves are troubles that last: data
// goes on, but it will fill the disk.
func (h *health) event(e storage.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.telemetry.recordEvent(e.Kind)
	fields := []zap.Field{
		zap.Stringer("event", e.Kind), zap.String("path", e.Path), zap.Int64("bytes", e.Bytes), zap.Error(e.Err),
	}
	switch e.Kind {
	case storage.EventWALPinned:
		h.logger.Warn("the write-ahead log grows: a reader holds on to it", fields...)
		h.pinned = e.Err
	case storage.EventWALReleased:
		h.logger.Info("the write-ahead log is small again", fields...)
		h.pinned = nil
	case storage.EventQuarantined:
		h.logger.Error("the file is damaged; it was given another name, and a new one begins", fields...)
	case storage.EventMoved:
		h.logger.Error("the file was moved, replaced or deleted; its path is opened anew", fields...)
	case storage.EventOverSize:
		h.logger.Warn("the file is larger than max_size", fields...)
		h.oversize = e.Err
	case storage.EventFits:
		h.logger.Info("the file is no larger than max_size", fields...)
		h.oversize = nil
	case storage.EventPruneFailed:
		h.logger.Warn("nothing leaves the file, so it grows", fields...)
		h.growing = e.Err
	case storage.EventPruneRecovered:
		h.logger.Info("what is over its bound leaves the file again", fields...)
		h.growing = nil
	default:
		h.logger.Warn("the engine is not the one that was tested", fields...)
	}
	h.report()
}

// report tells the collector the worst of what there is.
func (h *health) report() {
	event := componentstatus.NewEvent(componentstatus.StatusOK)
	switch {
	case h.failing != nil:
		event = componentstatus.NewRecoverableErrorEvent(h.failing)
	case h.pinned != nil:
		event = componentstatus.NewRecoverableErrorEvent(h.pinned)
	case h.oversize != nil:
		event = componentstatus.NewRecoverableErrorEvent(h.oversize)
	case h.growing != nil:
		event = componentstatus.NewRecoverableErrorEvent(h.growing)
	}
	if event.Status() == h.status && h.failing == nil {
		return
	}
	h.status = event.Status()
	componentstatus.ReportStatus(h.host, event)
}
