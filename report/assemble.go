package report

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
)

// Bounds of a report. What they keep out is told in Report.LeftOut.
const (
	MaxListedRuns    = 200
	MaxListedWindows = 500
	MaxTableRows     = 50
	// MaxRuns and MaxCategories bound the picks: every run and each of the
	// newest, by the headline and each category with the most spans.
	MaxRuns       = 10
	MaxCategories = 8
)

// Options say what a report covers.
type Options struct {
	// Query restricts the report. With a run there are picks of this run only,
	// with categories of these only, with a width charts of this width only.
	analysis.Query
}

// assembly is a report in the making.
type assembly struct {
	options Options
	report  *Report
	headers []header
}

// header says which picks there are of a run.
type header struct {
	run      *string
	overview *analysis.Overview
}

// Assemble puts every answer about a file together. tx must be one read
// transaction: then the parts agree. A file without data gives a report
// without picks.
func Assemble(ctx context.Context, tx *sql.Tx, o Options) (*Report, error) {
	a := &assembly{options: o, report: &Report{
		SchemaVersion: SchemaVersion, Runs: []Run{}, Categories: []Category{}, FaultWindows: []FaultWindow{},
		LeftOut: []string{}, Picks: []Pick{},
	}}
	for _, step := range []func(context.Context, *sql.Tx) error{a.readFile, a.readRuns, a.readWindows, a.readPicks} {
		if err := step(ctx, tx); err != nil {
			return nil, fmt.Errorf("report: %w", err)
		}
	}
	return a.report, nil
}

// readFile reads what is true of the file as a whole.
func (a *assembly) readFile(ctx context.Context, tx *sql.Tx) error {
	q := a.options.Query
	q.Width = 0
	overview, err := analysis.AskOverview(ctx, tx, q)
	if err != nil {
		return err
	}
	r := a.report
	r.FileSchemaVersion, r.Headline = overview.File.SchemaVersion, overview.File.Headline
	r.FromUTC, r.ToUTC, r.Open = overview.FromUTC, overview.ToUTC, overview.Open
	r.Ledger, r.Notes, r.Pruned = overview.Ledger, overview.Notes, overview.Pruned
	for i := range overview.Rows {
		row := &overview.Rows[i]
		headline := slices.Contains(r.Headline, row.Category)
		r.Categories = append(r.Categories, Category{
			Category: row.Category, Headline: headline, Requests: row.Requests, Picked: i < MaxCategories,
		})
	}
	a.leaveOut(len(r.Categories)-MaxCategories, "category with the fewest spans", "categories with the fewest spans", "--category")
	a.headers = append(a.headers, header{q.Run, overview})
	return nil
}

// leaveOut notes that n of something have no picks.
func (a *assembly) leaveOut(n int, one, many, flag string) {
	switch {
	case n == 1:
		a.report.LeftOut = append(a.report.LeftOut, fmt.Sprintf("1 %s has no view of its own: %s shows it", one, flag))
	case n > 1:
		a.report.LeftOut = append(a.report.LeftOut, fmt.Sprintf("%d %s have no view of their own: %s shows them", n, many, flag))
	}
}

// readRuns lists the runs and decides which have picks.
func (a *assembly) readRuns(ctx context.Context, tx *sql.Tx) error {
	runs, err := analysis.AskRuns(ctx, tx)
	if err != nil {
		return err
	}
	rows := slices.DeleteFunc(runs.Rows, func(row analysis.RunRow) bool {
		return a.options.Run != nil && row.RunID != *a.options.Run
	})
	slices.SortStableFunc(rows, newestFirst)
	a.report.RunsTotal = len(rows)
	picked := 0
	for i := range rows {
		row := &rows[i]
		// One run alone is what the picks of every run show.
		pick := row.Spans > 0 && len(rows) > 1 && picked < MaxRuns
		if pick {
			picked++
			a.headers = append(a.headers, header{run: &row.RunID})
		}
		if i < MaxListedRuns {
			a.report.Runs = append(a.report.Runs, Run{row.Run, row.Pinned, row.Open, pick || a.options.Run != nil})
		}
	}
	if len(rows) > 1 {
		a.leaveOut(len(rows)-max(picked, 1), "older run", "older runs", "--run")
	}
	return nil
}

// newestFirst puts the runs that began last first, those without spans last.
func newestFirst(a, b analysis.RunRow) int {
	switch {
	case a.FirstNS == nil && b.FirstNS == nil:
		return cmp.Compare(a.RunID, b.RunID)
	case a.FirstNS == nil:
		return 1
	case b.FirstNS == nil:
		return -1
	}
	return cmp.Or(cmp.Compare(*b.FirstNS, *a.FirstNS), cmp.Compare(a.RunID, b.RunID))
}

// readWindows reads the fault windows that touch what is covered.
func (a *assembly) readWindows(ctx context.Context, tx *sql.Tx) error {
	if a.report.FileSchemaVersion < firstWithWindows {
		return nil
	}
	windows, err := analysis.AskFaultWindows(ctx, tx)
	if err != nil {
		return err
	}
	for _, w := range windows.Rows {
		q := &a.options.Query
		if !q.From.IsZero() && w.EndNS < q.From.UnixNano() || !q.To.IsZero() && w.StartNS >= q.To.UnixNano() ||
			q.Run != nil && w.RunID != "" && w.RunID != *q.Run {
			continue
		}
		if a.report.FaultWindowsTotal++; a.report.FaultWindowsTotal <= MaxListedWindows {
			a.report.FaultWindows = append(a.report.FaultWindows, w)
		}
	}
	return nil
}

// firstWithWindows is the first schema with fault windows.
const firstWithWindows = 3

// readPicks reads the picks: every run first, and the headline first of a run.
func (a *assembly) readPicks(ctx context.Context, tx *sql.Tx) error {
	for _, h := range a.headers {
		q := a.options.Query
		q.Run = h.run
		if h.overview == nil {
			var err error
			all := q
			all.Width = 0
			if h.overview, err = analysis.AskOverview(ctx, tx, all); err != nil {
				return err
			}
		}
		for _, p := range a.picksOf(h.overview) {
			p.RunID = h.run
			if err := p.read(ctx, tx, q); err != nil {
				return err
			}
			a.report.Picks = append(a.report.Picks, p)
		}
	}
	return nil
}

// picksOf returns the picks of a run, with their totals.
func (a *assembly) picksOf(o *analysis.Overview) (picks []Pick) {
	var headline Pick
	for i := range o.Rows {
		row := &o.Rows[i]
		listed := slices.IndexFunc(a.report.Categories, func(c Category) bool { return c.Category == row.Category })
		if listed < 0 {
			continue
		}
		if a.report.Categories[listed].Headline {
			headline.Categories = append(headline.Categories, row.Category)
		}
		if a.report.Categories[listed].Picked {
			picks = append(picks, Pick{Category: row.Category, Categories: []string{row.Category}, Totals: row})
		}
	}
	if len(headline.Categories) == 1 {
		// The one category is the headline.
		picks = slices.DeleteFunc(picks, func(p Pick) bool { return p.Category == headline.Categories[0] })
	}
	if len(headline.Categories) > 0 {
		headline.Totals = o.Total
		picks = slices.Insert(picks, 0, headline)
	}
	return picks
}

// query restricts q to what the pick covers.
func (p *Pick) query(q analysis.Query) analysis.Query {
	q.Categories = nil
	for _, name := range p.Categories {
		if c, ok := aggregator.ParseCategory(name); ok {
			q.Categories = append(q.Categories, c)
		}
	}
	return q
}

// read fills in everything but the totals.
func (p *Pick) read(ctx context.Context, tx *sql.Tx, q analysis.Query) error {
	q = p.query(q)
	if err := p.readCharts(ctx, tx, q); err != nil {
		return err
	}
	return p.readTables(ctx, tx, q)
}
