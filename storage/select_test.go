package storage_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// selectAll returns the first column of a query.
func selectAll(r *storage.Reader, query string) (values []any, err error) {
	err = r.Select(context.Background(), query, func(rows *sql.Rows) error {
		for rows.Next() {
			columns, err := rows.Columns()
			if err != nil {
				return err
			}
			row := make([]any, len(columns))
			into := make([]any, len(columns))
			for i := range row {
				into[i] = &row[i]
			}
			if err := rows.Scan(into...); err != nil {
				return err
			}
			values = append(values, row[0])
		}
		return nil
	})
	return values, err
}

func TestSelectReads(t *testing.T) {
	r := openForReading(t, copyOfGood(t))
	for query, want := range map[string]any{
		"SELECT 1":                                  int64(1),
		"  select 1 ; ":                             int64(1),
		"SELECT 1; -- and that is all; really":      int64(1),
		"-- first\n/* then; */ SELECT 1":            int64(1),
		"WITH t AS (SELECT 2 AS x) SELECT x FROM t": int64(2),
		"VALUES (3)":                                int64(3),
		"SELECT ';'":                                ";",
		"SELECT 'it''s; fine'":                      "it's; fine",
		`SELECT 1 AS "a;b"`:                         int64(1),
		"SELECT 1 AS [a;b]":                         int64(1),
		"SELECT 1 AS `a;b`":                         int64(1),
		"SELECT 'no -- comment; here'":              "no -- comment; here",
		"SELECT length(zeroblob(1000000))":          int64(1000000),
	} {
		values, err := selectAll(r, query)
		require.NoError(t, err, query)
		require.Equal(t, []any{want}, values, query)
	}
}

func TestSelectRefuses(t *testing.T) {
	path := copyOfGood(t)
	r := openForReading(t, path)
	other := filepath.Join(t.TempDir(), "other.db")
	for query, message := range map[string]string{
		"":                                   "it is empty",
		" ; -- nothing":                      "it is empty",
		"DELETE FROM ledger":                 `got "DELETE"`,
		"PRAGMA query_only = off":            `got "PRAGMA"`,
		"ATTACH '" + other + "' AS o":        `got "ATTACH"`,
		"VACUUM INTO '" + other + "'":        `got "VACUUM"`,
		"CREATE TEMP TABLE t (x)":            `got "CREATE"`,
		"EXPLAIN SELECT 1":                   `got "EXPLAIN"`,
		"(SELECT 1)":                         "must begin with SELECT",
		"SELECT 1; SELECT 2":                 "one statement",
		"SELECT 1; DELETE FROM meta":         "one statement",
		"SELECT ''; DELETE FROM meta; --'":   "one statement",
		"SELECT 1 /* ; */ ; ATTACH 'x' AS o": "one statement",
		"SELECT 1\x00; DELETE FROM meta":     "NUL",
		// The engine refuses these.
		"WITH t AS (SELECT 1) DELETE FROM ledger": "readonly",
		"SELECT 1 FROM nowhere":                   "no such table",
		"SELECT 'open":                            "unrecognized token",
	} {
		_, err := selectAll(r, query)
		require.ErrorIs(t, err, storage.ErrQuery, query)
		require.ErrorContains(t, err, message, query)
	}
	_, err := os.Stat(other)
	require.ErrorIs(t, err, os.ErrNotExist)
	requireClean(t, path)
	_, err = selectAll(r, "SELECT zeroblob(900000000)")
	require.ErrorContains(t, err, "too big")
}

// What checkQuery reads out of a text is not the only guard: the engine itself
// takes no second file, on no connection that a query ran on.
func TestEngineAttachesNothingAfterASelect(t *testing.T) {
	r := openForReading(t, copyOfGood(t))
	r.SetMaxOpenConns(1)
	_, err := selectAll(r, "SELECT 1")
	require.NoError(t, err)
	other := filepath.Join(t.TempDir(), "other.db")
	for _, statement := range []string{"ATTACH '" + other + "' AS o", "VACUUM INTO '" + other + "'"} {
		_, err := r.ExecContext(t.Context(), statement)
		require.ErrorContains(t, err, "too many attached databases", statement)
	}
	require.NoFileExists(t, other)
}

func TestSelectEndsWithItsContext(t *testing.T) {
	r := openForReading(t, copyOfGood(t))
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	const endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
	err := r.Select(ctx, endless, func(rows *sql.Rows) error {
		for rows.Next() {
		}
		return nil
	})
	require.Error(t, err)
	require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
}
