package storage

import (
	"context"
	"fmt"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// compareBuckets compares what was folded with what the file has, and makes the
// file equal to it. Rows that are right already are not touched.
func (r *rebuild) compareBuckets(ctx context.Context) error {
	if len(r.ranges) == 0 {
		return nil
	}
	for _, t := range []*bucketTable{headlineTable, seriesTable} {
		const create = "CREATE TEMP TABLE difference (stored INTEGER, folded INTEGER)"
		if _, err := r.conn.ExecContext(ctx, create); err != nil {
			return fmt.Errorf("compare %s: %w", t.name, err)
		}
		for i := range r.ranges {
			if t == seriesTable && r.ranges[i].Detail != DetailSeries {
				continue
			}
			if err := r.compareWidth(ctx, t, i); err != nil {
				return fmt.Errorf("compare %s: %w", t.name, err)
			}
		}
		if _, err := r.conn.ExecContext(ctx, "DROP TABLE temp.difference"); err != nil {
			return fmt.Errorf("compare %s: %w", t.name, err)
		}
	}
	return nil
}

// compareWidth does so for one width of one table.
func (r *rebuild) compareWidth(ctx context.Context, t *bucketTable, i int) error {
	span, done := &r.ranges[i], &r.done.Widths[i]
	var corrected, added, removed int64
	for _, step := range []struct {
		statement string
		args      []any
	}{
		{t.keepLateSQL(), []any{span.Seconds, span.from}},
		{t.keepCompletedSQL(), []any{span.Seconds, span.from, span.completedFrom}},
		{t.keepEndsSQL(), []any{span.Seconds, span.from, span.completedFrom}},
		{t.fillHistogramsSQL(), nil},
		{"DELETE FROM temp.difference", nil},
		{t.differenceSQL(), []any{span.Seconds, span.from}},
		{t.surplusSQL(), []any{span.Seconds, span.from}},
	} {
		if step.statement == "" {
			continue
		}
		if _, err := r.conn.ExecContext(ctx, step.statement, step.args...); err != nil {
			return err
		}
	}
	const count = `SELECT count(*) FILTER (WHERE stored IS NOT NULL AND folded IS NOT NULL),
		count(*) FILTER (WHERE stored IS NULL), count(*) FILTER (WHERE folded IS NULL) FROM temp.difference`
	if err := r.conn.QueryRowContext(ctx, count).Scan(&corrected, &added, &removed); err != nil {
		return err
	}
	var rows int64
	if err := r.conn.QueryRowContext(ctx, "SELECT count(*) FROM temp."+t.name+" WHERE width_s = ? AND bucket_start >= ?",
		span.Seconds, span.from).Scan(&rows); err != nil {
		return err
	}
	done.Rows, done.Corrected, done.Added, done.Removed = done.Rows+rows, done.Corrected+corrected, done.Added+added, done.Removed+removed
	if r.options.DryRun || corrected+added+removed == 0 {
		return nil
	}
	return r.correct(ctx, t)
}

// correct makes the rows of a table equal to what was folded where they differ.
func (r *rebuild) correct(ctx context.Context, t *bucketTable) error {
	var highest int64
	if err := r.conn.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM main."+t.name).Scan(&highest); err != nil {
		return err
	}
	for _, step := range []struct {
		statement string
		args      []any
	}{
		{"DELETE FROM main." + t.histograms + " WHERE bucket_id IN (SELECT stored FROM temp.difference WHERE folded IS NULL)", nil},
		{t.uncountSQL(), nil},
		{"DELETE FROM main." + t.name + " WHERE id IN (SELECT stored FROM temp.difference WHERE folded IS NULL)", nil},
		{t.correctSQL(), []any{r.version}},
		{t.addSQL(), []any{highest, r.version}},
		{t.correctHistogramsSQL(), []any{highest}},
	} {
		if step.statement == "" {
			continue
		}
		if _, err := r.exec(ctx, step.statement, step.args...); err != nil {
			return err
		}
	}
	return nil
}

// uncountSQL removes what rows count for objectives that are to go.
func (t *bucketTable) uncountSQL() string {
	if t.counted == "" {
		return ""
	}
	return "DELETE FROM main." + t.counted + " WHERE bucket_id IN (SELECT stored FROM temp.difference WHERE folded IS NULL)"
}

// contentColumns are those that the requests decide.
func (t *bucketTable) contentColumns() []string { return t.valueColumns(allChanges)[1:] }

// sameKeySQL joins rows of the file, o, and rows that were folded, n.
func (t *bucketTable) sameKeySQL() string {
	var parts []string
	for _, key := range t.keyColumns()[1:] {
		parts = append(parts, "n."+key+" = o."+key)
	}
	return strings.Join(parts, " AND ")
}

// keepLateSQL takes over how many spans were late: width, from.
func (t *bucketTable) keepLateSQL() string {
	return "UPDATE temp." + t.name + " AS n SET late = min(o.late, n.requests) FROM main." + t.name + " AS o WHERE " +
		t.sameKeySQL() + " AND n.width_s = ?1 AND n.bucket_start >= ?2 AND o.late > 0"
}

// keepCompletedSQL takes over ends of spans without a row: width, from, and the
// second from which on there are none.
func (t *bucketTable) keepCompletedSQL() string {
	if t != headlineTable {
		return ""
	}
	return "UPDATE temp." + t.name + " AS n SET completed = max(o.completed, n.completed) FROM main." + t.name + " AS o WHERE " +
		t.sameKeySQL() + " AND n.width_s = ?1 AND n.bucket_start >= ?2 AND n.bucket_start < ?3"
}

// keepEndsSQL does so for buckets in which no span started that has a row.
func (t *bucketTable) keepEndsSQL() string {
	if t != headlineTable {
		return ""
	}
	columns := append(t.keyColumns()[1:], "version")
	values := append(prefixed("o.", t.keyColumns()[1:]), "0")
	for _, c := range t.contentColumns() {
		columns = append(columns, c)
		switch {
		case c == counterColumns[aggregator.Completed]:
			values = append(values, "o."+c)
		case t.isNullable(c):
			values = append(values, "NULL")
		default:
			values = append(values, "0")
		}
	}
	return "INSERT INTO temp." + t.name + " (" + strings.Join(columns, ", ") + ") SELECT " + strings.Join(values, ", ") +
		" FROM main." + t.name + " AS o WHERE o.width_s = ?1 AND o.bucket_start >= ?2 AND o.bucket_start < ?3 AND o.completed > 0" +
		" AND NOT EXISTS (SELECT 1 FROM temp." + t.name + " AS n WHERE " + t.sameKeySQL() + ")"
}

// isNullable tells whether a column is NULL where nothing was measured.
func (t *bucketTable) isNullable(column string) bool {
	if strings.HasPrefix(column, "slowest_") {
		return true
	}
	for _, m := range t.measures {
		for i, figure := range m.figureColumns() {
			if figure == column {
				return i >= 2 // not count and sum
			}
		}
	}
	return false
}

// fillHistogramsSQL gives every row its row of histograms.
func (t *bucketTable) fillHistogramsSQL() string {
	if t != headlineTable {
		return ""
	}
	return "INSERT INTO temp." + t.histograms + " (bucket_id) SELECT id FROM temp." + t.name + " AS n WHERE n.requests = 0" +
		" AND NOT EXISTS (SELECT 1 FROM temp." + t.histograms + " AS h WHERE h.bucket_id = n.id)"
}

// differenceSQL finds rows that were folded and that the file has not, or has
// not so, and surplusSQL rows of the file that no request led to: width, from.
func (t *bucketTable) differenceSQL() string {
	stored := append(prefixed("o.", t.contentColumns()), prefixed("oh.", t.histogramColumns(allChanges))...)
	folded := append(prefixed("n.", t.contentColumns()), prefixed("nh.", t.histogramColumns(allChanges))...)
	return "INSERT INTO temp.difference SELECT o.id, n.id FROM temp." + t.name + " AS n" +
		" JOIN temp." + t.histograms + " AS nh ON nh.bucket_id = n.id" +
		" LEFT JOIN main." + t.name + " AS o ON " + t.sameKeySQL() +
		" LEFT JOIN main." + t.histograms + " AS oh ON oh.bucket_id = o.id" +
		" WHERE n.width_s = ?1 AND n.bucket_start >= ?2 AND (oh.bucket_id IS NULL OR (" +
		strings.Join(stored, ", ") + ") IS NOT (" + strings.Join(folded, ", ") + "))"
}

func (t *bucketTable) surplusSQL() string {
	return "INSERT INTO temp.difference SELECT o.id, NULL FROM main." + t.name + " AS o" +
		" WHERE o.width_s = ?1 AND o.bucket_start >= ?2" +
		" AND NOT EXISTS (SELECT 1 FROM temp." + t.name + " AS n WHERE " + t.sameKeySQL() + ")"
}

// correctSQL corrects rows: version.
func (t *bucketTable) correctSQL() string {
	var set []string
	for _, c := range t.contentColumns() {
		set = append(set, c+" = n."+c)
	}
	return "UPDATE main." + t.name + " AS o SET version = ?1, " + strings.Join(set, ", ") +
		" FROM temp.difference AS d JOIN temp." + t.name + " AS n ON n.id = d.folded WHERE o.id = d.stored"
}

// addSQL adds rows: the highest id there is, version.
func (t *bucketTable) addSQL() string {
	columns := append(t.keyColumns()[1:], t.contentColumns()...)
	return "INSERT INTO main." + t.name + " (id, version, " + strings.Join(columns, ", ") + ") SELECT ?1 + n.id, ?2, n." +
		strings.Join(columns, ", n.") + " FROM temp.difference AS d JOIN temp." + t.name + " AS n ON n.id = d.folded WHERE d.stored IS NULL"
}

// correctHistogramsSQL writes the histograms of rows that were corrected or
// added: the highest id before.
func (t *bucketTable) correctHistogramsSQL() string {
	columns := t.histogramColumns(allChanges)
	return "INSERT OR REPLACE INTO main." + t.histograms + " (bucket_id, " + strings.Join(columns, ", ") +
		") SELECT coalesce(d.stored, ?1 + d.folded), n." + strings.Join(columns, ", n.") +
		" FROM temp.difference AS d JOIN temp." + t.histograms + " AS n ON n.bucket_id = d.folded"
}

func prefixed(prefix string, names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = prefix + name
	}
	return out
}
