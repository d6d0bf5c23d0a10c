package main

import (
	"context"
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// walk looks at every attribute of every span and does nothing with it.
type walk struct{ seen int64 }

func newWalk(context.Context, string) (subject, error) { return &walk{}, nil }

func (*walk) prepare(ptrace.Traces) error { return nil }
func (*walk) close() error                { return nil }

func (w *walk) consume(_ context.Context, traces ptrace.Traces) error {
	for _, resource := range traces.ResourceSpans().All() {
		w.attributes(resource.Resource().Attributes())
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				w.seen += int64(span.EndTimestamp() - span.StartTimestamp())
				w.attributes(span.Attributes())
			}
		}
	}
	return nil
}

func (w *walk) attributes(attributes pcommon.Map) {
	for key, value := range attributes.All() {
		// The result is kept, so that the compiler must look.
		w.seen += int64(len(key)) + int64(value.Type())
	}
}

// unmarshal decodes the batch from protobuf, as a receiver does before anyone
// else sees it.
type unmarshal struct {
	data []byte
	last ptrace.Traces
}

func newUnmarshal(context.Context, string) (subject, error) { return &unmarshal{}, nil }

func (u *unmarshal) prepare(traces ptrace.Traces) (err error) {
	u.data, err = (&ptrace.ProtoMarshaler{}).MarshalTraces(traces)
	return err
}

func (u *unmarshal) consume(context.Context, ptrace.Traces) (err error) {
	if u.last, err = (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(u.data); err != nil {
		return fmt.Errorf("unmarshal: %w", err)
	}
	return nil
}

func (u *unmarshal) close() error {
	*u = unmarshal{}
	return nil
}

// nothing is a consumer that does nothing: with several callers, what remains
// is the stamping of their batches.
type nothing struct{}

func newNothing(context.Context, string) (subject, error) { return nothing{}, nil }

func (nothing) prepare(ptrace.Traces) error                  { return nil }
func (nothing) consume(context.Context, ptrace.Traces) error { return nil }
func (nothing) close() error                                 { return nil }
