package analysis

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// Kept says how far the rows of single requests stand for all requests of an
// interval.
type Kept struct {
	// Complete: every request of the interval has a row that stands for it
	// alone. Otherwise rows are a sample (the weight of a row says how many
	// requests it stands for), or some have left.
	Complete bool `json:"complete"`
	// CompleteFromUTC is the start, rounded up to a second, from which on that
	// is so; nil: from the beginning, or not known.
	CompleteFromUTC *string `json:"complete_from_utc"`
	// Estimable: every request of the interval had a chance to have a row, so
	// that sums over rows, each times its weight, estimate all of them.
	Estimable bool `json:"estimable"`
}

// firstWithRequests is the first schema with rows of single requests,
// firstWithWeights the first that says which of them are a sample.
const firstWithRequests, firstWithWeights = 2, 5

// readKept says it for requests that start at fromNS, Unix nanoseconds, or
// later.
func (r *reading) readKept(ctx context.Context, tx *sql.Tx, fromNS int64) (k Kept, err error) {
	if r.meta.SchemaVersion < firstWithWeights {
		return k, nil // it does not say
	}
	complete, err := metaNumber(ctx, tx, "requests_complete_from_ns")
	if err != nil {
		return k, err
	}
	estimable, err := metaNumber(ctx, tx, "requests_estimable_from_ns")
	if err != nil {
		return k, err
	}
	k.Complete = complete == nil || *complete <= fromNS
	k.Estimable = estimable == nil || *estimable <= fromNS
	if complete != nil {
		k.CompleteFromUTC = utc((*complete-1)/1e9 + 1)
	}
	pruned, err := storage.ReadPruned(ctx, tx, r.meta.SchemaVersion)
	for _, p := range pruned {
		// What has left stands for nothing any more.
		if p.Relation == "request" && p.CompleteFrom > fromNS/1e9 {
			k.Estimable = false
		}
	}
	return k, err
}

// metaNumber reads an integer from meta; nil where the key is missing.
func metaNumber(ctx context.Context, tx *sql.Tx, key string) (*int64, error) {
	var text string
	err := tx.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = ?", key).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read meta: %w", err)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read meta: %s: %q is not an integer", key, text)
	}
	return &n, nil
}
