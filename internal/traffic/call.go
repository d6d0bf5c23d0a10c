package main

import (
	"math"
	"math/rand/v2"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// generator makes user requests. The same seed and schedule make the same.
type generator struct {
	random   *rand.Rand
	schedule schedule
	requests int
	talks    map[string][]*conversation // by service, those that go on
	breaker  breaker
}

func newGenerator(seed uint64, plan schedule) *generator {
	return &generator{
		random: rand.New(rand.NewPCG(seed, 0)), schedule: plan,
		talks: map[string][]*conversation{}, breaker: breaker{state: closed},
	}
}

// arrival returns when the request after the one at the given time arrives.
func (g *generator) arrival(after time.Time, rate float64) time.Time {
	return after.Add(time.Duration(g.random.ExpFloat64() / rate * float64(time.Second)))
}

// logNormal scatters around a median; sigma 0.4 makes the 99th percentile 2.5
// times the median.
func (g *generator) logNormal(median, sigma float64) float64 {
	return median * math.Exp(sigma*g.random.NormFloat64())
}

func (g *generator) around(median time.Duration, sigma float64) time.Duration {
	return time.Duration(g.logNormal(float64(median), sigma))
}

// answer is what a model says and how long it takes.
type answer struct {
	inputTokens, outputTokens int64
	firstChunk, total         time.Duration
}

func (g *generator) answer(m *model) answer {
	a := answer{
		inputTokens:  1 + int64(g.logNormal(m.inputTokens, 0.6)),
		outputTokens: int64(g.logNormal(m.outputTokens, 0.6)),
		firstChunk:   g.around(m.firstChunk, 0.4),
	}
	a.total = a.firstChunk + time.Duration(a.outputTokens)*g.around(m.perToken, 0.2)
	a.total = min(a.total, callTimeout*9/10) // answers are capped, timeouts are the experiment's
	return a
}

// call makes the span of a call to a model, with an HTTP client span for each
// attempt below it. It starts at the given time.
func (g *generator) call(service, operation string, m *model, at time.Time, attributes ...attribute.KeyValue) *span {
	s := &span{
		service: service, name: operation + " " + m.request, kind: trace.SpanKindClient,
		start: at, category: "llm", attributes: attributes,
	}
	if m.outputTokens == 0 {
		s.category = "embedding"
	}
	s.set(attribute.String("gen_ai.operation.name", operation), attribute.String("gen_ai.provider.name", m.provider),
		attribute.String("gen_ai.request.model", m.request),
		attribute.String("server.address", m.host), attribute.Int("server.port", 443))
	a := g.answer(m)
	how := g.attempts(s, m, a)
	s.finish(how, s.end)
	if how.outcome == "success" {
		describe(s, m, a)
	}
	return s
}

// attempts adds the HTTP spans below s, sets the end of s, and returns how the
// last attempt ended.
func (g *generator) attempts(s *span, m *model, a answer) ending {
	at := s.start.Add(g.around(400*time.Microsecond, 0.3)) // serialising the request
	for attempt := 0; ; attempt++ {
		how, injected := g.draw(m, at)
		took := a.total
		if how.took > 0 {
			took = g.around(how.took, 0.3)
		}
		if how.status == 0 {
			took = min(took, callTimeout)
		}
		delay := time.Duration(0)
		if how.fault == slow.fault {
			delay = g.around(1500*time.Millisecond, 0.3)
			took += delay
		}
		child := m.attempt(s.service, at, at.Add(took), how, attempt)
		s.children = append(s.children, child)
		s.end = child.end.Add(g.around(300*time.Microsecond, 0.3)) // parsing the answer
		again := how.retried && attempt == 0
		if injected {
			child.mark(how.fault, delay)
			if !again {
				s.mark(how.fault, delay)
			}
		}
		if !again {
			return how
		}
		at = s.end.Add(g.around(250*time.Millisecond, 0.2)) // back-off
	}
}

// attempt makes the HTTP client span of one attempt.
func (m *model) attempt(service string, start, end time.Time, how ending, resent int) *span {
	s := &span{service: service, name: "POST", kind: trace.SpanKindClient, start: start, category: "client"}
	s.set(attribute.String("http.request.method", "POST"), attribute.String("url.full", "https://"+m.host+m.path),
		attribute.String("server.address", m.host), attribute.Int("server.port", 443),
		attribute.String("network.protocol.version", "2"))
	if resent > 0 {
		s.set(attribute.Int("http.request.resend_count", resent))
	}
	if how.httpError == "" {
		how.outcome = "success" // whatever the body held
	}
	how.callError = how.httpError
	s.finish(how, end)
	return s
}

// finish ends the span the way it says.
func (s *span) finish(how ending, end time.Time) {
	s.end, s.outcome = end, how.outcome
	if how.status != 0 {
		s.set(attribute.Int("http.response.status_code", how.status))
	}
	if how.callError != "" {
		s.set(attribute.String("error.type", how.callError))
		s.failed = true
	}
}

// mark says that an injected fault touched the span.
func (s *span) mark(faultType string, delay time.Duration) {
	s.set(attribute.String("chaos.fault.type", faultType), attribute.String("chaos.experiment.id", experimentID))
	if delay > 0 {
		s.set(attribute.Int64("chaos.fault.latency_ms", delay.Milliseconds()))
	}
}

// describe adds what only an answered call knows.
func describe(s *span, m *model, a answer) {
	s.count(m, a)
	s.set(attribute.String("gen_ai.response.model", m.response), attribute.Int64("gen_ai.usage.input_tokens", a.inputTokens),
		attribute.Float64("gen_ai.usage.cost", s.costUSD()))
	if m.outputTokens == 0 {
		return
	}
	s.set(attribute.Int64("gen_ai.usage.output_tokens", a.outputTokens),
		attribute.String("gen_ai.response.id", "resp-"+strconv.FormatInt(s.start.UnixNano(), 36)),
		attribute.StringSlice("gen_ai.response.finish_reasons", []string{"stop"}),
		attribute.Bool("gen_ai.request.stream", true),
		// What delayed the answer delayed its first chunk.
		attribute.Float64("gen_ai.response.time_to_first_chunk", (s.end.Sub(s.start)-a.total+a.firstChunk).Seconds()))
}

// count notes the tokens and the cost of an answer.
func (s *span) count(m *model, a answer) {
	s.inputTokens, s.outputTokens = a.inputTokens, a.outputTokens
	s.costNanoUSD = a.inputTokens*m.inputNanoUSD + a.outputTokens*m.outputNanoUSD
}

func (s *span) costUSD() float64 { return float64(s.costNanoUSD) / 1e9 }
