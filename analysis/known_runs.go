package analysis

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// maxNamedRuns is how many runs are named where one is not there.
const maxNamedRuns = 10

// CheckRun returns a QueryError for a run that the file does not have: it names
// those that it has, the newest first.
func CheckRun(ctx context.Context, q storage.Querier, run string) error {
	var known bool
	if err := q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM run WHERE run_id = ?)", run).Scan(&known); err != nil {
		return fmt.Errorf("look up run: %w", err)
	}
	if known {
		return nil
	}
	rows, err := q.QueryContext(ctx, "SELECT run_id, (SELECT count(*) FROM run) FROM run ORDER BY first_ns IS NULL, first_ns DESC, run_id LIMIT ?", maxNamedRuns)
	if err != nil {
		return fmt.Errorf("look up runs: %w", err)
	}
	defer rows.Close()
	var names []string
	var all int
	for rows.Next() {
		var id string
		if err := rows.Scan(&id, &all); err != nil {
			return fmt.Errorf("look up runs: %w", err)
		}
		if id == "" {
			id = `""`
		}
		names = append(names, id)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("look up runs: %w", err)
	}
	rule := "the file has no runs"
	if len(names) > 0 {
		rule = "the file has no such run; it has " + strings.Join(names, ", ")
	}
	if more := all - len(names); more > 0 {
		rule += fmt.Sprintf(" and %d more", more)
	}
	return &QueryError{Part: "run", Value: strconv.Quote(run), Rule: rule}
}
