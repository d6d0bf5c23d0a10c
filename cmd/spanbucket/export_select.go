package main

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/storage"
)

// exportSelection says which rows of a relation are exported.
type exportSelection struct {
	queryFlags
}

func (s *exportSelection) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&s.run, "run", "", `only rows of this run; --run "" means outside any run (default: all)`)
	flags.StringVar(&s.from, "from", "", "only rows that begin at this time or later: 2026-01-30T10:00:00Z, @1769767200, +40s since the run (or the file) began, or -10m before its end")
	flags.StringVar(&s.to, "to", "", "only rows that begin before this time")
	s.runSet = func() bool { return flags.Changed("run") }
	completeNothing(cmd, "run", "from", "to")
}

// given returns the first flag that is given; empty for none.
func (s *exportSelection) given() string {
	switch {
	case s.runSet != nil && s.runSet():
		return "--run"
	case s.from != "":
		return "--from"
	case s.to != "":
		return "--to"
	}
	return ""
}

// beginnings are the columns that say when what a row tells of began, with its
// value as a number, and how many nanoseconds the unit of that has. The first that
// a relation has counts.
var beginnings = []struct {
	column, value string
	nanos         int64
}{
	{"start_ns", "start_ns", 1}, {"at_ns", "at_ns", 1}, {"first_ns", "first_ns", 1},
	{"bucket_start", "bucket_start", 1e9}, {"first_utc", "unixepoch(first_utc)", 1e9}, {"start_utc", "unixepoch(start_utc)", 1e9},
}

// relationQuery returns the query for the rows of a relation that is there.
func (s *exportSelection) relationQuery(ctx context.Context, p *program, tx *sql.Tx, name string) (string, error) {
	found, err := findRelation(ctx, tx, name)
	if err != nil {
		return "", err
	}
	text := `SELECT * FROM "` + strings.ReplaceAll(name, `"`, `""`) + `"`
	if s.given() == "" {
		return text, nil
	}
	conditions, err := s.conditions(ctx, p, tx, found)
	if err != nil {
		return "", err
	}
	return text + " WHERE " + strings.Join(conditions, " AND "), nil
}

// conditions says in SQL which rows are wanted. What comes from outside is in it
// as numbers only.
func (s *exportSelection) conditions(ctx context.Context, p *program, tx *sql.Tx, r *storage.Relation) (all []string, err error) {
	has := func(column string) bool {
		return slices.ContainsFunc(r.Columns, func(c storage.Column) bool { return c.Name == column })
	}
	q, err := s.query(ctx, p, tx)
	if err != nil {
		return nil, err
	}
	if q.Run != nil {
		if !has("run_id") {
			return nil, usageError{fmt.Errorf("--run: relation %s has no column run_id; a query can join it with one that has", r.Name)}
		}
		var known bool
		if err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM run WHERE run_id = ?)", *q.Run).Scan(&known); err != nil {
			return nil, err
		}
		if !known {
			return nil, usageError{fmt.Errorf("--run %q: the file has no such run", *q.Run)}
		}
		all = append(all, "run_id = CAST(x'"+hex.EncodeToString([]byte(*q.Run))+"' AS TEXT)")
	}
	if q.From.IsZero() && q.To.IsZero() {
		return all, nil
	}
	for _, b := range beginnings {
		if !has(b.column) {
			continue
		}
		// Whole units, none before the time.
		first := func(t time.Time) int64 { return (t.UnixNano() + b.nanos - 1) / b.nanos }
		if !q.From.IsZero() {
			all = append(all, fmt.Sprintf("%s >= %d", b.value, first(q.From)))
		}
		if !q.To.IsZero() {
			all = append(all, fmt.Sprintf("%s < %d", b.value, first(q.To)))
		}
		return all, nil
	}
	return nil, usageError{fmt.Errorf("--from, --to: relation %s does not say when a row begins; a query can join it with one that does", r.Name)}
}

// findRelation returns the relation of a name.
func findRelation(ctx context.Context, q storage.Querier, name string) (*storage.Relation, error) {
	relations, err := storage.Relations(ctx, q)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range relations {
		if relations[i].Name == name {
			return &relations[i], nil
		}
		if relations[i].Kind == "view" {
			names = append(names, relations[i].Name)
		}
	}
	return nil, usageError{fmt.Errorf("RELATION %q: is not in the file; there are %s, and the tables behind them",
		name, strings.Join(names, ", "))}
}
