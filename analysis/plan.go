package analysis

import (
	"math"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// Segment is a part [From, To) of an answered interval, Unix seconds, and the
// width of the buckets it is read from; both ends are edges of such buckets.
type Segment struct {
	WidthS int64 `json:"width_s"`
	From   int64 `json:"from"`
	To     int64 `json:"to"`
}

// planWidth is a width that an answer may be read from.
type planWidth struct {
	seconds int64
	// completeFrom: buckets that start here or later are still all kept.
	completeFrom int64
}

// plan tiles [from, to) with the widest buckets that are complete. widths
// ascend, each a multiple of the one before. Ends inside a bucket are moved
// outwards, as little as the kept widths allow. The segments ascend and touch.
func plan(widths []planWidth, from, to int64) []Segment {
	if len(widths) == 0 || from >= to {
		return nil
	}
	var segments []Segment
	for x := startOf(widths, from); x < to; {
		k := widest(widths, x, to)
		w := widths[k].seconds
		end := x + max(1, (to-x)/w)*w
		// Up to where a wider bucket takes over.
		for _, wider := range widths[k+1:] {
			edge := ceilTo(max(x, wider.completeFrom), wider.seconds)
			if edge > x && edge <= to-wider.seconds {
				end = min(end, edge)
			}
		}
		if n := len(segments); n > 0 && segments[n-1].WidthS == w {
			segments[n-1].To = end
		} else {
			segments = append(segments, Segment{w, x, end})
		}
		x = end
	}
	return segments
}

// startOf moves from down to the edge of the finest width that is complete
// there; where none is, of the widest, which reaches back furthest.
func startOf(widths []planWidth, from int64) int64 {
	for _, w := range widths {
		if start := aggregator.BucketStart(from, w.seconds); start >= w.completeFrom {
			return start
		}
	}
	return aggregator.BucketStart(from, widths[len(widths)-1].seconds)
}

// widest returns the width of the next bucket at x: the widest that is
// complete, begins at x and ends by to; where none does, the finest that begins
// at x.
func widest(widths []planWidth, x, to int64) int {
	for k, w := range slices.Backward(widths) {
		if x%w.seconds == 0 && x >= w.completeFrom && x <= to-w.seconds {
			return k
		}
	}
	for k, w := range widths {
		if x%w.seconds == 0 && x >= w.completeFrom {
			return k
		}
	}
	return len(widths) - 1
}

func ceilTo(seconds, width int64) int64 {
	if seconds > math.MaxInt64-width {
		return math.MaxInt64
	}
	return aggregator.BucketStart(seconds+width-1, width)
}
