package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
)

// toolCall is a whole call, as the relation tool_calls has it.
type toolCall struct {
	tool     string
	duration int64  // of its run, nanoseconds; -1: not known
	wait     int64  // for a human; -1: it had none
	decision string // accept, auto, modify or reject; empty: none
	failed   bool
	sessions []sessionKey // that it is part of, without repetition
}

// sessionKey names a session.
type sessionKey struct{ run, service, session string }

// activitySeries is what is needed of a series.
type activitySeries struct {
	run, service, category, tool, outcome string
	success                               bool
}

// readSeries reads the series of the run that is asked for.
func (r *activityReading) readSeries(ctx context.Context, tx *sql.Tx) (map[int64]*activitySeries, error) {
	const query = "SELECT series_id, run_id, service, category, tool, outcome FROM series WHERE ?1 IS NULL OR run_id = ?1"
	rows, err := tx.QueryContext(ctx, query, r.query.Run)
	if err != nil {
		return nil, fmt.Errorf("read series: %w", err)
	}
	defer rows.Close()
	all := map[int64]*activitySeries{}
	for rows.Next() {
		var id int64
		s := &activitySeries{}
		if err := rows.Scan(&id, &s.run, &s.service, &s.category, &s.tool, &s.outcome); err != nil {
			return nil, fmt.Errorf("read series: %w", err)
		}
		s.success = s.outcome == "success"
		all[id] = s
	}
	return all, rows.Err()
}

// toolCalls reads the spans of tool calls and joins those of one call.
func (r *activityReading) toolCalls(ctx context.Context, tx *sql.Tx, series map[int64]*activitySeries) ([]toolCall, error) {
	spans, err := r.toolSpans(ctx, tx, series)
	if err != nil {
		return nil, err
	}
	nodes := toolNodes(spans)
	ids := make(map[callID]int, len(spans))
	var calls [][]int // numbers of spans
	for i := range spans {
		id := callOf(spans[i].node, nodes)
		at, ok := ids[id]
		if !ok {
			at = len(calls)
			ids[id] = at
			calls = append(calls, nil)
		}
		calls[at] = append(calls[at], i)
	}
	all := make([]toolCall, 0, len(calls))
	for _, of := range calls {
		all = append(all, joinCall(spans, of))
	}
	return all, nil
}

// joinCall makes one call of its spans. Its run is the longest run span;
// without one, what the call as a whole took besides waiting. One that was
// rejected and never run has no run, and is no error.
func joinCall(spans []toolSpan, of []int) toolCall {
	c := toolCall{wait: -1, duration: -1}
	best := &spans[of[0]]
	names := [3]string{} // by part
	for _, i := range of {
		s := &spans[i]
		if compareSpans(s, best) < 0 {
			best = s
		}
		if s.part == partWait && s.duration >= 0 {
			c.wait = max(c.wait, 0) + s.duration
		}
		if name := &names[s.part]; s.tool != "" && (*name == "" || s.tool < *name) {
			*name = s.tool
		}
		if slices.Contains([]string{"accept", "auto", "modify", "reject"}, s.decision) && (c.decision == "" || s.decision < c.decision) {
			c.decision = s.decision
		}
		if key := (sessionKey{s.node.run, s.service, s.session}); s.session != "" && !slices.Contains(c.sessions, key) {
			c.sessions = append(c.sessions, key)
		}
	}
	for _, name := range names {
		if c.tool == "" {
			c.tool = name
		}
	}
	rejected := c.decision == "reject"
	switch {
	case best.part == partRun:
		c.duration = best.duration
	case best.part == partCall && !rejected && best.duration >= 0:
		c.duration = max(best.duration-max(c.wait, 0), 0)
	}
	c.failed = !rejected && best.part != partWait && best.outcome != "success"
	return c
}

// accepted tells whether the call was let through: by a human, or by a rule.
func (c *toolCall) accepted() bool { return c.decision != "" && c.decision != "reject" }
