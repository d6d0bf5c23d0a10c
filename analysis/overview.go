package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// Overview says what is in a file and how it went.
type Overview struct {
	Scope
	File   File          `json:"file"`
	Runs   []Run         `json:"runs"`
	Ledger []Count       `json:"ledger"` // received and folded first
	Notes  []Count       `json:"notes"`  // most spans first
	Rows   []CategoryRow `json:"rows"`   // the headline categories first
	// Total sums up the headline categories; nil where they have no spans.
	Total *CategoryRow `json:"headline"`
	// StatusCodes are of the categories that were asked for, else of the headline.
	StatusCodes RequestStatus  `json:"status_codes"`
	Widths      []WidthSummary `json:"widths"`
	// Pruned is empty where nothing has left, and for a file of a schema that
	// does not say.
	Pruned []Pruned `json:"pruned"`
	// Deduplication and DeadLetters are nil for a file of a schema without.
	Deduplication *Deduplication `json:"deduplication"`
	DeadLetters   *Waiting       `json:"dead_letters"`
}

// File describes the file itself.
type File struct {
	Bytes         int64    `json:"bytes"`
	SchemaVersion int64    `json:"file_schema_version"`
	WriterID      string   `json:"writer_id"`
	WriterVersion string   `json:"writer_version"`
	CreatedUTC    string   `json:"created_utc"`
	Commits       int64    `json:"commits"`
	Series        int64    `json:"series"`
	Headline      []string `json:"headline_categories"`
	FirstUTC      *string  `json:"first_utc"` // earliest span start
	LastUTC       *string  `json:"last_utc"`  // latest span end
	FirstNS       *int64   `json:"first_ns"`
	LastNS        *int64   `json:"last_ns"`
}

// Run is a run with its number of requests.
type Run struct {
	RunID    string  `json:"run_id"`
	Name     *string `json:"name"`
	FirstUTC *string `json:"first_utc"`
	LastUTC  *string `json:"last_utc"`
	FirstNS  *int64  `json:"first_ns"`
	LastNS   *int64  `json:"last_ns"`
	Requests int64   `json:"requests"`
}

// Count is a number of spans under a name.
type Count struct {
	Reason string `json:"reason"`
	Spans  int64  `json:"spans"`
}

// WidthSummary says how many rows of the headline a width has.
type WidthSummary struct {
	WidthS     int64  `json:"width_s"`
	RetentionS *int64 `json:"retention_s"` // nil: for ever
	Detail     string `json:"detail"`
	Rows       int64  `json:"rows"`
}

// CategoryRow sums up the spans of one category, or of several.
type CategoryRow struct {
	Category  string   `json:"category"`
	Requests  int64    `json:"requests_total"`
	Errors    int64    `json:"errors"` // every outcome but success
	ErrorRate *float64 `json:"error_rate"`
	// Seconds is the time from the first to the last second with a request of the
	// category, or to the ends that were asked for; RPS are requests over it, nil
	// where it is 0.
	Seconds  int64        `json:"seconds"`
	RPS      *float64     `json:"requests_per_s"`
	Injected int64        `json:"requests_injected"`
	Adjusted float64      `json:"adjusted_requests"`
	Latency  Distribution `json:"latency"`
	TTFT     Distribution `json:"ttft"`
	Usage
}

// overviewPercentiles are those of every category.
var overviewPercentiles = func() (all []Percentile) {
	for _, name := range []string{"p50", "p95", "p99"} {
		p, err := ParsePercentile(name)
		if err != nil {
			panic(err)
		}
		all = append(all, p)
	}
	return all
}()

// AskOverview answers with everything one wants to know first. Without
// q.Categories it covers all of them.
func AskOverview(ctx context.Context, tx *sql.Tx, q Query) (*Overview, error) {
	r, err := newReading(ctx, tx, q, false)
	if err == nil {
		err = r.choose(ctx, tx, q.Categories)
	}
	if err != nil {
		return nil, fmt.Errorf("overview: %w", err)
	}
	answer := &Overview{
		Scope: r.scope, Runs: []Run{}, Ledger: []Count{}, Notes: []Count{}, Rows: []CategoryRow{}, Widths: []WidthSummary{},
		Pruned: []Pruned{},
	}
	for _, step := range []func(context.Context, *sql.Tx, *Overview) error{
		r.readFile, r.readRuns, readCounts, r.readWidths, r.readPruned, r.readDeliveries, r.readCategories, r.readRequestStatus,
	} {
		if err := step(ctx, tx, answer); err != nil {
			return nil, fmt.Errorf("overview: %w", err)
		}
	}
	return answer, nil
}

func (r *reading) readCategories(ctx context.Context, tx *sql.Tx, answer *Overview) error {
	var sums [aggregator.NumCategories]aggregator.Cell
	for _, s := range r.scope.Segments {
		for row, err := range storage.HeadlineRows(ctx, tx, r.filter(s)) {
			if err == nil {
				err = add(&sums[row.Category], &row.Cell)
			}
			if err != nil {
				return err
			}
		}
	}
	var total aggregator.Cell
	var names []string
	var headline []aggregator.Category
	for c := range aggregator.NumCategories {
		if sums[c].Counters[aggregator.Requests] == 0 {
			continue
		}
		row, err := r.categoryRow(ctx, tx, c.String(), &sums[c], c)
		if err != nil {
			return err
		}
		answer.Rows = append(answer.Rows, *row)
		if slices.Contains(r.meta.Headline, c) {
			names, headline = append(names, c.String()), append(headline, c)
			if err := add(&total, &sums[c]); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(answer.Rows, func(a, b CategoryRow) int {
		if x := slices.Contains(names, a.Category); x != slices.Contains(names, b.Category) {
			return map[bool]int{true: -1, false: 1}[x]
		}
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Category, b.Category))
	})
	if len(names) == 0 {
		return nil
	}
	var err error
	answer.Total, err = r.categoryRow(ctx, tx, strings.Join(names, "+"), &total, headline...)
	return err
}

// categoryRow sums up categories, of which there are requests.
func (r *reading) categoryRow(
	ctx context.Context, tx *sql.Tx, name string, sum *aggregator.Cell, of ...aggregator.Category,
) (*CategoryRow, error) {
	rated, err := r.rated(ctx, tx, of)
	if err != nil {
		return nil, err
	}
	row := newCategoryRow(name, sum)
	row.Seconds, row.RPS = rated.width(), share(row.Requests, rated.width())
	return &row, nil
}

func newCategoryRow(name string, c *aggregator.Cell) CategoryRow {
	requests := c.Counters[aggregator.Requests]
	errors := requests - c.Counters[aggregator.OutcomeCounter(aggregator.OutcomeSuccess)]
	return CategoryRow{
		Category: name, Requests: requests, Errors: errors, ErrorRate: share(errors, requests),
		Injected: c.Counters[aggregator.Injected], Adjusted: float64(c.Counters[aggregator.AdjustedMicro]) / 1e6,
		Latency: newDistribution(&c.Measures[aggregator.MeasureDuration], overviewPercentiles),
		TTFT:    newDistribution(&c.Measures[aggregator.MeasureTimeToFirstToken], overviewPercentiles),
		Usage:   newUsage(c),
	}
}
