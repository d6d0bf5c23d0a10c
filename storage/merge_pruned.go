package storage

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
)

// prunedBuckets is the relation in pruned that stands for all buckets of a
// width.
const prunedBuckets = "buckets"

// completeFrom returns the Unix second from which on no file lacks buckets of a
// width, but for those that were never there.
func (m *merger) completeFrom(ctx context.Context, width int64) (from int64, err error) {
	from = math.MinInt64
	for _, in := range m.files {
		own, err := CompleteFrom(ctx, in.tx, in.meta)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", in.path, err)
		}
		if second, pruned := own[width]; pruned {
			from = max(from, second)
		}
	}
	return from, nil
}

// pinned is what no file has pruned anything of: the runs that are pinned in
// every file that has them.
type pinned struct {
	runs   map[string]bool
	series map[int64]bool
}

func (p *pinned) has(key rawKey) bool { return p.runs[key.run] || p.series[key.series] }

// pinnedSeries finds them, by run for the headline and else by series.
func (m *merger) pinnedSeries(ctx context.Context, t *bucketTable) (p pinned, err error) {
	all := map[string]bool{}
	for _, in := range m.files {
		err := eachRow(ctx, in.tx, "SELECT run_id, pinned FROM run", func(rows *sql.Rows) error {
			var run string
			var pinned bool
			if err := rows.Scan(&run, &pinned); err != nil {
				return err
			}
			before, known := all[run]
			all[run] = pinned && (before || !known)
			return nil
		})
		if err != nil {
			return p, fmt.Errorf("%s: read run: %w", in.path, err)
		}
	}
	if t == headlineTable {
		return pinned{runs: all}, nil
	}
	series := map[int64]bool{}
	// Once: there may be many runs, and series have no index by run.
	err = eachRow(ctx, m.out, "SELECT series_id, run_id FROM series", func(rows *sql.Rows) error {
		var id int64
		var run string
		err := rows.Scan(&id, &run)
		if all[run] {
			series[id] = true
		}
		return err
	})
	if err != nil {
		return p, fmt.Errorf("read series: %w", err)
	}
	return pinned{series: series}, nil
}

// mergedPruned is how pruned is joined.
var mergedPruned = &mergedTable{
	name: "pruned", key: []string{"relation", "width_s"}, columns: []string{"complete_from", "rows"},
	add: func(row, other []any) error {
		row[2] = highestValue(row[2], other[2])
		return sums(3)(row, other)
	},
}

// mergePruned writes what has left the files, and what was left out for it.
func (m *merger) mergePruned(ctx context.Context) error {
	if err := m.mergeTable(ctx, mergedPruned); err != nil {
		return fmt.Errorf("pruned: %w", err)
	}
	for width, rows := range m.leftBuckets {
		const add = "UPDATE pruned SET rows = rows + ? WHERE relation = ? AND width_s = ?"
		if err := m.exec(ctx, add, rows, prunedBuckets, width); err != nil {
			return fmt.Errorf("pruned: %w", err)
		}
	}
	// Of a run that only one file has pinned, others have requests too.
	if err := m.exec(ctx, pinAllProfiles, pinnedNewest); err != nil {
		return fmt.Errorf("write request_profile: %w", err)
	}
	for _, in := range m.files {
		for _, w := range in.meta.Widths {
			if slices.ContainsFunc(m.widths, func(kept Width) bool { return kept.Seconds == w.Seconds }) {
				continue
			}
			const forget = "DELETE FROM pruned WHERE relation = ? AND width_s = ?"
			if err := m.exec(ctx, forget, prunedBuckets, w.Seconds); err != nil {
				return fmt.Errorf("pruned: %w", err)
			}
		}
	}
	return nil
}

// writeMerged names the files that were joined, and those that they were
// joined of.
func (m *merger) writeMerged(ctx context.Context) error {
	for _, in := range m.files {
		for writer, version := range in.inside {
			const insert = "INSERT INTO merged_file (writer_id, version) VALUES (?, ?)"
			if err := m.exec(ctx, insert, writer, version); err != nil {
				return fmt.Errorf("write merged_file: %w", err)
			}
		}
	}
	return nil
}
