package stress

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// user is one of those who make the load.
type user struct {
	number   int
	kind     *userKind
	random   *rand.Rand
	client   *client
	sessions int
	think    float64 // 1 is natural, 0 not at all
	models   []string
	embedder string        // a model; empty: there is none
	cooldown time.Duration // of the circuit
}

func newUser(number int, c *Config, to *client) *user {
	random := rand.New(rand.NewPCG(c.Seed, uint64(number)))
	return &user{
		number: number, random: random, kind: pickUser(random), client: to, think: c.Think, models: c.Models,
		embedder: c.EmbeddingModel, cooldown: c.Cooldown,
	}
}

// use holds sessions until accept ends; ctx ends what is under way.
func (u *user) use(ctx, accept context.Context) {
	for accept.Err() == nil {
		u.session(ctx, accept)
	}
}

// What people do, in per cent of sessions; the others search, or chat where no
// model makes embeddings.
const chatShare, agentShare = 65, 20

// session is one visit, of one to four turns.
func (u *user) session(ctx, accept context.Context) {
	u.sessions++
	id := fmt.Sprintf("%s-%d-%d", u.kind.name, u.number, u.sessions)
	turn := u.search
	switch what := u.random.IntN(100); {
	case what < chatShare, what >= chatShare+agentShare && u.embedder == "":
		turn = u.chat()
	case what < chatShare+agentShare:
		turn = u.agent
	}
	u.client.tally.add(func(c *Counts) { c.Sessions++ })
	for turns := 1 + u.random.IntN(4); turns > 0; turns-- {
		if turn(ctx, id) == CircuitOpen && !sleep(accept, u.cooldown/2) {
			return // who hears that it is down does not ask again at once
		}
		if !sleep(accept, u.kind.think(u.random, u.think)) {
			return
		}
	}
}

// prompt makes a text: most are short, a few very long.
func (u *user) prompt() string {
	words := min(int(40*math.Exp(u.random.NormFloat64())), 4000) + 1
	return strings.Repeat("why ", words)
}

func (u *user) model() string { return u.models[u.random.IntN(len(u.models))] }

// chat returns turns of one conversation: each sends all that was said before.
func (u *user) chat() func(context.Context, string) Outcome {
	model, stream := u.model(), u.random.IntN(2) == 0
	var said []message
	return func(ctx context.Context, id string) Outcome {
		said = append(said, message{Role: "user", Content: u.prompt()})
		answer, outcome := u.client.call(ctx, u.random, &request{
			operation: "chat", model: model, messages: said, stream: stream, session: id,
		})
		if outcome == Success {
			said = append(said, message{Role: "assistant", Content: string(answer.text)})
		}
		return outcome
	}
}

// search looks something up by its embedding.
func (u *user) search(ctx context.Context, id string) Outcome {
	_, outcome := u.client.call(ctx, u.random, &request{
		operation: "embeddings", model: u.embedder, messages: []message{{Content: u.prompt()}}, session: id,
	})
	return outcome
}

// tools that agents have.
var tools = []string{"search_web", "read_file", "run_query"}

// agent lets an agent answer: the model calls a tool, and is told what came of
// it.
func (u *user) agent(ctx context.Context, id string) Outcome {
	start := time.Now()
	ctx, span := u.client.tracer.Start(ctx, "invoke_agent researcher", trace.WithTimestamp(start), trace.WithAttributes(
		attribute.String("gen_ai.operation.name", "invoke_agent"), attribute.String("gen_ai.provider.name", "openai"),
		attribute.String("gen_ai.agent.name", "researcher"), attribute.String("gen_ai.conversation.id", id)))
	said := []message{{Role: "user", Content: u.prompt()}}
	model := u.model()
	answer, outcome := u.client.call(ctx, u.random, &request{operation: "chat", model: model, messages: said, tools: tools, session: id})
	if outcome == Success && answer.tool != "" {
		u.tool(ctx, id, answer.tool, answer.toolCallID)
		said = append(said, message{Role: "tool", Content: "nothing", ToolCallID: answer.toolCallID})
		_, outcome = u.client.call(ctx, u.random, &request{operation: "chat", model: model, messages: said, tools: tools, session: id})
	}
	if outcome != Success {
		span.SetAttributes(attribute.String("error.type", string(outcome)))
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(start.Add(time.Since(start))))
	return outcome
}

// tool runs a tool: it takes some milliseconds, and fails once in thirty times.
func (u *user) tool(ctx context.Context, id, name, callID string) {
	start := time.Now()
	_, span := u.client.tracer.Start(ctx, "execute_tool "+name, trace.WithTimestamp(start), trace.WithAttributes(
		attribute.String("gen_ai.operation.name", "execute_tool"), attribute.String("gen_ai.tool.name", name),
		attribute.String("gen_ai.tool.call.id", callID), attribute.String("gen_ai.conversation.id", id)))
	sleep(ctx, time.Duration(1+u.random.IntN(4))*time.Millisecond)
	broken := u.random.IntN(30) == 0
	if broken {
		span.SetAttributes(attribute.String("error.type", "tool_error"))
		span.SetStatus(codes.Error, "")
	}
	span.End(trace.WithTimestamp(start.Add(time.Since(start))))
	u.client.tally.add(func(c *Counts) {
		c.ToolCalls++
		if broken {
			c.ToolFailures++
		}
	})
}
