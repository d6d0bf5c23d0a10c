package report

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
)

// readPicks reads the picks, the most telling first: all runs together, then
// each run by the headline, then each run by category.
func (a *assembly) readPicks(ctx context.Context, tx *sql.Tx) error {
	var picks, later []Pick
	for i := range a.runs {
		ofRun, err := a.picksOf(ctx, tx, &a.runs[i])
		if err != nil {
			return err
		}
		for k, p := range ofRun {
			if i == 0 || k == 0 {
				picks = append(picks, p)
			} else {
				later = append(later, p)
			}
		}
	}
	picks = append(picks, later...)
	if most := a.options.MaxPicks; most > 0 {
		picks = picks[:min(most, len(picks))]
	}
	bytes := 0
	for i := range picks {
		p := &picks[i]
		p.windows = a.windows
		if err := p.read(ctx, tx, a.query(p.run), i == 0); err != nil {
			return err
		}
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		if bytes += len(text); bytes > MaxPickBytes && i > 0 {
			a.report.LeftOut = append(a.report.LeftOut, fmt.Sprintf(
				"%d of %d views are left out to keep the report small: --run and --category show them", len(picks)-i, len(picks)))
			break
		}
		a.report.Picks = append(a.report.Picks, *p)
	}
	return nil
}

// query is that of the report, restricted to a run.
func (a *assembly) query(run *pickedRun) analysis.Query {
	q := a.options.Query
	q.Run, q.From, q.To = run.id, run.from, run.to
	q.FromData, q.ToData = a.options.From.IsZero(), a.options.To.IsZero()
	return q
}

// picksOf returns the picks of a run with their totals, the headline first.
func (a *assembly) picksOf(ctx context.Context, tx *sql.Tx, run *pickedRun) (picks []Pick, err error) {
	totals := run.totals
	if totals == nil {
		q := a.query(run)
		q.Width = 0
		if totals, err = analysis.AskTotals(ctx, tx, q); err != nil {
			return nil, err
		}
	}
	headline := Pick{run: run, RunID: run.id, Totals: totals.Headline}
	for i := range totals.Rows {
		row := &totals.Rows[i]
		known := a.category(row.Category)
		if known.Headline {
			headline.Categories = append(headline.Categories, row.Category)
		}
		if known.Picked {
			picks = append(picks, Pick{run: run, RunID: run.id, Category: row.Category, Categories: []string{row.Category}, Totals: row})
		}
	}
	if len(headline.Categories) == 1 {
		// The one category is the headline.
		picks = slices.DeleteFunc(picks, func(p Pick) bool { return p.Category == headline.Categories[0] })
	}
	if len(headline.Categories) > 0 {
		picks = slices.Insert(picks, 0, headline)
	}
	return slices.DeleteFunc(picks, func(p Pick) bool {
		return a.options.Only != nil && !a.options.Only.names(&p)
	}), nil
}

// names tells whether the key is that of a pick. One category alone is asked
// for by its name, too, where it is the headline.
func (k *Key) names(p *Pick) bool {
	return sameRun(k.RunID, p.RunID) && (k.Category == p.Category || len(p.Categories) == 1 && k.Category == p.Categories[0])
}

// category returns what the report says of a category.
func (a *assembly) category(name string) Category {
	i := slices.IndexFunc(a.report.Categories, func(c Category) bool { return c.Category == name })
	if i < 0 {
		return Category{}
	}
	return a.report.Categories[i]
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

// read fills in everything but the totals. The first pick has more detail.
func (p *Pick) read(ctx context.Context, tx *sql.Tx, q analysis.Query, first bool) error {
	q = p.query(q)
	if err := p.readCharts(ctx, tx, q, first); err != nil {
		return err
	}
	q.Width = 0
	if err := p.readTables(ctx, tx, q); err != nil {
		return err
	}
	return p.readAnswers(ctx, tx, q)
}
