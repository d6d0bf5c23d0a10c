package analysis

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// DeadLetters is the answer to: which spans could not be folded?
type DeadLetters struct {
	// Rows in the order in which they came.
	Rows []DeadLetter `json:"rows"`
}

// DeadLetter is a batch, or a part of one, that could not be folded, as the
// relation dead_letters has it, without its spans.
type DeadLetter struct {
	ID       int64  `json:"id"`
	FirstUTC string `json:"first_utc"` // first attempt
	LastUTC  string `json:"last_utc"`  // last attempt
	Attempts int64  `json:"attempts"`
	Reason   string `json:"reason"`
	Error    string `json:"error"`
	Spans    int64  `json:"spans"`
	Due      bool   `json:"due"`   // to be tried again
	Bytes    int64  `json:"bytes"` // of the payload
}

// firstWithLetters is the first schema with dead letters and deduplication.
const firstWithLetters = 4

// AskDeadLetters reads every dead letter of the file.
func AskDeadLetters(ctx context.Context, tx *sql.Tx) (*DeadLetters, error) {
	if err := storage.CheckSchema(ctx, tx, firstWithLetters); err != nil {
		return nil, fmt.Errorf("read dead letters: %w", err)
	}
	const query = `SELECT id, first_utc, last_utc, attempts, reason, error, spans, due, length(payload)
		FROM dead_letters ORDER BY id`
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read dead letters: %w", err)
	}
	defer rows.Close()
	answer := &DeadLetters{Rows: []DeadLetter{}}
	for rows.Next() {
		var l DeadLetter
		if err := rows.Scan(&l.ID, &l.FirstUTC, &l.LastUTC, &l.Attempts, &l.Reason, &l.Error, &l.Spans, &l.Due, &l.Bytes); err != nil {
			return nil, fmt.Errorf("read dead letters: %w", err)
		}
		answer.Rows = append(answer.Rows, l)
	}
	return answer, rows.Err()
}
