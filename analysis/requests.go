package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"
)

// RequestsQuery asks for single requests that are kept. Every condition left
// empty is none.
type RequestsQuery struct {
	// Query bounds them; From and To to the nanosecond. Width and IncludeOpen
	// say nothing here: a request is shown as soon as it is kept, since nothing
	// that comes later changes it.
	Query
	Outcome   string
	ErrorType *string // "" being those without
	Model     *string // likewise
	TraceID   string  // 32 lower-case hexadecimal digits
	SessionID string
	// MinLatency is the least duration.
	MinLatency time.Duration
	// Limit is how many are answered with, from the newest on, after Offset of
	// them; 0 is 100.
	Limit, Offset int64
}

// MaxRequests is the largest RequestsQuery.Limit and SlowQuery.Limit.
const MaxRequests = 10_000

// Request is a single request that is kept, as the relation requests has it.
type Request struct {
	TraceID       *string  `json:"trace_id"`
	SpanID        *string  `json:"span_id"`
	ParentSpanID  *string  `json:"parent_span_id"`
	RunID         string   `json:"run_id"`
	StartUTC      string   `json:"start_utc"`
	StartNS       int64    `json:"start_ns"`
	DurationNS    *int64   `json:"duration_ns"`
	LatencyMS     *float64 `json:"latency_ms"`
	TTFTMS        *float64 `json:"ttft_ms"`
	InjectedMS    *float64 `json:"injected_delay_ms"`
	Service       string   `json:"service"`
	Instance      *string  `json:"instance"`
	Operation     string   `json:"operation"`
	Kind          string   `json:"kind"`
	Category      string   `json:"category"`
	Provider      string   `json:"provider"`
	Model         string   `json:"model"`
	ResponseModel *string  `json:"response_model"`
	Deployment    *string  `json:"deployment"`
	Endpoint      *string  `json:"endpoint"`
	Tool          string   `json:"tool"`
	Agent         string   `json:"agent"`
	SessionID     *string  `json:"session_id"`
	MessageCount  *int64   `json:"message_count"`
	Outcome       string   `json:"outcome"`
	StatusCode    *int64   `json:"status_code"`
	ErrorType     string   `json:"error_type"`
	Fault         string   `json:"fault"`
	FinishReason  *string  `json:"finish_reason"`
	ResendCount   *int64   `json:"resend_count"`
	InputTokens   *int64   `json:"input_tokens"`
	OutputTokens  *int64   `json:"output_tokens"`
	CacheRead     *int64   `json:"cache_read_tokens"`
	CacheWrite    *int64   `json:"cache_write_tokens"`
	Reasoning     *int64   `json:"reasoning_tokens"`
	CostUSD       *float64 `json:"cost_usd"`
	Weight        float64  `json:"weight"` // requests that the row stands for
}

const requestColumns = `trace_id, span_id, parent_span_id, run_id, start_utc, start_ns, duration_ns, latency_ms, ttft_ms,
	injected_delay_ms, service, instance, operation, kind, category, provider, model, response_model, deployment,
	endpoint, tool, agent, session_id, message_count, outcome, status_code, error_type, fault, finish_reason,
	resend_count, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, cost_usd, weight`

func (r *Request) fields() []any {
	return []any{
		&r.TraceID, &r.SpanID, &r.ParentSpanID, &r.RunID, &r.StartUTC, &r.StartNS, &r.DurationNS, &r.LatencyMS, &r.TTFTMS,
		&r.InjectedMS, &r.Service, &r.Instance, &r.Operation, &r.Kind, &r.Category, &r.Provider, &r.Model, &r.ResponseModel,
		&r.Deployment, &r.Endpoint, &r.Tool, &r.Agent, &r.SessionID, &r.MessageCount, &r.Outcome, &r.StatusCode,
		&r.ErrorType, &r.Fault, &r.FinishReason, &r.ResendCount, &r.InputTokens, &r.OutputTokens, &r.CacheRead,
		&r.CacheWrite, &r.Reasoning, &r.CostUSD, &r.Weight,
	}
}

// Requests is the answer to RequestsQuery.
type Requests struct {
	RunID      *string  `json:"run_id"`     // nil for every run
	Categories []string `json:"categories"` // empty for every category
	Kept       Kept     `json:"kept"`
	// OpenFromUTC is from when on more requests may come; nil: all that is asked
	// for has settled.
	OpenFromUTC *string `json:"open_from_utc"`
	Limit       int64   `json:"limit"`
	Offset      int64   `json:"offset"`
	// More tells whether there are more after the last row.
	More bool      `json:"more"`
	Rows []Request `json:"rows"` // newest first
}

// AskRequests reads rows of single requests, newest first.
func AskRequests(ctx context.Context, tx *sql.Tx, q RequestsQuery) (*Requests, error) {
	answer, err := askRequests(ctx, tx, q)
	if err != nil {
		return nil, fmt.Errorf("requests: %w", err)
	}
	return answer, nil
}

func askRequests(ctx context.Context, tx *sql.Tx, q RequestsQuery) (*Requests, error) {
	if q.Limit == 0 {
		q.Limit = 100
	}
	switch {
	case q.Limit < 1 || q.Limit > MaxRequests:
		return nil, fmt.Errorf("limit %d: must be 1 to %d: %w", q.Limit, MaxRequests, ErrQuery)
	case q.Offset < 0:
		return nil, fmt.Errorf("offset %d: must not be negative: %w", q.Offset, ErrQuery)
	}
	q.Width = 0
	r, err := newReading(ctx, tx, q.Query, false)
	if err != nil {
		return nil, err
	}
	r.query.Categories = r.categories()
	answer := &Requests{RunID: q.Run, Categories: []string{}, Limit: q.Limit, Offset: q.Offset, Rows: []Request{}}
	for _, c := range r.query.Categories {
		answer.Categories = append(answer.Categories, c.String())
	}
	if r.meta.SchemaVersion < firstWithRequests {
		return answer, nil
	}
	from, to := q.bounds()
	if answer.Kept, err = r.readKept(ctx, tx, max(from, saturated(r.from))); err != nil {
		return nil, err
	}
	if until, err := r.settledUntil(ctx, tx); err != nil {
		return nil, err
	} else if r.scope.Open.Buckets > 0 {
		answer.OpenFromUTC = utc(until)
	}
	where, args := r.requestCondition(from, to)
	where, args = q.add(where, args)
	const order = " ORDER BY start_ns DESC, trace_id, span_id, duration_ns, series_id LIMIT ? OFFSET ?"
	answer.Rows, err = readRequests(ctx, tx, where+order, append(args, q.Limit+1, q.Offset))
	if int64(len(answer.Rows)) > q.Limit {
		answer.Rows, answer.More = answer.Rows[:q.Limit], true
	}
	return answer, err
}

// bounds are From and To in Unix nanoseconds.
func (q *Query) bounds() (from, to int64) {
	from, to = math.MinInt64, math.MaxInt64
	if !q.From.IsZero() {
		from = q.From.UnixNano()
	}
	if !q.To.IsZero() {
		to = q.To.UnixNano()
	}
	return from, to
}

// add adds the conditions of its own.
func (q *RequestsQuery) add(where string, args []any) (string, []any) {
	for _, c := range []struct {
		set   bool
		text  string
		value any
	}{
		{q.Outcome != "", "outcome = ?", q.Outcome},
		{q.ErrorType != nil, "error_type = ?", q.ErrorType},
		{q.Model != nil, "model = ?", q.Model},
		{q.TraceID != "", "trace_id = ?", q.TraceID},
		{q.SessionID != "", "session_id = ?", q.SessionID},
		{q.MinLatency > 0, "duration_ns >= ?", int64(q.MinLatency)},
	} {
		if c.set {
			where += " AND " + c.text
			args = append(args, c.value)
		}
	}
	return where, args
}

// readRequests reads the rows of the view that a condition selects.
func readRequests(ctx context.Context, tx *sql.Tx, where string, args []any) ([]Request, error) {
	rows, err := tx.QueryContext(ctx, "SELECT "+requestColumns+" FROM requests WHERE "+where, args...)
	if err != nil {
		return nil, fmt.Errorf("read requests: %w", err)
	}
	defer rows.Close()
	all := []Request{}
	for rows.Next() {
		var r Request
		if err := rows.Scan(r.fields()...); err != nil {
			return nil, fmt.Errorf("read requests: %w", err)
		}
		all = append(all, r)
	}
	return all, rows.Err()
}
