package storage

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
)

// checkSchema compares the tables, indexes and views with those of a file that
// has just been made. Others may be there besides.
func (v *verifier) checkSchema(ctx context.Context) error {
	const query = "SELECT name, type, coalesce(sql, '') FROM sqlite_schema ORDER BY name"
	type object struct{ kind, sql string }
	read := func(q Querier, into map[string]object) error {
		return eachRow(ctx, q, query, func(rows *sql.Rows) error {
			var name string
			var o object
			err := rows.Scan(&name, &o.kind, &o.sql)
			into[name] = o
			return err
		})
	}
	var schema int64
	if err := v.tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&schema); err != nil {
		return err
	}
	stored, expected := map[string]object{}, map[string]object{}
	if err := read(v.tx, stored); err != nil {
		return err
	}
	if err := withEmptyFile(ctx, schema, func(db *sql.DB) error { return read(db, expected) }); err != nil {
		return err
	}
	tablesMissing := false
	for _, name := range slices.Sorted(maps.Keys(expected)) {
		want := expected[name]
		have, there := stored[name]
		if have == want {
			continue
		}
		found := "another definition"
		if !there {
			found = "none"
			tablesMissing = tablesMissing || want.kind == "table"
		}
		if err := v.report(Problem{
			Relation: name, Rule: ruleSchema, Stored: found, Expected: fmt.Sprintf("the %s of schema %d", want.kind, schema),
		}); err != nil {
			return err
		}
	}
	if tablesMissing {
		return errNoMeta
	}
	return nil
}
