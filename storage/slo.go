package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// objectivesSince is the first schema version with objectives.
const objectivesSince = 6

// StoredObjective is an objective that a file has.
type StoredObjective struct {
	aggregator.Objective
	ID aggregator.ObjectiveID
	// Configured: the last collector that opened the file counts for it.
	Configured bool
	// SinceUnix is since when it is, or is not, configured so.
	SinceUnix int64
	// CompleteFromUnix: of spans that start earlier some may not have been
	// counted, as it was not configured yet; 0: all were.
	CompleteFromUnix int64
}

// ReadObjectives returns every objective that a file has, by name, those that
// are configured first; nothing for a file of an older schema.
func ReadObjectives(ctx context.Context, q Querier) (all []StoredObjective, err error) {
	if err := CheckSchema(ctx, q, objectivesSince); errors.Is(err, ErrOlder) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	const query = `SELECT slo_id, name, category, coalesce(service, ''), coalesce(operation, ''), coalesce(model, ''),
		coalesce(latency_ns, 0), objective_nano, configured, since_s, complete_from FROM slo ORDER BY name, configured DESC, since_s DESC, slo_id`
	err = eachRow(ctx, q, query, func(rows *sql.Rows) error {
		var s StoredObjective
		var category string
		if err := rows.Scan((*int64)(&s.ID), &s.Name, &category, &s.Service, &s.Operation, &s.Model, &s.LatencyNano, &s.TargetNano,
			&s.Configured, &s.SinceUnix, &s.CompleteFromUnix); err != nil {
			return err
		}
		var known bool
		if s.Category, known = aggregator.ParseCategory(category); !known {
			return fmt.Errorf("objective %d: unknown category %q", s.ID, category)
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read slo: %w", err)
	}
	return all, nil
}

// configured returns the objectives that a file is to be counted for.
func configured(all []StoredObjective) (objectives []aggregator.Objective) {
	for i := range all {
		if all[i].Configured {
			objectives = append(objectives, all[i].Objective)
		}
	}
	return objectives
}

// newestEnd is the end of the newest bucket of a width, 0 where there is none.
const newestEnd = "SELECT coalesce(max(bucket_start) + ?1, 0) FROM headline_bucket WHERE width_s = ?1"

// describeObjectives says which objectives are configured. What was counted for
// others stays.
func describeObjectives(ctx context.Context, conn *sql.Conn, o *Options) error {
	stored, err := ReadObjectives(ctx, conn)
	if err != nil {
		return err
	}
	var end int64
	if err := conn.QueryRowContext(ctx, newestEnd, o.Widths[0].Seconds).Scan(&end); err != nil {
		return fmt.Errorf("read buckets: %w", err)
	}
	now, wanted := o.Now().Unix(), map[aggregator.ObjectiveID]bool{}
	for i := range o.Objectives {
		j := &o.Objectives[i]
		wanted[j.ID()] = true
		if _, err := conn.ExecContext(ctx, configureObjective, configureArgs(j, now, end)...); err != nil {
			return fmt.Errorf("write slo: %w", err)
		}
	}
	for i := range stored {
		if !stored[i].Configured || wanted[stored[i].ID] {
			continue
		}
		if _, err := conn.ExecContext(ctx, retireObjective, int64(stored[i].ID), now); err != nil {
			return fmt.Errorf("write slo: %w", err)
		}
	}
	if _, err := conn.ExecContext(ctx, forgetObjectives, maxRetiredObjectives); err != nil {
		return fmt.Errorf("delete slo: %w", err)
	}
	return nil
}

// configureArgs are those of configureObjective: as of now, and in front of
// which spans may have come before, both Unix seconds.
func configureArgs(j *aggregator.Objective, now, completeFrom int64) []any {
	return []any{
		int64(j.ID()), j.Name, j.Category.String(), zeroAsNull(j.Service), zeroAsNull(j.Operation), zeroAsNull(j.Model), zeroAsNull(j.LatencyNano),
		j.TargetNano, now, completeFrom,
	}
}

const (
	// configureObjective begins to count for an objective, or goes on; or aims at
	// another share.
	configureObjective = `INSERT INTO slo
		(slo_id, name, category, service, operation, model, latency_ns, objective_nano, configured, since_s, complete_from)
		VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, ?9, ?10)
		ON CONFLICT (slo_id) DO UPDATE SET objective_nano = ?8, configured = 1, since_s = ?9,
			complete_from = CASE WHEN configured THEN complete_from ELSE max(complete_from, ?10) END
		WHERE NOT configured OR objective_nano <> ?8`
	retireObjective = "UPDATE slo SET configured = 0, since_s = ?2 WHERE slo_id = ?1"
	// forgetObjectives forgets those that nothing is counted for any more, once
	// there are so many that are not configured.
	forgetObjectives = `DELETE FROM slo WHERE NOT configured AND (SELECT count(*) FROM slo WHERE NOT configured) > ?1
		AND NOT EXISTS (SELECT 1 FROM slo_bucket AS b WHERE b.slo_id = slo.slo_id)`
	maxRetiredObjectives = 100
)

// zeroAsNull returns a value, NULL for the zero value.
func zeroAsNull[T comparable](value T) any {
	var zero T
	if value == zero {
		return nil
	}
	return value
}

// countedRow names a row of slo_bucket.
type countedRow struct {
	bucketID  int64
	objective aggregator.ObjectiveID
}

// countObjectives notes what a delta counts for objectives, where its cells went.
func (w *writer) countObjectives(d *aggregator.Delta, additions []addition) {
	for i := range additions {
		a := &additions[i]
		if a.head == nil {
			continue
		}
		for id, n := range d.ObjectiveCounts(a.head) {
			row := countedRow{a.row.id, id}
			sum := w.pending.counted[row]
			w.pending.counted[row] = aggregator.ObjectiveCount{Good: sum.Good + n.Good, Total: sum.Total + n.Total}
		}
	}
}

// flushObjectives writes what is counted for objectives. The rows it refers to
// are written.
func (w *writer) flushObjectives(ctx context.Context) error {
	if len(w.pending.counted) == 0 {
		return nil
	}
	if err := w.restoreObjectives(ctx); err != nil {
		return err
	}
	const add = `INSERT INTO slo_bucket (bucket_id, slo_id, good, total) VALUES (?, ?, ?, ?)
		ON CONFLICT (bucket_id, slo_id) DO UPDATE SET good = good + excluded.good, total = total + excluded.total`
	for row, n := range w.pending.counted {
		if err := w.exec(ctx, add, row.bucketID, int64(row.objective), n.Good, n.Total); err != nil {
			return fmt.Errorf("write slo_bucket: %w", err)
		}
	}
	clear(w.pending.counted)
	return nil
}

// restoreObjectives writes those that are counted for and that the file does not
// have: somebody may have changed the table, and no commit must fail for that.
func (w *writer) restoreObjectives(ctx context.Context) error {
	for _, j := range w.lostObjectives {
		var end int64
		if err := w.scanOne(ctx, &end, newestEnd, w.finest.Headline); err != nil {
			return fmt.Errorf("read buckets: %w", err)
		}
		if err := w.exec(ctx, configureObjective, configureArgs(j, w.now, end)...); err != nil {
			return fmt.Errorf("write slo: %w", err)
		}
	}
	w.lostObjectives = nil
	return nil
}

// loadObjectives finds those of restoreObjectives.
func (w *writer) loadObjectives(ctx context.Context) error {
	known := map[int64]bool{}
	err := eachRow(ctx, w.conn, "SELECT slo_id FROM slo", func(rows *sql.Rows) error {
		var id int64
		err := rows.Scan(&id)
		known[id] = true
		return err
	})
	if err != nil {
		return fmt.Errorf("slo: %w", err)
	}
	w.lostObjectives = nil
	for i := range w.options.Objectives {
		if j := &w.options.Objectives[i]; !known[int64(j.ID())] {
			w.lostObjectives = append(w.lostObjectives, j)
		}
	}
	return nil
}
