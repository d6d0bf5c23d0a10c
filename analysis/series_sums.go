package analysis

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// seriesSum is what one series adds up to in an interval, without its
// histograms.
type seriesSum struct {
	// first and last are in which times its first and its last request began.
	first, last period

	requests     int64
	usageCount   int64
	inputTokens  int64
	outputTokens int64
	cacheRead    int64
	cacheWrite   int64
	reasoning    int64
	pricedCount  int64
	costNanoUSD  int64
	// latency and time per output token: how many, and their sums.
	latencyCount, latencyNS   int64
	perTokenCount, perTokenNS int64
}

// period is a time [from, to), Unix seconds.
type period struct{ from, to int64 }

func (p period) width() int64 { return p.to - p.from }

// fields are what add adds up, in the order of sumColumns.
func (s *seriesSum) fields() [13]*int64 {
	return [...]*int64{
		&s.requests, &s.usageCount, &s.inputTokens, &s.outputTokens, &s.cacheRead, &s.cacheWrite, &s.reasoning,
		&s.pricedCount, &s.costNanoUSD, &s.latencyCount, &s.latencyNS, &s.perTokenCount, &s.perTokenNS,
	}
}

const sumColumns = `sum(requests), sum(usage_count), sum(input_tokens), sum(output_tokens), sum(cache_read_tokens),
	sum(cache_write_tokens), sum(reasoning_tokens), sum(priced_count), sum(cost_nano_usd), sum(latency_count),
	sum(sum_latency_ns), sum(time_per_output_token_count), sum(sum_time_per_output_token_ns)`

// add adds o, which covers another interval or another series.
func (s *seriesSum) add(o *seriesSum) error {
	into, from := s.fields(), o.fields()
	for i := range into {
		if *into[i] > math.MaxInt64-*from[i] {
			return fmt.Errorf("sums exceed %d", int64(math.MaxInt64))
		}
	}
	switch {
	case o.requests == 0:
	case s.requests == 0:
		s.first, s.last = o.first, o.last
	default: // the first of both began before either time ends
		s.first = period{min(s.first.from, o.first.from), min(s.first.to, o.first.to)}
		s.last = period{max(s.last.from, o.last.from), max(s.last.to, o.last.to)}
	}
	for i := range into {
		*into[i] += *from[i]
	}
	return nil
}

// addSums adds what others sum up.
func addSums(into, others map[aggregator.SeriesID]*seriesSum) error {
	for id, s := range others {
		if into[id] == nil {
			into[id] = &seriesSum{}
		}
		if err := into[id].add(s); err != nil {
			return err
		}
	}
	return nil
}

// readSums adds up the rows of each series that wanted names. It reads
// counters only, no histograms.
func (r *reading) readSums(
	ctx context.Context, tx *sql.Tx, wanted map[aggregator.SeriesID]seriesValues,
) (map[aggregator.SeriesID]*seriesSum, error) {
	sums := map[aggregator.SeriesID]*seriesSum{}
	if len(wanted) == 0 {
		return sums, nil
	}
	ids, err := seriesList(wanted)
	if err != nil {
		return nil, err
	}
	const query = "SELECT series_id, min(bucket_start), max(bucket_start), " + sumColumns + ` FROM series_bucket
		WHERE width_s = ? AND bucket_start >= ? AND bucket_start < ? AND series_id IN (SELECT value FROM json_each(?))
		GROUP BY series_id`
	for _, segment := range r.scope.Segments {
		rows, err := tx.QueryContext(ctx, query, segment.WidthS, segment.From, segment.To, ids)
		if err != nil {
			return nil, fmt.Errorf("add up series: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var id aggregator.SeriesID
			var part seriesSum
			into := []any{&id, &part.first.from, &part.last.from}
			for _, field := range part.fields() {
				into = append(into, field)
			}
			if err := rows.Scan(into...); err != nil {
				return nil, fmt.Errorf("add up series: %w", err)
			}
			part.first.to, part.last.to = part.first.from+segment.WidthS, part.last.from+segment.WidthS
			if sums[id] == nil {
				sums[id] = &seriesSum{}
			}
			if err := sums[id].add(&part); err != nil {
				return nil, fmt.Errorf("add up series: %w", err)
			}
		}
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("add up series: %w", err)
		}
	}
	return sums, nil
}

// seriesList is the ids of series as a query takes them: a JSON array.
func seriesList[V any](of map[aggregator.SeriesID]V) (string, error) {
	list, err := json.Marshal(slices.Sorted(maps.Keys(of)))
	if err != nil {
		return "", fmt.Errorf("list series: %w", err)
	}
	return string(list), nil
}

// usage is what the sums say of tokens and cost.
func (s *seriesSum) usage() Usage {
	n := *s // the figures must not move with the sums
	u := Usage{UsageCount: n.usageCount, PricedCount: n.pricedCount}
	if n.usageCount > 0 {
		u.InputTokens, u.OutputTokens = &n.inputTokens, &n.outputTokens
		u.CacheReadTokens, u.CacheWriteTokens, u.ReasoningTokens = &n.cacheRead, &n.cacheWrite, &n.reasoning
	}
	if n.pricedCount > 0 {
		cost := float64(n.costNanoUSD) / 1e9
		u.CostUSD = &cost
	}
	return u
}
