package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
)

// Tools is the answer to: which tools were called, and how did it go?
type Tools struct {
	Scope
	// CompleteFromUTC: spans that started earlier may have been deleted; nil:
	// none was.
	CompleteFromUTC *string `json:"complete_from_utc"`
	Rows            []Tool  `json:"rows"` // most calls first
	// Total sums up all tools; nil where there is no call.
	Total *Tool `json:"total"`
}

// Tool sums up the calls of one tool, over all runs that were asked for.
type Tool struct {
	Tool      string   `json:"tool"`
	Calls     int64    `json:"calls"` // however many spans each has
	Errors    int64    `json:"errors"`
	ErrorRate *float64 `json:"error_rate"`
	Share     *float64 `json:"share"` // of all calls
	// Latency is how long the tool ran, without the wait for a human: exact,
	// nearest rank.
	LatencyCount int64    `json:"latency_count"`
	AvgMS        *float64 `json:"avg_latency_ms"`
	P50MS        *float64 `json:"p50_latency_ms"`
	P95MS        *float64 `json:"p95_latency_ms"`
	P99MS        *float64 `json:"p99_latency_ms"`
	MaxMS        *float64 `json:"max_latency_ms"`
	// Waits is how many calls waited for a human, WaitAvgMS how long on
	// average.
	Waits          int64    `json:"waits"`
	WaitAvgMS      *float64 `json:"wait_ms_avg"`
	Accepted       int64    `json:"accepted"`
	Rejected       int64    `json:"rejected"`
	AutoAccepted   int64    `json:"auto_accepted"`
	AcceptanceRate *float64 `json:"acceptance_rate"`
}

// AskTools answers from the spans that are kept for tool calls. In a file of a
// schema without tools it returns storage.ErrOlder.
func AskTools(ctx context.Context, tx *sql.Tx, q Query) (*Tools, error) {
	r, err := newActivityReading(ctx, tx, q)
	if err != nil {
		return nil, fmt.Errorf("tools: %w", err)
	}
	answer := &Tools{Scope: r.scope, CompleteFromUTC: r.completeFrom, Rows: []Tool{}}
	series, err := r.readSeries(ctx, tx)
	if err != nil {
		return nil, fmt.Errorf("tools: %w", err)
	}
	calls, err := r.toolCalls(ctx, tx, series)
	if err != nil {
		return nil, fmt.Errorf("tools: %w", err)
	}
	if len(calls) == 0 {
		return answer, nil
	}
	slices.SortFunc(calls, func(a, b toolCall) int { return cmp.Or(cmp.Compare(a.tool, b.tool), a.compareTimes(&b)) })
	for rest := calls; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].tool == rest[0].tool {
			n++
		}
		answer.Rows = append(answer.Rows, newTool(rest[0].tool, rest[:n], int64(len(calls))))
		rest = rest[n:]
	}
	slices.SortFunc(answer.Rows, func(a, b Tool) int { return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Tool, b.Tool)) })
	slices.SortFunc(calls, func(a, b toolCall) int { return a.compareTimes(&b) })
	total := newTool("", calls, int64(len(calls)))
	answer.Total = &total
	return answer, nil
}

func (c *toolCall) compareTimes(o *toolCall) int {
	return cmp.Or(cmp.Compare(c.duration, o.duration), cmp.Compare(c.wait, o.wait))
}

// newTool sums up calls, which are in the order of their duration, those
// without one first.
func newTool(name string, calls []toolCall, all int64) Tool {
	t := Tool{Tool: name, Calls: int64(len(calls)), Share: share(int64(len(calls)), all)}
	var sum, waited float64
	for i := range calls {
		c := &calls[i]
		if c.failed {
			t.Errors++
		}
		if c.duration >= 0 {
			sum += float64(c.duration)
			t.LatencyCount++
		}
		if c.wait >= 0 {
			waited += float64(c.wait)
			t.Waits++
		}
		switch {
		case c.decision == "reject":
			t.Rejected++
		case c.accepted():
			t.Accepted++
		}
		if c.decision == "auto" {
			t.AutoAccepted++
		}
	}
	t.ErrorRate, t.AcceptanceRate = share(t.Errors, t.Calls), share(t.Accepted, t.Accepted+t.Rejected)
	t.WaitAvgMS = mean(waited/1e6, t.Waits)
	t.AvgMS = mean(sum/1e6, t.LatencyCount)
	if n := int64(len(calls)); t.LatencyCount > 0 {
		timed := calls[n-t.LatencyCount:]
		rank := func(percent int64) *float64 {
			v := milliseconds(timed[(t.LatencyCount*percent+99)/100-1].duration)
			return &v
		}
		t.P50MS, t.P95MS, t.P99MS, t.MaxMS = rank(50), rank(95), rank(99), rank(100)
	}
	return t
}

// mean returns sum/n; nil for n = 0.
func mean(sum float64, n int64) *float64 {
	if n == 0 {
		return nil
	}
	v := sum / float64(n)
	return &v
}
