package storage

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
)

// mergedTable says how a table is joined whose rows have a key that means the
// same in every file.
type mergedTable struct {
	name    string
	key     []string // columns
	columns []string // the others
	// add adds a row of another file that has the same key; nil: such rows are
	// the same row.
	add func(row, other []any) error
	// apart tells of a row that it is another one than those of other files with
	// the same key; nil: none is.
	apart func(row []any) bool
	// numbered: the last column of the key counts rows that are apart.
	numbered bool
	// inOrderOf is the column by which the rows of a file are in the order of
	// the key, or nearly; empty: they are to be sorted by the key.
	inOrderOf string
}

// mergedTables are in an order in which no row refers to a later one.
var mergedTables = []*mergedTable{
	{name: "ledger", key: []string{"reason"}, columns: []string{"spans"}, add: sums(1)},
	{name: "notes", key: []string{"reason"}, columns: []string{"spans"}, add: sums(1)},
	{
		name: "run", key: []string{"run_id"},
		columns: []string{"name", "mode", "profile", "preset", "config_json", "attributes", "first_ns", "last_ns", "pinned", "version"},
		add: combine(map[int]func(a, b any) any{
			1: lowestValue, 2: lowestValue, 3: lowestValue, 4: lowestValue, 5: lowestValue, 6: lowestValue, 7: lowestValue, 8: highestValue, 9: highestValue,
		}),
	},
	{name: "run_category", key: []string{"run_id", "category"}, columns: []string{"spans"}, add: sums(2)},
	{
		name: "series", key: []string{"series_id"},
		columns: []string{
			"run_id", "service", "operation", "kind", "category", "provider", "model", "tool", "agent", "outcome",
			"error_type", "fault", "dimensions", "newest_s", "version",
		},
		add: sameContent(14),
	},
	{
		name: "request_profile", key: []string{"profile_id"},
		columns: []string{
			"instance", "span_name", "response_model", "deployment", "endpoint", "phase", "finish_reason", "decision",
			"decision_source", "target", "experiment_id", "circuit", "status_code", "newest_s",
		},
		add: sameContent(14),
	},
	{
		name: "slo", key: []string{"slo_id"},
		columns: []string{
			"name", "category", "service", "operation", "model", "latency_ns", "objective_nano", "configured", "since_s", "complete_from",
		},
		add: mergeObjective,
	},
	{name: "request_stratum", key: []string{"minute_s", "category", "outcome"}, columns: []string{"spans", "rows"}, add: sums(3, 4)},
	{name: "fault_window", key: []string{"source", "run_id", "fault", "target", "experiment_id", "start_ns", "end_ns"}},
	{name: "circuit_state", key: []string{"run_id", "service", "instance", "circuit", "at_ns", "state", "from_state"}},
	{
		name: "chaos_result", key: []string{"at_ns", "span_id", "trace_id", "ordinal"},
		columns: []string{"run_id", "service", "suite", "name", "passed", "expected", "actual", "error", "duration_ns"},
		add:     lowestRow(4),
		apart:   func(row []any) bool { return isZeroID(row[1]) || isZeroID(row[2]) }, numbered: true,
	},
	{
		name: "evaluation", key: []string{"at_ns", "span_id", "trace_id", "ordinal"},
		columns: []string{"run_id", "service", "session_id", "name", "label", "score", "accepted", "source"},
		add:     lowestRow(4),
		apart:   func(row []any) bool { return isZeroID(row[1]) || isZeroID(row[2]) }, numbered: true,
	},
	{
		// Those that are too many leave in the order of their ids.
		name: "dead_letter", key: []string{"first_ns"}, columns: []string{"last_ns", "attempts", "reason", "error", "spans", "due", "payload"},
		apart: func([]any) bool { return true }, inOrderOf: "id",
	},
}

// sums is the add of tables of sums; the sums are the columns at some indexes.
func sums(columns ...int) func(row, other []any) error {
	return func(row, other []any) error {
		for _, at := range columns {
			a, _ := row[at].(int64)
			b, _ := other[at].(int64)
			sum := a + b
			if a > 0 && b > 0 && sum < 0 {
				return histogram.ErrOverflow
			}
			row[at] = sum
		}
		return nil
	}
}

// combine is the add of tables of which columns are combined each for itself.
func combine(columns map[int]func(a, b any) any) func(row, other []any) error {
	return func(row, other []any) error {
		for i, of := range columns {
			row[i] = of(row[i], other[i])
		}
		return nil
	}
}

// lowestValue and highestValue pass over NULL.
func lowestValue(a, b any) any {
	if a == nil || b != nil && compareValues(b, a) < 0 {
		return b
	}
	return a
}

func highestValue(a, b any) any {
	if a == nil || b != nil && compareValues(b, a) > 0 {
		return b
	}
	return a
}

// sameContent is the add of tables whose key is made of the other columns, up
// to the one at an index: the end of the newest span.
func sameContent(newest int) func(row, other []any) error {
	return func(row, other []any) error {
		for i := range row[:newest] {
			if row[i] != other[i] {
				return fmt.Errorf("%w: it stands for %v in one file and for %v in another", ErrNotMergeable, row[1:newest], other[1:newest])
			}
		}
		row[newest] = highestValue(row[newest], other[newest])
		return nil
	}
}

// lowestRow is the add of tables in which the row that comes first in order
// stands for others with its key.
func lowestRow(key int) func(row, other []any) error {
	return func(row, other []any) error {
		if slices.CompareFunc(other[key:], row[key:], compareValues) < 0 {
			copy(row, other)
		}
		return nil
	}
}

func isZeroID(value any) bool {
	id, ok := value.([]byte)
	return ok && len(bytes.Trim(id, "\x00")) == 0
}
