package analysis

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// ChaosResults is the answer to: which tests passed?
type ChaosResults struct {
	Scope
	// CompleteFromUTC: results from before may have been deleted; nil: none was.
	CompleteFromUTC *string `json:"complete_from_utc"`
	// Rows in the order of their start.
	Rows   []ChaosResult `json:"rows"`
	Passed int64         `json:"passed"`
	Failed int64         `json:"failed"`
}

// ChaosResult is what came of a test, as the relation chaos_results has it.
type ChaosResult struct {
	RunID      string   `json:"run_id"`
	Suite      *string  `json:"suite"` // nil: not said
	Name       string   `json:"name"`
	Passed     bool     `json:"passed"`
	Expected   *string  `json:"expected"` // the rule by which it passes; nil: not said
	Actual     *string  `json:"actual"`   // what was seen; nil: not said
	DurationMS *float64 `json:"duration_ms"`
	Error      *string  `json:"error"`
	AtUTC      string   `json:"at_utc"`
	TraceID    *string  `json:"trace_id"`
}

// AskChaosResults answers from the tests that began in the interval. In a file
// of a schema without them it returns storage.ErrOlder.
func AskChaosResults(ctx context.Context, tx *sql.Tx, q Query) (*ChaosResults, error) {
	const firstWithResults = 6 // schema
	if err := storage.CheckSchema(ctx, tx, firstWithResults); err != nil {
		return nil, fmt.Errorf("chaos results: %w", err)
	}
	q.IncludeOpen = true // a result stands by itself: nothing that comes later changes it
	r, err := newActivityReading(ctx, tx, q)
	if err != nil {
		return nil, fmt.Errorf("chaos results: %w", err)
	}
	answer := &ChaosResults{Scope: r.scope, CompleteFromUTC: r.completeFrom, Rows: []ChaosResult{}}
	const query = `SELECT run_id, suite, name, passed, expected, actual, duration_ms, error, at_utc, trace_id FROM chaos_results
		WHERE at_ns >= ?1 AND at_ns < ?2 AND (?3 IS NULL OR run_id = ?3) ORDER BY at_ns, run_id, name, span_id, trace_id`
	rows, err := tx.QueryContext(ctx, query, r.from, r.to, q.Run)
	if err != nil {
		return nil, fmt.Errorf("chaos results: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var c ChaosResult
		err := rows.Scan(&c.RunID, &c.Suite, &c.Name, &c.Passed, &c.Expected, &c.Actual, &c.DurationMS, &c.Error, &c.AtUTC, &c.TraceID)
		if err != nil {
			return nil, fmt.Errorf("chaos results: %w", err)
		}
		if c.Passed {
			answer.Passed++
		} else {
			answer.Failed++
		}
		answer.Rows = append(answer.Rows, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("chaos results: %w", err)
	}
	return answer, nil
}
