package storage

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// CountObjectives returns what the buckets that f selects count for each
// objective. The file must be of a schema with objectives.
func CountObjectives(ctx context.Context, q Querier, f CellFilter) (map[aggregator.ObjectiveID]aggregator.ObjectiveCount, error) {
	where, args := f.Condition(false)
	counts := map[aggregator.ObjectiveID]aggregator.ObjectiveCount{}
	// The index of the buckets is all that is read of them.
	query := "SELECT n.slo_id, sum(n.good), sum(n.total) FROM headline_bucket AS b CROSS JOIN slo_bucket AS n ON n.bucket_id = b.id WHERE " +
		where + " GROUP BY n.slo_id"
	err := eachRow(ctx, q, query, func(rows *sql.Rows) error {
		var id aggregator.ObjectiveID
		var n aggregator.ObjectiveCount
		if err := rows.Scan((*int64)(&id), &n.Good, &n.Total); err != nil {
			return err
		}
		counts[id] = n
		return nil
	}, args...)
	if err != nil {
		return nil, fmt.Errorf("read slo_bucket: %w", err)
	}
	return counts, nil
}
