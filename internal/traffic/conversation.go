package main

import (
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
)

// thinking is how long users take before they ask again: the median.
const thinking = 2 * time.Second

// conversation is what one user says to one service, in several turns.
type conversation struct {
	id    string
	free  time.Time // when the user asks again
	turns int       // so many are left
}

// converse makes the next turn of a conversation with the service: of the one
// that has waited longest, of a new one where no user is ready. turn is given
// the id.
func (g *generator) converse(service string, at time.Time, turn func(id string) *span) *span {
	c := g.ready(service, at)
	s := turn(c.id)
	s.turn = true
	c.free = s.end.Add(g.around(thinking, 0.5))
	if c.turns--; c.turns == 0 {
		g.talks[service] = slices.DeleteFunc(g.talks[service], func(other *conversation) bool { return other == c })
	}
	return s
}

func (g *generator) ready(service string, at time.Time) *conversation {
	var longest *conversation
	for _, c := range g.talks[service] {
		if !c.free.After(at) && (longest == nil || c.free.Before(longest.free)) {
			longest = c
		}
	}
	if longest == nil {
		longest = &conversation{id: fmt.Sprintf("%s-%d", service, g.requests), turns: 1 + g.random.IntN(4)}
		g.talks[service] = append(g.talks[service], longest)
	}
	return longest
}

// judge lets a judge look at one good answer in eight.
func (g *generator) judge(s *span) {
	if s.outcome != "success" || g.random.Float64() > 0.125 {
		return
	}
	score := min(g.logNormal(0.75, 0.3), 1)
	label := "pass"
	if score < 0.6 {
		label = "fail"
	}
	s.events = append(s.events, event{"gen_ai.evaluation.result", s.end, []attribute.KeyValue{
		attribute.String("gen_ai.evaluation.name", "helpfulness"),
		attribute.String("gen_ai.evaluation.score.label", label), attribute.Float64("gen_ai.evaluation.score.value", score),
	}})
}
