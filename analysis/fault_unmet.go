package analysis

import (
	"context"
	"math"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// maxUnmetLooks bounds the faults that are looked up one by one: of more of
// them it is taken that requests met them.
const maxUnmetLooks = 2_000

// findUnmet finds the faults during which no request started or was in flight.
// Where that is not known, requests are taken to have met them.
func (f *impactReading) findUnmet(ctx context.Context, groups []*faultGroup) error {
	looks := 0
	for _, g := range groups {
		if f.query.Run != nil && g.run != *f.query.Run {
			continue
		}
		if looks++; looks > maxUnmetLooks {
			break
		}
		met, err := f.met(ctx, g)
		if err != nil {
			return err
		}
		g.unmet = !met
	}
	return nil
}

// met tells whether a request started during a fault or was in flight then.
func (f *impactReading) met(ctx context.Context, g *faultGroup) (bool, error) {
	f.run, f.single = g.run, 0
	f.cache = map[[2]int64]*rawBucket{}
	touched := interval{g.start, g.until()}
	first := aggregator.UnixSeconds(touched.from)
	width := finestAt(f.widths, first)
	if width == 0 {
		return false, nil
	}
	if widest := f.widths[len(f.widths)-1]; aggregator.BucketStart(first, widest.seconds) < widest.completeFrom {
		return true, nil // it has left the file
	}
	start := func(ns int64) int64 { return aggregator.BucketStart(aggregator.UnixSeconds(ns), width) }
	whole := Segment{width, start(touched.from-1) + width, start(touched.to)}
	if whole.From < whole.To {
		if _, requests, err := f.countRequests(ctx, whole); err != nil || requests > 0 {
			return err == nil, err
		}
	}
	buckets, err := f.bucketsReaching(ctx, g.start, math.MinInt64, width)
	if err != nil {
		return false, err
	}
	buckets[start(touched.from)], buckets[start(touched.to-1)] = true, true
	single, err := f.buckets(ctx, sortedKeys(buckets), width)
	if err != nil {
		return false, err
	}
	for _, b := range single {
		if b.counted > 0 && !b.exact {
			return true, nil
		}
		for i := range b.rows {
			if r := &b.rows[i]; r.start < touched.to && max(r.end(), r.start+1) > touched.from {
				return true, nil
			}
		}
	}
	return false, nil
}
