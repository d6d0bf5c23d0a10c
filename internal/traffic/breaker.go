package main

import (
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
)

// The states of a circuit breaker.
const (
	closed   = "closed"
	open     = "open"
	halfOpen = "half_open"
)

const (
	breakerName = "anthropic"
	// breakerWindow is what the breaker looks back on.
	breakerWindow = 2 * time.Second
	// breakerLeast is how few calls say nothing yet.
	breakerLeast = 10
	// openFor is how long the breaker stays open before it tries a call.
	openFor = 1500 * time.Millisecond
)

// breaker is the circuit breaker in front of the support agent's model. It is
// asked when an agent begins; one that has begun may finish. It looks at the
// calls that have ended when it is asked, and opens when three in ten failed.
type breaker struct {
	state    string
	openedAt time.Time
	// After a trial: when it ends, and the state from then on.
	trialEnd   time.Time
	afterTrial string
	results    []result
}

// result is how a call through the breaker ended.
type result struct {
	end    time.Time
	failed bool
}

// allow says whether a call may be made at a time, which is later than those
// it was asked for before, and how the state changes with it.
func (b *breaker) allow(at time.Time) (bool, []event) {
	if b.state == halfOpen && !b.trialEnd.After(at) {
		b.state, b.openedAt = b.afterTrial, b.trialEnd
	}
	switch b.state {
	case closed:
		if !b.failing(at) {
			return true, nil
		}
		b.openedAt = at
		return false, b.change(open, at)
	case open:
		if at.Sub(b.openedAt) < openFor {
			return false, nil
		}
		b.trialEnd = at.Add(longestRequest) // until done says better
		return true, b.change(halfOpen, at)
	default: // one trial at a time
		return false, nil
	}
}

func (b *breaker) change(to string, at time.Time) []event {
	from := b.state
	b.state = to
	return []event{stateChange(from, to, at)}
}

func stateChange(from, to string, at time.Time) event {
	return event{"circuit_breaker.state_change", at, []attribute.KeyValue{
		attribute.String("circuit_breaker.name", breakerName),
		attribute.String("circuit_breaker.from_state", from), attribute.String("circuit_breaker.to_state", to),
	}}
}

// failing tells whether too many of the last calls failed.
func (b *breaker) failing(at time.Time) bool {
	b.results = slices.DeleteFunc(b.results, func(r result) bool { return !r.end.After(at.Add(-breakerWindow)) })
	calls, failed := 0, 0
	for _, r := range b.results {
		if r.end.After(at) {
			continue
		}
		calls++
		if r.failed {
			failed++
		}
	}
	return calls >= breakerLeast && failed*10 >= calls*3
}

// done notes how a call ended. The first one after half open is the trial, and
// its end changes the state.
func (b *breaker) done(s *span, trial bool) {
	if !trial {
		b.results = append(b.results, result{s.end, s.outcome != "success"})
		return
	}
	b.trialEnd, b.afterTrial, b.results = s.end, closed, nil
	if s.outcome != "success" {
		b.afterTrial = open
	}
	s.events = append(s.events, stateChange(halfOpen, b.afterTrial, s.end))
}
