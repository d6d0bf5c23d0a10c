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
	// Time for opening the file and all rows. Where it is bounded, sorts stay in
	// memory; else they may go to temporary files, of any size.
	Time time.Duration
	// ValueBytes bounds one text, blob or row on the way; beyond it the query
	// fails. It also bounds what a single step takes, which time does not.
	ValueBytes int32
	// TextBytes bounds the query itself; at most maxTextBytes.
	TextBytes int32
}

// ForAgent bounds a query whose answer a language model reads.
func ForAgent() Limits {
	return Limits{Rows: 100, Bytes: 32 << 10, Time: 2 * time.Second, ValueBytes: 128 << 10, TextBytes: 16 << 10}
}

// ForPerson bounds a query on the command line.
func ForPerson() Limits {
	return Limits{Rows: 10_000, Bytes: 64 << 20, Time: 2 * time.Second, ValueBytes: 128 << 10}
}

// ForExport bounds only the length of a value: rows are written as they come.
func ForExport() Limits { return Limits{ValueBytes: 64 << 20} }

// maxTextBytes bounds every query.
const maxTextBytes = 64 << 10

// engineLimits hold for every query. They are far above what questions need, and
// keep small what time does not bound as well: what is decided before the first
// row, and how many steps there can be without a jump, at which alone the engine
// looks at the time. The largest relation takes 3,750 operations.
var engineLimits = map[int32]int32{
	sqlite3.SQLITE_LIMIT_ATTACHED:            0,
	sqlite3.SQLITE_LIMIT_WORKER_THREADS:      0,
	sqlite3.SQLITE_LIMIT_SQL_LENGTH:          maxTextBytes,
	sqlite3.SQLITE_LIMIT_COLUMN:              500,
	sqlite3.SQLITE_LIMIT_EXPR_DEPTH:          200,
	sqlite3.SQLITE_LIMIT_COMPOUND_SELECT:     100,
	sqlite3.SQLITE_LIMIT_VDBE_OP:             20_000,
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
	if l.TextBytes > 0 {
		if err := conn.Limit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, min(l.TextBytes, maxTextBytes)); err != nil {
			return err
		}
	}
	if l.ValueBytes <= 0 {
		return nil
	}
	return conn.Limit(sqlite3.SQLITE_LIMIT_LENGTH, l.ValueBytes)
}
