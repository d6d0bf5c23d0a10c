package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// Errors is the answer to: which requests failed, how, and since when?
//
// A request failed where its outcome is not success. Counts are exact, but for
// those by status code.
type Errors struct {
	Scope
	Requests  int64    `json:"requests"`
	Errors    int64    `json:"errors"`
	ErrorRate *float64 `json:"error_rate"` // nil without requests
	// Injected is how many of the errors carry a fault.
	Injected int64 `json:"errors_injected"`
	// ByOutcome and ByType have the most errors first.
	ByOutcome []ErrorRow `json:"by_outcome"`
	ByType    []ErrorRow `json:"by_type"`
	// StatusCodes come from single requests: see there.
	StatusCodes StatusCodes `json:"status_codes"`
}

// ErrorRow sums up the errors with one outcome, or one error_type.
type ErrorRow struct {
	Name            string  `json:"name"` // "" where no error_type is known
	Errors          int64   `json:"errors"`
	ShareOfErrors   float64 `json:"share_of_errors"`
	ShareOfRequests float64 `json:"share_of_requests"`
	Injected        int64   `json:"errors_injected"`
	// FirstSeenUTC and LastSeenUTC are when the first and the last of them
	// began: at that second where single requests say so, else in the bucket
	// that starts then. They began less than SeenWithinS later, in seconds.
	FirstSeenUTC string `json:"first_seen_utc"`
	LastSeenUTC  string `json:"last_seen_utc"`
	SeenWithinS  int64  `json:"seen_within_s"`
	// Samples are up to three of the errors.
	Samples []Sample `json:"samples"`
}

// Sample is a single request to look at.
type Sample struct {
	TraceID string `json:"trace_id"`
	SpanID  string `json:"span_id"`
	// Source is request: the newest rows that are kept; or bucket: the slowest
	// of a bucket, where no row is.
	Source string `json:"source"`
}

// samplesPerRow is how many samples an ErrorRow has at most.
const samplesPerRow = 3

// failure is a group of errors in the making.
type failure struct {
	ErrorRow
	sum    seriesSum
	series []aggregator.SeriesID
}

// AskErrors answers from counters by series; it reads no histograms.
func AskErrors(ctx context.Context, tx *sql.Tx, q Query) (*Errors, error) {
	answer, err := askErrors(ctx, tx, q)
	if err != nil {
		return nil, fmt.Errorf("errors: %w", err)
	}
	return answer, nil
}

func askErrors(ctx context.Context, tx *sql.Tx, q Query) (*Errors, error) {
	r, err := newReading(ctx, tx, q, true)
	if err != nil {
		return nil, err
	}
	edges, err := r.chooseExactly(ctx, tx, r.categories())
	if err != nil {
		return nil, err
	}
	series, err := readSeries(ctx, tx, r.query, []string{"outcome", "error_type"})
	if err != nil {
		return nil, err
	}
	sums, err := r.readSums(ctx, tx, series)
	if err == nil {
		err = addSums(sums, edges)
	}
	if err != nil {
		return nil, err
	}
	answer := &Errors{Scope: r.scope}
	failed, err := answer.total(series, sums)
	if err != nil {
		return nil, err
	}
	if err := r.refineSeen(ctx, tx, failed); err != nil {
		return nil, err
	}
	byOutcome, byType, err := groupFailures(series, failed)
	if err != nil {
		return nil, err
	}
	if err := r.refineOutcomes(ctx, tx, byOutcome); err != nil {
		return nil, err
	}
	samples, err := r.readSamples(ctx, tx, failed, byOutcome, byType)
	if err != nil {
		return nil, err
	}
	answer.ByOutcome, answer.ByType = answer.rows(byOutcome, samples), answer.rows(byType, samples)
	answer.StatusCodes, err = r.readStatusCodes(ctx, tx, answer.Errors)
	return answer, err
}

// total counts all requests, and returns what failed of them.
func (a *Errors) total(
	series map[aggregator.SeriesID]seriesValues, sums map[aggregator.SeriesID]*seriesSum,
) (map[aggregator.SeriesID]*seriesSum, error) {
	failed := map[aggregator.SeriesID]*seriesSum{}
	var all seriesSum
	for id, sum := range sums {
		if err := all.add(sum); err != nil {
			return nil, err
		}
		s := series[id]
		if s.success {
			continue
		}
		failed[id] = sum
		a.Errors += sum.requests
		if s.faulty {
			a.Injected += sum.requests
		}
	}
	a.Requests = all.requests
	a.ErrorRate = share(a.Errors, a.Requests)
	return failed, nil
}

// groupFailures groups what failed by outcome and by type.
func groupFailures(
	series map[aggregator.SeriesID]seriesValues, failed map[aggregator.SeriesID]*seriesSum,
) (byOutcome, byType map[string]*failure, err error) {
	byOutcome, byType = map[string]*failure{}, map[string]*failure{}
	for id, sum := range failed {
		s := series[id]
		for i, groups := range []map[string]*failure{byOutcome, byType} {
			if err := addFailure(groups, s.values[i], id, sum, s.faulty); err != nil {
				return nil, nil, err
			}
		}
	}
	return byOutcome, byType, nil
}

func addFailure(groups map[string]*failure, name string, id aggregator.SeriesID, sum *seriesSum, faulty bool) error {
	f := groups[name]
	if f == nil {
		f = &failure{ErrorRow: ErrorRow{Name: name}}
		groups[name] = f
	}
	f.series = append(f.series, id)
	if faulty {
		f.Injected += sum.requests
	}
	return f.sum.add(sum)
}

// rows finishes groups.
func (a *Errors) rows(groups map[string]*failure, samples map[aggregator.SeriesID][]sample) []ErrorRow {
	rows := []ErrorRow{}
	for _, f := range groups {
		row := f.ErrorRow
		row.Errors = f.sum.requests
		row.ShareOfErrors = float64(row.Errors) / float64(a.Errors)
		row.ShareOfRequests = float64(row.Errors) / float64(a.Requests)
		row.FirstSeenUTC, row.LastSeenUTC = *utc(f.sum.first.from), *utc(f.sum.last.from)
		row.SeenWithinS = max(f.sum.first.width(), f.sum.last.width())
		row.Samples = newestSamples(f.series, samples)
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b ErrorRow) int {
		return cmp.Or(cmp.Compare(b.Errors, a.Errors), cmp.Compare(a.Name, b.Name))
	})
	return rows
}
