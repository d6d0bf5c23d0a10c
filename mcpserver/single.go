package mcpserver

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
)

type slowArguments struct {
	interval
	MinMS float64 `json:"min_ms,omitempty" jsonschema:"only those that took at least so many milliseconds"`
	Limit *int64  `json:"limit,omitempty" jsonschema:"at most so many, 1 to 50; left out: 10"`
}

type requestsArguments struct {
	interval
	Outcome   string  `json:"outcome,omitempty" jsonschema:"only this outcome: success, rate_limited, capacity_error, server_error, client_error, connection_error, malformed, cancelled, circuit_open or other_error"`
	ErrorType *string `json:"error_type,omitempty" jsonschema:"only this error type; the empty text means those without"`
	Model     *string `json:"model,omitempty" jsonschema:"only this model; the empty text means those without"`
	TraceID   string  `json:"trace_id,omitempty" jsonschema:"only this trace, 32 hexadecimal digits"`
	SessionID string  `json:"session_id,omitempty" jsonschema:"only this session"`
	MinMS     float64 `json:"min_ms,omitempty" jsonschema:"only those that took at least so many milliseconds"`
	Limit     *int64  `json:"limit,omitempty" jsonschema:"at most so many, 1 to 50; left out: 10"`
	Offset    int64   `json:"offset,omitempty" jsonschema:"how many of the newest to skip"`
}

// unread are members of single requests that an agent seldom needs; query has
// them all.
var unread = []string{
	"series_id", "bucket_start", "parent_span_id", "instance", "kind", "dimensions", "tool_call_id",
	"decision", "decision_source", "experiment_id", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "response_model",
}

// addRows adds the tools over single requests.
func (s *server) addRows() {
	add(s, question[slowArguments]{"slow", "Which requests were slowest?",
		"The slowest requests with trace ids, latency in milliseconds, slowest first.", s.slow, shape{rows: 50, inline: "request", drop: unread}})
	add(s, question[requestsArguments]{"requests", "Which single requests were there?",
		"Single requests that are kept, newest first; weight says how many requests a row stands for.", s.requests, shape{rows: 50, drop: unread}})
}

func (s *server) slow(ctx context.Context, tx *sql.Tx, in slowArguments) (any, error) {
	q, err := in.query(ctx, s, tx)
	if err != nil {
		return nil, err
	}
	limit, err := rows(in.Limit, usualRows, 50)
	if err != nil {
		return nil, fmt.Errorf("slow: %w", err)
	}
	least, err := millis(in.MinMS)
	if err != nil {
		return nil, fmt.Errorf("slow: %w", err)
	}
	return analysis.AskSlow(ctx, tx, analysis.SlowQuery{Query: q, Threshold: least, Limit: limit})
}

func (s *server) requests(ctx context.Context, tx *sql.Tx, in requestsArguments) (any, error) {
	q, err := in.query(ctx, s, tx)
	if err != nil {
		return nil, err
	}
	if id, err := hex.DecodeString(in.TraceID); in.TraceID != "" && (err != nil || len(id) != 16) {
		return nil, fmt.Errorf("requests: trace_id %.40q: must be 32 hexadecimal digits", in.TraceID)
	}
	if names := aggregator.OutcomeNames(); in.Outcome != "" && !slices.Contains(names, in.Outcome) {
		return nil, fmt.Errorf("requests: outcome %.40q: must be one of %s", in.Outcome, strings.Join(names, ", "))
	}
	limit, err := rows(in.Limit, usualRows, 50)
	if err != nil {
		return nil, fmt.Errorf("requests: %w", err)
	}
	least, err := millis(in.MinMS)
	if err != nil {
		return nil, fmt.Errorf("requests: %w", err)
	}
	return analysis.AskRequests(ctx, tx, analysis.RequestsQuery{
		Query: q, Outcome: in.Outcome, ErrorType: in.ErrorType, Model: in.Model, TraceID: strings.ToLower(in.TraceID),
		SessionID: in.SessionID, MinLatency: least, Limit: limit, Offset: in.Offset,
	})
}

func millis(ms float64) (time.Duration, error) {
	const day = 86_400_000
	if ms < 0 || ms > day {
		return 0, fmt.Errorf("min_ms %g: must be 0 to %d", ms, day)
	}
	return time.Duration(ms * float64(time.Millisecond)), nil
}
