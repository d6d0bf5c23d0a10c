package spanbucketexporter

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/spanbucket/spanbucketexporter/spans"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// write makes a batch durable: in the numbers, or what cannot be there as dead
// letters.
func (e *tracesExporter) write(ctx context.Context, batch ptrace.Traces) error {
	i := isolation{exporter: e, ctx: ctx}
	return i.write(batch)
}

// maxLettersPerBatch bounds how finely a batch is taken apart: where so many of
// its spans are refused, the cause is not theirs, and what is left goes whole.
const maxLettersPerBatch = 16

// isolation finds the spans of a batch that cannot be stored, by halving, so
// that the others can. Each half is a commit of its own.
type isolation struct {
	exporter *tracesExporter
	ctx      context.Context
	letters  int
}

func (i *isolation) write(batch ptrace.Traces) error {
	failure, err := i.exporter.try(i.ctx, batch)
	switch {
	case err == nil:
		return nil
	case failure == storage.FailurePoison:
		return i.isolate(batch, err)
	case failure == storage.FailureUnknown:
		return i.countAttempt(batch, err)
	default:
		return err
	}
}

func (i *isolation) isolate(batch ptrace.Traces, cause error) error {
	n := batch.SpanCount()
	if n == 1 || i.letters >= maxLettersPerBatch {
		return i.bury(batch, storage.Letter{Failure: storage.FailurePoison, Error: cause.Error(), Attempts: 1}, cause)
	}
	for _, half := range []ptrace.Traces{spans.Part(batch, 0, n/2), spans.Part(batch, n/2, n)} {
		if err := i.write(half); err != nil {
			return err
		}
	}
	return nil
}

// countAttempt refuses a batch that failed for an unknown reason, until it has
// been tried often enough.
func (i *isolation) countAttempt(batch ptrace.Traces, cause error) error {
	sum := sha256.Sum256(i.exporter.payload(batch))
	key := int64(binary.BigEndian.Uint64(sum[:8]) | 1) // 0 means none
	attempts, err := i.exporter.store.CountAttempt(i.ctx, key)
	if err != nil {
		return errors.Join(cause, fmt.Errorf("count attempts: %w", err))
	}
	if attempts < int64(i.exporter.config.DeadLetters.MaxAttempts) {
		return fmt.Errorf("attempt %d of %d: %w", attempts, i.exporter.config.DeadLetters.MaxAttempts, cause)
	}
	letter := storage.Letter{Failure: storage.FailureUnknown, Error: cause.Error(), Attempts: attempts, BatchKey: key}
	return i.bury(batch, letter, cause)
}

// bury makes a dead letter of a batch; several, where it is too large for one.
func (i *isolation) bury(batch ptrace.Traces, l storage.Letter, cause error) error {
	e, n := i.exporter, batch.SpanCount()
	if _, err := e.redacted(batch); err != nil && n > 1 {
		for _, half := range []ptrace.Traces{spans.Part(batch, 0, n/2), spans.Part(batch, n/2, n)} {
			if err := i.bury(half, l, cause); err != nil {
				return err
			}
		}
		return nil
	}
	l.Spans = n
	l.Fingerprints = func(basis storage.Basis) []uint64 { return e.fingerprints(batch, basis, nil) }
	l.Payload = func(without func(span int) bool) []byte { return e.payload(remaining(batch, without)) }
	if err := e.store.WriteLetter(i.ctx, &l); err != nil {
		return fmt.Errorf("write dead letter: %w", err)
	}
	i.letters++
	fields := []zap.Field{zap.Int("spans", l.Spans), zap.Int64("attempts", l.Attempts), zap.Error(cause)}
	var panicked *storage.PanicError
	if errors.As(cause, &panicked) {
		fields = append(fields, zap.ByteString("panic_stack", panicked.Stack))
	}
	e.set.Logger.Error("spans that cannot be stored are kept as a dead letter; see spanbucket deadletters", fields...)
	return nil
}

// remaining returns the spans of a batch that a set does not have.
func remaining(batch ptrace.Traces, without func(span int) bool) ptrace.Traces {
	rest, at := ptrace.NewTraces(), -1
	batch.CopyTo(rest)
	rest.ResourceSpans().RemoveIf(func(resource ptrace.ResourceSpans) bool {
		resource.ScopeSpans().RemoveIf(func(scope ptrace.ScopeSpans) bool {
			scope.Spans().RemoveIf(func(ptrace.Span) bool {
				at++
				return without(at)
			})
			return scope.Spans().Len() == 0
		})
		return resource.ScopeSpans().Len() == 0
	})
	return rest
}

// payload returns a batch as OTLP without content attributes. Where the spans
// are such that not even this can be done, it holds what identifies them.
func (e *tracesExporter) payload(batch ptrace.Traces) []byte {
	payload, err := e.redacted(batch)
	if err != nil {
		return identitiesPayload(batch)
	}
	return payload
}

func (e *tracesExporter) redacted(batch ptrace.Traces) (payload []byte, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &storage.PanicError{Value: value, Stack: debug.Stack()}
		}
	}()
	return spans.MarshalLetter(e.readerOf(e.store.Basis().Run).Redact(batch))
}

// identitiesPayload returns spans that have nothing but ids, kind and times.
func identitiesPayload(batch ptrace.Traces) []byte {
	bare := ptrace.NewTraces()
	list := bare.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for id := range spans.Identities(batch) {
		span := list.AppendEmpty()
		span.SetTraceID(id.TraceID)
		span.SetSpanID(id.SpanID)
		span.SetKind(ptrace.SpanKind(id.Kind))
		span.SetStartTimestamp(pcommon.Timestamp(id.StartUnixNano))
		span.SetEndTimestamp(pcommon.Timestamp(id.EndUnixNano))
	}
	payload, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(bare)
	if err != nil {
		return nil
	}
	return payload
}
