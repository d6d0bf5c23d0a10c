package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// bucketRange names the rows of one width in one of the two tables.
type bucketRange struct {
	table *bucketTable
	width int64 // seconds
}

// bucketPlace is a row, by its bucket and the columns of bucketTable.keys: all
// rows up to it were looked at.
type bucketPlace struct {
	start int64
	keys  []any
}

// bucketTask removes the buckets of a range that begin before an instant.
type bucketTask struct {
	bucketRange
	before int64 // Unix seconds
	found  bool  // there was something to look at
}

func (*bucketTask) unreferenced() bool { return false }

// planBuckets finds the buckets that are older than they may be. Only whole
// ones leave.
func (p *pruner) planBuckets(ctx context.Context, conn *sql.Conn, now int64) (tasks []pruneTask, err error) {
	age, ok, err := ageOf(ctx, conn, p.bounds.Widths, now)
	if err != nil || !ok {
		return nil, err
	}
	for _, w := range p.bounds.Widths {
		before := int64(math.MinInt64)
		if oldest := secondsBefore(age, w.Retention); oldest > math.MinInt64+w.Seconds {
			before = aggregator.BucketStart(oldest, w.Seconds)
		}
		// A bucket that has begun to leave leaves whole.
		if from, pruned := p.completeFrom[w.Seconds]; pruned {
			before = max(before, from)
		}
		for _, t := range w.tables() {
			task := &bucketTask{bucketRange: bucketRange{t, w.Seconds}, before: before}
			due, err := p.anyBefore(ctx, conn, task)
			if err != nil {
				return nil, err
			}
			if due {
				tasks = append(tasks, task)
			}
		}
	}
	return tasks, nil
}

// tables are those that have buckets of the width.
func (w Width) tables() []*bucketTable {
	if w.Detail == DetailSeries {
		return []*bucketTable{seriesTable, headlineTable}
	}
	return []*bucketTable{headlineTable}
}

func (p *pruner) cursor(r bucketRange) bucketPlace {
	if c, ok := p.cursors[r]; ok {
		return c
	}
	return before(r.table, math.MinInt64)
}

// before is a cursor in front of all rows from start on.
func before(t *bucketTable, start int64) bucketPlace {
	if t == headlineTable {
		return bucketPlace{start, []any{"", ""}}
	}
	return bucketPlace{start, []any{int64(math.MinInt64)}}
}

// lookAgain makes sure that rows are looked at that came after the others of
// their time.
func (p *pruner) lookAgain(r bucketRange, start int64) {
	if c, ok := p.cursors[r]; ok && c.start >= start {
		p.cursors[r] = before(r.table, start)
	}
}

// afterCursor is the condition for rows behind a cursor and before an instant.
func (t *bucketTable) afterCursor() string {
	keys := strings.Join(t.keys, ", b.")
	return "b.width_s = ? AND (b.bucket_start, b." + keys + ") > (?" + strings.Repeat(", ?", len(t.keys)) + ") AND b.bucket_start < ?"
}

func (b *bucketTask) args(c bucketPlace) []any {
	return append(append([]any{b.width, c.start}, c.keys...), b.before)
}

func (p *pruner) anyBefore(ctx context.Context, q Querier, b *bucketTask) (found bool, err error) {
	query := "SELECT EXISTS (SELECT 1 FROM " + b.table.name + " AS b WHERE " + b.table.afterCursor() + ")"
	if err := q.QueryRowContext(ctx, query, b.args(p.cursor(b.bucketRange))...).Scan(&found); err != nil {
		return false, fmt.Errorf("look up old buckets of %d s in %s: %w", b.width, b.table.name, err)
	}
	return found, nil
}

// pinnedSQL is true for rows of pinned runs.
func (t *bucketTable) pinnedSQL() string {
	if t == headlineTable {
		return "EXISTS (SELECT 1 FROM run AS r WHERE r.run_id = b.run_id AND r.pinned)"
	}
	return "EXISTS (SELECT 1 FROM series AS s JOIN run AS r ON r.run_id = s.run_id WHERE s.series_id = b.series_id AND r.pinned)"
}

// chunk removes rows of the oldest buckets. From the first row on its bucket,
// and with it all before, may be incomplete, and the writer adds no more to
// them.
func (b *bucketTask) chunk(ctx context.Context, t *pruneTx) (done bool, err error) {
	cursor := t.pruner.cursor(b.bucketRange)
	leave, looked, cursor, err := b.look(ctx, t, cursor)
	if err != nil {
		return false, err
	}
	if looked == 0 && !b.found {
		return true, nil
	}
	b.found = true
	text, err := json.Marshal(leave)
	if err != nil {
		return false, err
	}
	var rows int64
	if len(leave) > 0 {
		const those = " IN (SELECT value FROM json_each(?))"
		for _, part := range b.table.parts() {
			if _, err := t.exec(ctx, "DELETE FROM "+part+" WHERE bucket_id"+those, string(text)); err != nil {
				return false, fmt.Errorf("delete %s: %w", part, err)
			}
		}
		if rows, err = t.exec(ctx, "DELETE FROM "+b.table.name+" WHERE id"+those, string(text)); err != nil {
			return false, fmt.Errorf("delete %s: %w", b.table.name, err)
		}
	}
	done = looked < pruneChunk
	return done, t.moveOn(ctx, b, cursor, done, rows)
}

// look returns the ids of the next rows that are to leave, how many rows it
// looked at, and the last of them.
func (b *bucketTask) look(
	ctx context.Context, t *pruneTx, c bucketPlace,
) (leave []int64, looked int, last bucketPlace, err error) {
	keys := strings.Join(b.table.keys, ", b.")
	query := "SELECT b.id, " + b.table.pinnedSQL() + ", b.bucket_start, b." + keys + " FROM " + b.table.name + " AS b WHERE " +
		b.table.afterCursor() + " ORDER BY b.bucket_start, b." + keys + " LIMIT ?"
	last = bucketPlace{c.start, slices.Clone(c.keys)}
	err = eachRow(ctx, t.conn, query, func(rows *sql.Rows) error {
		var id int64
		var pinned bool
		into := []any{&id, &pinned, &last.start}
		for i := range last.keys {
			into = append(into, &last.keys[i])
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if looked++; !pinned {
			leave = append(leave, id)
		}
		return nil
	}, append(b.args(c), pruneChunk)...)
	if err != nil {
		return nil, 0, last, fmt.Errorf("read old buckets of %d s in %s: %w", b.width, b.table.name, err)
	}
	return leave, looked, last, nil
}

// moveOn records that all rows up to the cursor were looked at, or all of the
// task, and that some of them left.
func (t *pruneTx) moveOn(ctx context.Context, b *bucketTask, c bucketPlace, done bool, rows int64) error {
	from := b.before
	if !done {
		from = c.start + b.width
	}
	if before, known := t.pruner.completeFrom[b.width]; known {
		from = max(from, before)
	}
	if err := t.note(ctx, prunedBuckets, b.width, from, rows); err != nil {
		return err
	}
	t.pruner.completeFrom[b.width] = from
	t.pruner.cursors[b.bucketRange] = c
	if t.buckets == nil {
		t.buckets = map[bucketRange]int64{}
	}
	t.buckets[b.bucketRange] = c.start
	return nil
}

// takes tells whether the writer adds to a bucket of a run: one that may have
// left already would come back with what is late alone. The widest width always
// takes what is late; it leaves again where it is too old.
func (w *writer) takes(width, start int64, run string) bool {
	from, pruned := w.pruner.completeFrom[width]
	if !pruned || start >= from || w.isPinned(run) {
		return true
	}
	if widest := w.options.Widths[len(w.options.Widths)-1]; widest.Seconds != width {
		return false
	}
	for _, t := range []*bucketTable{seriesTable, headlineTable} {
		w.pruner.lookAgain(bucketRange{t, width}, start)
	}
	return true
}

// isPinned tells whether what belongs to a run is kept whatever its age.
func (w *writer) isPinned(run string) bool {
	return w.pinned[run] || w.options.RunPinned && run != "" && run == w.options.RunID
}

// forget drops the rows of a range that begin up to the given start: they may
// have left.
func (l *live) forget(r bucketRange, through int64) {
	for key, b := range l.buckets {
		if key.table == r.table && key.width == r.width && key.start <= through {
			delete(l.buckets, key)
			l.bytes -= b.size()
		}
	}
}
