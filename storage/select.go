package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrQuery is wrapped by errors that say that a query is not one that may be
// asked.
var ErrQuery = errors.New("query is refused")

// maxValueBytes bounds one text or blob of a query that somebody else wrote:
// a function can make one of any size.
const maxValueBytes = 64 << 20

// Select runs a query of somebody else and calls read with its rows, which
// are one state of the file. One that is not a single SELECT (or WITH … SELECT,
// or VALUES) is refused with ErrQuery, and the engine lets none write, attach
// another file or make a value beyond 64 MiB. Rows come in the order of the
// query; without ORDER BY, in whatever order they lie.
func (r *Reader) Select(ctx context.Context, query string, read func(*sql.Rows) error) (err error) {
	if err := checkQuery(query); err != nil {
		return err
	}
	conn, err := r.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	for limit, most := range map[int]int{
		sqlite3.SQLITE_LIMIT_ATTACHED: 0, sqlite3.SQLITE_LIMIT_LENGTH: maxValueBytes, sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
	} {
		if _, err := sqlite.Limit(conn, limit, most); err != nil {
			return err
		}
	}
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		if primaryCode(err) == sqlite3.SQLITE_ERROR || primaryCode(err) == sqlite3.SQLITE_READONLY {
			return fmt.Errorf("%w: %w", ErrQuery, err)
		}
		return err
	}
	defer func() { err = errors.Join(r.checkAtRest(), err, rows.Err(), rows.Close()) }()
	return errors.Join(read(rows), ctx.Err())
}

// checkQuery returns an error that wraps ErrQuery for a text that is not one
// statement that reads. It looks at the text only.
func checkQuery(query string) error {
	if strings.ContainsRune(query, 0) {
		return fmt.Errorf("%w: it must not contain NUL", ErrQuery)
	}
	statement, rest := cutStatement(query)
	word := firstWord(statement)
	if firstWord(rest) != "" {
		return fmt.Errorf("%w: it must be one statement, and something follows the first ';'", ErrQuery)
	}
	switch word {
	case "SELECT", "WITH", "VALUES":
		return nil
	case "":
		return fmt.Errorf("%w: it is empty", ErrQuery)
	}
	return fmt.Errorf("%w: it must begin with SELECT, WITH or VALUES, got %.40q; nothing else only reads", ErrQuery, word)
}

// cutStatement cuts a text after its first semicolon outside of literals, names
// and comments.
func cutStatement(text string) (statement, rest string) {
	for i := 0; i < len(text); {
		if text[i] == ';' {
			return text[:i], text[i+1:]
		}
		i += tokenLength(text[i:])
	}
	return text, ""
}

// tokenLength is the length of the literal, name in quotes or comment that a
// text begins with; 1 for anything else.
func tokenLength(text string) int {
	until := func(end string, from int) int {
		if at := strings.Index(text[from:], end); at >= 0 {
			return from + at + len(end)
		}
		return len(text)
	}
	switch {
	case text[0] == '\'', text[0] == '"', text[0] == '`':
		// A doubled quote ends one token and begins another: the same.
		return until(text[:1], 1)
	case text[0] == '[':
		return until("]", 1)
	case strings.HasPrefix(text, "--"):
		return until("\n", 2)
	case strings.HasPrefix(text, "/*"):
		return until("*/", 2)
	}
	return 1
}

// firstWord returns what a text begins with, in capitals, after spaces and
// comments; empty where nothing follows these.
func firstWord(text string) string {
	for {
		text = strings.TrimLeft(text, " \t\n\f\r;\ufeff")
		if !strings.HasPrefix(text, "--") && !strings.HasPrefix(text, "/*") {
			break
		}
		text = text[tokenLength(text):]
	}
	end := strings.IndexFunc(text, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') })
	switch end {
	case -1:
		return strings.ToUpper(text)
	case 0:
		return text // no word at all, such as a parenthesis
	}
	return strings.ToUpper(text[:end])
}
