package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// Window is the answer to: what happened in an interval, and how was it
// otherwise? The scope is that of the interval.
type Window struct {
	Scope
	// Inside sums up the interval, Outside the rest of the run, or of the file.
	// Both come from the narrowest buckets that are needed.
	Inside  WindowFigures `json:"inside"`
	Outside WindowFigures `json:"outside"`
	// Faults are those that touch the interval, of the run that is asked for or
	// of any; Windows are the fault windows that do, of which the faults are
	// made.
	Faults  []JoinedFault `json:"faults"`
	Windows []FaultWindow `json:"fault_windows"`
	// ErrorTypes splits the errors by error_type.
	ErrorTypes WindowErrors `json:"error_types"`
}

// WindowFigures sum up the requests of a part of the time.
type WindowFigures struct {
	// Seconds that the part has of the time from the first to the last second with
	// a request; inside, an end that was asked for is an end of it.
	Seconds   int64        `json:"seconds"`
	Requests  int64        `json:"requests_total"`
	RPS       *float64     `json:"requests_per_s"` // nil where Seconds is 0
	Errors    int64        `json:"errors"`         // every outcome but success
	ErrorRate *float64     `json:"error_rate"`
	Injected  int64        `json:"requests_injected"`
	Completed int64        `json:"completed_total"` // by end time
	Outcomes  Outcomes     `json:"outcomes"`
	Latency   Distribution `json:"latency"`
	TTFT      Distribution `json:"ttft"`
	Usage
}

// WindowErrors splits errors by error_type. It comes from buckets by series,
// which may be wider than those of the other figures.
type WindowErrors struct {
	// FromUTC and ToUTC are what counts as inside here; nil where it is nothing.
	FromUTC *string `json:"from_utc"`
	ToUTC   *string `json:"to_utc"`
	// Widened tells whether that is more than the interval of the answer.
	Widened bool `json:"widened"`
	// Rows: most inside first.
	Rows []WindowErrorRow `json:"rows"`
}

// WindowErrorRow counts the errors with one error_type.
type WindowErrorRow struct {
	ErrorType string `json:"error_type"` // "" where none is known
	Inside    int64  `json:"inside"`
	Outside   int64  `json:"outside"`
}

// AskWindow answers for q.From to q.To, of which at least one must be set.
func AskWindow(ctx context.Context, tx *sql.Tx, q Query) (*Window, error) {
	answer, err := askWindow(ctx, tx, q)
	if err != nil {
		return nil, fmt.Errorf("window: %w", err)
	}
	return answer, nil
}

func askWindow(ctx context.Context, tx *sql.Tx, q Query) (*Window, error) {
	if q.From.IsZero() && q.To.IsZero() {
		return nil, fmt.Errorf("from, to: at least one must be given: %w", ErrQuery)
	}
	parts, err := readParts(ctx, tx, q, false)
	if err != nil {
		return nil, err
	}
	inside := parts.inside
	answer := &Window{Scope: inside.scope, Faults: []JoinedFault{}, Windows: []FaultWindow{}, ErrorTypes: WindowErrors{Rows: []WindowErrorRow{}}}
	if answer.Inside, err = inside.figures(ctx, tx, inside.scope.Segments); err != nil {
		return nil, err
	}
	if answer.Outside, err = inside.figures(ctx, tx, parts.outside); err != nil {
		return nil, err
	}
	if err := answer.rate(ctx, tx, parts); err != nil {
		return nil, err
	}
	if err := answer.readFaults(ctx, tx, inside); err != nil {
		return nil, err
	}
	return answer, answer.readErrorTypes(ctx, tx, q)
}

// rate finds out how long the parts are, and what that makes a second.
func (w *Window) rate(ctx context.Context, tx *sql.Tx, p *windowParts) error {
	in, err := p.inside.rated(ctx, tx, p.inside.query.Categories)
	if err != nil {
		return err
	}
	all, err := p.all.rated(ctx, tx, p.all.query.Categories)
	if err != nil {
		return err
	}
	w.Inside.Seconds, w.Outside.Seconds = in.width(), all.width()
	if n := len(p.inside.scope.Segments); n > 0 {
		read := period{p.inside.scope.Segments[0].From, p.inside.scope.Segments[n-1].To}
		w.Outside.Seconds -= max(0, min(all.to, read.to)-max(all.from, read.from))
	}
	for _, f := range []*WindowFigures{&w.Inside, &w.Outside} {
		f.RPS = share(f.Requests, f.Seconds)
	}
	return nil
}

// windowParts are an interval, the rest, and both together.
type windowParts struct {
	inside, all *reading
	outside     []Segment
}

// readParts plans the reading of an interval and of the rest.
func readParts(ctx context.Context, tx *sql.Tx, q Query, bySeries bool) (*windowParts, error) {
	whole := q
	whole.From, whole.To = time.Time{}, time.Time{}
	all, err := newReading(ctx, tx, whole, bySeries)
	if err != nil {
		return nil, err
	}
	if err := all.choose(ctx, tx, all.categories()); err != nil {
		return nil, err
	}
	inside, err := newReading(ctx, tx, q, bySeries)
	if err != nil {
		return nil, err
	}
	p := &windowParts{inside: inside, all: all}
	if len(all.scope.Segments) == 0 {
		return p, inside.choose(ctx, tx, inside.categories())
	}
	first, last := all.scope.Segments[0].From, all.scope.Segments[len(all.scope.Segments)-1].To
	before := plan(all.widths, first, min(last, startOf(inside.widths, inside.from)))
	if n := len(before); n > 0 && before[n-1].To > inside.from {
		// Only a wide bucket is left of what was just before: it is all inside.
		inside.from = before[n-1].To - before[n-1].WidthS
		before = plan(all.widths, first, inside.from)
	}
	if err := inside.choose(ctx, tx, inside.categories()); err != nil {
		return nil, err
	}
	p.outside = all.scope.Segments
	if n := len(inside.scope.Segments); n > 0 {
		first = max(first, inside.scope.Segments[n-1].To)
		p.outside = append(before, plan(all.widths, first, last)...)
	}
	return p, nil
}

// figures sums up segments.
func (r *reading) figures(ctx context.Context, tx *sql.Tx, segments []Segment) (f WindowFigures, err error) {
	var sum aggregator.Cell
	for _, s := range segments {
		for row, err := range storage.HeadlineRows(ctx, tx, r.filter(s)) {
			if err == nil {
				err = add(&sum, &row.Cell)
			}
			if err != nil {
				return f, err
			}
		}
	}
	n := &sum.Counters
	f.Requests, f.Injected, f.Completed = n[aggregator.Requests], n[aggregator.Injected], n[aggregator.Completed]
	for o := range aggregator.NumOutcomes {
		f.Outcomes[o] = n[aggregator.OutcomeCounter(o)]
	}
	f.Errors = f.Requests - f.Outcomes.Success()
	f.ErrorRate = share(f.Errors, f.Requests)
	f.Latency = newDistribution(&sum.Measures[aggregator.MeasureDuration], overviewPercentiles)
	f.TTFT = newDistribution(&sum.Measures[aggregator.MeasureTimeToFirstToken], overviewPercentiles)
	f.Usage = newUsage(&sum)
	return f, nil
}

// readFaults reads the faults and the fault windows that touch the interval.
func (w *Window) readFaults(ctx context.Context, tx *sql.Tx, r *reading) error {
	const firstWithWindows = 3
	if r.meta.SchemaVersion < firstWithWindows || len(r.scope.Segments) == 0 {
		return nil
	}
	all, err := AskFaultWindows(ctx, tx)
	if err != nil {
		return err
	}
	from, to := r.scope.nanoseconds()
	for _, one := range all.Rows {
		ofRun := r.query.Run == nil || one.RunID == "" || one.RunID == *r.query.Run
		// A window of one instant touches what it lies in.
		if ofRun && one.StartNS < to && max(one.EndNS, saturatedAdd(one.StartNS, 1)) > from {
			w.Windows = append(w.Windows, one)
		}
	}
	q := r.query
	q.From, q.To = time.Unix(0, from), time.Unix(0, to)
	w.Faults, err = AskJoinedFaults(ctx, tx, q, all)
	return err
}

func saturatedAdd(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

func (w *Window) readErrorTypes(ctx context.Context, tx *sql.Tx, q Query) error {
	// A width that is kept without series does not say.
	meta, err := storage.ReadMeta(ctx, tx)
	if err != nil {
		return err
	}
	bySeries := func(w storage.Width) bool { return w.Seconds == q.Width && w.Detail == storage.DetailSeries }
	if q.Width != 0 && !slices.ContainsFunc(meta.Widths, bySeries) {
		return nil
	}
	inside, err := newReading(ctx, tx, q, true)
	if err != nil {
		return err
	}
	edges, err := inside.chooseExactly(ctx, tx, inside.categories())
	if err != nil {
		return err
	}
	e := &w.ErrorTypes
	e.FromUTC, e.ToUTC = inside.scope.FromUTC, inside.scope.ToUTC
	e.Widened = e.FromUTC != nil && w.FromUTC != nil && (*e.FromUTC != *w.FromUTC || *e.ToUTC != *w.ToUTC)
	q.From, q.To = time.Time{}, time.Time{}
	all, err := newReading(ctx, tx, q, true)
	if err == nil {
		err = all.choose(ctx, tx, all.categories())
	}
	if err != nil {
		return err
	}
	series, err := readSeries(ctx, tx, all.query, []string{"error_type"})
	if err != nil {
		return err
	}
	counts := map[string]*WindowErrorRow{}
	if err := all.addErrorTypes(ctx, tx, series, nil, counts, func(row *WindowErrorRow, n int64) { row.Outside += n }); err != nil {
		return err
	}
	move := func(row *WindowErrorRow, n int64) { row.Inside, row.Outside = row.Inside+n, max(0, row.Outside-n) }
	if err := inside.addErrorTypes(ctx, tx, series, edges, counts, move); err != nil {
		return err
	}
	for _, row := range counts {
		e.Rows = append(e.Rows, *row)
	}
	slices.SortFunc(e.Rows, func(a, b WindowErrorRow) int {
		return cmp.Or(cmp.Compare(b.Inside, a.Inside), cmp.Compare(b.Outside, a.Outside), cmp.Compare(a.ErrorType, b.ErrorType))
	})
	return nil
}

// addErrorTypes calls add for the errors of each type that were read.
func (r *reading) addErrorTypes(
	ctx context.Context, tx *sql.Tx, series map[aggregator.SeriesID]seriesValues, edges map[aggregator.SeriesID]*seriesSum,
	counts map[string]*WindowErrorRow, add func(row *WindowErrorRow, n int64),
) error {
	sums, err := r.readSums(ctx, tx, series)
	if err == nil {
		err = addSums(sums, edges)
	}
	if err != nil {
		return err
	}
	for id, sum := range sums {
		s := series[id]
		if s.success {
			continue
		}
		row := counts[s.key]
		if row == nil {
			row = &WindowErrorRow{ErrorType: s.values[0]}
			counts[s.key] = row
		}
		add(row, sum.requests)
	}
	return nil
}
