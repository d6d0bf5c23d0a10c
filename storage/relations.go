package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Relation is a table or view of a file.
type Relation struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind"` // table or view
	Columns []Column `json:"columns"`
}

// Column is a column of a relation.
type Column struct {
	Name string `json:"name"`
	// Type is the declared type; empty for what a view computes.
	Type string `json:"type"`
	// Required columns are never NULL.
	Required bool `json:"required"`
}

// Relations returns the relations of a file, views first, each kind by name.
func Relations(ctx context.Context, q Querier) (relations []Relation, err error) {
	const query = `SELECT m.type, m.name, c.name, c.type, c."notnull" OR c.pk > 0
		FROM sqlite_schema AS m, pragma_table_info(m.name) AS c
		WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\'
		ORDER BY m.type DESC, m.name, c.cid`
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind, name string
		var c Column
		if err := rows.Scan(&kind, &name, &c.Name, &c.Type, &c.Required); err != nil {
			return nil, fmt.Errorf("read schema: %w", err)
		}
		if n := len(relations); n == 0 || relations[n-1].Name != name {
			relations = append(relations, Relation{Name: name, Kind: kind})
		}
		last := &relations[len(relations)-1]
		last.Columns = append(last.Columns, c)
	}
	return relations, rows.Err()
}

// EmbeddedRelations returns the relations of a file that this program would
// write.
func EmbeddedRelations(ctx context.Context) (relations []Relation, err error) {
	err = withEmptyFile(ctx, SchemaVersion, func(db *sql.DB) (err error) {
		relations, err = Relations(ctx, db)
		return err
	})
	return relations, err
}

// withEmptyFile calls read with a database in memory of the given schema.
func withEmptyFile(ctx context.Context, schema int64, read func(*sql.DB) error) error {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return fmt.Errorf("read schema: %w", err)
	}
	db.SetMaxOpenConns(1) // every connection would have its own database
	for version := int64(1); version <= schema && err == nil; version++ {
		var step string
		if step, err = migrationStep(version); err == nil {
			_, err = db.ExecContext(ctx, step)
		}
		if err != nil {
			err = fmt.Errorf("read schema: step %d: %w", version, err)
		}
	}
	if err == nil {
		err = read(db)
	}
	return errors.Join(err, db.Close())
}
