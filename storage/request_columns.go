package storage

import (
	"math/bits"
	"strings"
)

// requestColumn is a column of the table request that a row is written with.
type requestColumn uint8

// The columns; every row has those up to columnKept.
const (
	columnStart requestColumn = iota
	columnDuration
	columnTraceID
	columnSpanID
	columnSeries
	columnKept
	columnProfile
	columnParent
	columnSession
	columnInputTokens
	columnOutputTokens
	columnCost
	columnTTFT
	columnWeight
	columnRole
	columnToolCallID
	columnMarked
	columnInjectedDelay
	columnMessageCount
	columnResends
	columnCacheReadTokens
	columnCacheWriteTokens
	columnReasoningTokens
	columnAdjusted
	numRequestColumns
)

var requestColumnNames = [numRequestColumns]string{
	columnStart: "start_ns", columnDuration: "duration_ns", columnTraceID: "trace_id", columnSpanID: "span_id",
	columnSeries: "series_id", columnKept: "kept", columnProfile: "profile_id", columnParent: "parent_span_id",
	columnSession: "session_id", columnInputTokens: "input_tokens", columnOutputTokens: "output_tokens",
	columnCost: "cost_nano_usd", columnTTFT: "ttft_ns", columnWeight: "weight_micro", columnRole: "role",
	columnToolCallID: "tool_call_id", columnMarked: "marked", columnInjectedDelay: "injected_delay_ns",
	columnMessageCount: "message_count", columnResends: "resend_count", columnCacheReadTokens: "cache_read_tokens",
	columnCacheWriteTokens: "cache_write_tokens", columnReasoningTokens: "reasoning_tokens",
	columnAdjusted: "adjusted_micro",
}

// requestOnlyColumns are those that only rows kept as a request have.
var requestOnlyColumns = []requestColumn{
	columnTTFT, columnWeight, columnInjectedDelay, columnMessageCount, columnResends, columnCacheReadTokens,
	columnCacheWriteTokens, columnReasoningTokens, columnAdjusted,
}

// columnSet is a set of columns; bit c stands for the column c.
type columnSet uint64

const (
	commonColumnSet columnSet = 1<<(columnKept+1) - 1
	allColumnSet    columnSet = 1<<numRequestColumns - 1
)

// next returns the first column of a set that is not empty, and the rest.
func (s columnSet) next() (requestColumn, columnSet) {
	return requestColumn(bits.TrailingZeros64(uint64(s))), s & (s - 1)
}

// requestInsert returns the statement that appends so many rows of the given
// columns. OR FAIL, since the transaction is rolled back after any error: for a
// statement that can be undone by itself, SQLite copies every page before it
// changes it.
func requestInsert(columns columnSet, rows int) string {
	names, values := "", ""
	for c, rest := requestColumn(0), columns; rest != 0; {
		c, rest = rest.next()
		names += requestColumnNames[c] + ", "
		values += "?, "
	}
	row := "(" + strings.TrimSuffix(values, ", ") + "), "
	return "INSERT OR FAIL INTO request (" + strings.TrimSuffix(names, ", ") + ") VALUES " +
		strings.TrimSuffix(strings.Repeat(row, rows), ", ")
}
