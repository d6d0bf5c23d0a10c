package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/folding"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// story is traffic told span by span; second 0 is filetest.Begin.
type story struct{ spans ptrace.Traces }

func (s *story) span(start, lasts float64, attributes map[string]any) {
	resource := s.spans.ResourceSpans().AppendEmpty()
	resource.Resource().Attributes().PutStr("service.name", "assistant")
	resource.Resource().Attributes().PutStr("service.instance.id", "pod-1")
	resource.Resource().Attributes().PutStr("chaos.run.id", "load-7")
	span := resource.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	id := binary.BigEndian.AppendUint64(nil, uint64(s.spans.SpanCount()))
	span.SetTraceID(pcommon.TraceID(append(make([]byte, 8), id...)))
	span.SetSpanID(pcommon.SpanID(id))
	at := func(second float64) pcommon.Timestamp {
		return pcommon.NewTimestampFromTime(filetest.Begin.Add(time.Duration(second * float64(time.Second))))
	}
	span.SetStartTimestamp(at(start))
	span.SetEndTimestamp(at(start + lasts))
	if err := span.Attributes().FromRaw(attributes); err != nil {
		panic(err)
	}
}

// tell adds a minute of calm, half a minute in which calls to a model are held
// up by 2 s and every third fails, and a minute after it. The circuit breaker of
// the model opens towards its end and closes 20 s later, another stays open. A
// session has tools, one of a name that nobody should trust.
func (s *story) tell() {
	for i := range 150 {
		call := map[string]any{
			"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.conversation.id": fmt.Sprint("session-", i%3),
			"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10 + i, "gen_ai.usage.cost": 0.001,
			"circuit_breaker.name": "openai",
		}
		lasts := 0.2 + float64(i%7)/100
		switch {
		case i >= 60 && i < 90:
			call["chaos.fault.type"], call["chaos.fault.latency_ms"], call["chaos.fault.target"] = "latency", 2000, "gpt-4o"
			lasts += 2
			if i%3 == 0 {
				call["error.type"] = "504"
			}
		case i >= 90 && i < 105:
			call["error.type"], lasts = "circuit_open", 0.001
		}
		switch i {
		case 89:
			call["circuit_breaker.state"] = "open"
		case 105:
			call["circuit_breaker.state"] = "half_open"
		case 109:
			call["circuit_breaker.state"] = "closed"
		}
		s.span(float64(i)+0.25, lasts, call)
	}
	s.span(59.9, 3, map[string]any{"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}) // in flight when it begins
	s.span(60, 30, map[string]any{"chaos.role": "injector", "chaos.fault.type": "latency", "chaos.fault.target": "gpt-4o", "chaos.experiment.id": "exp-7"})
	s.span(140, 1, map[string]any{"gen_ai.operation.name": "chat", "circuit_breaker.name": "vector store", "circuit_breaker.state": "open"})
	for i := range 12 {
		tool := map[string]any{"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.conversation.id": "session-0"}
		switch {
		case i%4 == 3:
			tool["gen_ai.tool.name"], tool["coding_agent.edit.decision"] = "=edit\x1b[31m", []string{"accept", "accept", "reject"}[i/4]
		case i%5 == 4:
			tool["error.type"] = "TimeoutError"
		}
		s.span(float64(i)*4+0.5, 0.1*float64(i+1), tool)
	}
}

// makeStory is the command "makestory FILE": it writes a story with a fault,
// circuit breakers, sessions and tools.
func makeStory(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: makestory FILE")
	}
	ts.Check(writeStory(context.Background(), ts.MkAbs(args[0])))
}

// writeStory writes the story to a new file.
func writeStory(ctx context.Context, path string) error {
	settings := folding.Default()
	now := func() time.Time { return filetest.Begin.Add(time.Hour) }
	settings.Storage.Path, settings.Storage.Now, settings.Storage.WriterVersion = path, now, "v0.0.0-test"
	settings, err := settings.Complete()
	if err != nil {
		return err
	}
	store, err := storage.Open(ctx, settings.Storage)
	if err != nil {
		return err
	}
	s := &story{ptrace.NewTraces()}
	s.tell()
	return errors.Join(folding.New(store, folding.Options{Settings: settings, Now: now}).Write(ctx, s.spans), store.Close())
}
