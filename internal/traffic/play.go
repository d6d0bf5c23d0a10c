package main

import (
	"container/heap"
	"context"
	"fmt"
	"io"
	"time"
)

// phase is a third of the scenario.
type phase uint8

const (
	baseline phase = iota
	fault
	recovery
)

func (p phase) String() string { return [...]string{"baseline", "fault", "recovery"}[p] }

// schedule says when the fault is on.
type schedule struct {
	begin  time.Time
	length time.Duration
}

// at returns the phase at a time and which fraction of it has passed.
func (s schedule) at(t time.Time) (phase, float64) {
	thirds := 3 * float64(t.Sub(s.begin)) / float64(s.length)
	p := phase(min(max(thirds, 0), 2))
	return p, thirds - float64(p)
}

// player lets requests arrive by the clock and sends each once it has ended.
type player struct {
	generator *generator
	rate      float64 // requests per second
	now       func() time.Time
	emitter   *emitter
	progress  io.Writer
}

const (
	// tick bounds how long an ended span waits to be sent.
	tick = 100 * time.Millisecond
	// reportEvery is the time between progress lines.
	reportEvery = 5 * time.Second
)

func (p *player) play(ctx context.Context) error {
	plan := p.generator.schedule
	end := plan.begin.Add(plan.length)
	arrival := p.generator.arrival(plan.begin, p.rate)
	report := plan.begin
	running := inFlight{p.generator.injector()}
	timer := time.NewTicker(tick)
	defer timer.Stop()
	for {
		now := p.now()
		for ; arrival.Before(end) && !arrival.After(now); arrival = p.generator.arrival(arrival, p.rate) {
			heap.Push(&running, p.generator.request(arrival))
		}
		for len(running) > 0 && !running[0].end.After(now) {
			p.emitter.emit(ctx, heap.Pop(&running).(*span))
		}
		if err := p.emitter.out.ForceFlush(ctx); err != nil {
			return err
		}
		done := !arrival.Before(end) && len(running) == 0
		if !now.Before(report) || done {
			report = now.Add(reportEvery)
			p.report(now, len(running))
		}
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("interrupted: %w", context.Cause(ctx))
		case <-timer.C:
		}
	}
}

func (p *player) report(now time.Time, running int) {
	plan := p.generator.schedule
	current, _ := plan.at(now)
	elapsed := min(now.Sub(plan.begin), plan.length)
	fmt.Fprintf(p.progress, "traffic: %3.0f of %.0f s  %-8s  %6d spans acknowledged, %d traces in flight\n",
		elapsed.Seconds(), plan.length.Seconds(), current, p.emitter.sent.spans, running)
}

// inFlight is a heap of requests by the time they end.
type inFlight []*span

func (h inFlight) Len() int           { return len(h) }
func (h inFlight) Less(i, j int) bool { return h[i].end.Before(h[j].end) }
func (h inFlight) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *inFlight) Push(x any)        { *h = append(*h, x.(*span)) }
func (h *inFlight) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}
