package query

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/spanbucket/spanbucketexporter/query/engine"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// ErrQuery is wrapped by errors that say that a query is not one that may be
// asked, or is none.
var ErrQuery = errors.New("query is refused")

// ErrTooMuch is wrapped by errors that say that a query was ended because it took
// too long or too much memory.
var ErrTooMuch = errors.New("query was ended")

// TimeError is returned for a query that was ended because it took longer than
// Limits.Time. It wraps ErrTooMuch.
type TimeError struct{ Limit time.Duration }

func (e *TimeError) Error() string {
	return fmt.Sprintf("%v: it took longer than %s", ErrTooMuch, e.Limit)
}

// Unwrap returns ErrTooMuch.
func (e *TimeError) Unwrap() error { return ErrTooMuch }

// heapBytes bounds what the memory of the engine in this process may grow by
// while a query runs.
const heapBytes = 128 << 20

// turn is taken by the one query that runs: the bound on memory is one of the
// process, and a query must not fail for what another one takes.
var turn = make(chan struct{}, 1)

// takeTurn waits for the turn, and bounds the memory until it is given back.
func takeTurn(ctx context.Context) (giveBack func() error, err error) {
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	giveBack = func() error {
		defer func() { <-turn }()
		return engine.LimitHeap(0)
	}
	if err := engine.LimitHeap(engine.HeapUsed() + heapBytes); err != nil {
		return nil, errors.Join(err, giveBack())
	}
	return giveBack, nil
}

// Rows takes the rows of an answer.
type Rows interface {
	// Head is called once, before the first row.
	Head(names []string) error
	// Row is called with nil, int64, float64, string or []byte. The slice is
	// reused.
	Row(values []any) error
}

// Answer is the answer to a query as a whole.
type Answer struct {
	Columns []string `json:"columns"`
	Rows    [][]any  `json:"rows"`
	// Cut is why rows are missing at the end; empty where none are.
	Cut string `json:"cut,omitempty"`
}

// Head is for [Each].
func (a *Answer) Head(names []string) error {
	a.Columns, a.Rows = names, [][]any{}
	return nil
}

// Row is for [Each].
func (a *Answer) Row(values []any) error {
	a.Rows = append(a.Rows, append([]any{}, values...))
	return nil
}

// Ask asks the file at path one query.
func Ask(ctx context.Context, path, text string, l Limits) (_ *Answer, err error) {
	r, err := storage.OpenReader(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	answer := &Answer{}
	answer.Cut, err = Each(ctx, r, text, l, answer)
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// Each asks one query and hands its rows on as they come, which are one state of
// the file. It returns why the answer was cut short, empty where it is whole.
// Rows come in the order of the query; without ORDER BY, in whatever order they
// lie.
//
// Queries run one at a time, and while one does, others that use the engine share
// its bound on memory.
//
// Errors wrap ErrQuery, ErrTooMuch, that of ctx, or what rows returned; any other
// is one of the file.
func Each(ctx context.Context, r *storage.Reader, text string, l Limits, rows Rows) (cut string, err error) {
	giveBack, err := takeTurn(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, giveBack()) }()
	within := ctx
	if l.Time > 0 {
		var cancel context.CancelFunc
		within, cancel = context.WithTimeout(ctx, l.Time)
		defer cancel()
	}
	s, err := open(r.URI(), l)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", r.Path(), err)
	}
	defer func() { err = errors.Join(err, s.conn.Close(), r.CheckUnchanged()) }()
	defer s.watch(within)()
	cut, err = s.run(text, l, rows)
	return cut, s.explain(ctx, within, l, err)
}

// prepare prepares the one statement of a text.
func (s *session) prepare(text string) (*engine.Statement, error) {
	if strings.ContainsRune(text, 0) {
		return nil, fmt.Errorf("%w: it must not contain NUL", ErrQuery)
	}
	statement, rest, err := s.conn.Prepare(text)
	for err == nil && statement == nil && rest != "" {
		statement, rest, err = s.conn.Prepare(rest)
	}
	if err != nil {
		return nil, err
	}
	if statement == nil {
		return nil, fmt.Errorf("%w: it is empty", ErrQuery)
	}
	for rest != "" {
		var second *engine.Statement
		if second, rest, err = s.conn.Prepare(rest); second != nil || err != nil {
			if second != nil {
				second.Close()
			}
			statement.Close()
			return nil, fmt.Errorf("%w: it must be one statement, and something follows the first ';'", ErrQuery)
		}
	}
	switch {
	case len(statement.Columns()) == 0, !statement.ReadOnly():
		err = fmt.Errorf("%w: it must be a SELECT: this statement gives no rows", ErrQuery)
	case statement.Parameters() > 0:
		err = fmt.Errorf("%w: it has parameters, and there is nothing to put in their place", ErrQuery)
	}
	if err != nil {
		statement.Close()
		return nil, err
	}
	return statement, nil
}

func (s *session) run(text string, l Limits, rows Rows) (cut string, err error) {
	statement, err := s.prepare(text)
	if err != nil {
		return "", err
	}
	defer statement.Close()
	columns := statement.Columns()
	if err := rows.Head(columns); err != nil {
		return "", err
	}
	values := make([]any, len(columns))
	var n, bytes int64
	for {
		more, err := statement.Next()
		if err != nil || !more {
			return "", err
		}
		if l.Rows > 0 && n == l.Rows {
			return fmt.Sprintf("only the first %d rows are shown", n), nil
		}
		statement.Scan(values)
		bytes += size(values)
		if l.Bytes > 0 && bytes > l.Bytes {
			return fmt.Sprintf("only the first %d rows are shown: the answer would exceed %d bytes", n, l.Bytes), nil
		}
		if err := rows.Row(values); err != nil {
			return "", err
		}
		n++
	}
}

func size(values []any) (bytes int64) {
	for _, value := range values {
		switch v := value.(type) {
		case string:
			bytes += int64(len(v))
		case []byte:
			bytes += int64(len(v))
		default:
			bytes += 8
		}
	}
	return bytes
}

// explain turns an error of the engine into one of this package. within is ctx
// with the limit of time.
func (s *session) explain(ctx, within context.Context, l Limits, err error) error {
	var failure *engine.Error
	if !errors.As(err, &failure) {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if within.Err() != nil && s.denied == "" {
		return &TimeError{l.Time}
	}
	switch failure.Primary() {
	case sqlite3.SQLITE_NOMEM:
		return fmt.Errorf("%w: it needs more memory than %d MiB, or too many steps", ErrTooMuch, heapBytes>>20)
	case sqlite3.SQLITE_TOOBIG:
		return fmt.Errorf("%w: a value or the query itself is too long: %w", ErrQuery, err)
	case sqlite3.SQLITE_AUTH, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_MISMATCH:
		if s.denied != "" {
			return fmt.Errorf("%w: %s", ErrQuery, s.denied)
		}
		return fmt.Errorf("%w: %w", ErrQuery, err)
	}
	return err
}
