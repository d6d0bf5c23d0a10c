package spantest

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Generator makes traffic of one profile. It is not safe for concurrent use.
type Generator struct {
	profile  Profile
	rand     *rand.Rand
	shapes   []shape
	pick     chooser
	fail     map[int]chooser // by the number of ways to fail
	streamed float64         // probability that a chat that can stream does

	trace        pcommon.TraceID
	root         pcommon.SpanID
	conversation string
	left         int // spans still to come in the trace
}

// draft is a span before it is put into its group.
type draft struct {
	shape        *shape
	failure      *failure // nil: success
	instance     int
	trace        pcommon.TraceID
	span, parent pcommon.SpanID
	conversation string
	start, end   int64 // Unix nanoseconds
}

// New returns a generator; the same seed and profile give the same traffic.
func New(seed uint64, p Profile) *Generator {
	p = p.withDefaults()
	g := &Generator{
		profile: p,
		rand:    rand.New(rand.NewPCG(seed, 0x5370616e6275636b)),
		shapes:  buildShapes(p),
		fail:    map[int]chooser{},
	}
	weights := make([]float64, len(g.shapes))
	canStream, total := 0.0, 0.0
	for i := range g.shapes {
		s := &g.shapes[i]
		weights[i] = s.weight
		total += s.weight
		if s.work == chat {
			canStream += s.weight * g.answeredShare(s)
		}
	}
	g.pick = newChooser(weights)
	if canStream > 0 {
		g.streamed = p.StreamingShare * total / canStream
	}
	return g
}

// failureWeight makes the first way to fail the likeliest.
func failureWeight(i int) float64 { return 1 / float64(i+2) }

// answeredShare returns the share of a chat shape's spans that get an answer.
func (g *Generator) answeredShare(s *shape) float64 {
	weights := make([]float64, len(s.failures))
	answered, total := 0.0, 0.0
	for i := range s.failures {
		weights[i] = failureWeight(i)
		total += weights[i]
		if s.failures[i].answered {
			answered += weights[i]
		}
	}
	if total == 0 {
		return 1
	}
	return 1 - g.profile.FailureShare*(1-answered/total)
}

// Batch returns n spans whose start times are spread over [start, start+over),
// in a resource for each process and a scope for each instrumentation. Span
// ids are unique; a trace has one to eight of them.
func (g *Generator) Batch(n int, start time.Time, over time.Duration) ptrace.Traces {
	drafts := make([]draft, n)
	for i := range drafts {
		offset := (float64(i) + g.rand.Float64()) / float64(n) * float64(over)
		// Rounding must not carry the last span out of the window.
		nanos := min(int64(offset), max(int64(over)-1, 0))
		g.draw(&drafts[i], start.UnixNano()+nanos)
	}
	slices.SortStableFunc(drafts, func(a, b draft) int { return cmp.Compare(a.end, b.end) })
	return g.assemble(drafts)
}

func (g *Generator) draw(d *draft, start int64) {
	d.shape = &g.shapes[g.pick.draw(g.rand)]
	d.failure = g.drawFailure(d.shape)
	d.instance = g.rand.IntN(g.profile.Instances)
	binary.BigEndian.PutUint64(d.span[:], g.nonZero())
	if g.left == 0 {
		g.newTrace(d.span)
	} else {
		d.parent = g.root
	}
	g.left--
	d.trace, d.conversation = g.trace, g.conversation
	median, sigma := d.shape.median, d.shape.sigma
	if d.failure != nil {
		median, sigma = d.failure.median, d.failure.sigma
	}
	d.start = start
	d.end = start + int64(g.logNormal(median, sigma))
}

func (g *Generator) newTrace(root pcommon.SpanID) {
	binary.BigEndian.PutUint64(g.trace[:8], g.nonZero())
	binary.BigEndian.PutUint64(g.trace[8:], g.nonZero())
	g.root = root
	g.left = 1 + g.rand.IntN(8)
	// A conversation has several traces: few hundred are alive at a time.
	g.conversation = fmt.Sprintf("conv_%016x", 0x9e3779b97f4a7c15*(1+g.rand.Uint64N(400)))
}

func (g *Generator) drawFailure(s *shape) *failure {
	if len(s.failures) == 0 || g.rand.Float64() >= g.profile.FailureShare {
		return nil
	}
	c, ok := g.fail[len(s.failures)]
	if !ok {
		weights := make([]float64, len(s.failures))
		for i := range weights {
			weights[i] = failureWeight(i)
		}
		c = newChooser(weights)
		g.fail[len(s.failures)] = c
	}
	return &s.failures[c.draw(g.rand)]
}

// logNormal draws a duration of at least a microsecond and at most an hour.
func (g *Generator) logNormal(median time.Duration, sigma float64) time.Duration {
	d := time.Duration(float64(median) * math.Exp(sigma*g.rand.NormFloat64()))
	return min(max(d, time.Microsecond), time.Hour)
}

func (g *Generator) nonZero() uint64 { return max(g.rand.Uint64(), 1) }

// assemble groups the drafts by process and instrumentation, in order of first
// appearance.
func (g *Generator) assemble(drafts []draft) ptrace.Traces {
	traces := ptrace.NewTraces()
	type group struct{ service, instance int }
	resources := map[group]ptrace.ResourceSpans{}
	type scoped struct {
		group
		scope int
	}
	scopes := map[scoped]ptrace.SpanSlice{}
	for i := range drafts {
		d := &drafts[i]
		at := scoped{group{d.shape.service, d.instance}, scopeOf[d.shape.work]}
		spans, ok := scopes[at]
		if !ok {
			resource, known := resources[at.group]
			if !known {
				resource = traces.ResourceSpans().AppendEmpty()
				fillResource(resource.Resource().Attributes(), at.service, at.instance)
				resources[at.group] = resource
			}
			scope := resource.ScopeSpans().AppendEmpty()
			scope.Scope().SetName(scopeNames[at.scope])
			scope.Scope().SetVersion("2.3.0")
			spans = scope.Spans()
			scopes[at] = spans
		}
		g.fillSpan(spans.AppendEmpty(), d)
	}
	return traces
}
