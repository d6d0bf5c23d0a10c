package main

import (
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// codingTools are what the coding agent may run, and for how long they do.
var codingTools = []struct {
	name   string
	median time.Duration
}{
	{"Bash", 900 * time.Millisecond},
	{"Edit", 30 * time.Millisecond},
	{"Read", 10 * time.Millisecond},
}

// coding is a developer with a coding agent, which asks before it runs a tool
// and speaks the dialect of Claude Code. It talks to its provider past the
// gateway in which the faults are injected.
func (g *generator) coding(at time.Time) *span {
	const service = "claude-code"
	return g.converse(service, at, func(id string) *span {
		session := attribute.String("session.id", id)
		s := g.step(service, "interaction", "agent", at, session)
		ask := g.codingCall(service, at.Add(g.pause()), session)
		tool := g.codingTool(service, ask.end.Add(g.pause()), session)
		answer := g.codingCall(service, tool.end.Add(g.pause()), session)
		s.children = []*span{ask, tool, answer}
		s.end = answer.end.Add(g.pause())
		return s
	})
}

// step makes a span of the coding agent.
func (*generator) step(service, kind, category string, at time.Time, session attribute.KeyValue) *span {
	s := &span{
		service: service, name: "claude_code." + kind, kind: trace.SpanKindInternal, category: category,
		start: at, outcome: "success",
	}
	s.set(attribute.String("span.type", kind), session)
	return s
}

func (g *generator) codingCall(service string, at time.Time, session attribute.KeyValue) *span {
	s := g.step(service, "llm_request", "llm", at, session)
	a := g.answer(&opus)
	s.end = at.Add(a.total)
	const fresh = 8 // tokens that no cache holds; the dialect counts the others apart
	cached := max(a.inputTokens-fresh, 0)
	s.count(&opus, a)
	s.set(attribute.String("gen_ai.system", opus.provider), attribute.String("model", opus.request),
		attribute.Int64("ttft_ms", a.firstChunk.Milliseconds()), attribute.Int64("input_tokens", a.inputTokens-cached),
		attribute.Int64("cache_read_tokens", cached), attribute.Int64("output_tokens", a.outputTokens),
		attribute.Float64("cost_usd", s.costUSD()), attribute.Bool("success", true), attribute.Int("attempt", 1))
	return s
}

// codingTool is a tool call: the wait for the developer, then the run.
func (g *generator) codingTool(service string, at time.Time, session attribute.KeyValue) *span {
	t := codingTools[g.random.IntN(len(codingTools))]
	call := attribute.String("gen_ai.tool.call.id", fmt.Sprintf("toolu-%d", g.requests))
	s := g.step(service, "tool", "other", at, session)
	s.set(attribute.String("tool_name", t.name), call)
	wait := g.step(service, "tool.blocked_on_user", "other", at.Add(g.pause()), session)
	decision, source := g.decide()
	wait.set(attribute.String("decision", decision), attribute.String("source", source))
	wait.end = wait.start.Add(g.pause())
	if source != "config" {
		wait.end = wait.start.Add(min(g.around(2*time.Second, 0.5), callTimeout))
	}
	s.children, s.end = []*span{wait}, wait.end.Add(g.pause())
	if decision == "reject" {
		return s
	}
	run := g.step(service, "tool.execution", "tool", wait.end.Add(g.pause()), session)
	run.set(call, attribute.Bool("success", true))
	run.end = run.start.Add(g.around(t.median, 0.5))
	s.children, s.end = append(s.children, run), run.end.Add(g.pause())
	return s
}

// decide is what the developer, or the settings, say to a tool call.
func (g *generator) decide() (decision, source string) {
	switch x := g.random.Float64(); {
	case x < 0.2:
		return "reject", "user_reject"
	case x < 0.4:
		return "accept", "config"
	default:
		return "accept", "user_temporary"
	}
}
