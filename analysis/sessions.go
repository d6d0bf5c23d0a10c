package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// SessionsQuery asks for the sessions that come first by some measure.
type SessionsQuery struct {
	Query
	Sort  string // one of SessionSorts; empty: the first of them
	Limit int    // of rows; 0: all
	// SessionID and Service restrict the answer to sessions of this id and of this
	// service; nil: any.
	SessionID, Service *string
}

// SessionSorts are what sessions can be sorted by, the most first.
var SessionSorts = []string{"requests", "errors", "tool_calls", "duration", "tokens", "cost", "start"}

// Sessions is the answer to SessionsQuery.
type Sessions struct {
	Scope
	// CompleteFromUTC: spans that started earlier may have been deleted; nil:
	// none was.
	CompleteFromUTC *string   `json:"complete_from_utc"`
	Sort            string    `json:"sort"`
	Rows            []Session `json:"rows"`
	// Total sums up all sessions that are asked for, not only the rows.
	Total SessionTotal `json:"total"`
}

// SessionTotal sums up sessions.
type SessionTotal struct {
	Sessions       int64    `json:"sessions"`
	Requests       int64    `json:"requests"`
	Errors         int64    `json:"errors"`
	ErrorRate      *float64 `json:"error_rate"`
	ToolCalls      int64    `json:"tool_calls"`
	ToolErrors     int64    `json:"tool_errors"`
	Accepted       int64    `json:"accepted"`
	Rejected       int64    `json:"rejected"`
	AutoAccepted   int64    `json:"auto_accepted"`
	AcceptanceRate *float64 `json:"acceptance_rate"`
	AvgDurationS   *float64 `json:"avg_duration_s"`
	InputTokens    *int64   `json:"input_tokens"`
	OutputTokens   *int64   `json:"output_tokens"`
	CostUSD        *float64 `json:"cost_usd"`
}

// Session is a row of the relation sessions, of the spans in the interval.
type Session struct {
	RunID     string  `json:"run_id"`
	Service   string  `json:"service"`
	SessionID string  `json:"session_id"`
	FirstUTC  string  `json:"first_utc"`
	LastUTC   string  `json:"last_utc"`
	FirstNS   int64   `json:"first_ns"`
	LastNS    int64   `json:"last_ns"` // end of the last span
	DurationS float64 `json:"duration_s"`
	Requests  int64   `json:"requests"`
	Errors    int64   `json:"errors"` // every outcome but success
	// ToolCalls are whole calls, however many spans each has.
	ToolCalls      int64    `json:"tool_calls"`
	ToolErrors     int64    `json:"tool_errors"`
	ToolsPerMinute *float64 `json:"tools_per_minute"`
	// Prompts is the number of turns; the times are means over them.
	Prompts        *int64   `json:"prompts"`
	ThinkTimeS     *float64 `json:"think_time_s"`
	ResponseTimeS  *float64 `json:"response_time_s"`
	Accepted       int64    `json:"accepted"`
	Rejected       int64    `json:"rejected"`
	AutoAccepted   int64    `json:"auto_accepted"`
	AcceptanceRate *float64 `json:"acceptance_rate"`
	// Productivity is between 0 and 100; nil where no tool was called or
	// nothing was judged.
	Productivity *float64 `json:"productivity_score"`
	InputTokens  *int64   `json:"input_tokens"`
	OutputTokens *int64   `json:"output_tokens"`
	CostUSD      *float64 `json:"cost_usd"`
}

// AskSessions answers from the spans that are kept for sessions. In a file of
// a schema without sessions it returns storage.ErrOlder.
func AskSessions(ctx context.Context, tx *sql.Tx, q SessionsQuery) (*Sessions, error) {
	if q.Sort == "" {
		q.Sort = SessionSorts[0]
	}
	if !slices.Contains(SessionSorts, q.Sort) {
		return nil, fmt.Errorf("sessions: sort by %q: must be one of %s: %w", q.Sort, strings.Join(SessionSorts, ", "), ErrQuery)
	}
	r, err := newActivityReading(ctx, tx, q.Query)
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	series, err := r.readSeries(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	all := &sessionSums{activityReading: r, series: series, sums: map[sessionKey]*sessionSum{}}
	for _, read := range []func(context.Context, *sql.Tx) error{all.readSpans, all.readCalls, all.readJudgements} {
		if err := read(ctx, tx); err != nil {
			return nil, fmt.Errorf("sessions: %w", err)
		}
	}
	maps.DeleteFunc(all.sums, func(key sessionKey, _ *sessionSum) bool {
		return q.SessionID != nil && key.session != *q.SessionID || q.Service != nil && key.service != *q.Service
	})
	chosen := all.choose(q.Sort, q.Limit)
	if err := all.readTurns(ctx, tx, chosen); err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	weights, err := readProductivityWeights(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("sessions: %w", err)
	}
	answer := &Sessions{Scope: r.scope, CompleteFromUTC: r.completeFrom, Sort: q.Sort, Rows: []Session{}, Total: all.total()}
	for _, s := range chosen {
		answer.Rows = append(answer.Rows, s.row(weights))
	}
	return answer, nil
}

// total sums up all sessions.
func (all *sessionSums) total() SessionTotal {
	t := SessionTotal{Sessions: int64(len(all.sums))}
	var cost optional
	var input, output optional
	var durationNS float64
	for _, s := range all.sums {
		t.Requests += s.requests
		t.Errors += s.errors
		t.ToolCalls += s.toolCalls
		t.ToolErrors += s.toolErrors
		t.Accepted += s.accepted
		t.Rejected += s.rejected
		t.AutoAccepted += s.auto
		input.join(s.input)
		output.join(s.output)
		cost.join(s.cost)
		durationNS += float64((s.last - s.first) / 1e3) // whole: the order must not matter
	}
	t.ErrorRate, t.AcceptanceRate = share(t.Errors, t.Requests), share(t.Accepted, t.Accepted+t.Rejected)
	t.AvgDurationS = mean(durationNS/1e6, t.Sessions)
	t.InputTokens, t.OutputTokens, t.CostUSD = input.pointer(), output.pointer(), cost.usd()
	return t
}

// choose returns the sessions that come first, at most limit of them; 0 means
// all.
func (all *sessionSums) choose(sort string, limit int) []*sessionSum {
	chosen := make([]*sessionSum, 0, len(all.sums))
	for _, s := range all.sums {
		chosen = append(chosen, s)
	}
	by := map[string]func(*sessionSum) int64{
		"requests": func(s *sessionSum) int64 { return s.requests }, "errors": func(s *sessionSum) int64 { return s.errors },
		"tool_calls": func(s *sessionSum) int64 { return s.toolCalls }, "duration": func(s *sessionSum) int64 { return s.last - s.first },
		"tokens": func(s *sessionSum) int64 { return s.input.n + s.output.n }, "cost": func(s *sessionSum) int64 { return s.cost.n },
		"start": func(s *sessionSum) int64 { return s.first },
	}[sort]
	slices.SortFunc(chosen, func(a, b *sessionSum) int {
		return cmp.Or(cmp.Compare(by(b), by(a)), cmp.Compare(a.first, b.first), cmp.Compare(a.key.run, b.key.run),
			cmp.Compare(a.key.service, b.key.service), cmp.Compare(a.key.session, b.key.session))
	})
	if limit > 0 && len(chosen) > limit {
		chosen = chosen[:limit]
	}
	return chosen
}
