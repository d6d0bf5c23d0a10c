package report

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// A chart has between minBuckets and maxBuckets buckets where the file keeps
// such a width: more can neither be told apart on a screen nor are they cheap.
// Of the picks but the first there are many.
const (
	minBuckets      = 10
	maxBuckets      = 720
	maxBucketsLater = 240
	// maxBucketsAsked bounds a chart of a width that was asked for.
	maxBucketsAsked = 5_000
)

// readCharts makes a chart of the narrowest width that suits, and of each wider
// one that does.
func (p *Pick) readCharts(ctx context.Context, tx *sql.Tx, q analysis.Query, first bool) error {
	p.Charts = []Chart{}
	meta, err := storage.ReadMeta(ctx, tx)
	if err != nil {
		return err
	}
	most := maxBucketsLater
	if first {
		most = maxBuckets
	}
	if q.Width != 0 {
		return p.readAsked(ctx, tx, q)
	}
	narrowest, err := p.readChart(ctx, tx, analysis.CourseQuery{Query: q, MaxBuckets: most})
	if err != nil || narrowest == nil {
		return err
	}
	for _, w := range meta.Widths {
		seconds := int64(narrowest.Buckets) * narrowest.WidthS
		if w.Seconds <= narrowest.WidthS || seconds/w.Seconds < minBuckets {
			continue
		}
		q.Width = w.Seconds
		if _, err := p.readChart(ctx, tx, analysis.CourseQuery{Query: q}); err != nil {
			return err
		}
	}
	return nil
}

// readAsked makes the one chart of the width that was asked for.
func (p *Pick) readAsked(ctx context.Context, tx *sql.Tx, q analysis.Query) error {
	any := q
	any.Width = 0
	course, err := analysis.AskCourse(ctx, tx, analysis.CourseQuery{Query: any, MaxBuckets: minBuckets})
	if err != nil {
		return err
	}
	if n := int64(len(course.Rows)) * course.WidthS / q.Width; n > maxBucketsAsked {
		return &analysis.QueryError{Part: "width", Value: analysis.WidthName(q.Width), Rule: fmt.Sprintf(
			"charts would have some %d buckets, more than %d; ask for wider ones or for a shorter interval", n, maxBucketsAsked)}
	}
	_, err = p.readChart(ctx, tx, analysis.CourseQuery{Query: q})
	return err
}

// readChart adds a chart; it returns nil where there is nothing to draw.
func (p *Pick) readChart(ctx context.Context, tx *sql.Tx, q analysis.CourseQuery) (*Chart, error) {
	course, heat, err := analysis.AskCourseAndHeatmap(ctx, tx, q)
	if err != nil || len(course.Rows) == 0 {
		return nil, err
	}
	if p.FromUTC == nil {
		p.FromUTC, p.ToUTC = course.FromUTC, course.ToUTC
	}
	chart := newChart(course)
	chart.Heat = newHeat(heat)
	p.Charts = append(p.Charts, chart)
	return &chart, nil
}

func newChart(course *analysis.Course) Chart {
	n := len(course.Rows)
	c := Chart{
		WidthS: course.WidthS, Start: course.Rows[0].BucketStart, Buckets: n, Outcomes: map[string][]int64{},
		PartialFirst: course.Rows[0].Partial, PartialLast: course.Rows[n-1].Partial,
	}
	for i := range course.Rows {
		row := &course.Rows[i]
		for o, requests := range row.Outcomes {
			if requests == 0 {
				continue
			}
			name := aggregator.Outcome(o).String()
			if c.Outcomes[name] == nil {
				c.Outcomes[name] = make([]int64, n)
			}
			c.Outcomes[name][i] = requests
		}
		c.Injected = append(c.Injected, row.Injected)
		l, t := &row.Latency, &row.TTFT
		for _, column := range []struct {
			into *[]*Figure
			from *float64
		}{
			{&c.AvgMS, l.AvgMS}, {&c.MaxMS, l.MaxMS}, {&c.P50MS, l.Percentiles.Get("p50")},
			{&c.P95MS, l.Percentiles.Get("p95")}, {&c.P99MS, l.Percentiles.Get("p99")},
			{&c.TTFTP50MS, t.Percentiles.Get("p50")}, {&c.TTFTP95MS, t.Percentiles.Get("p95")},
			{&c.TTFTP99MS, t.Percentiles.Get("p99")}, {&c.CostUSD, row.CostUSD},
		} {
			*column.into = append(*column.into, figureOf(column.from))
		}
		c.InputTokens, c.OutputTokens = append(c.InputTokens, row.InputTokens), append(c.OutputTokens, row.OutputTokens)
	}
	return c
}

func newHeat(answer *analysis.Heatmap) Heat {
	h := Heat{BandsMS: []Figure{}, Cells: answer.Cells}
	for _, edge := range answer.BandsMS {
		h.BandsMS = append(h.BandsMS, Figure(edge))
	}
	return h
}
