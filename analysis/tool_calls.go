package analysis

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
)

// nodeID names a span within a run: trace and span id, or, for a span that
// lacks one of them, its place in the answer of the file.
type nodeID struct {
	run   string
	ids   [24]byte
	place int // 1 and up
}

// callID names a tool call within a run: by what the spans say, in their trace,
// or by its topmost span.
type callID struct {
	node nodeID // ids of the trace only where said
	said string
}

// The parts of a tool call; a run tells most of it.
const (
	partRun = iota
	partCall
	partWait
)

// toolSpan is a span that is part of a tool call.
type toolSpan struct {
	node      nodeID
	parent    nodeID // empty: none
	said      callID // empty: names no call
	service   string
	session   string // empty: none
	part      int
	start     int64
	duration  int64 // -1: none that is usable
	tool      string
	outcome   string
	decision  string
	isOrphan  bool // has no parent
	namesCall bool
}

// toolNode is what the spans of one id say together.
type toolNode struct {
	parent    nodeID
	hasParent bool
	said      callID
	namesCall bool
	part      string
	tool      string
}

const noID = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// toolSpans reads the spans of tool calls that start in the interval.
func (r *activityReading) toolSpans(ctx context.Context, tx *sql.Tx, series map[int64]*activitySeries) ([]toolSpan, error) {
	decisions, err := r.decisions(ctx, tx)
	if err != nil {
		return nil, err
	}
	column := "profile_id"
	if r.meta.SchemaVersion < firstWithProfiles {
		column = "decision"
	}
	rows, err := tx.QueryContext(ctx, `SELECT r.series_id, r.session_id, r.trace_id, r.span_id, r.parent_span_id, r.start_ns, r.duration_ns,
			r.tool_call_id, coalesce(r.role, 0), coalesce(r.`+column+`, 0)
		FROM request AS r
		WHERE r.kept & 2 AND (r.role IN (2, 3, 4) OR r.series_id IN (SELECT series_id FROM series WHERE category = 'tool'))
			AND `+r.inInterval()+`
			AND (?3 IS NULL OR r.series_id IN (SELECT series_id FROM series WHERE run_id = ?3))`, r.firstSpan, r.lastSpan, r.query.Run)
	if err != nil {
		return nil, fmt.Errorf("read tool spans: %w", err)
	}
	defer rows.Close()
	var all []toolSpan
	for rows.Next() {
		var seriesID, role, decision int64
		var session, said sql.NullString
		var trace, span, parent sql.RawBytes
		var s toolSpan
		if err := rows.Scan(&seriesID, &session, &trace, &span, &parent, &s.start, &s.duration, &said, &role, &decision); err != nil {
			return nil, fmt.Errorf("read tool spans: %w", err)
		}
		of, ok := series[seriesID]
		if !ok {
			continue // of another run
		}
		s.service, s.session, s.tool, s.outcome = of.service, session.String, of.tool, of.outcome
		s.decision = decisions[decision]
		s.part = map[int64]int{2: partCall, 4: partWait}[role]
		s.duration = max(s.duration, -1)
		s.name(of.run, trace, span, parent, said.String, len(all)+1)
		all = append(all, s)
	}
	return all, rows.Err()
}

// name sets the ids of a span.
func (s *toolSpan) name(run string, trace, span, parent []byte, said string, place int) {
	s.node.run = run
	inTrace := len(trace) == 16 && string(trace) != noID
	copy(s.node.ids[:16], trace)
	copy(s.node.ids[16:], span)
	if !inTrace || len(span) != 8 || string(span) == noID[:8] {
		s.node.place = place
	}
	if inTrace && len(parent) == 8 && string(parent) != noID[:8] {
		s.parent.run = run
		copy(s.parent.ids[:16], trace)
		copy(s.parent.ids[16:], parent)
	} else {
		s.isOrphan = true
	}
	if said != "" {
		// Some number their calls anew in every conversation: an id counts
		// within its trace.
		s.said, s.namesCall = callID{node: nodeID{run: run}, said: said}, true
		if inTrace {
			copy(s.said.node.ids[:16], trace)
		}
	}
}

// decisions reads what was decided on tool calls, by the number that requests
// give for it.
func (r *activityReading) decisions(ctx context.Context, tx *sql.Tx) (map[int64]string, error) {
	query := "SELECT profile_id, decision FROM request_profile WHERE decision IS NOT NULL"
	if r.meta.SchemaVersion < firstWithProfiles {
		query = "SELECT id, value FROM dictionary WHERE value IN ('accept', 'auto', 'modify', 'reject')"
	}
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("read decisions: %w", err)
	}
	defer rows.Close()
	all := map[int64]string{}
	for rows.Next() {
		var id int64
		var decision string
		if err := rows.Scan(&id, &decision); err != nil {
			return nil, fmt.Errorf("read decisions: %w", err)
		}
		all[id] = decision
	}
	return all, rows.Err()
}

// partNames put the parts in the order in which the relations compare them.
var partNames = map[int]string{partCall: "call", partRun: "run", partWait: "wait"}

// toolNodes sums up the spans by id.
func toolNodes(spans []toolSpan) map[nodeID]*toolNode {
	nodes := make(map[nodeID]*toolNode, len(spans))
	for i := range spans {
		s := &spans[i]
		n, ok := nodes[s.node]
		if !ok {
			n = &toolNode{part: partNames[s.part]}
			nodes[s.node] = n
		}
		if !s.isOrphan && (!n.hasParent || bytes.Compare(s.parent.ids[:], n.parent.ids[:]) < 0) {
			n.parent, n.hasParent = s.parent, true
		}
		if s.namesCall && (!n.namesCall || s.said.said < n.said.said) {
			n.said, n.namesCall = s.said, true
		}
		n.part = min(n.part, partNames[s.part])
		if s.tool != "" && (n.tool == "" || s.tool < n.tool) {
			n.tool = s.tool
		}
	}
	return nodes
}

// maxToolDepth is how many spans of one call may lie inside one another.
const maxToolDepth = 8

// callOf finds the call of a span: that of the topmost span that it is linked
// to; its own where there is none.
func callOf(id nodeID, nodes map[nodeID]*toolNode) callID {
	top := id
	for range maxToolDepth {
		up, ok := linkOf(top, nodes)
		if !ok {
			break
		}
		top = up
	}
	if _, more := linkOf(top, nodes); more {
		top = id
	}
	if n := nodes[top]; n.namesCall {
		return n.said
	}
	return callID{node: top}
}

// linkOf returns the parent whose call a span belongs to: a run or a wait that
// names no call belongs to that of its parent. A run of one tool in a run of
// another is a call of its own.
func linkOf(id nodeID, nodes map[nodeID]*toolNode) (nodeID, bool) {
	n := nodes[id]
	up, ok := nodes[n.parent]
	switch {
	case !n.hasParent || !ok || n.namesCall || n.part == "call" || n.parent == id:
		return nodeID{}, false
	case n.part == "wait" || up.part != "run" || up.tool == n.tool || up.tool == "" || n.tool == "":
		return n.parent, true
	}
	return nodeID{}, false
}

// compareSpans puts the span first that tells how a call went.
func compareSpans(a, b *toolSpan) int {
	return cmp.Or(cmp.Compare(a.part, b.part), cmp.Compare(b.duration, a.duration), bytes.Compare(a.node.ids[:], b.node.ids[:]),
		cmp.Compare(a.outcome, b.outcome))
}
