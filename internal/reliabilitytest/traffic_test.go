package reliabilitytest

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// traffic is an endless sequence of batches, each drawn from the seed and its
// number alone: parent and child know what the other knows.
type traffic struct {
	Seed uint64
	// From is when batch 0 begins, Unix nanoseconds; each later one begins Step
	// after the one before. Spans start within Spread of it, but for late ones.
	From         int64
	Step, Spread time.Duration
	// Spans is the size of a batch; 0 draws sizes from 1 to 8192, small ones
	// more often.
	Spans int
}

// epoch is when the traffic of most tests begins: a minute before the year ends.
var epoch = time.Date(2025, 12, 31, 23, 59, 0, 0, time.UTC)

func newTraffic(seed uint64) traffic {
	return traffic{Seed: seed, From: epoch.UnixNano(), Step: 100 * time.Millisecond, Spread: 20 * time.Second}
}

// call is a span as it is sent, with what the file must say of it beside it:
// nothing here is shared with the exporter.
type call struct {
	trace   [16]byte
	span    [8]byte
	parent  [8]byte
	start   int64 // Unix nanoseconds
	end     int64 // 0: none
	run     string
	service string
	session string
	work    work
	model   string
	failure string // error.type
	status  int64  // http.response.status_code; 0: none
	output  int64  // output tokens; 0: no usage
	first   int64  // time to first token, whole milliseconds in ns; 0: none
	fault   string
}

// work is what a call does.
type work struct{ operation, category string }

var works = []work{
	{"chat", "llm"}, {"chat", "llm"}, {"chat", "llm"}, {"embeddings", "embedding"},
	{"execute_tool", "tool"}, {"invoke_agent", "agent"}, {"", "server"},
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

func (s *traffic) rand(n int) *rand.Rand {
	return rand.New(rand.NewPCG(s.Seed, uint64(n)))
}

func (s *traffic) draw(r *rand.Rand) int {
	if s.Spans > 0 {
		return s.Spans
	}
	return 1 + r.IntN(1<<r.IntN(14))
}

// size is how many spans batch n has.
func (s *traffic) size(n int) int { return s.draw(s.rand(n)) }

// batch makes batch n.
func (s *traffic) batch(n int) []call {
	r := s.rand(n)
	calls := make([]call, s.draw(r))
	begin := s.From + int64(n)*int64(s.Step)
	var head *call
	for i := range calls {
		c := &calls[i]
		binary.BigEndian.PutUint64(c.span[:], s.Seed<<40^uint64(n+1)<<14^uint64(i))
		if head == nil || r.IntN(4) == 0 {
			head = c
			c.work, c.service = pick(r, works...), pick(r, "gateway", "app-α")
			c.run = pick(r, "", "", "run-1")
			c.session = pick(r, "", "session-1", "session-2", "session-3")
			binary.BigEndian.PutUint64(c.trace[:8], s.Seed+1)
			binary.BigEndian.PutUint64(c.trace[8:], uint64(n+1)<<14^uint64(i))
		} else {
			c.parent, c.trace, c.run, c.session, c.service = head.span, head.trace, head.run, head.session, head.service
			c.work = pick(r, works...)
		}
		c.start = s.startOf(r, begin)
		c.fill(r)
	}
	return calls
}

// startOf draws starts, with many on and just beside the edges of buckets, and
// some hours late.
func (s *traffic) startOf(r *rand.Rand, begin int64) int64 {
	start := begin + r.Int64N(int64(s.Spread))
	switch r.IntN(40) {
	case 0, 1, 2:
		start = start/10e9*10e9 + r.Int64N(3) - 1
	case 3:
		start = start/300e9*300e9 + r.Int64N(3) - 1
	case 4:
		start -= int64(3 * time.Hour)
	}
	return start
}

func (c *call) fill(r *rand.Rand) {
	switch r.IntN(20) {
	case 0: // no end
	case 1: // ends before it starts
		c.end = c.start - 1 - r.Int64N(int64(time.Minute))
	case 2: // round ones, for ties
		c.end = c.start + r.Int64N(3)*int64(time.Second)
	default:
		c.end = c.start + int64(time.Millisecond)<<r.IntN(14) + r.Int64N(int64(time.Second))
	}
	if c.work.category == "llm" || c.work.category == "embedding" {
		c.model = pick(r, "gpt-4o", "claude-sonnet-4")
		if r.IntN(3) > 0 {
			c.output = 1 + r.Int64N(2000)
		}
	}
	switch r.IntN(12) {
	case 0:
		c.failure = pick(r, "timeout", "ValueError")
	case 1:
		c.status = pick[int64](r, 429, 503)
	}
	if c.work.category == "llm" && r.IntN(3) == 0 {
		c.first = int64(time.Millisecond) * (1 + r.Int64N(3000))
	}
	if r.IntN(25) == 0 {
		c.fault = pick(r, "latency", "abort")
	}
}

// The expectations that follow from a call.

func (c *call) outcome() string {
	switch {
	case c.failure == "timeout":
		return "connection_error"
	case c.status == 429:
		return "rate_limited"
	case c.status == 503:
		return "server_error"
	case c.failure != "":
		return "other_error"
	}
	return "success"
}

func (c *call) errorType() string {
	switch c.status {
	case 429:
		return "429"
	case 503:
		return "503"
	}
	return c.failure
}

// operation is the name of the span where nothing else is said.
func (c *call) operation() string {
	if c.work.operation == "" {
		return spanName
	}
	return c.work.operation
}

// duration is false for a span without a usable one.
func (c *call) duration() (int64, bool) { return c.end - c.start, c.end != 0 && c.end >= c.start }

const spanName = "some span"

// otlp makes one batch of calls, grouped by resource as they come.
func otlp(calls []call) ptrace.Traces {
	batch := ptrace.NewTraces()
	var scope ptrace.ScopeSpans
	for i := range calls {
		c := &calls[i]
		if i == 0 || c.service != calls[i-1].service {
			resource := batch.ResourceSpans().AppendEmpty()
			resource.Resource().Attributes().PutStr("service.name", c.service)
			scope = resource.ScopeSpans().AppendEmpty()
		}
		c.write(scope.Spans().AppendEmpty())
	}
	return batch
}

func (c *call) write(out ptrace.Span) {
	out.SetTraceID(c.trace)
	out.SetSpanID(c.span)
	out.SetParentSpanID(c.parent)
	out.SetStartTimestamp(pcommon.Timestamp(c.start))
	out.SetEndTimestamp(pcommon.Timestamp(c.end))
	out.SetName(spanName)
	out.SetKind(ptrace.SpanKindServer)
	a := out.Attributes()
	put := func(name, value string) {
		if value != "" {
			a.PutStr(name, value)
		}
	}
	put("gen_ai.operation.name", c.work.operation)
	put("test.run.id", c.run)
	put("gen_ai.conversation.id", c.session)
	put("gen_ai.request.model", c.model)
	put("error.type", c.failure)
	put("chaos.fault.type", c.fault)
	if c.work.category == "tool" {
		a.PutStr("gen_ai.tool.name", "search")
	}
	if c.status != 0 {
		a.PutInt("http.response.status_code", c.status)
	}
	if c.output != 0 {
		a.PutInt("gen_ai.usage.input_tokens", 3*c.output)
		a.PutInt("gen_ai.usage.output_tokens", c.output)
	}
	if c.first != 0 {
		a.PutDouble("gen_ai.response.time_to_first_chunk", float64(c.first)/1e9)
	}
}
