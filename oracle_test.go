package spanbucketexporter

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// sentSpan is a span as a test sends it, with what the file must say of it
// written down beside it, so that the oracle shares no code with the exporter.
type sentSpan struct {
	traceID   [16]byte
	spanID    [8]byte
	start     int64 // Unix nanoseconds
	end       int64 // 0: none
	run       string
	service   string
	operation string
	model     string
	failure   string // error.type; empty: none
	status    int64  // http.response.status_code; 0: none
	tokens    int64  // output tokens; 0: no usage
	ttft      int64  // nanoseconds, whole milliseconds; 0: none
}

// The expectations that follow from a span.

func (s *sentSpan) category() string {
	switch s.operation {
	case "chat":
		return "llm"
	case "embeddings":
		return "embedding"
	case "execute_tool":
		return "tool"
	}
	return "server"
}

func (s *sentSpan) outcome() string {
	switch {
	case s.failure == "timeout":
		return "connection_error"
	case s.status == 429:
		return "rate_limited"
	case s.status == 503:
		return "server_error"
	case s.failure != "":
		return "other_error"
	}
	return "success"
}

func (s *sentSpan) errorType() string {
	if s.failure == "" && s.status >= 400 {
		return fmt.Sprint(s.status)
	}
	return s.failure
}

// duration is false for a span without a usable one.
func (s *sentSpan) duration() (int64, bool) {
	d := s.end - s.start
	return d, s.end != 0 && d >= 0 && d <= int64(24*time.Hour)
}

func (s *sentSpan) countsTokens() bool {
	return s.tokens > 0 && (s.category() == "llm" || s.category() == "embedding")
}

// timePerOutputToken is false for a span that has none.
func (s *sentSpan) timePerOutputToken() (int64, bool) {
	d, usable := s.duration()
	if !usable || s.ttft == 0 || !s.countsTokens() || s.tokens < 2 || d < s.ttft {
		return 0, false
	}
	return (d - s.ttft) / (s.tokens - 1), true
}

// randomSpans draws n spans that start in [from, from+over).
func randomSpans(r *rand.Rand, n int, from time.Time, over time.Duration) []sentSpan {
	spans := make([]sentSpan, n)
	for i := range spans {
		s := &spans[i]
		for k := range s.traceID {
			s.traceID[k] = byte(r.IntN(256))
		}
		for k := range s.spanID {
			s.spanID[k] = byte(1 + r.IntN(255))
		}
		s.traceID[0] |= 1
		s.start = from.UnixNano() + r.Int64N(int64(over))
		switch r.IntN(12) {
		case 0: // no end
		case 1: // ends before it starts
			s.end = s.start - 1 - r.Int64N(int64(time.Hour))
		case 2: // longer than a day
			s.end = s.start + int64(24*time.Hour) + 1 + r.Int64N(int64(time.Hour))
		case 3: // no time at all, or a round one: ties
			s.end = s.start + r.Int64N(3)*int64(time.Second)
		default:
			s.end = s.start + int64(time.Millisecond)<<r.IntN(14) + r.Int64N(int64(time.Second))
		}
		s.run = pick(r, "", "", "run-1", "run-2")
		s.service = pick(r, "gateway", "app", "app-α")
		s.operation = pick(r, "chat", "chat", "chat", "embeddings", "execute_tool", "")
		s.model = pick(r, "gpt-4o", "claude-sonnet-4", "llama-3.1-8b")
		switch r.IntN(6) {
		case 0:
			s.failure = pick(r, "timeout", "ValueError")
		case 1:
			s.status = int64(pick(r, 429, 503, 200))
		}
		if r.IntN(2) == 0 {
			s.tokens = 1 + r.Int64N(2000)
		}
		if r.IntN(3) == 0 {
			s.ttft = int64(time.Millisecond) * (1 + r.Int64N(3000))
		}
	}
	return spans
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// traces makes one OTLP batch of the spans, grouped by resource as they come.
func traces(spans []sentSpan) ptrace.Traces {
	batch := ptrace.NewTraces()
	var scope ptrace.ScopeSpans
	for i := range spans {
		s := &spans[i]
		if i == 0 || s.service != spans[i-1].service {
			resource := batch.ResourceSpans().AppendEmpty()
			resource.Resource().Attributes().PutStr("service.name", s.service)
			scope = resource.ScopeSpans().AppendEmpty()
		}
		s.fill(scope.Spans().AppendEmpty())
	}
	return batch
}

func (s *sentSpan) fill(out ptrace.Span) {
	out.SetTraceID(s.traceID)
	out.SetSpanID(s.spanID)
	out.SetStartTimestamp(pcommon.Timestamp(s.start))
	out.SetEndTimestamp(pcommon.Timestamp(s.end))
	out.SetName("some span")
	out.SetKind(ptrace.SpanKindServer)
	a := out.Attributes()
	if s.operation != "" {
		a.PutStr("gen_ai.operation.name", s.operation)
	}
	if s.run != "" {
		a.PutStr("test.run.id", s.run)
	}
	a.PutStr("gen_ai.response.model", s.model+"-2026-01-30")
	a.PutStr("gen_ai.request.model", s.model)
	if s.failure != "" {
		a.PutStr("error.type", s.failure)
	}
	if s.status != 0 {
		a.PutInt("http.response.status_code", s.status)
	}
	if s.tokens != 0 {
		a.PutInt("gen_ai.usage.input_tokens", 3*s.tokens)
		a.PutInt("gen_ai.usage.output_tokens", s.tokens)
	}
	if s.ttft != 0 {
		a.PutDouble("gen_ai.response.time_to_first_chunk", float64(s.ttft)/1e9)
	}
}

// group is what the oracle knows of one row: the spans in it, and how many end
// in its bucket.
type group struct {
	spans     []*sentSpan
	completed int64
}

// figures are count, sum and the sorted values of a measure.
type figures struct {
	sorted []int64
	sum    int64
}

func measure(spans []*sentSpan, value func(*sentSpan) (int64, bool)) figures {
	var f figures
	for _, s := range spans {
		if v, ok := value(s); ok {
			f.sorted = append(f.sorted, v)
			f.sum += v
		}
	}
	slices.Sort(f.sorted)
	return f
}

// nearestRank returns the value of rank ceil(num/100*n).
func (f figures) nearestRank(num int) int64 {
	return f.sorted[(len(f.sorted)*num+99)/100-1]
}

// slowest returns the ids of the longest span; of equals, those of the lowest.
func slowest(spans []*sentSpan) string {
	var best *sentSpan
	for _, s := range spans {
		d, ok := s.duration()
		if !ok {
			continue
		}
		if best == nil {
			best = s
			continue
		}
		bestDuration, _ := best.duration()
		if c := cmp.Or(-cmp.Compare(d, bestDuration), slices.Compare(s.traceID[:], best.traceID[:]),
			slices.Compare(s.spanID[:], best.spanID[:])); c < 0 {
			best = s
		}
	}
	if best == nil {
		return ""
	}
	return hex.EncodeToString(best.traceID[:]) + "/" + hex.EncodeToString(best.spanID[:])
}

// alignedStart is the start of the bucket of a width that holds an instant
// after 1970.
func alignedStart(unixNano int64, width time.Duration) int64 {
	return time.Unix(0, unixNano).UTC().Truncate(time.Second).Unix() / int64(width/time.Second) * int64(width/time.Second)
}
