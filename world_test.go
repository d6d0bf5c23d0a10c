package spanbucketexporter

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// world makes spans of sessions with turns and tools, of circuits, judgements
// and faults, with everything that makes their order hard: equal times, spans
// inside one another, calls seen twice, gaps of just the length that joins.
type world struct {
	r     *rand.Rand
	from  time.Time
	hosts []goldenHost
	ids   uint64
}

func randomWorld(r *rand.Rand, from time.Time) []goldenHost {
	w := &world{r: r, from: from}
	for range 30 {
		w.session()
		w.test()
	}
	for range 80 {
		w.circuit()
	}
	for range 12 {
		w.fault()
	}
	return w.hosts
}

// tick returns one of few instants.
func (w *world) tick() int64 { return w.from.UnixNano() + w.r.Int64N(30)*20*int64(time.Second) }

// at returns an instant of the next minutes, often one of few.
func (w *world) at() int64 {
	if w.r.IntN(2) == 0 {
		return w.tick()
	}
	return w.from.UnixNano() + w.r.Int64N(600*int64(time.Second))
}

// parent is what a span may be inside of.
type parent struct {
	trace pcommon.TraceID
	span  pcommon.SpanID
}

// add makes a span with the attributes, on the resource of a run and service.
func (w *world) add(run, service, name string, in parent, start, duration int64, attributes map[string]any) (ptrace.Span, parent) {
	batch := ptrace.NewTraces().ResourceSpans().AppendEmpty()
	batch.Resource().Attributes().PutStr("service.name", service)
	if run != "" {
		batch.Resource().Attributes().PutStr("chaos.run.id", run)
		batch.Resource().Attributes().PutStr(pick(w.r, "chaos.run.name", "chaos.mode", "chaos.profile"), pick(w.r, "α", "b", "c"))
	}
	scope := batch.ScopeSpans().AppendEmpty()
	span := scope.Spans().AppendEmpty()
	w.ids++
	self := parent{in.trace, pcommon.SpanID{1, byte(w.ids >> 16), byte(w.ids >> 8), byte(w.ids)}}
	if self.trace.IsEmpty() {
		self.trace = pcommon.TraceID{1, byte(w.ids >> 16), byte(w.ids >> 8), byte(w.ids)}
	}
	span.SetTraceID(self.trace)
	span.SetSpanID(self.span)
	span.SetParentSpanID(in.span)
	span.SetName(name)
	span.SetStartTimestamp(pcommon.Timestamp(start))
	if duration >= 0 {
		span.SetEndTimestamp(pcommon.Timestamp(start + duration))
	}
	if err := span.Attributes().FromRaw(attributes); err != nil {
		panic(err)
	}
	w.hosts = append(w.hosts, goldenHost{batch.Resource(), scope.Scope(), span})
	return span, self
}

// test is the result of a test, as runners tell it.
func (w *world) test() {
	r := w.r
	w.add(pick(r, "", "run-1", "run-2"), pick(r, "runner", "ci"), "test", parent{}, w.at(), pick(r, -1, r.Int64N(5e9)), map[string]any{
		"test.suite.name": "chaos", "test.case.name": pick(r, "malformed_json", "rapid_fire"),
		"test.case.result.status": pick(r, "pass", "fail", "skip"), "test.case.expected": "400 or 422", "test.case.actual": pick(r, "400", "500"),
	})
}

func (w *world) session() {
	r := w.r
	run, service := pick(r, "", "run-1", "run-2"), pick(r, "assistant", "coder")
	session := fmt.Sprint("session-", r.IntN(12)) // some in two runs and services
	for range 1 + r.IntN(4) {
		start := w.at()
		in := parent{}
		if r.IntN(3) > 0 {
			_, in = w.add(run, service, "invoke_agent", in, start, r.Int64N(60e9), map[string]any{
				"gen_ai.operation.name": pick(r, "invoke_agent", "invoke_workflow"), "gen_ai.conversation.id": session,
			})
		}
		for range r.IntN(4) {
			span, _ := w.add(run, service, "chat", in, start+r.Int64N(20e9), pick(r, -1, r.Int64N(5e9)), map[string]any{
				"gen_ai.operation.name": "chat", "gen_ai.conversation.id": session, "gen_ai.request.model": "gpt-4o",
				"gen_ai.usage.input_tokens": r.IntN(500), "gen_ai.usage.output_tokens": r.IntN(50),
			})
			if r.IntN(3) == 0 {
				event := span.Events().AppendEmpty()
				event.SetName("gen_ai.evaluation.result")
				event.SetTimestamp(pcommon.Timestamp(w.tick()))
				event.Attributes().PutStr("gen_ai.evaluation.name", "helpful")
				event.Attributes().PutStr("gen_ai.evaluation.score.label", pick(r, "pass", "fail", "medium"))
			}
		}
		for range r.IntN(3) {
			w.tool(run, service, session, in, start+r.Int64N(20e9))
		}
	}
}

// tool is a call of a tool: one span, or the call as a whole with its wait and
// run, with the id of the call on all, some or none of them.
func (w *world) tool(run, service, session string, in parent, start int64) {
	r := w.r
	name, call := pick(r, "Bash", "Read", "search"), fmt.Sprint("call-", r.IntN(40)) // some ids twice
	attributes := func(more map[string]any) map[string]any {
		all := map[string]any{"session.id": session}
		if r.IntN(2) == 0 {
			all["gen_ai.tool.call.id"] = call
		}
		if r.IntN(4) > 0 {
			all["gen_ai.tool.name"] = name
		}
		for key, value := range more {
			all[key] = value
		}
		return all
	}
	failed := map[string]any{"gen_ai.operation.name": "execute_tool"}
	if r.IntN(3) == 0 {
		failed["error.type"] = "tool_error"
	}
	if r.IntN(2) == 0 {
		w.add(run, service, "execute_tool", in, start, pick(r, -1, r.Int64N(9e9)), attributes(failed))
		return
	}
	_, whole := w.add(run, service, "claude_code.tool", in, start, 4e9, attributes(nil))
	w.add(run, service, "claude_code.tool.blocked_on_user", whole, start, r.Int64N(2e9), attributes(map[string]any{
		"decision": pick(r, "accept", "reject"), "source": pick(r, "config", "user_reject"),
	}))
	if r.IntN(3) > 0 {
		_, ran := w.add(run, service, "claude_code.tool.execution", whole, start+2e9, r.Int64N(2e9), attributes(failed))
		if r.IntN(2) == 0 {
			w.add(run, pick(r, service, "mcp"), "tools/call", ran, start+2e9, r.Int64N(2e9), attributes(failed))
		}
	}
}

func (w *world) circuit() {
	r := w.r
	states := []string{"CLOSED", "OPEN", "HALF_OPEN"}
	name := pick(r, "payments", "search")
	span, _ := w.add(pick(r, "", "run-1"), "shop", "call", parent{}, w.at(), r.Int64N(2e9), map[string]any{"circuit_breaker.name": name})
	switch r.IntN(3) {
	case 0:
		span.Attributes().PutStr("error.type", "CallNotPermittedException")
	case 1:
		span.Attributes().PutStr("circuit_breaker.state", pick(r, states...))
	}
	for range r.IntN(3) {
		event := span.Events().AppendEmpty()
		event.SetName("circuit_breaker.state_change")
		event.SetTimestamp(pcommon.Timestamp(w.tick()))
		event.Attributes().PutStr("circuit_breaker.name", name)
		event.Attributes().PutStr("circuit_breaker.to_state", pick(r, states...))
		if r.IntN(2) == 0 {
			event.Attributes().PutStr("circuit_breaker.from_state", pick(r, states...))
		}
	}
}

// fault is a window that an injector states, or requests that were touched.
func (w *world) fault() {
	r := w.r
	run, start := pick(r, "", "run-1", "run-2"), w.at()
	attributes := map[string]any{"chaos.fault.type": pick(r, "latency", "abort"), "chaos.target": pick(r, "search", "")}
	if r.IntN(3) == 0 {
		attributes["chaos.role"] = "injector"
		for range 1 + r.IntN(3) { // of several that begin together, each its own end
			w.add(run, "injector", "inject", parent{}, start, pick(r, 0, r.Int64N(90e9)), attributes)
		}
		return
	}
	for range 1 + r.IntN(8) {
		duration := pick(r, 0, 200e6, r.Int64N(3e9))
		attributes["gen_ai.operation.name"], attributes["chaos.fault.latency_ms"] = "chat", r.IntN(300)
		w.add(run, "gateway", "chat", parent{}, start, duration, attributes)
		start += duration + pick(r, 5e9, 5e9+1, r.Int64N(9e9))
	}
}

// sendInPieces sends the spans in random order and batches, each batch up to
// copies times, from several goroutines.
func sendInPieces(t *testing.T, e exporter.Traces, r *rand.Rand, hosts []goldenHost, goroutines, copies int) {
	t.Helper()
	r.Shuffle(len(hosts), func(i, k int) { hosts[i], hosts[k] = hosts[k], hosts[i] })
	var pieces [][]goldenHost
	for rest := hosts; len(rest) > 0; {
		n := min(len(rest), 1+r.IntN(1<<r.IntN(8)))
		for range 1 + r.IntN(copies) {
			pieces = append(pieces, rest[:n])
		}
		rest = rest[n:]
	}
	r.Shuffle(len(pieces), func(i, k int) { pieces[i], pieces[k] = pieces[k], pieces[i] })
	queue := make(chan ptrace.Traces, len(pieces))
	for _, piece := range pieces {
		batch := ptrace.NewTraces()
		for _, host := range piece {
			resourceSpans := batch.ResourceSpans().AppendEmpty()
			host.resource.CopyTo(resourceSpans.Resource())
			scopeSpans := resourceSpans.ScopeSpans().AppendEmpty()
			host.scope.CopyTo(scopeSpans.Scope())
			host.span.CopyTo(scopeSpans.Spans().AppendEmpty())
		}
		queue <- batch
	}
	close(queue)
	errs := make(chan error, len(pieces))
	var senders sync.WaitGroup
	for range goroutines {
		senders.Go(func() {
			for batch := range queue {
				errs <- e.ConsumeTraces(context.Background(), batch)
			}
		})
	}
	senders.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
}
