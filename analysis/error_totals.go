package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// errorKind is what tells errors apart.
type errorKind struct{ outcome, errorType string }

// String returns the outcome, with the type where that says more.
func (k errorKind) String() string {
	if k.errorType == "" || k.errorType == k.outcome {
		return k.outcome
	}
	return k.outcome + " (" + k.errorType + ")"
}

// errorTotal counts the requests with one kind of error.
type errorTotal struct {
	kind errorKind
	seriesSum
}

// readErrors counts the failed requests of the chosen segments by kind, those
// of most requests first; of the series that keep accepts. When each was seen
// is as wide as the buckets that are read, unless it is to be refined.
func (r *reading) readErrors(
	ctx context.Context, tx *sql.Tx, series map[aggregator.SeriesID]seriesValues, keep func(seriesValues) bool, refine bool,
) ([]*errorTotal, error) {
	wanted := map[aggregator.SeriesID]seriesValues{}
	for id, values := range series {
		if !values.success && keep(values) {
			wanted[id] = values
		}
	}
	sums, err := r.readSums(ctx, tx, wanted)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(sums, func(_ aggregator.SeriesID, s *seriesSum) bool { return s.requests == 0 })
	if refine {
		if err := r.narrowSeen(ctx, tx, sums); err != nil {
			return nil, err
		}
	}
	totals := map[errorKind]*errorTotal{}
	for id, sum := range sums {
		kind := errorKind{series[id].values[0], series[id].values[1]}
		if totals[kind] == nil {
			totals[kind] = &errorTotal{kind: kind}
		}
		if err := totals[kind].add(sum); err != nil {
			return nil, err
		}
	}
	return slices.SortedFunc(maps.Values(totals), byRequests), nil
}

// errorSeries chooses what is read by series, and reads what tells errors apart.
// A file without details by series has none.
func errorSeries(ctx context.Context, tx *sql.Tx, q Query) (*reading, map[aggregator.SeriesID]seriesValues, error) {
	q.Width = 0 // the details by series may not have it
	r, err := newReading(ctx, tx, q, true)
	if err == nil {
		err = r.choose(ctx, tx, r.categories())
	}
	if err != nil {
		return nil, nil, err
	}
	series, err := readSeries(ctx, tx, r.query, []string{"outcome", "error_type"})
	return r, series, err
}

// within makes totals those of the requests that outcomes counts. totals are of
// the same time or, since details by series are kept in wider buckets, of more:
// then they tell which type errors have only where these have just one.
func within(outcomes *Outcomes, totals []*errorTotal) []*errorTotal {
	kinds := map[string][]*errorTotal{}
	for _, e := range totals {
		kinds[e.kind.outcome] = append(kinds[e.kind.outcome], e)
	}
	exact := []*errorTotal{}
	for o, n := range outcomes {
		name := aggregator.Outcome(o).String()
		of, sum := kinds[name], int64(0)
		for _, e := range of {
			sum += e.requests
		}
		switch {
		case aggregator.Outcome(o) == aggregator.OutcomeSuccess, n == 0:
		case sum == n:
			exact = append(exact, of...)
		case sum > n && len(of) == 1:
			exact = append(exact, &errorTotal{of[0].kind, seriesSum{requests: n}})
		default:
			exact = append(exact, &errorTotal{errorKind{outcome: name}, seriesSum{requests: n}})
		}
	}
	slices.SortFunc(exact, byRequests)
	return exact
}

// byRequests orders totals, those of most requests first.
func byRequests(a, b *errorTotal) int {
	return cmp.Or(cmp.Compare(b.requests, a.requests), strings.Compare(a.kind.outcome, b.kind.outcome),
		strings.Compare(a.kind.errorType, b.kind.errorType))
}
