package report

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
)

// Bounds of a report. What they keep out is told in Report.LeftOut.
const (
	MaxListedRuns    = 200
	MaxListedWindows = 500
	MaxTableRows     = 50
	// MaxRuns and MaxCategories bound the picks: all runs together and each of
	// the newest, by the headline and by each category with the most spans.
	MaxRuns       = 10
	MaxCategories = 8
	// MaxPickBytes bounds the JSON of the picks: those of one run and one
	// category are left out first.
	MaxPickBytes = 4 << 20
)

// Options say what a report covers.
type Options struct {
	// Query restricts the report. With a run there are picks of this run only,
	// with categories of these only, with a width charts of this width only.
	analysis.Query
	// Only asks for a single pick; nil means all of them. Runs and categories
	// are listed all the same.
	Only *Key
	// MaxPicks is how many picks there are at most, from the first on; 0 leaves
	// it to the other bounds.
	MaxPicks int
}

// Key names a pick.
type Key struct {
	RunID    *string // nil: every run
	Category string  // "": the headline categories folded
}

// assembly is a report in the making.
type assembly struct {
	options Options
	report  *Report
	// runs that have picks, all runs together first.
	runs []pickedRun
	// windows are all of the file; nil where it is of a schema without.
	windows *analysis.FaultWindows
}

// pickedRun is a run that has picks.
type pickedRun struct {
	id       *string // nil: every run
	from, to time.Time
	totals   *analysis.Totals // nil: not read yet
}

// Assemble puts every answer about a file together. tx must be one read
// transaction: then the parts agree. A file without data gives a report
// without picks.
func Assemble(ctx context.Context, tx *sql.Tx, o Options) (*Report, error) {
	a := &assembly{options: o, report: &Report{
		SchemaVersion: SchemaVersion, Runs: []Run{}, Categories: []Category{}, FaultWindows: []FaultWindow{}, Faults: []analysis.JoinedFault{},
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
			CategoryRow: *row, Headline: headline, Picked: a.options.Only != nil || i < MaxCategories,
		})
	}
	a.leaveOut(len(r.Categories)-MaxCategories, "category with the fewest spans", "categories with the fewest spans", "--category")
	totals := &analysis.Totals{Scope: overview.Scope, Rows: overview.Rows, Headline: overview.Total}
	from, to := q.From, q.To
	if q.Run != nil && len(overview.Runs) == 1 {
		from, to = a.boundsOf(&overview.Runs[0])
	}
	a.addRun(pickedRun{q.Run, from, to, totals})
	return nil
}

// addRun decides that a run has picks.
func (a *assembly) addRun(run pickedRun) {
	if only := a.options.Only; only == nil || sameRun(only.RunID, run.id) {
		a.runs = append(a.runs, run)
	}
}

// boundsOf returns the interval to ask for where a run is, in whole seconds: the
// rest of the file need not be read.
func (a *assembly) boundsOf(run *analysis.Run) (from, to time.Time) {
	from, to = a.options.From, a.options.To
	if run.FirstNS == nil || run.LastNS == nil {
		return from, to
	}
	first := time.Unix(aggregator.UnixSeconds(*run.FirstNS), 0).UTC()
	last := time.Unix(aggregator.UnixSeconds(*run.LastNS)+1, 0).UTC()
	if from.IsZero() || from.Before(first) {
		from = first
	}
	if to.IsZero() || to.After(last) {
		to = last
	}
	return from, to
}

func sameRun(a, b *string) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// leaveOut notes that n of something have no picks.
func (a *assembly) leaveOut(n int, one, many, flag string) {
	switch {
	case a.options.Only != nil || a.options.MaxPicks > 0: // as asked for
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
	picked, withSpans := 0, 0
	for i := range rows {
		row := &rows[i]
		if row.Spans > 0 {
			withSpans++
		}
		// One run alone is what the picks of every run show.
		pick := row.Spans > 0 && len(rows) > 1 && (picked < MaxRuns || a.options.Only != nil)
		if pick {
			picked++
			from, to := a.boundsOf(&row.Run)
			a.addRun(pickedRun{&row.RunID, from, to, nil})
		}
		if i < MaxListedRuns {
			detailed := i < maxDetailedRuns || a.options.Only != nil && sameRun(a.options.Only.RunID, &row.RunID)
			a.report.Runs = append(a.report.Runs, newRun(row, pick || a.options.Run != nil, detailed))
		}
	}
	if picked > 0 {
		a.leaveOut(withSpans-picked, "older run", "older runs", "--run")
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
	a.windows = windows
	faults, err := analysis.AskJoinedFaults(ctx, tx, a.options.Query, windows)
	if err != nil {
		return err
	}
	a.report.FaultsTotal = len(faults)
	a.report.Faults = append(a.report.Faults, faults[:min(len(faults), MaxListedWindows)]...)
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
