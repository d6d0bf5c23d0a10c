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

// phases turns the faults of the fake model on for the middle third of a load, or
// has them on for all of it, and tells of it as the span of an injector. The zero
// value does nothing.
type phases struct {
	turn   func(on bool)            // the faults
	tell   func(from, to time.Time) // that there were faults
	timers []*time.Timer
	mu     sync.Mutex
	phase  string
	from   time.Time // of the fault; zero: not yet, or told
	ended  bool
}

// newPhases begins the phases of a load against the fake model. Of a full run the
// middle third has faults, of others all of it, where there are any: then it is one
// fault, instead of as many as there are refusals.
func (c *Config) newPhases(model *model, telemetry *telemetry, began time.Time) *phases {
	if model.server == nil || !model.hasFaults() || c.Mode == stress.ModeQuick {
		return &phases{}
	}
	p := &phases{turn: model.server.SetFaults, tell: func(from, to time.Time) { telemetry.injected(model.preset, from, to) }}
	if c.Mode == stress.ModeLoad {
		p.from = began
		return p
	}
	p.phase = baseline
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
	p.turn(true)
}

func (p *phases) relent() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop()
}

// stop turns faults off and tells of them, where there are any.
func (p *phases) stop() {
	if p.from.IsZero() {
		return
	}
	p.turn(false)
	p.tell(p.from, time.Now())
	if p.from = (time.Time{}); p.phase != "" {
		p.phase = after
	}
}

// end ends the phases, and the fault where it goes on. None begins afterwards.
func (p *phases) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for _, t := range p.timers {
		t.Stop()
	}
	p.stop()
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
