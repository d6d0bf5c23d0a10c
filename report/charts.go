package report

import (
	"context"
	"database/sql"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// Charts have between minBuckets and maxBuckets buckets where the file keeps
// such a width.
const minBuckets, maxBuckets = 10, 720

// readCharts makes one chart per width that suits.
func (p *Pick) readCharts(ctx context.Context, tx *sql.Tx, q analysis.Query) error {
	p.Charts = []Chart{}
	meta, err := storage.ReadMeta(ctx, tx)
	if err != nil {
		return err
	}
	widths := []int64{q.Width}
	if q.Width == 0 {
		widths = nil
		for _, w := range meta.Widths {
			widths = append(widths, w.Seconds)
		}
	}
	for i, width := range widths {
		q.Width = width
		answer, err := analysis.AskTimeseries(ctx, tx, q)
		if err != nil {
			return err
		}
		if len(answer.Rows) == 0 {
			continue
		}
		first, last := answer.Rows[0].BucketStart, answer.Rows[len(answer.Rows)-1].BucketStart
		if p.FromUTC == nil {
			p.FromUTC, p.ToUTC = answer.FromUTC, answer.ToUTC
		}
		n := (last-first)/width + 1
		isLast := i == len(widths)-1 && len(p.Charts) == 0
		if n > maxBuckets && !isLast || n < minBuckets && len(p.Charts) > 0 {
			continue
		}
		cells := make([]aggregator.Cell, n)
		filter := storage.CellFilter{Width: width, From: first, To: last + 1, Run: q.Run, Categories: q.Categories}
		for row, err := range storage.HeadlineRows(ctx, tx, filter) {
			if err == nil {
				err = cells[(row.BucketStart-first)/width].Add(&row.Cell)
			}
			if err != nil {
				return err
			}
		}
		chart := newChart(width, first, cells)
		if err := chart.readHeat(ctx, tx, q); err != nil {
			return err
		}
		p.Charts = append(p.Charts, chart)
	}
	return nil
}

func newChart(width, start int64, cells []aggregator.Cell) Chart {
	c := Chart{WidthS: width, Start: start, Buckets: len(cells), Outcomes: map[string][]int64{}}
	for i := range cells {
		cell := &cells[i]
		n := &cell.Counters
		for o := range aggregator.NumOutcomes {
			if requests := n[aggregator.OutcomeCounter(o)]; requests > 0 {
				if c.Outcomes[o.String()] == nil {
					c.Outcomes[o.String()] = make([]int64, len(cells))
				}
				c.Outcomes[o.String()][i] = requests
			}
		}
		c.Injected = append(c.Injected, n[aggregator.Injected])
		d, t := &cell.Measures[aggregator.MeasureDuration], &cell.Measures[aggregator.MeasureTimeToFirstToken]
		var avg, high *Figure
		if d.Count() > 0 {
			avg, high = figure(float64(d.Sum())/float64(d.Count())/1e6), figure(float64(d.Max())/1e6)
		}
		c.AvgMS, c.MaxMS = append(c.AvgMS, avg), append(c.MaxMS, high)
		c.P50MS = append(c.P50MS, percentile(d, 50))
		c.P95MS = append(c.P95MS, percentile(d, 95))
		c.P99MS = append(c.P99MS, percentile(d, 99))
		c.TTFTP50MS = append(c.TTFTP50MS, percentile(t, 50))
		c.TTFTP95MS = append(c.TTFTP95MS, percentile(t, 95))
		c.TTFTP99MS = append(c.TTFTP99MS, percentile(t, 99))
		var in, out *int64
		if n[aggregator.UsageCount] > 0 {
			in, out = &n[aggregator.InputTokens], &n[aggregator.OutputTokens]
		}
		c.InputTokens, c.OutputTokens = append(c.InputTokens, in), append(c.OutputTokens, out)
		var cost *Figure
		if n[aggregator.PricedCount] > 0 {
			cost = figure(float64(n[aggregator.CostNanoUSD]) / 1e9)
		}
		c.CostUSD = append(c.CostUSD, cost)
	}
	return c
}

func percentile(h *histogram.Histogram, p uint32) *Figure {
	v, ok := h.Percentile(histogram.Ratio{Num: p, Den: 100})
	if !ok {
		return nil
	}
	return figure(float64(v) / 1e6)
}

// readHeat reads the heat map of a chart, on the same axis.
func (c *Chart) readHeat(ctx context.Context, tx *sql.Tx, q analysis.Query) error {
	c.Heat = Heat{BandsMS: []Figure{}, Cells: [][3]int64{}}
	q.Width = c.WidthS
	answer, err := analysis.AskHeatmap(ctx, tx, q)
	if err != nil {
		return err
	}
	for _, edge := range answer.BandsMS {
		c.Heat.BandsMS = append(c.Heat.BandsMS, Figure(edge))
	}
	shift := (answer.Start - c.Start) / c.WidthS
	for _, cell := range answer.Cells {
		cell[0] += shift
		c.Heat.Cells = append(c.Heat.Cells, cell)
	}
	return nil
}
