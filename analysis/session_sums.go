package analysis

import (
	"context"
	"database/sql"
	"fmt"
)

// optional is a sum that is missing as long as nothing was added.
type optional struct {
	n     int64
	known bool
}

// add adds a number; a negative one is none.
func (o *optional) add(v int64) {
	if v >= 0 {
		o.join(optional{v, true})
	}
}

func (o *optional) join(v optional) {
	o.n += v.n
	o.known = o.known || v.known
}

func (o *optional) pointer() *int64 {
	if !o.known {
		return nil
	}
	return &o.n
}

// usd returns nano US dollars as US dollars.
func (o *optional) usd() *float64 {
	if !o.known {
		return nil
	}
	v := float64(o.n) / 1e9
	return &v
}

// sessionSum is a session in the making.
type sessionSum struct {
	key                      sessionKey
	first, last              int64 // Unix nanoseconds
	requests, errors         int64
	toolCalls, toolErrors    int64
	accepted, rejected, auto int64
	input, output, cost      optional
	turns, thoughts          int64
	responseNS, thinkNS      int64 // sums
}

// sessionSums are all sessions of an answer.
type sessionSums struct {
	*activityReading
	series map[int64]*activitySeries
	sums   map[sessionKey]*sessionSum
}

// readSpans adds up the spans by session. SQLite would sort them first, which
// takes twice as long.
func (all *sessionSums) readSpans(ctx context.Context, tx *sql.Tx) error {
	headline := map[string]bool{}
	for _, c := range all.headline {
		headline[c] = true
	}
	rows, err := tx.QueryContext(ctx, `SELECT series_id, session_id, start_ns, start_ns + max(duration_ns, 0),
			coalesce(input_tokens, -1), coalesce(output_tokens, -1), coalesce(cost_nano_usd, -1)
		FROM request AS r WHERE kept & 2 AND session_id <> '' AND `+all.inInterval()+`
			AND (?3 IS NULL OR series_id IN (SELECT series_id FROM series WHERE run_id = ?3))`, all.firstSpan, all.lastSpan, all.query.Run)
	if err != nil {
		return fmt.Errorf("read spans: %w", err)
	}
	defer rows.Close()
	known := map[int64]map[string]*sessionSum{} // by series and session
	var id, first, last, input, output, cost int64
	var session sql.RawBytes
	into := []any{&id, &session, &first, &last, &input, &output, &cost}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return fmt.Errorf("read spans: %w", err)
		}
		of, ok := all.series[id]
		if !ok {
			continue // without its series a span is of no session
		}
		s := known[id][string(session)]
		if s == nil {
			s = all.sum(sessionKey{of.run, of.service, string(session)}, first, last)
			if known[id] == nil {
				known[id] = map[string]*sessionSum{}
			}
			known[id][s.key.session] = s
		}
		s.first, s.last = min(s.first, first), max(s.last, last)
		if headline[of.category] {
			s.requests++
			if !of.success {
				s.errors++
			}
		}
		s.input.add(input)
		s.output.add(output)
		s.cost.add(cost)
	}
	return rows.Err()
}

// sum returns the sum of a session, a new one where there is none yet.
func (all *sessionSums) sum(key sessionKey, first, last int64) *sessionSum {
	s := all.sums[key]
	if s == nil {
		s = &sessionSum{key: key, first: first, last: last}
		all.sums[key] = s
	}
	return s
}

// readCalls adds the tool calls. One that is part of two sessions counts in
// both.
func (all *sessionSums) readCalls(ctx context.Context, tx *sql.Tx) error {
	calls, err := all.toolCalls(ctx, tx, all.series)
	if err != nil {
		return err
	}
	for i := range calls {
		c := &calls[i]
		for _, key := range c.sessions {
			s := all.sums[key]
			s.toolCalls++
			if c.failed {
				s.toolErrors++
			}
			switch {
			case c.decision == "reject":
				s.rejected++
			case c.accepted():
				s.accepted++
			}
			if c.decision == "auto" {
				s.auto++
			}
		}
	}
	return nil
}

// readJudgements adds what was judged.
func (all *sessionSums) readJudgements(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, `SELECT run_id, service, session_id, sum(accepted = 1), sum(accepted = 0) FROM evaluation
		WHERE session_id <> '' AND accepted IS NOT NULL AND at_ns >= ?1 AND at_ns < ?2 AND (?3 IS NULL OR run_id = ?3)
		GROUP BY run_id, service, session_id`, all.from, all.to, all.query.Run)
	if err != nil {
		return fmt.Errorf("read evaluations: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var key sessionKey
		var accepted, rejected int64
		if err := rows.Scan(&key.run, &key.service, &key.session, &accepted, &rejected); err != nil {
			return fmt.Errorf("read evaluations: %w", err)
		}
		if s, ok := all.sums[key]; ok {
			s.accepted += accepted
			s.rejected += rejected
		}
	}
	return rows.Err()
}

// productivityWeights are those of the relation of that name.
type productivityWeights struct{ base, toolSuccess, toolFailure, acceptance float64 }

func readProductivityWeights(ctx context.Context, tx *sql.Tx) (w productivityWeights, err error) {
	const query = "SELECT base, tool_success, tool_failure, acceptance FROM productivity_weights"
	if err = tx.QueryRowContext(ctx, query).Scan(&w.base, &w.toolSuccess, &w.toolFailure, &w.acceptance); err != nil {
		err = fmt.Errorf("read weights: %w", err)
	}
	return w, err
}

// row finishes a session.
func (s *sessionSum) row(w productivityWeights) Session {
	row := Session{
		RunID: s.key.run, Service: s.key.service, SessionID: s.key.session,
		FirstUTC: utcText(s.first), LastUTC: utcText(s.last), FirstNS: s.first, LastNS: s.last, DurationS: float64(s.last-s.first) / 1e9,
		Requests: s.requests, Errors: s.errors, ToolCalls: s.toolCalls, ToolErrors: s.toolErrors,
		Accepted: s.accepted, Rejected: s.rejected, AutoAccepted: s.auto, AcceptanceRate: share(s.accepted, s.accepted+s.rejected),
		ThinkTimeS: mean(float64(s.thinkNS)/1e9, s.thoughts), ResponseTimeS: mean(float64(s.responseNS)/1e9, s.turns),
		InputTokens: s.input.pointer(), OutputTokens: s.output.pointer(), CostUSD: s.cost.usd(),
	}
	if s.last > s.first {
		perMinute := float64(s.toolCalls) * 60e9 / float64(s.last-s.first)
		row.ToolsPerMinute = &perMinute
	}
	if s.turns > 0 {
		turns := s.turns
		row.Prompts = &turns
	}
	if row.AcceptanceRate != nil && s.toolCalls > 0 {
		failed := float64(s.toolErrors) / float64(s.toolCalls)
		score := w.base + w.toolSuccess*(1-failed) - w.toolFailure*failed + w.acceptance**row.AcceptanceRate
		score = min(100, max(0, score))
		row.Productivity = &score
	}
	return row
}
