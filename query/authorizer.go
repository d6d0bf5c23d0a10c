package query

import (
	"fmt"
	"slices"
	"strings"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/spanbucket/spanbucketexporter/query/engine"
)

// functions are those that a query may call. Each is bounded by the length of a
// value in what it takes and makes; what reads files, tells of this program or
// can take time out of proportion is not among them.
var functions = strings.Fields(`
	histogram_merge histogram_percentile
	abs avg coalesce concat concat_ws count group_concat hex if ifnull iif length likelihood likely lower
	max min nullif octet_length printf format quote random round sign string_agg substr substring subtype
	sum total trim ltrim rtrim typeof unicode unlikely upper char instr replace like glob zeroblob
	sqlite_version
	date time datetime julianday unixepoch strftime timediff current_date current_time current_timestamp
	json json_array json_array_length json_extract json_error_position json_group_array json_group_object
	json_object json_pretty json_quote json_type json_valid -> ->>
	row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
	acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10 log2 mod pi pow
	power radians sin sinh sqrt tan tanh trunc`)

// tableFunctions are virtual tables that come with the engine, that read nothing
// but their arguments.
var tableFunctions = []string{"json_each", "json_tree"}

// withheld are relations that hold secrets: whoever knows the key of the
// fingerprints can compute a span that is taken for another one.
var withheld = []string{"fingerprint_key"}

// actions names what a statement may ask for, but for reading.
var actions = map[int32]string{
	sqlite3.SQLITE_CREATE_INDEX: "CREATE INDEX", sqlite3.SQLITE_CREATE_TABLE: "CREATE TABLE",
	sqlite3.SQLITE_CREATE_TEMP_INDEX: "CREATE INDEX", sqlite3.SQLITE_CREATE_TEMP_TABLE: "CREATE TEMP TABLE",
	sqlite3.SQLITE_CREATE_TEMP_TRIGGER: "CREATE TEMP TRIGGER", sqlite3.SQLITE_CREATE_TEMP_VIEW: "CREATE TEMP VIEW",
	sqlite3.SQLITE_CREATE_TRIGGER: "CREATE TRIGGER", sqlite3.SQLITE_CREATE_VIEW: "CREATE VIEW",
	sqlite3.SQLITE_CREATE_VTABLE: "CREATE VIRTUAL TABLE", sqlite3.SQLITE_DROP_VTABLE: "DROP TABLE",
	sqlite3.SQLITE_DELETE: "DELETE", sqlite3.SQLITE_INSERT: "INSERT", sqlite3.SQLITE_UPDATE: "UPDATE",
	sqlite3.SQLITE_DROP_INDEX: "DROP INDEX", sqlite3.SQLITE_DROP_TABLE: "DROP TABLE",
	sqlite3.SQLITE_DROP_TRIGGER: "DROP TRIGGER", sqlite3.SQLITE_DROP_VIEW: "DROP VIEW",
	sqlite3.SQLITE_PRAGMA: "PRAGMA", sqlite3.SQLITE_ATTACH: "ATTACH", sqlite3.SQLITE_DETACH: "DETACH",
	sqlite3.SQLITE_TRANSACTION: "a transaction", sqlite3.SQLITE_SAVEPOINT: "a savepoint",
	sqlite3.SQLITE_ALTER_TABLE: "ALTER TABLE", sqlite3.SQLITE_REINDEX: "REINDEX", sqlite3.SQLITE_ANALYZE: "ANALYZE",
}

// authorizer decides what a statement may do.
type authorizer struct {
	// readable are the relations of the file, in lower case, but for virtual
	// tables, which could be of any kind.
	readable map[string]bool
	modules  map[string]bool // virtual tables of the engine
	denied   string          // why the statement was refused
	expired  func() bool     // preparing may take long, too
}

// allow is the engine's callback.
func (a *authorizer) allow(action engine.Action) bool {
	if a.expired() {
		return false
	}
	why := a.why(action)
	if a.denied == "" {
		a.denied = why
	}
	return why == ""
}

// why returns the reason why an action is not allowed, empty where it is.
func (a *authorizer) why(action engine.Action) string {
	switch action.Code {
	case sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE:
		return ""
	case sqlite3.SQLITE_READ:
		return a.whyRead(action)
	case sqlite3.SQLITE_FUNCTION:
		if slices.Contains(functions, strings.ToLower(action.Second)) {
			return ""
		}
		return fmt.Sprintf("function %s is not allowed", action.Second)
	}
	name, known := actions[action.Code]
	if !known {
		name = fmt.Sprintf("action %d", action.Code)
	}
	return name + " is not allowed: a query only reads"
}

func (a *authorizer) whyRead(action engine.Action) string {
	table, column := strings.ToLower(action.First), action.Second
	switch {
	case slices.Contains(withheld, table):
		return fmt.Sprintf("relation %s is not readable: it holds a secret", action.First)
	case a.readable[table] && action.Database == "main", slices.Contains(tableFunctions, table):
		return ""
	case column == "" && !a.modules[table] && !strings.HasPrefix(table, "pragma_"):
		// The name of a common table expression none of whose columns is used.
		// What it reads is asked for itself.
		return ""
	}
	return fmt.Sprintf("relation %s is not readable", action.First)
}
