package analysis

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
)

// turnSpan is a span of a session that may begin a turn or be work within one.
type turnSpan struct {
	start, end   int64
	trace        [16]byte // zeros: none
	turns, works bool
}

// turn is what an agent does at one request of its user, as the relation turns
// has it.
type turn struct {
	start, end int64
	trace      [16]byte
}

// readTurns reads the spans of the sessions that are answered with, and times
// their turns.
func (all *sessionSums) readTurns(ctx context.Context, tx *sql.Tx, chosen []*sessionSum) error {
	if len(chosen) == 0 {
		return nil
	}
	names := make([]string, 0, len(chosen))
	spans := map[sessionKey][]turnSpan{}
	for _, s := range chosen {
		names = append(names, s.key.session)
		spans[s.key] = nil
	}
	list, err := json.Marshal(names)
	if err != nil {
		return err
	}
	rows, err := tx.QueryContext(ctx, `SELECT series_id, session_id, start_ns, start_ns + max(duration_ns, 0), trace_id, coalesce(role, 0)
		FROM request AS r WHERE kept & 2 AND `+all.inInterval()+` AND session_id IN (SELECT value FROM json_each(?3))`,
		all.firstSpan, all.lastSpan, string(list))
	if err != nil {
		return fmt.Errorf("read turns: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, role int64
		var session, trace sql.RawBytes
		var s turnSpan
		if err := rows.Scan(&id, &session, &s.start, &s.end, &trace, &role); err != nil {
			return fmt.Errorf("read turns: %w", err)
		}
		of, ok := all.series[id]
		if !ok {
			continue
		}
		copy(s.trace[:], trace)
		s.turns = of.category == "agent" || of.category == "workflow" || role == 1
		s.works = of.category == "llm" || of.category == "tool" || role >= 2
		key := sessionKey{of.run, of.service, string(session)}
		if _, asked := spans[key]; asked && (s.turns || s.works) {
			spans[key] = append(spans[key], s)
		}
	}
	for _, s := range chosen {
		s.addTurns(turnsOf(spans[s.key]))
	}
	return rows.Err()
}

// turnsOf finds the turns of a session: from the start of an agent or workflow
// span that is not inside another one, to the end of all that overlap it.
// Without such spans: one per trace.
func turnsOf(spans []turnSpan) (turns []turn) {
	led := slices.ContainsFunc(spans, func(s turnSpan) bool { return s.turns })
	if !led {
		return turnsByTrace(spans)
	}
	spans = slices.DeleteFunc(spans, func(s turnSpan) bool { return !s.turns })
	slices.SortFunc(spans, func(a, b turnSpan) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end)) })
	for i, s := range spans {
		n := len(turns)
		same := i > 0 && spans[i-1].start == s.start && spans[i-1].end == s.end
		if n == 0 || s.start >= turns[n-1].end && !same {
			turns = append(turns, turn{start: s.start, end: s.end})
			continue
		}
		turns[n-1].end = max(turns[n-1].end, s.end)
	}
	return turns
}

func turnsByTrace(spans []turnSpan) []turn {
	by := map[[16]byte]turn{}
	for _, s := range spans {
		t, ok := by[s.trace]
		if !ok {
			t = turn{s.start, s.end, s.trace}
		}
		by[s.trace] = turn{min(t.start, s.start), max(t.end, s.end), s.trace}
	}
	turns := make([]turn, 0, len(by))
	for _, t := range by {
		turns = append(turns, t)
	}
	slices.SortFunc(turns, func(a, b turn) int {
		return cmp.Or(cmp.Compare(a.start, b.start), bytes.Compare(a.trace[:], b.trace[:]))
	})
	return turns
}

// addTurns sums up the turns, which are in order. Turns by trace may overlap:
// nobody thought in between.
func (s *sessionSum) addTurns(turns []turn) {
	var end int64
	for i, t := range turns {
		if i > 0 {
			s.thoughts++
			s.thinkNS += max(t.start-end, 0)
		}
		s.turns++
		s.responseNS += t.end - t.start
		if i == 0 || t.end > end {
			end = t.end
		}
	}
}
