package query

import (
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/spanbucket/spanbucketexporter/query/engine"
)

// Limits bound one query. 0 means unbounded.
type Limits struct {
	// Rows of the answer; what comes after them is cut off.
	Rows int64
	// Bytes of all texts and blobs of the answer, numbers counting 8 each; the
	// row that exceeds them and what comes after it is cut off.
	Bytes int64
	// Time for opening the file and all rows.
	Time time.Duration
	// ValueBytes bounds one text, blob or row on the way; beyond it the query
	// fails.
	ValueBytes int32
}

// ForAgent bounds a query whose answer a language model reads.
func ForAgent() Limits {
	return Limits{Rows: 100, Bytes: 32 << 10, Time: 2 * time.Second, ValueBytes: 1 << 20}
}

// ForPerson bounds a query on the command line.
func ForPerson() Limits {
	return Limits{Rows: 10_000, Bytes: 64 << 20, Time: 2 * time.Second, ValueBytes: 1 << 20}
}

// ForExport bounds only the length of a value: rows are written as they come.
func ForExport() Limits { return Limits{ValueBytes: 64 << 20} }

// engineLimits hold for every query. They are far above what questions need, and
// keep what is decided before the first row, which time does not bound as well,
// small.
var engineLimits = map[int32]int32{
	sqlite3.SQLITE_LIMIT_ATTACHED:            0,
	sqlite3.SQLITE_LIMIT_WORKER_THREADS:      0,
	sqlite3.SQLITE_LIMIT_SQL_LENGTH:          64 << 10,
	sqlite3.SQLITE_LIMIT_COLUMN:              500,
	sqlite3.SQLITE_LIMIT_EXPR_DEPTH:          200,
	sqlite3.SQLITE_LIMIT_COMPOUND_SELECT:     100,
	sqlite3.SQLITE_LIMIT_VDBE_OP:             100_000,
	sqlite3.SQLITE_LIMIT_FUNCTION_ARG:        100,
	sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 100,
	sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER:     1,
	sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH:       1,
}

func limit(conn *engine.Conn, l Limits) error {
	for id, most := range engineLimits {
		if err := conn.Limit(id, most); err != nil {
			return err
		}
	}
	if l.ValueBytes <= 0 {
		return nil
	}
	return conn.Limit(sqlite3.SQLITE_LIMIT_LENGTH, l.ValueBytes)
}
