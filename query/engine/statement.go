package engine

import (
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Statement is a prepared statement.
type Statement struct {
	conn   *Conn
	handle uintptr
}

// Prepare prepares the first statement of a text, and returns what follows it.
// Where the text holds only spaces and comments, the statement is nil.
func (c *Conn) Prepare(text string) (_ *Statement, rest string, err error) {
	query, err := libc.CString(text)
	if err != nil {
		return nil, "", err
	}
	defer libc.Xfree(c.tls, query)
	const size = unsafe.Sizeof(query)
	out := c.tls.Alloc(2 * int(size))
	defer c.tls.Free(2 * int(size))
	code := sqlite3.Xsqlite3_prepare_v3(c.tls, c.db, query, -1, 0, out, out+size)
	if code != sqlite3.SQLITE_OK {
		return nil, "", c.failure(code)
	}
	handle, tail := *at[uintptr](out), *at[uintptr](out + size)
	rest = text[tail-query:]
	if handle == 0 {
		return nil, rest, nil
	}
	return &Statement{c, handle}, rest, nil
}

// Close ends the statement.
func (s *Statement) Close() { sqlite3.Xsqlite3_finalize(s.conn.tls, s.handle) }

// ReadOnly tells whether the statement itself writes to no database.
func (s *Statement) ReadOnly() bool {
	return sqlite3.Xsqlite3_stmt_readonly(s.conn.tls, s.handle) != 0
}

// Parameters is how many parameters the statement has.
func (s *Statement) Parameters() int {
	return int(sqlite3.Xsqlite3_bind_parameter_count(s.conn.tls, s.handle))
}

// Columns are the names of the columns of the answer; empty where the statement
// gives none.
func (s *Statement) Columns() []string {
	names := make([]string, sqlite3.Xsqlite3_column_count(s.conn.tls, s.handle))
	for i := range names {
		names[i] = libc.GoString(sqlite3.Xsqlite3_column_name(s.conn.tls, s.handle, int32(i)))
	}
	return names
}

// Next goes to the next row. It returns false after the last one.
func (s *Statement) Next() (bool, error) {
	switch code := sqlite3.Xsqlite3_step(s.conn.tls, s.handle); code {
	case sqlite3.SQLITE_ROW:
		return true, nil
	case sqlite3.SQLITE_DONE:
		return false, nil
	default:
		return false, s.conn.failure(code)
	}
}

// Scan fills in the values of the row: nil, int64, float64, string or []byte.
func (s *Statement) Scan(values []any) {
	tls := s.conn.tls
	for i := range values {
		column := int32(i)
		switch sqlite3.Xsqlite3_column_type(tls, s.handle, column) {
		case sqlite3.SQLITE_INTEGER:
			values[i] = sqlite3.Xsqlite3_column_int64(tls, s.handle, column)
		case sqlite3.SQLITE_FLOAT:
			values[i] = sqlite3.Xsqlite3_column_double(tls, s.handle, column)
		case sqlite3.SQLITE_TEXT:
			// The text before its length, which it may change.
			text := sqlite3.Xsqlite3_column_text(tls, s.handle, column)
			values[i] = string(memory(text, sqlite3.Xsqlite3_column_bytes(tls, s.handle, column)))
		case sqlite3.SQLITE_BLOB:
			blob := sqlite3.Xsqlite3_column_blob(tls, s.handle, column)
			values[i] = append([]byte{}, memory(blob, sqlite3.Xsqlite3_column_bytes(tls, s.handle, column))...)
		default:
			values[i] = nil
		}
	}
}

// memory is memory of C, valid until the engine is called again.
func memory(address uintptr, bytes int32) []byte {
	if address == 0 || bytes <= 0 {
		return nil
	}
	return unsafe.Slice(at[byte](address), bytes)
}
