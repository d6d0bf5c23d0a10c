package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
)

// Heatmap counts requests by bucket and band of latency.
type Heatmap struct {
	Scope
	WidthS  int64 `json:"width_s"` // of every bucket; 0 where there is none
	Start   int64 `json:"start"`   // of the first bucket, Unix seconds
	Buckets int   `json:"buckets"` // those of the course of the same query
	// BandsMS are the edges of the bands, ascending, milliseconds: band i covers
	// [BandsMS[i], BandsMS[i+1]). One more than there are bands; empty where
	// there is no latency. They are edges of the bins of a histogram, so every
	// count is exact.
	BandsMS []float64 `json:"bands_ms"`
	// Cells are [bucket, band, requests], ascending; those of none are left out.
	// Those of one bucket sum to the count of its latency.
	Cells [][3]int64 `json:"cells"`
}

// maxBands is how many bands a heat map has at most; it has about half of them
// at least, unless all latencies lie close together.
const maxBands = 40

// AskCourseAndHeatmap answers AskCourse and counts by band of latency on the same
// axis. A band is a power of two of neighbouring bins, so bands are nearly equally
// high on a logarithmic scale, and heat maps with equally high bands share their
// edges.
func AskCourseAndHeatmap(ctx context.Context, tx *sql.Tx, q CourseQuery) (*Course, *Heatmap, error) {
	var columns []heatColumn
	course, err := askCourse(ctx, tx, q, func(i int, cell *aggregator.Cell) {
		// Copied, so that the cell need not be kept.
		bins := cell.Measures[aggregator.MeasureDuration].Bins()
		if len(bins) > 0 {
			columns = append(columns, heatColumn{int64(i), slices.Clone(bins)})
		}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("course and heat map: %w", err)
	}
	answer := newHeatmap(columns)
	answer.Scope, answer.WidthS, answer.Buckets = course.Scope, course.WidthS, len(course.Rows)
	if answer.Buckets > 0 {
		answer.Start = course.Rows[0].BucketStart
	}
	return course, answer, nil
}

// heatColumn is a bucket and the bins that it has.
type heatColumn struct {
	bucket int64
	bins   []histogram.BinCount // ascending
}

// newHeatmap makes the bands and counts.
func newHeatmap(columns []heatColumn) *Heatmap {
	h := &Heatmap{BandsMS: []float64{}, Cells: [][3]int64{}}
	if len(columns) == 0 {
		return h
	}
	low, high := histogram.MaxBin, histogram.Bin(0)
	for _, c := range columns {
		low, high = min(low, c.bins[0].Bin), max(high, c.bins[len(c.bins)-1].Bin)
	}
	// How many bins a band has.
	span := histogram.Bin(1)
	for high/span-low/span >= maxBands {
		span *= 2
	}
	first := low / span
	for band := first; band <= high/span; band++ {
		h.BandsMS = append(h.BandsMS, milliseconds((band * span).Lower()))
	}
	top := min((high/span+1)*span-1, histogram.MaxBin).Upper()
	h.BandsMS = append(h.BandsMS, (float64(top)+1)/1e6)
	for _, c := range columns {
		for _, bin := range c.bins {
			band := int64(bin.Bin/span - first)
			if n := len(h.Cells); n > 0 && h.Cells[n-1][0] == c.bucket && h.Cells[n-1][1] == band {
				h.Cells[n-1][2] += bin.Count
			} else {
				h.Cells = append(h.Cells, [3]int64{c.bucket, band, bin.Count})
			}
		}
	}
	return h
}
