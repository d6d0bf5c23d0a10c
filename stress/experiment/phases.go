package experiment

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/spanbucket/spanbucketexporter/stress"
)

// The phases of a full run, each a third of it.
const (
	baseline = "baseline"
	faulty   = "fault"
	after    = "recovery"
)

// phases turns the faults of the fake model on for the middle third of a load,
// and tells of it as the span of an injector. The zero value does nothing.
type phases struct {
	model     *model
	telemetry *telemetry
	preset    string
	timers    []*time.Timer
	mu        sync.Mutex
	phase     string
	from      time.Time // of the fault; zero: not yet, or told
	ended     bool
}

// newPhases begins the phases of a full run against the fake model. Other loads
// have faults from beginning to end, where there are any, or none.
func (c *Config) newPhases(model *model, telemetry *telemetry, began time.Time) *phases {
	if c.Mode != stress.ModeFull || model.server == nil {
		return &phases{}
	}
	p := &phases{model: model, telemetry: telemetry, preset: c.Preset.Name, phase: baseline}
	model.server.SetFaults(false)
	third := c.Profile.Duration / 3
	p.timers = []*time.Timer{
		time.AfterFunc(time.Until(began.Add(third)), p.inject),
		time.AfterFunc(time.Until(began.Add(2*third)), p.relent),
	}
	return p
}

func (p *phases) inject() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return // the timer was faster than what stops it
	}
	p.phase, p.from = faulty, time.Now()
	p.model.server.SetFaults(true)
}

func (p *phases) relent() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.from.IsZero() {
		return
	}
	p.model.server.SetFaults(false)
	p.telemetry.injected(p.preset, p.from, time.Now())
	p.phase, p.from = after, time.Time{}
}

// end ends the phases, and the fault where it goes on.
func (p *phases) end() {
	for _, t := range p.timers {
		t.Stop()
	}
	p.relent()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
}

func (p *phases) current() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.phase
}

// injected tells that faults were injected in an interval.
func (t *telemetry) injected(preset string, from, to time.Time) {
	_, span := t.provider("fault-injector").Tracer(scope).Start(context.Background(), "inject "+preset, trace.WithTimestamp(from),
		trace.WithAttributes(attribute.String("chaos.role", "injector"), attribute.String("chaos.fault.type", preset),
			attribute.String("chaos.experiment.id", preset), attribute.String("chaos.target", modelService)))
	span.End(trace.WithTimestamp(to))
}

// watch calls Progress every second, until the function that it returns is
// called.
func (c *Config) watch(load *stress.Load, phases *phases, began time.Time) (stop func()) {
	if c.Progress == nil {
		return func() {}
	}
	ended := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		ticks := time.NewTicker(time.Second)
		defer ticks.Stop()
		for {
			select {
			case <-ticks.C:
				c.Progress(newProgress(load, phases, began))
			case <-ended:
				c.Progress(newProgress(load, phases, began))
				return
			}
		}
	})
	return func() { close(ended); watching.Wait() }
}

func newProgress(load *stress.Load, phases *phases, began time.Time) Progress {
	p := Progress{Phase: phases.current(), Elapsed: time.Since(began), Users: load.Users(), Counts: load.Tally().Counts()}
	if p99, ok := load.Tally().Percentile(p99Ratio); ok {
		p.P99 = &p99
	}
	return p
}
