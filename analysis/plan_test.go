package analysis

import (
	"math"
	"slices"
	"testing"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

func TestPlan(t *testing.T) {
	const always = math.MinInt64
	all := []planWidth{{1, always}, {10, always}, {300, always}, {3600, always}}
	pruned := []planWidth{{1, 5000}, {10, 3000}, {300, always}, {3600, always}}
	for _, c := range []struct {
		name     string
		widths   []planWidth
		from, to int64
		want     []Segment
	}{
		{"empty", all, 5, 5, nil},
		{"reversed", all, 6, 5, nil},
		{"no widths", nil, 0, 10, nil},
		{"one bucket", all, 3600, 7200, []Segment{{3600, 3600, 7200}}},
		{"narrow ends", all, 3589, 7511, []Segment{{1, 3589, 3590}, {10, 3590, 3600}, {3600, 3600, 7200}, {300, 7200, 7500}, {10, 7500, 7510}, {1, 7510, 7511}}},
		{"inside a wide bucket", all, 3601, 3609, []Segment{{1, 3601, 3609}}},
		{"before 1970", all, -7200, -3599, []Segment{{3600, -7200, -3600}, {1, -3600, -3599}}},
		{"moved outwards", []planWidth{{10, always}}, 11, 29, []Segment{{10, 10, 30}}},
		{"pruned: the finest reaches back to 5000", pruned, 5003, 5011, []Segment{{1, 5003, 5010}, {1, 5010, 5011}}},
		{"pruned: the start is moved", pruned, 3013, 3020, []Segment{{10, 3010, 3020}}},
		{"pruned: further", pruned, 1000, 3601, []Segment{{300, 900, 3600}, {10, 3600, 3610}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := plan(c.widths, c.from, c.to)
			// Adjacent segments of one width are one.
			var want []Segment
			for _, s := range c.want {
				if n := len(want); n > 0 && want[n-1].WidthS == s.WidthS {
					want[n-1].To = s.To
					continue
				}
				want = append(want, s)
			}
			if !slices.Equal(got, want) {
				t.Errorf("plan(%d, %d) = %v, want %v", c.from, c.to, got, want)
			}
		})
	}
}

// Whatever the widths and their retention: the segments touch, are aligned,
// complete, cover the interval, and none could be wider.
func TestPlanTiles(t *testing.T) {
	rng := seedtest.Rand(t)
	for range 20_000 {
		width := int64(1)
		var widths []planWidth
		for range 1 + rng.IntN(4) {
			width *= 1 + rng.Int64N(6)
			if len(widths) > 0 && widths[len(widths)-1].seconds == width {
				width *= 2
			}
			w := planWidth{width, math.MinInt64}
			if rng.IntN(2) == 0 {
				w.completeFrom = rng.Int64N(400) - 200
			}
			widths = append(widths, w)
		}
		widths[len(widths)-1].completeFrom = math.MinInt64
		from := rng.Int64N(600) - 300
		to := from + 1 + rng.Int64N(300)
		segments := plan(widths, from, to)
		checkSegments(t, widths, segments, from, to)
		if t.Failed() {
			t.Fatalf("widths %v, interval %d to %d, segments %v", widths, from, to, segments)
		}
	}
}

func checkSegments(t *testing.T, widths []planWidth, segments []Segment, from, to int64) {
	t.Helper()
	first, last := segments[0], segments[len(segments)-1]
	if first.From > from || last.To < to || from-first.From >= first.WidthS || last.To-to >= last.WidthS {
		t.Errorf("does not cover the interval, or too much")
	}
	for i, s := range segments {
		if s.From >= s.To || s.From%s.WidthS != 0 || s.To%s.WidthS != 0 || i > 0 && segments[i-1].To != s.From {
			t.Errorf("segment %v is not aligned or does not touch the one before", s)
		}
		for _, w := range widths {
			switch {
			case w.seconds == s.WidthS && s.From < w.completeFrom:
				t.Errorf("segment %v is not complete", s)
			case w.seconds > s.WidthS:
				// No bucket of a wider width would have fitted in.
				edge := ceilTo(max(s.From, w.completeFrom), w.seconds)
				if edge+w.seconds <= min(s.To, to) && aggregator.BucketStart(edge, w.seconds) == edge {
					t.Errorf("segment %v could be of %d s from %d on", s, w.seconds, edge)
				}
			}
		}
	}
}
