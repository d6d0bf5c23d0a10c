package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// maxUnexpectedErrors bounds the kinds of errors that are named.
const maxUnexpectedErrors = 20

// permanentOutcomes are errors that neither load nor a lost connection brings
// about: where no fault is known they are what one does not expect.
var permanentOutcomes = []string{
	aggregator.OutcomeClientError.String(), aggregator.OutcomeMalformed.String(), aggregator.OutcomeOtherError.String(),
}

// unexpected finds the kinds of errors that have no known cause: requests
// without a mark of a fault that failed outside the windows of faults. Where
// the file knows of no fault, only errors that are no matter of load.
func (s *anomalySearch) unexpected(ctx context.Context, tx *sql.Tx) error {
	q := s.query
	q.Width = 0 // the details by series may not have it
	r, err := newReading(ctx, tx, q, true)
	if err == nil {
		err = r.choose(ctx, tx, r.categories())
	}
	if err != nil || len(r.scope.Segments) == 0 {
		return err
	}
	marked, err := r.anyMarked(ctx, tx)
	if err != nil {
		return err
	}
	known := marked || len(s.faults.windows) > 0
	totals := errorSums{}
	from, to := r.scope.Segments[0].From, r.scope.Segments[len(r.scope.Segments)-1].To
	for _, part := range s.faults.outside(from, to, r.widths[0].seconds) {
		for _, segment := range plan(r.widths, part.from, part.to) {
			if segment.From < part.from || segment.To > part.to {
				continue // too wide to keep clear of the window
			}
			if err := r.addErrors(ctx, tx, segment, " AND s.fault = ''", totals); err != nil {
				return err
			}
		}
	}
	all := slices.DeleteFunc(totals.sorted(), func(e *errorTotal) bool {
		return !known && !slices.Contains(permanentOutcomes, e.kind.outcome)
	})
	for _, e := range all[:min(len(all), maxUnexpectedErrors)] {
		if err := s.reportError(ctx, tx, r, e, known); err != nil {
			return err
		}
	}
	return nil
}

// anyMarked tells whether a request in question carries the mark of a fault.
func (r *reading) anyMarked(ctx context.Context, tx *sql.Tx) (any bool, err error) {
	where, args := r.seriesCondition()
	err = tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM series AS s WHERE s.fault <> ''"+where+")", args...).Scan(&any)
	if err != nil {
		return false, fmt.Errorf("look up faults: %w", err)
	}
	return any, nil
}

func (s *anomalySearch) reportError(ctx context.Context, tx *sql.Tx, r *reading, e *errorTotal, known bool) error {
	from, _, err := r.narrowError(ctx, tx, e.kind, e.first, e.firstW)
	if err != nil {
		return err
	}
	_, to, err := r.narrowError(ctx, tx, e.kind, e.last, e.lastW)
	if err != nil {
		return err
	}
	part := float64(e.requests) / float64(max(1, s.fine.sum(0, s.fine.n).requests))
	why := "not a matter of load, and no fault is known"
	if known {
		why = "outside the known faults"
	}
	noun := "requests"
	if e.requests == 1 {
		noun = "request"
	}
	a := Anomaly{
		Kind: AnomalyUnexpectedError, Severity: graded(part, 0.01, 0.05), Faults: []string{}, Start: from, End: to,
		StartUTC: *utc(from), EndUTC: *utc(to), DurationS: to - from, Figure: &part, Unit: "share of requests",
		Text: fmt.Sprintf("%d %s ended in %s, %s of all, %s.", e.requests, noun, e.kind, percentText(part), why),
	}
	s.found = append(s.found, a)
	return nil
}
