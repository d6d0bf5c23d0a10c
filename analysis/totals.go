package analysis

import (
	"context"
	"database/sql"
	"fmt"
)

// Totals sums up an interval by category.
type Totals struct {
	Scope
	Rows []CategoryRow `json:"rows"` // as those of Overview
	// Headline sums up the headline categories; nil where they have no spans.
	Headline *CategoryRow `json:"headline"`
}

// AskTotals answers with the figures of AskOverview alone, which is much less to
// read. Without q.Categories it covers all of them.
func AskTotals(ctx context.Context, tx *sql.Tx, q Query) (*Totals, error) {
	r, err := newReading(ctx, tx, q, false)
	if err == nil {
		err = r.choose(ctx, tx, q.Categories)
	}
	sums := &Overview{Rows: []CategoryRow{}}
	if err == nil {
		err = r.readCategories(ctx, tx, sums)
	}
	if err != nil {
		return nil, fmt.Errorf("totals: %w", err)
	}
	return &Totals{Scope: r.scope, Rows: sums.Rows, Headline: sums.Total}, nil
}
