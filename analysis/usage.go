package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// UsageQuery asks for tokens and cost, by some dimensions.
type UsageQuery struct {
	Query
	// By names dimensions: columns of the relation latency, or configured
	// dimensions.
	By []string
}

// UsageRow sums up the series that agree in the dimensions asked for.
type UsageRow struct {
	// Values of the dimensions, in the order of UsageAnswer.By; "" where missing.
	Values   []string `json:"values"`
	Requests int64    `json:"requests"`
	Usage
	// UnpricedCount is how many requests say their tokens and have no cost:
	// what they cost is in no sum here.
	UnpricedCount int64 `json:"unpriced_count"`
	// OutputTokensPerS is the throughput: output tokens over
	// UsageAnswer.Seconds. nil where no tokens are known.
	OutputTokensPerS *float64 `json:"output_tokens_per_s"`
	// AvgTimePerOutputTokenMS is the average of (duration - time to first
	// token) / (output tokens - 1) over the requests that say all three; nil
	// where none does.
	AvgTimePerOutputTokenMS *float64 `json:"avg_time_per_output_token_ms"`
	// CostPer1000USD is the cost of 1,000 requests with a price: cost_usd /
	// priced_count * 1,000; nil where none has one.
	CostPer1000USD *float64 `json:"cost_per_1000_requests_usd"`
}

// UsageAnswer is the answer to UsageQuery.
type UsageAnswer struct {
	Scope
	By []string `json:"by"`
	// Seconds is the time that rates are computed of: from the first to the last
	// second with a request, or to the ends that were asked for.
	Seconds int64 `json:"seconds"`
	// Rows: the highest cost first, then the most tokens, then the most
	// requests.
	Rows []UsageRow `json:"rows"`
	// Total sums up all rows; nil where there is none.
	Total *UsageRow `json:"total"`
}

// AskUsage answers from counters, which are exact; it reads no histograms.
func AskUsage(ctx context.Context, tx *sql.Tx, q UsageQuery) (*UsageAnswer, error) {
	answer, err := askUsage(ctx, tx, q)
	if err != nil {
		return nil, fmt.Errorf("usage: %w", err)
	}
	return answer, nil
}

func askUsage(ctx context.Context, tx *sql.Tx, q UsageQuery) (*UsageAnswer, error) {
	r, err := newReading(ctx, tx, q.Query, true)
	if err != nil {
		return nil, err
	}
	if err := r.choose(ctx, tx, r.categories()); err != nil {
		return nil, err
	}
	series, err := readSeries(ctx, tx, r.query, q.By)
	if err != nil {
		return nil, err
	}
	sums, err := r.readSums(ctx, tx, series)
	if err != nil {
		return nil, err
	}
	rated, err := r.rated(ctx, tx, r.query.Categories)
	if err != nil {
		return nil, err
	}
	answer := &UsageAnswer{Scope: r.scope, By: append([]string{}, q.By...), Rows: []UsageRow{}, Seconds: rated.width()}
	return answer, answer.add(series, sums)
}

func (a *UsageAnswer) add(series map[aggregator.SeriesID]seriesValues, sums map[aggregator.SeriesID]*seriesSum) error {
	groups, values := map[string]*seriesSum{}, map[string][]string{}
	var total seriesSum
	for id, sum := range sums {
		s := series[id]
		if groups[s.key] == nil {
			groups[s.key], values[s.key] = &seriesSum{}, s.values
		}
		if err := groups[s.key].add(sum); err != nil {
			return err
		}
		if err := total.add(sum); err != nil {
			return err
		}
	}
	for key, sum := range groups {
		a.Rows = append(a.Rows, newUsageRow(values[key], sum, a.Seconds))
	}
	slices.SortFunc(a.Rows, func(x, y UsageRow) int {
		return cmp.Or(cmp.Compare(orZero(y.CostUSD), orZero(x.CostUSD)),
			cmp.Compare(orZero(y.InputTokens)+orZero(y.OutputTokens), orZero(x.InputTokens)+orZero(x.OutputTokens)),
			cmp.Compare(y.Requests, x.Requests), slices.Compare(x.Values, y.Values))
	})
	if len(a.Rows) > 0 {
		row := newUsageRow([]string{}, &total, a.Seconds)
		a.Total = &row
	}
	return nil
}

func orZero[N int64 | float64](n *N) N {
	if n == nil {
		return 0
	}
	return *n
}

func newUsageRow(values []string, s *seriesSum, seconds int64) UsageRow {
	row := UsageRow{Values: values, Requests: s.requests, Usage: s.usage(), UnpricedCount: max(0, s.usageCount-s.pricedCount)}
	if s.usageCount > 0 {
		row.OutputTokensPerS = share(s.outputTokens, seconds)
	}
	if s.perTokenCount > 0 {
		avg := milliseconds(s.perTokenNS) / float64(s.perTokenCount)
		row.AvgTimePerOutputTokenMS = &avg
	}
	if s.pricedCount > 0 {
		cost := float64(s.costNanoUSD) / 1e9 / float64(s.pricedCount) * 1000
		row.CostPer1000USD = &cost
	}
	return row
}
