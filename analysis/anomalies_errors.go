package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

const (
	// maxUnexpectedErrors bounds the kinds of errors that are named.
	maxUnexpectedErrors = 20
	// maxOutside bounds the stretches between the windows of faults that are
	// read, the longest first.
	maxOutside = 200
)

// permanentOutcomes are errors that neither load nor a lost connection brings
// about: where no fault is known they are what one does not expect.
var permanentOutcomes = []string{
	aggregator.OutcomeClientError.String(), aggregator.OutcomeMalformed.String(), aggregator.OutcomeOtherError.String(),
}

// unexpected finds the kinds of errors that have no known cause: requests
// without a mark of a fault that failed outside the windows of faults. Where
// the file knows of no fault, only errors that are no matter of load.
func (s *anomalySearch) unexpected(ctx context.Context, tx *sql.Tx) error {
	r, series, err := errorSeries(ctx, tx, s.query)
	if err != nil || len(r.scope.Segments) == 0 {
		return err
	}
	known := len(s.faults.windows) > 0
	for _, values := range series {
		known = known || values.faulty
	}
	from, to := r.scope.Segments[0].From, r.scope.Segments[len(r.scope.Segments)-1].To
	// Errors in a bucket that reaches beyond an end that was asked for may be
	// outside of it.
	width := r.widths[0].seconds
	if asked := s.query.From; !asked.IsZero() {
		from = max(from, ceilTo(asked.Unix(), width))
	}
	if asked := s.query.To; !asked.IsZero() {
		to = min(to, aggregator.BucketStart(asked.Unix(), width))
	}
	r.scope.Segments = nil
	parts := s.faults.outside(from, to, width)
	slices.SortStableFunc(parts, func(a, b extentS) int { return cmp.Compare(b.to-b.from, a.to-a.from) })
	for _, part := range parts[:min(len(parts), maxOutside)] {
		for _, segment := range plan(r.widths, part.from, part.to) {
			// Others are too wide to keep clear of the window.
			if segment.From >= part.from && segment.To <= part.to {
				r.scope.Segments = append(r.scope.Segments, segment)
			}
		}
	}
	all, err := r.readErrors(ctx, tx, series, func(v seriesValues) bool {
		return !v.faulty && (known || slices.Contains(permanentOutcomes, v.values[0]))
	}, true)
	if err != nil {
		return err
	}
	for _, e := range all[:min(len(all), maxUnexpectedErrors)] {
		s.reportError(e, known)
	}
	return nil
}

func (s *anomalySearch) reportError(e *errorTotal, known bool) {
	from, to := e.first.from, e.last.to
	part := float64(e.requests) / float64(max(1, s.fine.sum(0, s.fine.n).requests))
	why := "not a matter of load, and no fault is known"
	if known {
		why = "outside the known faults"
	}
	a := Anomaly{
		Kind: AnomalyUnexpectedError, Severity: graded(part, 0.01, 0.05), Start: from, End: to,
		StartUTC: *utc(from), EndUTC: *utc(to), DurationS: to - from, Figure: &part, Unit: "share of requests",
		Text: fmt.Sprintf("%s ended in %s, %s of all, %s.", counted(e.requests, "request", "requests"), e.kind, percentText(part), why),
	}
	s.found = append(s.found, a)
}
