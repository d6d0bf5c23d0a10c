package spantest

import (
	"fmt"
	"strconv"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

var scopeNames = [...]string{
	"opentelemetry.instrumentation.genai", "opentelemetry.instrumentation.httpx", "agents.runtime",
}

// scopeOf says which instrumentation writes each sort of work.
var scopeOf = [...]int{chat: 0, embedding: 0, tool: 2, agent: 2, server: 1, client: 1}

func serviceName(i int) string {
	if i < len(serviceNames) {
		return serviceNames[i]
	}
	return serviceNames[i%len(serviceNames)] + "-" + strconv.Itoa(i/len(serviceNames))
}

func fillResource(a pcommon.Map, service, instance int) {
	name := serviceName(service)
	pod := fmt.Sprintf("%s-6d5f8c9b7-%05x", name, 0x9c0de+service*16+instance)
	a.EnsureCapacity(12)
	a.PutStr("service.name", name)
	a.PutStr("service.namespace", "assistants")
	a.PutStr("service.version", "1.14.2")
	a.PutStr("service.instance.id", fmt.Sprintf("%08x-5a17-4b0e-9c3d-%012x", service+1, instance+1))
	a.PutStr("deployment.environment.name", "staging")
	a.PutStr("telemetry.sdk.name", "opentelemetry")
	a.PutStr("telemetry.sdk.language", "python")
	a.PutStr("telemetry.sdk.version", "1.38.0")
	a.PutStr("host.name", "node-"+strconv.Itoa(instance))
	a.PutStr("k8s.pod.name", pod)
	a.PutInt("process.pid", int64(7+instance))
	a.PutStr("cloud.region", "eu-central-1")
}

func (g *Generator) fillSpan(s ptrace.Span, d *draft) {
	s.SetTraceID(d.trace)
	s.SetSpanID(d.span)
	s.SetParentSpanID(d.parent)
	s.SetName(d.shape.name)
	s.SetKind(d.shape.kind)
	s.SetStartTimestamp(pcommon.Timestamp(d.start))
	s.SetEndTimestamp(pcommon.Timestamp(d.end))
	s.SetFlags(1)
	if g.profile.SampledShare > 0 && g.rand.Float64() < g.profile.SampledShare {
		s.TraceState().FromRaw([]string{"ot=th:8", "ot=th:c"}[g.rand.IntN(2)])
	}
	a := s.Attributes()
	a.EnsureCapacity(20)
	switch d.shape.work {
	case chat:
		g.fillChat(a, d)
	case embedding:
		g.fillEmbedding(a, d)
	case tool:
		g.fillTool(a, d)
	case agent:
		g.fillAgent(a, d)
	case server:
		g.fillServer(a, d)
	case client:
		g.fillClient(a, d)
	}
	if d.failure == nil {
		return
	}
	if d.failure.errorType != "" {
		a.PutStr("error.type", d.failure.errorType)
	}
	if !d.failure.unset {
		s.Status().SetCode(ptrace.StatusCodeError)
	}
}

// answered tells whether the span saw at least the beginning of an answer.
func (d *draft) answered() bool { return d.failure == nil || d.failure.answered }

func (g *Generator) fillChat(a pcommon.Map, d *draft) {
	g.fillRequest(a, d, "chat")
	a.PutDouble("gen_ai.request.temperature", []float64{0, 0.2, 0.7, 1}[g.rand.IntN(4)])
	a.PutInt("gen_ai.request.max_tokens", int64(512<<g.rand.IntN(4)))
	a.PutDouble("gen_ai.request.top_p", 0.95)
	a.PutStr("gen_ai.conversation.id", d.conversation)
	if !d.answered() {
		return
	}
	a.PutStr("gen_ai.response.model", d.shape.model.response)
	a.PutStr("gen_ai.response.id", fmt.Sprintf("msg_%016x", g.rand.Uint64()))
	if g.rand.Float64() < g.streamed {
		a.PutBool("gen_ai.request.stream", true)
		first := g.logNormal(d.shape.model.firstChunk, 0.4)
		whole := float64(d.end - d.start)
		a.PutDouble("gen_ai.response.time_to_first_chunk", min(float64(first), 0.95*whole)/1e9)
	}
	if d.failure != nil {
		return
	}
	finish := []string{"stop", "stop", "stop", "tool_calls", "length"}[g.rand.IntN(5)]
	a.PutEmptySlice("gen_ai.response.finish_reasons").AppendEmpty().SetStr(finish)
	input := int64(40 + g.rand.IntN(6000))
	a.PutInt("gen_ai.usage.input_tokens", input)
	a.PutInt("gen_ai.usage.output_tokens", int64(5+g.rand.IntN(1200)))
	a.PutInt("gen_ai.usage.cache_read.input_tokens", input/4*int64(g.rand.IntN(4)))
}

// fillRequest writes what every call of a model carries.
func (g *Generator) fillRequest(a pcommon.Map, d *draft, operation string) {
	a.PutStr("gen_ai.operation.name", operation)
	a.PutStr("gen_ai.provider.name", d.shape.model.provider)
	a.PutStr("gen_ai.request.model", d.shape.model.request)
	a.PutStr("server.address", d.shape.model.address)
	a.PutInt("server.port", 443)
	putStatus(a, d)
}

func putStatus(a pcommon.Map, d *draft) {
	switch {
	case d.failure == nil:
		a.PutInt("http.response.status_code", 200)
	case d.failure.status != 0:
		a.PutInt("http.response.status_code", d.failure.status)
	}
}

func (g *Generator) fillEmbedding(a pcommon.Map, d *draft) {
	g.fillRequest(a, d, "embeddings")
	a.PutInt("gen_ai.embeddings.dimension.count", 1536)
	a.PutEmptySlice("gen_ai.request.encoding_formats").AppendEmpty().SetStr("float")
	a.PutStr("gen_ai.conversation.id", d.conversation)
	a.PutStr("network.protocol.version", "2")
	if d.answered() {
		a.PutStr("gen_ai.response.model", d.shape.model.response)
		a.PutInt("gen_ai.usage.input_tokens", int64(8+g.rand.IntN(2000)))
	}
}

func (g *Generator) fillTool(a pcommon.Map, d *draft) {
	a.PutStr("gen_ai.operation.name", "execute_tool")
	a.PutStr("gen_ai.tool.name", d.shape.tool)
	a.PutStr("gen_ai.tool.type", "function")
	a.PutStr("gen_ai.tool.call.id", fmt.Sprintf("call_%016x", g.rand.Uint64()))
	a.PutStr("gen_ai.tool.description", "Looks something up for the assistant.")
	a.PutStr("gen_ai.agent.name", d.shape.agent)
	a.PutStr("gen_ai.agent.id", "asst_5j66UpCpwteGg4YSxUnt7lPY")
	a.PutStr("gen_ai.conversation.id", d.conversation)
	a.PutStr("code.function.name", "tools."+d.shape.tool)
	a.PutInt("code.line.number", 118)
	a.PutInt("thread.id", int64(1+g.rand.IntN(16)))
	a.PutStr("thread.name", "worker")
	a.PutStr("enduser.id", "user-"+strconv.Itoa(g.rand.IntN(500)))
}

func (g *Generator) fillAgent(a pcommon.Map, d *draft) {
	a.PutStr("gen_ai.operation.name", "invoke_agent")
	a.PutStr("gen_ai.provider.name", d.shape.model.provider)
	a.PutStr("gen_ai.request.model", d.shape.model.request)
	a.PutStr("gen_ai.agent.name", d.shape.agent)
	a.PutStr("gen_ai.agent.id", "asst_5j66UpCpwteGg4YSxUnt7lPY")
	a.PutStr("gen_ai.agent.description", "Plans and does the work.")
	a.PutStr("gen_ai.conversation.id", d.conversation)
	a.PutDouble("gen_ai.request.temperature", 0.7)
	a.PutInt("gen_ai.request.max_tokens", 4096)
	a.PutStr("server.address", d.shape.model.address)
	a.PutInt("server.port", 443)
	if d.failure == nil {
		// An agent repeats what its calls used.
		a.PutInt("gen_ai.usage.input_tokens", int64(500+g.rand.IntN(20000)))
		a.PutInt("gen_ai.usage.output_tokens", int64(50+g.rand.IntN(4000)))
		a.PutEmptySlice("gen_ai.response.finish_reasons").AppendEmpty().SetStr("stop")
	}
}

func (g *Generator) fillServer(a pcommon.Map, d *draft) {
	a.PutStr("http.request.method", "POST")
	a.PutStr("http.route", d.shape.target)
	a.PutStr("url.path", d.shape.target)
	a.PutStr("url.scheme", "https")
	a.PutStr("server.address", "assistants.example.com")
	a.PutInt("server.port", 443)
	a.PutStr("client.address", fmt.Sprintf("203.0.113.%d", g.rand.IntN(256)))
	a.PutStr("network.peer.address", "10.4.0.17")
	a.PutInt("network.peer.port", int64(30000+g.rand.IntN(30000)))
	a.PutStr("network.protocol.version", "1.1")
	a.PutStr("user_agent.original", "python-httpx/0.28.1")
	a.PutInt("http.request.body.size", int64(200+g.rand.IntN(40000)))
	a.PutInt("http.response.body.size", int64(100+g.rand.IntN(9000)))
	a.PutStr("enduser.id", "user-"+strconv.Itoa(g.rand.IntN(500)))
	putStatus(a, d)
}

func (g *Generator) fillClient(a pcommon.Map, d *draft) {
	a.PutStr("http.request.method", "POST")
	a.PutStr("url.full", "https://"+d.shape.target+"/v1/query")
	a.PutStr("url.scheme", "https")
	a.PutStr("server.address", d.shape.target)
	a.PutInt("server.port", 443)
	a.PutStr("network.peer.address", "10.4.0.31")
	a.PutInt("network.peer.port", int64(30000+g.rand.IntN(30000)))
	a.PutStr("network.protocol.version", "2")
	a.PutStr("network.transport", "tcp")
	a.PutInt("http.request.body.size", int64(200+g.rand.IntN(4000)))
	a.PutInt("http.response.body.size", int64(100+g.rand.IntN(90000)))
	a.PutInt("http.request.resend_count", int64(g.rand.IntN(2)))
	putStatus(a, d)
}
