package storage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// mergeObjective is the add of slo: what is counted is the same, and of the
// shares that are aimed at the last configured one wins.
func mergeObjective(row, other []any) error {
	const objective, configured, since, completeFrom = 7, 8, 9, 10
	for i := range row[:objective] {
		if row[i] != other[i] {
			return fmt.Errorf("%w: it stands for %v in one file and for %v in another", ErrNotMergeable, row[1:objective], other[1:objective])
		}
	}
	if cmp.Or(compareValues(other[since], row[since]), compareValues(other[objective], row[objective])) > 0 {
		row[since], row[objective] = other[since], other[objective]
	}
	row[configured] = highestValue(row[configured], other[configured])
	row[completeFrom] = highestValue(row[completeFrom], other[completeFrom])
	return nil
}

// completeObjectives notes which spans some file did not count for an objective:
// those of a file that does not have it, or no longer counts for it.
func (m *merger) completeObjectives(ctx context.Context) error {
	for _, in := range m.files {
		all, err := ReadObjectives(ctx, in.tx)
		if err != nil {
			return fmt.Errorf("%s: %w", in.path, err)
		}
		var end int64
		if err := in.tx.QueryRowContext(ctx, newestEnd, in.meta.Widths[0].Seconds).Scan(&end); err != nil {
			return fmt.Errorf("%s: read buckets: %w", in.path, err)
		}
		counting := map[aggregator.ObjectiveID]bool{}
		for i := range all {
			counting[all[i].ID] = all[i].Configured
		}
		merged, err := ReadObjectives(ctx, m.out)
		if err != nil {
			return err
		}
		for i := range merged {
			if counting[merged[i].ID] {
				continue
			}
			const raise = "UPDATE slo SET complete_from = max(complete_from, ?) WHERE slo_id = ?"
			if err := m.exec(ctx, raise, end, int64(merged[i].ID)); err != nil {
				return fmt.Errorf("write slo: %w", err)
			}
		}
	}
	return nil
}

// countsMerger adds up what the buckets of several files count for objectives.
type countsMerger struct {
	read          []*sql.Stmt // of each file; nil: it counts for none
	insert        *sql.Stmt
	sums          map[aggregator.ObjectiveID]aggregator.ObjectiveCount // of the present bucket
	rows, written int64
}

func (m *merger) newCountsMerger(ctx context.Context, t *bucketTable) (_ *countsMerger, err error) {
	c := &countsMerger{read: make([]*sql.Stmt, len(m.files)), sums: map[aggregator.ObjectiveID]aggregator.ObjectiveCount{}}
	if t.counted == "" {
		return c, nil
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	for i, in := range m.files {
		var any bool
		if err := in.tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM slo_bucket)").Scan(&any); err != nil {
			return nil, fmt.Errorf("%s: read slo_bucket: %w", in.path, err)
		}
		if !any {
			continue
		}
		//nolint:sqlclosecheck // close does
		if c.read[i], err = in.tx.PrepareContext(ctx, "SELECT slo_id, good, total FROM slo_bucket WHERE bucket_id = ?"); err != nil {
			return nil, fmt.Errorf("%s: read slo_bucket: %w", in.path, err)
		}
	}
	c.insert, err = m.out.PrepareContext(ctx, "INSERT INTO slo_bucket (bucket_id, slo_id, good, total) VALUES (?, ?, ?, ?)")
	return c, err
}

func (c *countsMerger) close() error {
	var errs []error
	for _, s := range append(c.read, c.insert) {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// add adds what a bucket of a file counts; wanted is false for one that is left
// out.
func (c *countsMerger) add(ctx context.Context, file int, bucketID int64, wanted bool) (err error) {
	if c.read[file] == nil {
		return nil
	}
	rows, err := c.read[file].QueryContext(ctx, bucketID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id aggregator.ObjectiveID
		var n aggregator.ObjectiveCount
		if err := rows.Scan((*int64)(&id), &n.Good, &n.Total); err != nil {
			return err
		}
		if c.rows++; !wanted {
			continue
		}
		// What counts is at most the requests of the bucket, which fit.
		sum := c.sums[id]
		c.sums[id] = aggregator.ObjectiveCount{Good: sum.Good + n.Good, Total: sum.Total + n.Total}
	}
	return rows.Err()
}

// write writes the sums for a bucket of the new file.
func (c *countsMerger) write(ctx context.Context, bucketID int64) error {
	for id, n := range c.sums {
		if _, err := c.insert.ExecContext(ctx, bucketID, int64(id), n.Good, n.Total); err != nil {
			return fmt.Errorf("slo_bucket: %w", err)
		}
	}
	c.written += int64(len(c.sums))
	clear(c.sums)
	return nil
}
