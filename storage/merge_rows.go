package storage

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// mergeTables joins all tables of mergedTables.
func (m *merger) mergeTables(ctx context.Context) error {
	for _, t := range mergedTables {
		if err := m.mergeTable(ctx, t); err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
	}
	return nil
}

// compareValues orders values of one column as SQLite does.
func compareValues(a, b any) int {
	if a == nil || b == nil {
		return cmp.Compare(rankOf(a), rankOf(b))
	}
	switch a := a.(type) {
	case int64:
		b, _ := b.(int64)
		return cmp.Compare(a, b)
	case float64:
		b, _ := b.(float64)
		return cmp.Compare(a, b)
	case []byte:
		b, _ := b.([]byte)
		return bytes.Compare(a, b)
	}
	x, _ := a.(string)
	y, _ := b.(string)
	return strings.Compare(x, y)
}

func rankOf(value any) int {
	if value == nil {
		return 0
	}
	return 1
}

// cursor reads the rows of a table of one file.
type cursor struct {
	rows *sql.Rows
	row  []any // the present one; nil at the end
	into []any
}

// openCursor begins to read. The rows hold values of their own.
func openCursor(ctx context.Context, q Querier, query string, columns int) (*cursor, error) {
	rows, err := q.QueryContext(ctx, query) //nolint:rowserrcheck,sqlclosecheck // next and the caller do
	if err != nil {
		return nil, err
	}
	return &cursor{rows: rows, into: make([]any, columns)}, nil
}

func (c *cursor) next() error {
	if !c.rows.Next() {
		c.row = nil
		return c.rows.Err()
	}
	c.row = make([]any, len(c.into))
	for i := range c.row {
		c.into[i] = &c.row[i]
	}
	return c.rows.Scan(c.into...)
}

// mergeTable reads a table of all files side by side, in the order of its key.
func (m *merger) mergeTable(ctx context.Context, t *mergedTable) (err error) {
	columns := slices.Concat(t.key, t.columns)
	order := t.inOrderOf
	if order == "" {
		order = strings.Join(t.key, ", ")
	}
	query := fmt.Sprintf("SELECT %s FROM %s ORDER BY %s", strings.Join(columns, ", "), t.name, order)
	var cursors []*cursor
	defer func() {
		for _, c := range cursors {
			err = errors.Join(err, c.rows.Close())
		}
	}()
	for _, in := range m.files {
		c, err := openCursor(ctx, in.tx, query, len(columns))
		if err != nil {
			return err
		}
		cursors = append(cursors, c)
		if err := c.next(); err != nil {
			return err
		}
	}
	insert, err := m.out.PrepareContext(ctx, insertSQL(t.name, columns))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, insert.Close()) }()
	m.countRows(t.name, 0, 0)
	version := slices.Index(columns, "version")
	number := numbering{key: len(t.key)}
	for {
		row, err := m.nextRow(t, cursors)
		if err != nil || row == nil {
			return err
		}
		if version >= 0 {
			row[version] = int64(mergedVersion)
		}
		if t.numbered {
			number.set(row)
		}
		m.countRows(t.name, 0, 1)
		if _, err := insert.ExecContext(ctx, row...); err != nil {
			return fmt.Errorf("%v: %w", row[:len(t.key)], err)
		}
	}
}

// nextRow returns the next row of all files, nil at the end.
func (m *merger) nextRow(t *mergedTable, cursors []*cursor) (row []any, err error) {
	first := -1
	for i, c := range cursors {
		if c.row != nil && (first < 0 || t.compare(c.row, cursors[first].row) < 0) {
			first = i
		}
	}
	if first < 0 {
		return nil, nil
	}
	row = cursors[first].row
	alone := t.apart != nil && t.apart(row)
	for i, c := range cursors[first:] {
		if c.row == nil || t.compare(c.row, row) != 0 {
			continue
		}
		m.countRows(t.name, 1, 0)
		if &c.row[0] != &row[0] && t.add != nil {
			if err := t.add(row, c.row); err != nil {
				return nil, fmt.Errorf("%v: %w", row[:len(t.key)], err)
			}
		}
		if err := c.next(); err != nil {
			return nil, fmt.Errorf("%s: %w", m.files[first+i].path, err)
		}
		if alone {
			break
		}
	}
	return row, nil
}

func (t *mergedTable) compare(a, b []any) int {
	return slices.CompareFunc(a[:len(t.key)], b[:len(t.key)], compareValues)
}

// numbering counts rows on whose keys differ in the last column only.
type numbering struct {
	key  int
	last []any
	next int64
}

// set sees to it that the row has another key than the one before.
func (n *numbering) set(row []any) {
	ordinal, _ := row[n.key-1].(int64)
	if n.last == nil || slices.CompareFunc(row[:n.key-1], n.last, compareValues) != 0 {
		n.last, n.next = row[:n.key-1], ordinal
	}
	if ordinal < n.next {
		ordinal = n.next
	}
	row[n.key-1], n.next = ordinal, ordinal+1
}
