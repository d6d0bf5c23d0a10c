package folding

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/spans"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// Write makes a batch durable: in the numbers, or what cannot be there as dead
// letters. Any error is one that the same batch may be written again after.
func (f *Folder) Write(ctx context.Context, batch ptrace.Traces) error {
	failure, err := f.try(ctx, batch, nil)
	if err != nil && failure == storage.FailurePoison {
		return f.isolate(ctx, batch, err)
	}
	return f.refuse(ctx, batch, failure, err)
}

// MaxLettersPerBatch bounds how finely a batch is taken apart: where so many of
// its spans are refused, the cause is not theirs, and what is left goes whole.
const MaxLettersPerBatch = 16

// isolation finds the spans of a batch that cannot be stored, by halving.
// Nothing is stored meanwhile: an attempt that ends early leaves no trace.
type isolation struct {
	folder  *Folder
	ctx     context.Context
	batch   ptrace.Traces
	refused []refusedSpans
}

// refusedSpans are those of a batch from one position up to another one.
type refusedSpans struct {
	from, to int
	cause    error
}

// isolate stores the spans of a batch that can be, and makes dead letters of the
// others, in one commit.
func (f *Folder) isolate(ctx context.Context, batch ptrace.Traces, cause error) error {
	i := isolation{folder: f, ctx: ctx, batch: batch}
	if err := i.halve(0, batch.SpanCount(), cause); err != nil {
		return f.refuse(ctx, batch, storage.FailureOf(err), err)
	}
	letters := make([]*storage.Letter, 0, len(i.refused))
	for _, r := range i.refused {
		letter := storage.Letter{Failure: storage.FailurePoison, Error: r.cause.Error(), Attempts: 1}
		letters = append(letters, f.lettersOf(spans.Part(batch, r.from, r.to), letter)...)
	}
	rest := remaining(batch, i.isRefused)
	failure, err := f.try(ctx, rest, letters)
	if err != nil && failure == storage.FailurePoison {
		// Each part can be stored, and all of them together cannot.
		letters = f.lettersOf(batch, storage.Letter{Failure: failure, Error: err.Error(), Attempts: 1})
		failure, err = 0, f.writeLetters(ctx, letters)
	}
	if err != nil {
		return f.refuse(ctx, batch, failure, err)
	}
	f.options.OnLetters(letters, cause)
	return nil
}

// refuse returns the error of a batch that may be sent again; where the reason
// is unknown, not without end.
func (f *Folder) refuse(ctx context.Context, batch ptrace.Traces, failure storage.Failure, err error) error {
	if failure == storage.FailureUnknown {
		return f.countAttempt(ctx, batch, err)
	}
	return err
}

// halve looks for what is refused of a part of which all together is.
func (i *isolation) halve(from, to int, cause error) error {
	if to-from == 1 || len(i.refused) >= MaxLettersPerBatch {
		i.refused = append(i.refused, refusedSpans{from, to, cause})
		return nil
	}
	middle := from + (to-from)/2
	for _, half := range [][2]int{{from, middle}, {middle, to}} {
		failure, err := i.folder.check(i.ctx, spans.Part(i.batch, half[0], half[1]))
		if err != nil && failure == storage.FailurePoison {
			err = i.halve(half[0], half[1], err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (i *isolation) isRefused(span int) bool {
	for _, r := range i.refused {
		if span >= r.from && span < r.to {
			return true
		}
	}
	return false
}

// countAttempt refuses a batch that failed for an unknown reason, until it has
// been tried often enough.
func (f *Folder) countAttempt(ctx context.Context, batch ptrace.Traces, cause error) error {
	sum := sha256.Sum256(f.payload(batch))
	key := int64(binary.BigEndian.Uint64(sum[:8]) | 1) // 0 means none
	attempts, err := f.store.CountAttempt(ctx, key)
	if err != nil {
		return errors.Join(cause, fmt.Errorf("count attempts: %w", err))
	}
	if attempts < int64(f.options.MaxAttempts) {
		return fmt.Errorf("attempt %d of %d: %w", attempts, f.options.MaxAttempts, cause)
	}
	letters := f.lettersOf(batch, storage.Letter{Failure: storage.FailureUnknown, Error: cause.Error(), Attempts: attempts, BatchKey: key})
	if err := f.writeLetters(ctx, letters); err != nil {
		return err
	}
	f.options.OnLetters(letters, cause)
	return nil
}

// lettersOf makes a dead letter of a batch; several, where it is too large for
// one.
func (f *Folder) lettersOf(batch ptrace.Traces, l storage.Letter) []*storage.Letter {
	n := batch.SpanCount()
	if _, err := f.redacted(batch); err != nil && n > 1 {
		return append(f.lettersOf(spans.Part(batch, 0, n/2), l), f.lettersOf(spans.Part(batch, n/2, n), l)...)
	}
	l.Spans = n
	l.Fingerprints = func(basis storage.Basis) []uint64 { return f.fingerprints(batch, basis, nil) }
	l.Payload = func(without func(span int) bool) []byte { return f.payload(remaining(batch, without)) }
	return []*storage.Letter{&l}
}

func (f *Folder) writeLetters(ctx context.Context, letters []*storage.Letter) error {
	if err := f.store.WriteLetters(ctx, letters); err != nil {
		return fmt.Errorf("write dead letters: %w", err)
	}
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
func (f *Folder) payload(batch ptrace.Traces) []byte {
	payload, err := f.redacted(batch)
	if err != nil {
		return identitiesPayload(batch)
	}
	return payload
}

func (f *Folder) redacted(batch ptrace.Traces) (payload []byte, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &storage.PanicError{Value: value, Stack: debug.Stack()}
		}
	}()
	return spans.MarshalLetter(f.readerOf(f.store.Basis()).Redact(batch))
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
