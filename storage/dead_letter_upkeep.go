package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// UnknownLettersError is returned for dead letters that the file does not have.
// Nothing is done to the others then.
type UnknownLettersError struct{ IDs []int64 }

func (e *UnknownLettersError) Error() string {
	texts := make([]string, len(e.IDs))
	for i, id := range e.IDs {
		texts[i] = strconv.FormatInt(id, 10)
	}
	return "the file has no dead letter " + strings.Join(texts, ", ")
}

// asked is SQL that is true for the letters that ?1 asks for: a JSON array of
// ids, or NULL for all of them.
const asked = "(?1 IS NULL OR id IN (SELECT value FROM json_each(?1)))"

// askedFor returns the value of ?1. nil ids mean all letters.
func askedFor(ids []int64) any {
	if ids == nil {
		return nil
	}
	text, err := json.Marshal(ids)
	if err != nil {
		panic(err) // integers
	}
	return string(text)
}

// RequestRetry asks for another attempt at dead letters of the file at path: at
// those with the given ids, nil means all. It returns how many are due now. The
// collector that writes the file takes them within about a second, or when it
// opens it. It returns an UnknownLettersError, and ErrForeign, ErrNewer and
// ErrOlder for files that it must not touch.
func RequestRetry(ctx context.Context, path string, ids []int64) (due int, err error) {
	err = maintain(ctx, path, func(ctx context.Context, u *upkeep) error {
		if _, err := ReadLetterStates(ctx, u.conn, ids); err != nil {
			return err
		}
		if _, err := u.exec(ctx, "UPDATE dead_letter SET due = 1 WHERE due = 0 AND "+asked, askedFor(ids)); err != nil {
			return fmt.Errorf("write dead_letter: %w", err)
		}
		return u.conn.QueryRowContext(ctx, "SELECT count(*) FROM dead_letter WHERE due = 1 AND "+asked, askedFor(ids)).Scan(&due)
	})
	if err != nil {
		return 0, fmt.Errorf("request retry: %w", err)
	}
	return due, nil
}

// PurgeDeadLetters deletes dead letters of the file at path: those with the
// given ids, nil means all. It returns how many, and the spans in them, which
// stay in the ledger and are counted as dead_letter_purged in notes. Errors are
// those of RequestRetry.
func PurgeDeadLetters(ctx context.Context, path string, ids []int64) (letters int, spans int64, err error) {
	err = maintain(ctx, path, func(ctx context.Context, u *upkeep) error {
		if _, err := ReadLetterStates(ctx, u.conn, ids); err != nil {
			return err
		}
		const sum = "SELECT count(*), coalesce(sum(spans), 0) FROM dead_letter WHERE " + asked
		if err := u.conn.QueryRowContext(ctx, sum, askedFor(ids)).Scan(&letters, &spans); err != nil {
			return fmt.Errorf("read dead_letter: %w", err)
		}
		if _, err := u.exec(ctx, "DELETE FROM dead_letter WHERE "+asked, askedFor(ids)); err != nil {
			return fmt.Errorf("delete dead_letter: %w", err)
		}
		u.note("dead_letter_purged", spans)
		return nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("purge dead letters: %w", err)
	}
	return letters, spans, nil
}

// LetterState says how far a dead letter is.
type LetterState struct {
	ID       int64
	Attempts int64
	Due      bool // to be tried again
}

// ReadLetterStates returns the states of dead letters in the order of their
// ids: of those with the given ids, nil means all. It returns an
// UnknownLettersError where the file lacks one.
func ReadLetterStates(ctx context.Context, q Querier, ids []int64) (states []LetterState, err error) {
	err = eachRow(ctx, q, "SELECT id, attempts, due FROM dead_letter WHERE "+asked+" ORDER BY id", func(rows *sql.Rows) error {
		var s LetterState
		err := rows.Scan(&s.ID, &s.Attempts, &s.Due)
		states = append(states, s)
		return err
	}, askedFor(ids))
	if err != nil {
		return nil, fmt.Errorf("read dead_letter: %w", err)
	}
	var unknown []int64
	for _, id := range ids {
		if !slices.ContainsFunc(states, func(s LetterState) bool { return s.ID == id }) {
			unknown = append(unknown, id)
		}
	}
	if unknown != nil {
		return nil, &UnknownLettersError{unknown}
	}
	return states, nil
}

// ReadLetter returns the payload of a dead letter: OTLP TracesData, as
// protobuf. It returns an UnknownLettersError for one that is not there.
func ReadLetter(ctx context.Context, q Querier, id int64) (payload []byte, err error) {
	err = q.QueryRowContext(ctx, "SELECT payload FROM dead_letter WHERE id = ?", id).Scan(&payload)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, &UnknownLettersError{[]int64{id}}
	}
	if err != nil {
		return nil, fmt.Errorf("read dead_letter %d: %w", id, err)
	}
	return payload, nil
}
