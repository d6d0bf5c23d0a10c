package storage

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"
)

// prunedSince is the schema version from which on a file says what has left.
const prunedSince = 5

// PrunedRows says what has left of a relation.
type PrunedRows struct {
	// Relation is buckets, or the table that rows left.
	Relation string
	WidthS   int64 // of buckets; 0 for others
	// CompleteFrom, Unix seconds: what starts earlier may be missing.
	CompleteFrom int64
	Rows         int64
}

// ReadPruned returns what has left a file, by relation and width; nothing for a
// file of an older schema, which does not say.
func ReadPruned(ctx context.Context, q Querier, schema int64) (all []PrunedRows, err error) {
	if schema < prunedSince {
		return nil, nil
	}
	const query = "SELECT relation, width_s, complete_from, rows FROM pruned ORDER BY relation, width_s"
	err = eachRow(ctx, q, query, func(rows *sql.Rows) error {
		var p PrunedRows
		err := rows.Scan(&p.Relation, &p.WidthS, &p.CompleteFrom, &p.Rows)
		all = append(all, p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read pruned: %w", err)
	}
	return all, nil
}

// CompleteFrom returns for each width the Unix second from which on no bucket
// has left; a width that is missing is whole. Of a file of an older schema it is
// what its retention allows to be missing.
func CompleteFrom(ctx context.Context, q Querier, m *Meta) (map[int64]int64, error) {
	from := map[int64]int64{}
	if m.SchemaVersion < prunedSince {
		return from, completeByRetention(ctx, q, m, from)
	}
	all, err := ReadPruned(ctx, q, m.SchemaVersion)
	for _, p := range all {
		if p.Relation == prunedBuckets {
			from[p.WidthS] = p.CompleteFrom
		}
	}
	return from, err
}

func completeByRetention(ctx context.Context, q Querier, m *Meta, from map[int64]int64) error {
	var newest sql.NullInt64
	if err := q.QueryRowContext(ctx, "SELECT max(bucket_start) FROM headline_bucket").Scan(&newest); err != nil || !newest.Valid {
		return err
	}
	for _, w := range m.Widths {
		if kept := int64(w.Retention / time.Second); kept > 0 && newest.Int64 >= math.MinInt64+kept {
			from[w.Seconds] = newest.Int64 - kept
		}
	}
	return nil
}
