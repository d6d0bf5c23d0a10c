package spantest

import (
	"math/rand/v2"
	"sort"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

type work uint8

const (
	chat work = iota
	embedding
	tool
	agent
	server
	client
)

// shape is one thing that a service does; with one of its outcomes it is a
// series.
type shape struct {
	work     work
	service  int
	model    model
	tool     string
	agent    string
	target   string // route of a server span, host of a client span
	name     string
	kind     ptrace.SpanKind
	median   time.Duration // of a success
	sigma    float64
	weight   float64   // relative frequency
	failures []failure // the ways it fails, the likelier first
}

// workload is the order in which a service gains shapes: even a service with
// few of them has chats, an entry point and a tool.
var workload = [...]work{chat, server, chat, tool, chat, embedding, agent, chat, tool, client}

// weightOf says how many spans each sort of work makes, relative to the others.
var weightOf = [...]float64{chat: 3, embedding: 1, tool: 2, agent: 1, server: 3, client: 1}

// buildShapes adds shapes, service by service, until their outcomes make up the
// asked number of series or nothing new is left to do.
func buildShapes(p Profile) []shape {
	var shapes []shape
	series := 0
	for round, idle := 0, 0; series < p.Series && idle < len(workload); round++ {
		added := false
		for service := 0; service < p.Services && series < p.Series; service++ {
			s, ok := newShape(p, service, round)
			if !ok {
				continue
			}
			s.failures = pickFailures(s.work, service+round, p, p.Series-series-1)
			// Services and shapes differ in how busy they are, by up to 2 to 1.
			s.weight = weightOf[s.work] * (1 + 1/float64(1+len(shapes)%4))
			series += 1 + len(s.failures)
			shapes = append(shapes, s)
			added = true
		}
		idle++
		if added {
			idle = 0
		}
	}
	return shapes
}

// newShape returns the round-th shape of a service, false where the catalog or
// the profile has no more of that work.
func newShape(p Profile, service, round int) (shape, bool) {
	w := workload[round%len(workload)]
	nth := 0
	for i := range round {
		if workload[i%len(workload)] == w {
			nth++
		}
	}
	s := shape{work: w, service: service, kind: ptrace.SpanKindInternal}
	switch w {
	case chat:
		s.model = chatModels[(nth+3*service)%p.Models]
		s.name, s.kind = "chat "+s.model.request, ptrace.SpanKindClient
		s.median, s.sigma = s.model.median, s.model.sigma
		return s, nth < p.Models
	case embedding:
		s.model = embeddingModels[(nth+service)%len(embeddingModels)]
		s.name, s.kind = "embeddings "+s.model.request, ptrace.SpanKindClient
		s.median, s.sigma = s.model.median, s.model.sigma
		return s, nth < len(embeddingModels)
	case tool:
		s.tool, s.agent = toolNames[(nth+service)%p.Tools], agentNames[service%len(agentNames)]
		s.name, s.median, s.sigma = "execute_tool "+s.tool, time.Duration(20+40*nth)*time.Millisecond, 0.9
		return s, nth < p.Tools
	case agent:
		s.agent, s.model = agentNames[(nth+service)%len(agentNames)], chatModels[service%p.Models]
		s.name, s.median, s.sigma = "invoke_agent "+s.agent, 14*time.Second, 0.7
		return s, nth < len(agentNames)
	case server:
		s.target = routes[(nth+service)%len(routes)]
		s.name, s.kind = "POST "+s.target, ptrace.SpanKindServer
		s.median, s.sigma = 2800*time.Millisecond, 0.8
		return s, nth < len(routes)
	default:
		s.target = upstreams[(nth+service)%len(upstreams)]
		s.name, s.kind = "POST", ptrace.SpanKindClient
		s.median, s.sigma = 12*time.Millisecond, 0.6
		return s, nth < 1 // the span name says nothing, so a second one would be the same series
	}
}

// pickFailures gives a shape two to four ways to fail, at most limit.
func pickFailures(w work, salt int, p Profile, limit int) []failure {
	if p.FailureShare == 0 {
		return nil
	}
	all := chatFailures
	switch w {
	case tool, agent:
		all = toolFailures
	case server:
		all = serverFailures
	case client:
		all = clientFailures
	}
	n := min(2+salt%3, limit)
	picked := make([]failure, 0, max(n, 0))
	for i := range n {
		picked = append(picked, all[(salt+i)%len(all)])
	}
	return picked
}

// chooser draws indexes with given relative frequencies.
type chooser struct{ upTo []float64 }

func newChooser(weights []float64) chooser {
	c := chooser{upTo: make([]float64, len(weights))}
	total := 0.0
	for i, w := range weights {
		total += w
		c.upTo[i] = total
	}
	return c
}

func (c chooser) draw(r *rand.Rand) int {
	x := r.Float64() * c.upTo[len(c.upTo)-1]
	return min(sort.SearchFloat64s(c.upTo, x), len(c.upTo)-1)
}
