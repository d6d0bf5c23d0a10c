package analysis

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Runs is the answer to: which test runs does the file have?
type Runs struct {
	// Open is the run that spans without one of their own belong to; nil: none
	// was opened.
	Open *string `json:"open_run"`
	// Rows in the order of their start; those without spans last.
	Rows []RunRow `json:"rows"`
}

// RunRow is a run, as the relation runs has it.
type RunRow struct {
	Run
	Open       bool    `json:"open"`
	Spans      int64   `json:"spans"` // of all categories
	Pinned     bool    `json:"pinned"`
	Mode       *string `json:"mode"`
	Profile    *string `json:"profile"`
	Preset     *string `json:"preset"`
	ConfigJSON *string `json:"config_json"`
	Attributes *string `json:"attributes"`
}

// AskRuns reads every run of the file.
func AskRuns(ctx context.Context, tx *sql.Tx) (*Runs, error) {
	answer := &Runs{Rows: []RunRow{}}
	err := tx.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'open_run'").Scan(&answer.Open)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read runs: %w", err)
	}
	const query = `SELECT run_id, name, first_utc, last_utc, first_ns, last_ns, requests, coalesce(run_id = ?, 0),
			(SELECT coalesce(sum(spans), 0) FROM run_category AS c WHERE c.run_id = runs.run_id),
			pinned, mode, profile, preset, config_json, attributes
		FROM runs ORDER BY first_ns IS NULL, first_ns, run_id`
	rows, err := tx.QueryContext(ctx, query, answer.Open)
	if err != nil {
		return nil, fmt.Errorf("read runs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r RunRow
		err := rows.Scan(&r.RunID, &r.Name, &r.FirstUTC, &r.LastUTC, &r.FirstNS, &r.LastNS, &r.Requests, &r.Open,
			&r.Spans, &r.Pinned, &r.Mode, &r.Profile, &r.Preset, &r.ConfigJSON, &r.Attributes)
		if err != nil {
			return nil, fmt.Errorf("read runs: %w", err)
		}
		answer.Rows = append(answer.Rows, r)
	}
	return answer, rows.Err()
}
