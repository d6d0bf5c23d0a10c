package analysis

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// FaultWindows is the answer to: when were faults injected?
type FaultWindows struct {
	// Rows in the order of their start.
	Rows []FaultWindow `json:"rows"`
}

// FaultWindow is an interval in which a fault was injected, as the relation
// fault_windows has it.
type FaultWindow struct {
	WindowID string  `json:"window_id"`
	RunID    string  `json:"run_id"` // empty: any, or spans outside any
	Fault    string  `json:"fault"`
	Target   *string `json:"target"`
	StartUTC string  `json:"start_utc"`
	EndUTC   string  `json:"end_utc"`
	StartNS  int64   `json:"start_ns"`
	EndNS    int64   `json:"end_ns"`
	// Source tells who says so: requests, injector, config or import.
	Source       string  `json:"source"`
	ExperimentID *string `json:"experiment_id"`
	Requests     int64   `json:"requests"` // that it touched
	// MarkedSpans counts all spans that it marked, those that are no requests
	// too, and MarkedCategories are theirs, ascending; nil in a file of a schema
	// that does not tell.
	MarkedSpans      *int64   `json:"spans_marked"`
	MarkedCategories []string `json:"marked_categories"`
}

// AskFaultWindows reads every fault window of the file.
func AskFaultWindows(ctx context.Context, tx *sql.Tx) (*FaultWindows, error) {
	const firstWithWindows = 3 // schema
	if err := storage.CheckSchema(ctx, tx, firstWithWindows); err != nil {
		return nil, fmt.Errorf("read fault windows: %w", err)
	}
	meta, err := storage.ReadMeta(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("read fault windows: %w", err)
	}
	if meta.SchemaVersion >= firstWithWeights {
		rows, err := readFaultWindows(ctx, tx, meta.Headline)
		return &FaultWindows{Rows: rows}, err
	}
	const query = `SELECT window_id, run_id, fault, target, start_utc, end_utc, start_ns, end_ns, source, experiment_id, requests
		FROM fault_windows ORDER BY start_ns, end_ns, window_id`
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read fault windows: %w", err)
	}
	defer rows.Close()
	answer := &FaultWindows{Rows: []FaultWindow{}}
	for rows.Next() {
		var w FaultWindow
		err := rows.Scan(&w.WindowID, &w.RunID, &w.Fault, &w.Target, &w.StartUTC, &w.EndUTC, &w.StartNS, &w.EndNS,
			&w.Source, &w.ExperimentID, &w.Requests)
		if err != nil {
			return nil, fmt.Errorf("read fault windows: %w", err)
		}
		answer.Rows = append(answer.Rows, w)
	}
	return answer, rows.Err()
}
