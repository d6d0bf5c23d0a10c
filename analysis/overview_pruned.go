package analysis

import (
	"context"
	"database/sql"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// Pruned says what has left of a relation by age, number or size.
type Pruned struct {
	// Relation is buckets, or the table that rows left.
	Relation string `json:"relation"`
	WidthS   int64  `json:"width_s"` // of buckets; 0 for others
	// CompleteFrom, Unix seconds: what starts earlier may be missing.
	CompleteFrom    int64  `json:"complete_from"`
	CompleteFromUTC string `json:"complete_from_utc"`
	Rows            int64  `json:"rows"` // that have left
}

func (r *reading) readPruned(ctx context.Context, tx *sql.Tx, answer *Overview) error {
	all, err := storage.ReadPruned(ctx, tx, r.meta.SchemaVersion)
	for _, p := range all {
		answer.Pruned = append(answer.Pruned, Pruned{
			p.Relation, p.WidthS, p.CompleteFrom, *utc(p.CompleteFrom), p.Rows,
		})
	}
	return err
}
