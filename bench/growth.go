package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spanbucket/spanbucketexporter/internal/spantest"
)

// growthSeconds is the width of the one bucket that everything falls into.
const growthSeconds = 3600

// growthWindow is how many batches are measured around each size.
const growthWindow = 16

// growthLimits bound the cost per span at the last size by that at the first.
var growthLimits = map[string]float64{spantest.Dense.Name: 2, spantest.Wide.Name: 4}

// growth is what a span costs as one bucket fills.
type growth struct {
	profile string
	sizes   []int // spans in the bucket
	costs   []summary
}

// runGrowth fills one bucket with o.growth spans. The first size, the ten
// thousandth span, is passed by one batch only: it is measured in several new
// files, half of them before the others and half after, as the machine may be
// slower at one end of the minutes that lie between.
func runGrowth(ctx context.Context, o options, profile spantest.Profile, start time.Time, dir string, talk io.Writer) (growth, error) {
	generator := spantest.New(o.seed, profile)
	var first []float64
	young := func() error {
		for range min(growthWindow/2, o.rounds) {
			times, err := fill(ctx, o, generator, start, dir, 2, nil)
			if err != nil {
				return err
			}
			first = append(first, times[1])
		}
		return nil
	}
	g := growth{profile: profile.Name}
	if err := young(); err != nil {
		return g, err
	}
	times, err := fill(ctx, o, generator, start, dir, max(o.growth/o.spans, growthWindow), func(done int) {
		fmt.Fprintf(talk, "%s: one bucket, %d of %d spans\n", profile.Name, done*o.spans, o.growth)
	})
	if err != nil {
		return g, err
	}
	if err := young(); err != nil {
		return g, err
	}
	g.add(10_000, first)
	for size := 100_000; size < o.growth; size *= 10 {
		if to := size/o.spans + growthWindow/2; to >= growthWindow && to <= len(times) {
			g.add(size, times[to-growthWindow:to])
		}
	}
	g.add(o.growth, times[len(times)-growthWindow:])
	return g, nil
}

func (g *growth) add(size int, times []float64) {
	g.sizes = append(g.sizes, size)
	g.costs = append(g.costs, summarize(times))
}

// fill sends batches into one bucket of a new file and returns what a span of
// each cost, in nanoseconds.
func fill(ctx context.Context, o options, generator *spantest.Generator, start time.Time, dir string, batches int, progress func(done int)) (times []float64, err error) {
	exporter, err := newExporterOf(ctx, dir, bucketsOnly, growthSeconds)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, exporter.close()) }()
	for k := range batches {
		traces := generator.Batch(o.spans, start.Add(time.Duration(k%(growthSeconds-1))*batchEvery), batchEvery)
		began := time.Now()
		if err := exporter.consume(ctx, traces); err != nil {
			return nil, fmt.Errorf("batch %d: %w", k, err)
		}
		times = append(times, float64(time.Since(began).Nanoseconds())/float64(o.spans))
		if progress != nil && (k+1)%200 == 0 {
			progress(k + 1)
		}
	}
	return times, nil
}

// ratio returns the cost at the last size over that at the first, by medians.
func (g growth) ratio() float64 { return g.costs[len(g.costs)-1].median / g.costs[0].median }
