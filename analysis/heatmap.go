package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// Heatmap counts requests by bucket and band of latency.
type Heatmap struct {
	Scope
	WidthS  int64 `json:"width_s"` // of every bucket; 0 where there is none
	Start   int64 `json:"start"`   // of the first bucket, Unix seconds
	Buckets int   `json:"buckets"` // from the first to the last with a span
	// BandsMS are the edges of the bands, ascending, milliseconds: band i covers
	// [BandsMS[i], BandsMS[i+1]). One more than there are bands; empty where
	// there is no latency. They are edges of the bins of a histogram, so every
	// count is exact.
	BandsMS []float64 `json:"bands_ms"`
	// Cells are [bucket, band, requests], ascending; those of none are left out.
	// Those of one bucket sum to its latency_count.
	Cells [][3]int64 `json:"cells"`
}

// maxBands is how many bands a heat map has at most; it has more than half of
// them unless all latencies lie close together.
const maxBands = 40

// AskHeatmap answers from the headline histograms of one width: q.Width, or the
// narrowest that cuts the interval into at most 120 buckets. A band is a power
// of two of neighbouring bins, so bands are nearly equal on a logarithmic
// scale, and two heat maps with equally wide bands share their edges.
func AskHeatmap(ctx context.Context, tx *sql.Tx, q Query) (*Heatmap, error) {
	r, err := newReading(ctx, tx, q, false)
	if err != nil {
		return nil, fmt.Errorf("heat map: %w", err)
	}
	r.narrow()
	if err := r.choose(ctx, tx, r.categories()); err != nil {
		return nil, fmt.Errorf("heat map: %w", err)
	}
	columns := heatColumns{}
	for _, s := range r.scope.Segments {
		for row, err := range storage.HeadlineRows(ctx, tx, r.filter(s)) {
			if err != nil {
				return nil, fmt.Errorf("heat map: %w", err)
			}
			columns.add(row.BucketStart, row.Cell.Measures[aggregator.MeasureDuration].Bins())
		}
	}
	answer := columns.heatmap()
	answer.Scope = r.scope
	if n := len(r.scope.Segments); n > 0 && len(columns) > 0 {
		answer.WidthS = r.scope.Segments[0].WidthS
		answer.Buckets = int((columns.last()-answer.Start)/answer.WidthS) + 1
		for i := range answer.Cells {
			answer.Cells[i][0] = (answer.Cells[i][0] - answer.Start) / answer.WidthS
		}
	}
	return answer, nil
}

// heatColumns are the bins in use by start of bucket.
type heatColumns map[int64]map[histogram.Bin]int64

func (c heatColumns) add(start int64, bins []histogram.BinCount) {
	if len(bins) == 0 {
		return
	}
	column := c[start]
	if column == nil {
		column = map[histogram.Bin]int64{}
		c[start] = column
	}
	for _, b := range bins {
		column[b.Bin] += b.Count
	}
}

// starts are those of the buckets with a latency, ascending.
func (c heatColumns) starts() []int64 { return slices.Sorted(maps.Keys(c)) }

func (c heatColumns) last() int64 { return slices.Max(c.starts()) }

// heatmap makes the bands and counts; the first figure of a cell is still the
// start of its bucket.
func (c heatColumns) heatmap() *Heatmap {
	h := &Heatmap{BandsMS: []float64{}, Cells: [][3]int64{}}
	low, high := histogram.MaxBin, histogram.Bin(0)
	for _, column := range c {
		for bin := range column {
			low, high = min(low, bin), max(high, bin)
		}
	}
	if len(c) == 0 {
		return h
	}
	wide := histogram.Bin(1)
	for high/wide-low/wide >= maxBands {
		wide *= 2
	}
	first, bands := low/wide, int(high/wide-low/wide)+1
	for band := range bands {
		h.BandsMS = append(h.BandsMS, milliseconds(((first + histogram.Bin(band)) * wide).Lower()))
	}
	h.BandsMS = append(h.BandsMS, (float64(min((first+histogram.Bin(bands))*wide-1, histogram.MaxBin).Upper())+1)/1e6)
	starts := c.starts()
	h.Start = starts[0]
	for _, start := range starts {
		counts := make([]int64, bands)
		for bin, n := range c[start] {
			counts[bin/wide-first] += n
		}
		for band, n := range counts {
			if n > 0 {
				h.Cells = append(h.Cells, [3]int64{start, int64(band), n})
			}
		}
	}
	return h
}
