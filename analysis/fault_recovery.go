package analysis

import (
	"context"
	"math"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// recoverySlot is a bucket after a fault that has requests.
type recoverySlot struct {
	start int64 // Unix seconds
	tally
}

const (
	// A bucket is good with at most 5 percentage points more errors than
	// before, and a p95 at most half as long again.
	recoveryErrors = 0.05
	// recoveryBuckets is how many good buckets in a row make a recovery.
	recoveryBuckets = 3
	// recoveryRequests is how many requests a bucket had on average before the
	// fault, if it is narrower than those with series: a p95 of fewer is chance.
	recoveryRequests = 20
)

// recovery finds when the figures were as before: the first good bucket whose
// next two with requests are good as well, as far as there are any.
func (f *impactReading) recovery(ctx context.Context, g *faultGroup, known runExtent, before *tally, fault *Fault) error {
	end := min(g.afterTo, known.last)
	fault.WatchEnds = "data"
	if g.afterTo < known.last {
		fault.WatchEnds = "fault"
	}
	fault.WatchedS = float64(max(end-g.until(), 0)) / 1e9
	// Where another fault goes on it is not known whose it was.
	if before.requests == 0 || g.afterFrom > g.until() || f.edgeWidth == 0 || end <= g.until() {
		return nil
	}
	var run []int64 // starts of the good buckets that came last
	any := false
	for slot, err := range f.slots(ctx, interval{g.until(), end}, f.recoveryWidth(before, g.until()/nsPerSecond)) {
		if err != nil {
			return err
		}
		any = true
		if !good(&slot.tally, before) {
			run = run[:0]
			continue
		}
		if run = append(run, slot.start); len(run) == recoveryBuckets {
			break
		}
	}
	switch {
	case !any:
	case len(run) == 0:
		fault.Recovery = NotRecovered
	default:
		seconds := float64(max(run[0]*nsPerSecond-g.end, 0)) / 1e9
		fault.Recovery, fault.RecoveryS = Recovered, &seconds
	}
	return nil
}

// good tells whether a bucket is like before. Only errors count where one of
// the two has no latency.
func good(t, before *tally) bool {
	errors := float64(t.failed)/float64(t.requests) <= float64(before.failed)/float64(before.requests)+recoveryErrors+1e-9
	if before.duration.weight <= 0 || t.duration.weight <= 0 {
		return errors
	}
	return errors && float64(t.duration.percentile(95)) <= 1.5*float64(before.duration.percentile(95))
}

// recoveryWidth is the width of the buckets that are looked at from a second on:
// the finest in which there were enough requests before the fault, at most the
// finest with series.
func (f *impactReading) recoveryWidth(before *tally, at int64) int64 {
	for _, w := range f.widths {
		enough := float64(before.requests)/micro*float64(w.seconds*nsPerSecond) >= recoveryRequests*float64(before.covered)
		if enough && w.seconds < f.edgeWidth && aggregator.BucketStart(at, w.seconds) >= w.completeFrom {
			return w.seconds
		}
	}
	return max(f.edgeWidth, finestAt(f.widths, at))
}

// slots returns the buckets with requests in an interval, in order of time. Of
// a bucket that the interval cuts, requests count only if every one is kept.
func (f *impactReading) slots(ctx context.Context, of interval, width int64) func(func(*recoverySlot, error) bool) {
	return func(yield func(*recoverySlot, error) bool) {
		start := aggregator.BucketStart(of.from/nsPerSecond, width)
		for chunk := int64(8); start*nsPerSecond < of.to; chunk = min(chunk*2, 512) {
			to := start + chunk*width
			if last := aggregator.BucketStart((of.to-1)/nsPerSecond, width) + width; to > last || to < start {
				to = last
			}
			slots, err := f.slotsOf(ctx, of, start, to, width)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, s := range slots {
				if s.requests > 0 && !yield(s, nil) {
					return
				}
			}
			start = to
		}
	}
}

func (f *impactReading) slotsOf(ctx context.Context, of interval, from, to, width int64) ([]*recoverySlot, error) {
	by := map[int64]*recoverySlot{}
	for row, err := range storage.HeadlineRows(ctx, f.tx, f.runFilter(Segment{width, from, to})) {
		if err != nil {
			return nil, err
		}
		s := by[row.BucketStart]
		if s == nil {
			s = &recoverySlot{start: row.BucketStart}
			by[row.BucketStart] = s
		}
		s.addCell(&row.Cell)
	}
	slots := make([]*recoverySlot, 0, len(by))
	for start, s := range by {
		within := interval{max(of.from, start*nsPerSecond), min(of.to, (start+width)*nsPerSecond)}
		if within.to-within.from < width*nsPerSecond {
			cut, err := f.sum(ctx, within, math.MaxInt64)
			if err != nil {
				return nil, err
			}
			s.tally = tally{}
			if cut.covered == within.to-within.from {
				s.tally = *cut
			}
		}
		slots = append(slots, s)
	}
	slices.SortFunc(slots, compareSlots)
	return slots, nil
}
