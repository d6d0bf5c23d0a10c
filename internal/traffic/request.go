package main

import (
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// request makes one user request that arrives at the given time, with all
// spans below it.
func (g *generator) request(at time.Time) *span {
	g.requests++
	switch x := g.random.Float64(); {
	case x < 0.45:
		return g.chat(at)
	case x < 0.65:
		return g.support(at)
	case x < 0.88:
		return g.search(at)
	case x < 0.98:
		return g.summary(at)
	default:
		return g.coding(at)
	}
}

// pause is the service's own work between two steps.
func (g *generator) pause() time.Duration { return g.around(2*time.Millisecond, 0.5) }

// server makes the span of a service that answers a user.
func (g *generator) server(service, route string, at time.Time) *span {
	s := &span{service: service, name: "POST " + route, kind: trace.SpanKindServer, start: at, category: "server"}
	s.set(attribute.String("http.request.method", "POST"), attribute.String("http.route", route),
		attribute.String("url.scheme", "https"), attribute.String("url.path", route))
	return s
}

// respond ends a server span after its last child, passing on how that went.
// A server span that answers 4xx is not an error by its status.
func (g *generator) respond(s *span, outcome string) {
	how := answered
	switch outcome {
	case "success":
	case "rate_limited":
		how = ending{outcome: "rate_limited", status: 429}
	case "client_error":
		how = ending{outcome: "client_error", status: 400}
	case "cancelled":
		how = ending{outcome: "cancelled", callError: "cancelled"}
	case "connection_error":
		how = ending{outcome: "server_error", status: 504, callError: "504"}
	default:
		how = ending{outcome: "server_error", status: 503, callError: "503"}
	}
	s.finish(how, s.children[len(s.children)-1].end.Add(g.pause()))
}

// chat is a user talking to a model.
func (g *generator) chat(at time.Time) *span {
	const service = "chat-api"
	m := &gpt
	if g.random.Float64() < 0.4 {
		m = &gptMini
	}
	return g.converse(service, at, func(id string) *span {
		s := g.server(service, "/v1/chat", at)
		call := g.call(service, "chat", m, at.Add(g.pause()), attribute.String("gen_ai.conversation.id", id))
		g.judge(call)
		s.children = []*span{call}
		g.respond(s, call.outcome)
		return s
	})
}

// search embeds a query and looks its neighbours up in a database.
func (g *generator) search(at time.Time) *span {
	const service = "search-api"
	s := g.server(service, "/v1/search", at)
	call := g.call(service, "embeddings", &embedder, at.Add(g.pause()))
	s.children = []*span{call}
	if call.outcome == "success" {
		start := call.end.Add(g.pause())
		query := &span{
			service: service, name: "SELECT documents", kind: trace.SpanKindClient, category: "database",
			start: start, end: start.Add(g.around(9*time.Millisecond, 0.5)), outcome: "success",
		}
		query.set(attribute.String("db.system.name", "postgresql"), attribute.String("db.operation.name", "SELECT"),
			attribute.String("db.collection.name", "documents"))
		s.children = append(s.children, query)
	}
	g.respond(s, call.outcome)
	return s
}

// summary is a batch job, with no user waiting and no server span.
func (g *generator) summary(at time.Time) *span {
	return g.call("report-worker", "generate_content", &gemini, at)
}

// support is an agent that thinks, uses a tool, and answers.
func (g *generator) support(at time.Time) *span {
	const service = "support-agent"
	return g.converse(service, at, func(id string) *span {
		return g.ticket(service, at, attribute.String("gen_ai.conversation.id", id))
	})
}

func (g *generator) ticket(service string, at time.Time, conversation attribute.KeyValue) *span {
	s := g.server(service, "/v1/tickets", at)
	agent := &span{
		service: service, name: "invoke_agent support", kind: trace.SpanKindInternal, category: "agent",
		start: at.Add(g.pause()), outcome: "success",
	}
	agent.set(attribute.String("gen_ai.operation.name", "invoke_agent"), attribute.String("gen_ai.agent.name", "support"),
		attribute.String("gen_ai.provider.name", sonnet.provider), conversation)
	s.children = []*span{agent}
	outcome := g.think(agent, conversation)
	agent.end = agent.children[len(agent.children)-1].end.Add(g.pause())
	if outcome != "success" {
		agent.outcome, agent.failed = "other_error", true
		agent.set(attribute.String("error.type", "agent_run_failed"))
	}
	g.respond(s, outcome)
	return s
}

// think adds the agent's steps and returns how the one that ended it went.
func (g *generator) think(agent *span, conversation attribute.KeyValue) string {
	name := attribute.String("gen_ai.agent.name", "support")
	at := agent.start.Add(g.pause())
	circuit := attribute.String("circuit_breaker.name", breakerName)
	allowed, changes := g.breaker.allow(at)
	if !allowed {
		refused := g.refusedCall(agent.service, at, conversation, name, circuit)
		refused.events = changes
		agent.children = append(agent.children, refused)
		return refused.outcome
	}
	first := g.call(agent.service, "chat", &sonnet, at, conversation, name, circuit)
	first.events = changes
	g.breaker.done(first, len(changes) > 0)
	agent.children = append(agent.children, first)
	if first.outcome != "success" {
		return first.outcome
	}
	tool := g.tool(agent.service, first.end.Add(g.pause()), conversation, name)
	last := g.call(agent.service, "chat", &sonnet, tool.end.Add(g.pause()), conversation, name, circuit)
	g.breaker.done(last, false)
	g.judge(last)
	agent.children = append(agent.children, tool, last)
	return last.outcome
}

// refusedCall is a call that the circuit breaker did not let through.
func (g *generator) refusedCall(service string, at time.Time, attributes ...attribute.KeyValue) *span {
	s := &span{
		service: service, name: "chat " + sonnet.request, kind: trace.SpanKindClient, category: "llm",
		start: at, attributes: attributes,
	}
	s.set(attribute.String("gen_ai.operation.name", "chat"), attribute.String("gen_ai.provider.name", sonnet.provider),
		attribute.String("gen_ai.request.model", sonnet.request))
	s.finish(circuitOpen, at.Add(g.around(circuitOpen.took, 0.3)))
	return s
}

func (g *generator) tool(service string, at time.Time, conversation, agent attribute.KeyValue) *span {
	t := tools[g.random.IntN(len(tools))]
	s := &span{
		service: service, name: "execute_tool " + t.name, kind: trace.SpanKindInternal, category: "tool",
		start: at, end: at.Add(g.around(t.median, 0.5)), outcome: "success",
	}
	s.set(attribute.String("gen_ai.operation.name", "execute_tool"), attribute.String("gen_ai.tool.name", t.name),
		attribute.String("gen_ai.tool.type", "function"), conversation, agent,
		attribute.String("gen_ai.tool.call.id", fmt.Sprintf("call-%d", g.requests)))
	if g.random.Float64() < 0.03 {
		s.outcome, s.failed = "other_error", true
		s.set(attribute.String("error.type", "tool_failed"))
	}
	return s
}
