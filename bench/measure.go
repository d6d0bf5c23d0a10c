package main

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/internal/spantest"
)

// stage holds what all rows of one profile share.
type stage struct {
	profile   spantest.Profile
	templates []*spantest.Template // one for each caller
	spans     int                  // in a batch
	start     time.Time            // of the first batch of every row
	salt      atomic.Uint64
}

func newStage(o options, profile spantest.Profile, start time.Time) (*stage, error) {
	s := &stage{profile: profile, spans: o.spans, start: start}
	generator := spantest.New(o.seed, profile)
	for range manyCallers {
		traces, err := received(generator.Batch(o.spans, start, batchEvery))
		if err != nil {
			return nil, err
		}
		s.templates = append(s.templates, spantest.NewTemplate(traces))
	}
	return s, nil
}

// received sends a batch through protobuf: what a receiver decodes has every
// string apart, where generated spans share the names of their attributes.
func received(traces ptrace.Traces) (ptrace.Traces, error) {
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(traces)
	if err != nil {
		return traces, fmt.Errorf("marshal batch: %w", err)
	}
	traces, err = (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
	if err != nil {
		return traces, fmt.Errorf("unmarshal batch: %w", err)
	}
	return traces, nil
}

// measure sends the given number of batches and returns what a span cost.
func (s *stage) measure(ctx context.Context, c *contestant, batches int) (cost, error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	run := s.alone
	if c.callers > 1 {
		run = s.together
	}
	elapsed, excluded, err := run(ctx, c, batches)
	if err != nil {
		return cost{}, fmt.Errorf("measure %s: %w", c.key, err)
	}
	runtime.ReadMemStats(&after)
	n := float64(batches * s.spans)
	return cost{
		nanoseconds: float64(elapsed.Nanoseconds()) / n,
		allocations: float64(after.Mallocs-before.Mallocs-excluded.objects) / n,
		bytes:       float64(after.TotalAlloc-before.TotalAlloc-excluded.bytes) / n,
	}, nil
}

// memory is what was allocated outside the measured time.
type memory struct{ objects, bytes uint64 }

// alone sends batches from one caller and measures the calls only. It has one
// template, last read a batch ago: so much of it is in the caches as when a
// receiver has just decoded it.
func (s *stage) alone(ctx context.Context, c *contestant, batches int) (elapsed time.Duration, excluded memory, err error) {
	for range batches {
		traces := s.templates[0].Stamp(s.salt.Add(1), s.at(c.sent))
		c.sent++
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := c.subject.prepare(traces)
		runtime.ReadMemStats(&after)
		excluded.objects += after.Mallocs - before.Mallocs
		excluded.bytes += after.TotalAlloc - before.TotalAlloc
		if err != nil {
			return 0, excluded, err
		}
		began := time.Now()
		err = c.subject.consume(ctx, traces)
		elapsed += time.Since(began)
		if err != nil {
			return 0, excluded, err
		}
	}
	return elapsed, excluded, nil
}

// together sends batches from all callers at once, each with a template of its
// own, and measures the whole.
func (s *stage) together(ctx context.Context, c *contestant, batches int) (time.Duration, memory, error) {
	var next atomic.Int64
	next.Store(int64(c.sent))
	last := int64(c.sent + batches)
	c.sent += batches
	errs := make([]error, c.callers)
	var callers sync.WaitGroup
	began := time.Now()
	for i := range c.callers {
		callers.Go(func() {
			for errs[i] == nil {
				k := next.Add(1) - 1
				if k >= last {
					return
				}
				errs[i] = c.subject.consume(ctx, s.templates[i].Stamp(s.salt.Add(1), s.at(int(k))))
			}
		})
	}
	callers.Wait()
	elapsed := time.Since(began)
	for _, err := range errs {
		if err != nil {
			return 0, memory{}, err
		}
	}
	return elapsed, memory{}, nil
}

// at returns the time of a row's k-th batch: every row has the same.
func (s *stage) at(k int) time.Time { return s.start.Add(time.Duration(k) * batchEvery) }
