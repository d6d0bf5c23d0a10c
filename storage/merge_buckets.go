package storage

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// bucketCursor reads the rows of one width of a bucket table of one file.
type bucketCursor struct {
	rows *sql.Rows
	row  *rawRow // the present one; nil at the end
}

func (c *bucketCursor) next() error {
	if !c.rows.Next() {
		c.row = nil
		return c.rows.Err()
	}
	return c.rows.Scan(c.row.into...)
}

func (c *bucketCursor) compare(o *bucketCursor) int {
	return cmp.Or(cmp.Compare(c.row.start, o.row.start), c.row.key().compare(o.row.key()))
}

// mergeBuckets joins both bucket tables, one width after the other.
func (m *merger) mergeBuckets(ctx context.Context) error {
	for _, t := range []*bucketTable{headlineTable, seriesTable} {
		if err := m.mergeBucketTable(ctx, t); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}

func (m *merger) mergeBucketTable(ctx context.Context, t *bucketTable) (err error) {
	out, err := prepareTable(ctx, m.out, t)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.close()) }()
	m.countRows(t.name, 0, 0)
	b := &bucketMerger{merger: m, table: t, out: out}
	if b.counts, err = m.newCountsMerger(ctx, t); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.counts.close()) }()
	if b.kept, err = m.pinnedSeries(ctx, t); err != nil {
		return err
	}
	for _, w := range m.widths {
		if t == seriesTable && w.Detail != DetailSeries {
			continue
		}
		if b.completeFrom, err = m.completeFrom(ctx, w.Seconds); err != nil {
			return err
		}
		if err := b.mergeWidth(ctx, w.Seconds); err != nil {
			return err
		}
	}
	if err := m.leaveOutWidths(ctx, t); err != nil || t.counted == "" {
		return err
	}
	m.countRows(t.counted, b.counts.rows, b.counts.written)
	return nil
}

// leaveOutWidths counts the rows of widths that not all files keep.
func (m *merger) leaveOutWidths(ctx context.Context, t *bucketTable) error {
	kept := map[int64]bool{}
	for _, w := range m.widths {
		kept[w.Seconds] = t == headlineTable || w.Detail == DetailSeries
	}
	for _, in := range m.files {
		for _, w := range in.meta.Widths {
			if kept[w.Seconds] {
				continue
			}
			var rows int64
			query := "SELECT count(*) FROM " + t.name + " WHERE width_s = ?"
			if err := in.tx.QueryRowContext(ctx, query, w.Seconds).Scan(&rows); err != nil {
				return err
			}
			m.countRows(t.name, rows, 0)
			m.progress(rows)
			m.leaveOut(t.name, w.Seconds, rows, LeftWidth)
		}
	}
	return nil
}

// bucketMerger joins one bucket table.
type bucketMerger struct {
	*merger
	table *bucketTable
	out   *tableStatements
	id    int64 // of the row before
	// counts are those of the present row for objectives.
	counts *countsMerger
	// completeFrom: buckets that start earlier, Unix seconds, may be missing in
	// some file, and are left out of all but for what is of runs in kept.
	completeFrom int64
	kept         pinned
}

func (b *bucketMerger) mergeWidth(ctx context.Context, width int64) (err error) {
	order := "b.width_s = ? ORDER BY b.bucket_start, b.series_id"
	if b.table == headlineTable {
		order = "b.width_s = ? ORDER BY b.bucket_start, b.run_id, b.category"
	}
	var cursors []*bucketCursor
	defer func() {
		for _, c := range cursors {
			err = errors.Join(err, c.rows.Close())
		}
	}()
	for _, in := range b.files {
		rows, err := in.tx.QueryContext(ctx, b.table.rawSQL(order), width) //nolint:rowserrcheck // next does
		if err != nil {
			return err
		}
		c := &bucketCursor{rows: rows, row: newRawRow(b.table)}
		cursors = append(cursors, c)
		if err := c.next(); err != nil {
			return fmt.Errorf("%s: %w", in.path, err)
		}
	}
	left := int64(0)
	for {
		first := -1
		for i, c := range cursors {
			if c.row != nil && (first < 0 || c.compare(cursors[first]) < 0) {
				first = i
			}
		}
		if first < 0 {
			break
		}
		if err := b.mergeRow(ctx, cursors, first, &left); err != nil {
			return err
		}
	}
	b.leaveOut(b.table.name, width, left, LeftPruned)
	b.leftBuckets[width] += left
	return nil
}

// mergeRow adds up the rows that have the key of the one at first, and goes on.
func (b *bucketMerger) mergeRow(ctx context.Context, cursors []*bucketCursor, first int, left *int64) error {
	key, start := cursors[first].row.key(), cursors[first].row.start
	wanted := start >= b.completeFrom || b.kept.has(key)
	row := liveRow{bucket: bucketKey{b.table, cursors[first].row.width, start}}
	row.key = rowKey{run: key.run, series: aggregator.SeriesID(key.series)}
	if b.table == headlineTable {
		var known bool
		if row.key.category, known = aggregator.ParseCategory(key.category); !known {
			return fmt.Errorf("%s: unknown category: %w", cursors[first].row.rowName(), errDamaged)
		}
	}
	for i, c := range cursors[first:] {
		if c.row == nil || c.row.start != start || c.row.key().compare(key) != 0 {
			continue
		}
		b.progress(1)
		b.countRows(b.table.name, 1, 0)
		if wanted {
			if err := addRow(&row.cell, c.row); err != nil {
				return fmt.Errorf("%s: %s: %w", b.files[first+i].path, c.row.rowName(), err)
			}
		} else {
			*left++
		}
		if err := b.counts.add(ctx, first+i, c.row.id, wanted); err != nil {
			return fmt.Errorf("%s: slo_bucket: %w", b.files[first+i].path, err)
		}
		if err := c.next(); err != nil {
			return fmt.Errorf("%s: %w", b.files[first+i].path, err)
		}
	}
	if !wanted {
		return nil
	}
	b.id++
	row.id = b.id
	b.countRows(b.table.name, 0, 1)
	if err := b.out.write(ctx, &row, mergedVersion); err != nil {
		return err
	}
	return b.counts.write(ctx, b.id)
}

// addRow adds a row of a file to a cell.
func addRow(sum *aggregator.Cell, r *rawRow) error {
	if !r.histograms.Valid {
		return fmt.Errorf("has no row in %s: %w", r.table.histograms, errDamaged)
	}
	cell, err := r.cell()
	if err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return sum.Add(&cell)
}
