package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// copyRequests copies the rows of single requests, file by file: a span that
// several files hold has a row of each, as the buckets count it as often. The
// rows of a file keep their order, each under its id plus a number of the file.
func (m *merger) copyRequests(ctx context.Context) (err error) {
	columns, err := columnsBut(ctx, m.out, "request", "id")
	if err != nil {
		return err
	}
	columns = append(columns, "id")
	insert, err := m.out.PrepareContext(ctx, insertSQL("request", columns))
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	defer func() { err = errors.Join(err, insert.Close()) }()
	m.countRows("request", 0, 0)
	query := "SELECT " + strings.Join(columns, ", ") + " FROM request ORDER BY id"
	row, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range row {
		into[i] = &row[i]
	}
	last := int64(0) // id that was given
	for _, in := range m.files {
		in.requestsAfter = last
		err := eachRow(ctx, in.tx, query, func(rows *sql.Rows) error {
			if err := rows.Scan(into...); err != nil {
				return err
			}
			id, _ := row[len(row)-1].(int64)
			last = in.requestsAfter + id
			row[len(row)-1] = last
			m.progress(1)
			m.countRows("request", 1, 1)
			_, err := insert.ExecContext(ctx, row...)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: request: %w", in.path, err)
		}
	}
	return nil
}

// columnsBut returns the columns of a table but one.
func columnsBut(ctx context.Context, q Querier, table, but string) (columns []string, err error) {
	const query = "SELECT name FROM pragma_table_info(?) WHERE name <> ? ORDER BY cid"
	err = eachRow(ctx, q, query, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		columns = append(columns, name)
		return err
	}, table, but)
	if err != nil {
		return nil, fmt.Errorf("%s: read columns: %w", table, err)
	}
	return columns, nil
}
