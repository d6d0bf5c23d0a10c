package storage

import (
	"math/bits"
	"strings"
)

// requestColumn is a column of the table request.
type requestColumn uint8

// The columns, those of the key first.
const (
	columnStart requestColumn = iota
	columnSpanID
	columnTraceID
	columnKind
	columnDuration
	columnCopy
	columnSeries
	columnKept
	columnRole
	columnParent
	columnSession
	columnToolCallID
	columnDecision
	columnDecisionSource
	columnInputTokens
	columnOutputTokens
	columnCost
	columnMarked
	columnTarget
	columnExperiment
	columnCircuit
	columnInstance
	columnTTFT
	columnInjectedDelay
	columnSpanName
	columnResponseModel
	columnDeployment
	columnEndpoint
	columnPhase
	columnFinishReason
	columnMessageCount
	columnStatusCode
	columnResends
	columnCacheReadTokens
	columnCacheWriteTokens
	columnReasoningTokens
	numRequestColumns
)

var requestColumnNames = [numRequestColumns]string{
	columnStart: "start_ns", columnSpanID: "span_id", columnTraceID: "trace_id", columnKind: "kind",
	columnDuration: "duration_ns", columnCopy: "copy", columnSeries: "series_id", columnKept: "kept",
	columnRole: "role", columnParent: "parent_span_id", columnSession: "session_id",
	columnToolCallID: "tool_call_id", columnDecision: "decision", columnDecisionSource: "decision_source",
	columnInputTokens: "input_tokens", columnOutputTokens: "output_tokens", columnCost: "cost_nano_usd",
	columnMarked: "marked", columnTarget: "target", columnExperiment: "experiment", columnCircuit: "circuit",
	columnTTFT: "ttft_ns", columnInjectedDelay: "injected_delay_ns", columnInstance: "instance",
	columnSpanName: "span_name", columnResponseModel: "response_model", columnDeployment: "deployment",
	columnEndpoint: "endpoint", columnPhase: "phase", columnFinishReason: "finish_reason",
	columnMessageCount: "message_count", columnStatusCode: "status_code", columnResends: "resend_count",
	columnCacheReadTokens: "cache_read_tokens", columnCacheWriteTokens: "cache_write_tokens",
	columnReasoningTokens: "reasoning_tokens",
}

// firstRequestOnly is the first of the columns that only rows kept as a request
// have.
const firstRequestOnly = columnTTFT

// dictionaryColumns hold a dictionary id.
var dictionaryColumns = []requestColumn{
	columnDecision, columnDecisionSource, columnTarget, columnExperiment, columnCircuit, columnInstance,
	columnSpanName, columnResponseModel, columnDeployment, columnEndpoint, columnPhase, columnFinishReason,
}

// columnSet is a set of columns; bit c stands for the column c.
type columnSet uint64

const (
	keyColumnSet columnSet = 1<<(columnCopy+1) - 1
	allColumnSet columnSet = 1<<numRequestColumns - 1
)

// next returns the first column of a set that is not empty, and the rest.
func (s columnSet) next() (requestColumn, columnSet) {
	return requestColumn(bits.TrailingZeros64(uint64(s))), s & (s - 1)
}

// requestInsert returns the statement that inserts so many rows of the given
// columns. Rows that are there already stay as they are. OR FAIL, since the
// transaction is rolled back after any error: for a statement that can be
// undone by itself, SQLite copies every page before it changes it.
func requestInsert(columns columnSet, rows int) string {
	names, values := "", ""
	for c, rest := requestColumn(0), columns; rest != 0; {
		c, rest = rest.next()
		names += requestColumnNames[c] + ", "
		values += "?, "
	}
	row := "(" + strings.TrimSuffix(values, ", ") + "), "
	return "INSERT OR FAIL INTO request (" + strings.TrimSuffix(names, ", ") + ") VALUES " +
		strings.TrimSuffix(strings.Repeat(row, rows), ", ") + " ON CONFLICT DO NOTHING"
}

// insertCopy inserts one row with all columns, but copy: equal keys get copies
// 1, 2, 3 …
var insertCopy = strings.Replace(
	strings.Replace(requestInsert(allColumnSet, 1), "(?, ?, ?, ?, ?, ?,", `(?1, ?2, ?3, ?4, ?5,
		(SELECT coalesce(max(copy), 0) + 1 FROM request
			WHERE start_ns = ?1 AND span_id = ?2 AND trace_id = ?3 AND kind = ?4 AND duration_ns = ?5),`, 1),
	" ON CONFLICT DO NOTHING", "", 1)
