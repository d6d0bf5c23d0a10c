//go:build !race

// One goroutine reads: the race detector has nothing to find, and makes SQLite in
// Go twenty times slower.

package storage

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// toolCall is a tool call as these tests put it together.
type toolCall struct {
	run, id string
	spans   []*activitySpan
}

func spanPart(s *activitySpan) string {
	switch {
	case s.role == 2:
		return "call"
	case s.role == 4:
		return "wait"
	default:
		return "run"
	}
}

// nodeName is what the rows of one span have in common.
func nodeName(s *activitySpan) string {
	ids := fmt.Sprintf("%032x/%016x", s.trace, s.span)
	if s.trace != 0 && s.span != 0 {
		return ids
	}
	return fmt.Sprintf("@%d/%d/client/0/%s", at(s.start), s.duration, ids)
}

// scopedCall names a call within its trace.
func scopedCall(s *activitySpan) string {
	if s.callID == "" || s.trace == 0 {
		return s.callID
	}
	return fmt.Sprintf("%032x/%s", s.trace, s.callID)
}

func lowest(texts []string) string {
	texts = slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return text == "" })
	if len(texts) == 0 {
		return ""
	}
	return slices.Min(texts)
}

// wantedCalls puts the tool calls of a file together, one span after another.
func wantedCalls(a *activity) []*toolCall {
	type node struct {
		spans        []*activitySpan
		id, part     string
		tool, parent string
	}
	nodes := map[[2]string]*node{}
	for i := range a.spans {
		s := &a.spans[i]
		if s.kept&2 == 0 || !s.isToolPart() {
			continue
		}
		key := [2]string{s.run, nodeName(s)}
		n := nodes[key]
		if n == nil {
			n = &node{part: "wait"}
			nodes[key] = n
		}
		n.spans = append(n.spans, s)
		n.id, n.tool, n.part = lowest([]string{n.id, scopedCall(s)}), lowest([]string{n.tool, s.tool}), min(n.part, spanPart(s))
		if s.trace != 0 && s.parent != 0 {
			n.parent = lowest([]string{n.parent, fmt.Sprintf("%032x/%016x", s.trace, s.parent)})
		}
	}
	// above returns the name of the span to whose call a span belongs.
	above := func(run, name string) (string, bool) {
		n, p := nodes[[2]string{run, name}], nodes[[2]string{run, nodes[[2]string{run, name}].parent}]
		if n.id != "" || n.part == "call" || p == nil || p == n {
			return "", false
		}
		another := n.part == "run" && p.part == "run" && n.tool != "" && p.tool != "" && n.tool != p.tool
		return n.parent, !another
	}
	calls := map[[2]string]*toolCall{}
	for key, n := range nodes {
		run, top := key[0], key[1]
		for steps := 0; ; steps++ {
			next, ok := above(run, top)
			if !ok {
				break
			}
			if steps == 8 {
				top = key[1]
				break
			}
			top = next
		}
		id := cmp.Or(nodes[[2]string{run, top}].id, top)
		if calls[[2]string{run, id}] == nil {
			calls[[2]string{run, id}] = &toolCall{run: run, id: id}
		}
		c := calls[[2]string{run, id}]
		c.spans = append(c.spans, n.spans...)
	}
	return slices.Collect(maps.Values(calls))
}

func (c *toolCall) of(part string) (found []*activitySpan) {
	for _, s := range c.spans {
		if spanPart(s) == part {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b *activitySpan) int {
		return cmp.Or(-cmp.Compare(a.duration, b.duration), cmp.Compare(a.trace, b.trace), cmp.Compare(a.span, b.span), cmp.Compare(a.outcome, b.outcome))
	})
	return found
}

func (c *toolCall) tool() string {
	for _, spans := range [][]*activitySpan{c.of("run"), c.of("call"), c.of("wait")} {
		var names []string
		for _, s := range spans {
			names = append(names, s.tool)
		}
		if name := lowest(names); name != "" {
			return name
		}
	}
	return ""
}

func (c *toolCall) decision() string {
	var all []string
	for _, s := range c.spans {
		all = append(all, s.decision)
	}
	return lowest(all)
}

// main is the span that tells how the call went; nil if it only waited.
func (c *toolCall) main() *activitySpan {
	if both := append(c.of("run"), c.of("call")...); len(both) > 0 {
		return both[0]
	}
	return nil
}

func (c *toolCall) failed() bool {
	return c.decision() != "reject" && c.main() != nil && c.main().failed()
}

// waited returns how long a human was waited for, unstated if nobody was.
func (c *toolCall) waited() int64 {
	total := int64(unstated)
	for _, s := range c.of("wait") {
		if s.duration >= 0 {
			total = max(total, 0) + s.duration
		}
	}
	return total
}

// took returns how long the tool ran, unstated if it did not or nobody knows.
func (c *toolCall) took() int64 {
	m := c.main()
	switch {
	case m == nil || m.duration < 0:
		return unstated
	case spanPart(m) == "run":
		return m.duration
	case c.decision() == "reject":
		return unstated
	default:
		return max(0, m.duration-max(0, c.waited()))
	}
}

func (c *toolCall) accepted() bool {
	return slices.Contains([]string{"accept", "auto", "modify"}, c.decision())
}

func milliseconds(ns int64) any {
	if ns == unstated {
		return nil
	}
	return float64(ns) / 1e6
}

func wantedTools(a *activity) (calls, spans, tools []row) {
	type name struct{ run, tool string }
	of, total := map[name][]*toolCall{}, map[string]int{}
	for _, c := range wantedCalls(a) {
		start, outcome := c.spans[0].start, any(nil)
		for _, s := range c.spans {
			start = min(start, s.start)
			one := row{
				"run_id": c.run, "call_id": c.id, "service": s.service, "session_id": orNull(s.session), "trace_id": nil, "span_id": nil,
				"part": spanPart(s), "tool": s.tool, "start_ns": at(s.start), "duration_ns": numberOrNull(s.duration), "outcome": s.outcome,
				"decision": orNull(s.decision),
			}
			if s.trace != 0 {
				one["trace_id"] = fmt.Sprintf("%032x", s.trace)
			}
			if s.span != 0 {
				one["span_id"] = fmt.Sprintf("%016x", s.span)
			}
			spans = append(spans, one)
		}
		if m := c.main(); m != nil {
			outcome = m.outcome
		}
		failed := 0
		if c.failed() {
			failed = 1
		}
		calls = append(calls, row{
			"run_id": c.run, "call_id": c.id, "tool": c.tool(), "start_utc": utc(start), "start_ns": at(start), "duration_ns": numberOrNull(c.took()),
			"latency_ms": milliseconds(c.took()), "wait_ns": numberOrNull(c.waited()), "wait_ms": milliseconds(c.waited()),
			"decision": orNull(c.decision()), "outcome": outcome, "error": failed, "spans": len(c.spans),
		})
		of[name{c.run, c.tool()}] = append(of[name{c.run, c.tool()}], c)
		total[c.run]++
	}
	for n, all := range of {
		var took, waited []int64
		errors, accepted, rejected, auto := 0, 0, 0, 0
		for _, c := range all {
			if c.took() != unstated {
				took = append(took, c.took())
			}
			if c.waited() != unstated {
				waited = append(waited, c.waited())
			}
			if c.failed() {
				errors++
			}
			if c.accepted() {
				accepted++
			}
			switch c.decision() {
			case "reject":
				rejected++
			case "auto":
				auto++
			}
		}
		tools = append(tools, row{
			"run_id": n.run, "tool": n.tool, "calls": len(all), "errors": errors, "error_rate": ratio(float64(errors), float64(len(all))),
			"share": float64(len(all)) / float64(total[n.run]), "avg_latency_ms": meanMilliseconds(took), "p50_latency_ms": nearestRank(took, 50),
			"p95_latency_ms": nearestRank(took, 95), "p99_latency_ms": nearestRank(took, 99), "wait_ms_avg": meanMilliseconds(waited),
			"accepted": accepted, "rejected": rejected, "auto_accepted": auto, "acceptance_rate": ratio(float64(accepted), float64(accepted+rejected)),
		})
	}
	return calls, spans, tools
}

func TestTools(t *testing.T) {
	eachActivity(t, func(t *testing.T, a *activity, path string) {
		calls, spans, tools := wantedTools(a)
		requireView(t, path, "tool_calls", []string{"run_id", "call_id"}, calls)
		got := readView(t, path, "tool_call_spans")
		require.Len(t, got, len(spans))
		for i := range spans {
			require.Contains(t, got, spans[i])
		}
		requireView(t, path, "tools", []string{"run_id", "tool"}, tools)
	})
}

// toolSpans are n runs of a tool, a second apart.
func toolSpans(n int, change func(i int, s *activitySpan)) (spans []activitySpan) {
	for i := range n {
		spans = append(spans, aSpan(func(s *activitySpan) {
			s.category, s.role, s.tool, s.session = "tool", 3, "bash", "s"
			s.trace, s.span, s.start = 1, uint64(i+1), int64(i)*second
			change(i, s)
		}))
	}
	return spans
}

func only(t *testing.T, a activity, view string) row {
	t.Helper()
	rows := readView(t, a.file(t, rand.New(rand.NewPCG(1, 1))), view)
	require.Len(t, rows, 1)
	return rows[0]
}

// TestEqualLatenciesAllCount: 99 of 100 ms and one of 5 s.
func TestEqualLatenciesAllCount(t *testing.T) {
	got := only(t, activity{spans: toolSpans(100, func(i int, s *activitySpan) {
		if s.duration = second / 10; i == 50 {
			s.duration = 5 * second
		}
	})}, "tools")
	for column, want := range map[string]any{
		"calls": int64(100), "avg_latency_ms": 149.0, "p50_latency_ms": 100.0, "p95_latency_ms": 100.0, "p99_latency_ms": 100.0, "acceptance_rate": nil,
	} {
		require.Equal(t, want, got[column], column)
	}
}

// TestAcceptanceIsExact: 90 of 100, of which 10 by nobody's hand.
func TestAcceptanceIsExact(t *testing.T) {
	spans := toolSpans(100, func(i int, s *activitySpan) {
		switch {
		case i < 10:
			s.decision = "reject"
		case i < 20:
			s.decision = "auto"
		case i < 30:
			s.decision = "modify"
		default:
			s.decision = "accept"
		}
	})
	for _, view := range []string{"tools", "sessions"} {
		got := only(t, activity{spans: spans}, view)
		require.Equal(t, 0.9, got["acceptance_rate"], view)
		require.Equal(t, int64(10), got["auto_accepted"], view)
	}
	// 50 + 25 + 9: all worked.
	require.InDelta(t, 84.0, only(t, activity{spans: spans}, "sessions")["productivity_score"], 1e-12)
}

// TestCallOfSeveralSpans: a call as a whole, the wait in it, the run in it,
// and the same run as another instrumentation saw it.
func TestCallOfSeveralSpans(t *testing.T) {
	parts := []activitySpan{
		aSpan(func(s *activitySpan) {
			s.category, s.role, s.tool, s.callID, s.session, s.trace, s.span, s.duration = "other", 2, "Edit", "toolu_1", "s", 1, 1, 10*second
		}),
		aSpan(func(s *activitySpan) {
			s.category, s.role, s.session, s.trace, s.span, s.parent, s.duration, s.decision = "other", 4, "s", 1, 2, 1, 7*second, "accept"
		}),
		aSpan(func(s *activitySpan) {
			s.category, s.role, s.session, s.trace, s.span, s.parent, s.start, s.duration = "tool", 3, "s", 1, 3, 1, 7*second, 2*second
			s.outcome = "other_error"
		}),
		aSpan(func(s *activitySpan) {
			s.category, s.role, s.tool, s.callID, s.session, s.trace, s.span, s.duration = "tool", 3, "edit_file", "toolu_1", "s", 1, 4, second
		}),
	}
	got := only(t, activity{spans: parts}, "tools")
	require.Equal(t, "edit_file", got["tool"])
	for column, want := range map[string]any{"calls": int64(1), "errors": int64(1), "avg_latency_ms": 2000.0, "wait_ms_avg": 7000.0, "accepted": int64(1)} {
		require.Equal(t, want, got[column], column)
	}
	got = only(t, activity{spans: parts[:2]}, "tools")
	require.Equal(t, 3000.0, got["avg_latency_ms"], "without a run: the call without the wait")
	parts[1].decision, parts[0].outcome = "reject", "cancelled"
	got = only(t, activity{spans: parts[:2]}, "tools")
	require.Nil(t, got["avg_latency_ms"], "rejected, never run")
	require.Equal(t, int64(0), got["errors"])
	require.Equal(t, 0.0, got["acceptance_rate"])
}

// TestCallIDsCountWithinATrace: some clients number their calls anew in every
// conversation.
func TestCallIDsCountWithinATrace(t *testing.T) {
	spans := toolSpans(2, func(i int, s *activitySpan) { s.callID, s.trace = "call_0", uint64(i+1) })
	require.Equal(t, int64(2), only(t, activity{spans: spans}, "tools")["calls"])
	spans = toolSpans(2, func(_ int, s *activitySpan) { s.callID, s.trace = "call_0", 1 })
	require.Equal(t, int64(1), only(t, activity{spans: spans}, "tools")["calls"])
}

// TestNestedTools: a tool that another one runs is a call of its own, and a
// second instrumentation of one run is not.
func TestNestedTools(t *testing.T) {
	spans := toolSpans(3, func(i int, s *activitySpan) {
		s.parent, s.tool = uint64(i), []string{"task", "task", "grep"}[i]
	})
	path := (&activity{spans: spans}).file(t, seedtest.Rand(t))
	calls := map[any]any{}
	for _, r := range readView(t, path, "tools") {
		calls[r["tool"]] = r["calls"]
	}
	require.Equal(t, map[any]any{"task": int64(1), "grep": int64(1)}, calls)
}

// TestNearestRankOfTools: rank ceil(p*n), where the product is whole too.
func TestNearestRankOfTools(t *testing.T) {
	for n, want := range map[int][3]float64{1: {1, 1, 1}, 2: {1, 2, 2}, 20: {10, 19, 20}, 100: {50, 95, 99}} {
		got := only(t, activity{spans: toolSpans(n, func(i int, s *activitySpan) { s.duration = int64(n-i) * 1e6 })}, "tools")
		require.Equal(t, want, [3]float64{got["p50_latency_ms"].(float64), got["p95_latency_ms"].(float64), got["p99_latency_ms"].(float64)}, n)
	}
}

// TestChainsOfSpans: a call is found over several parents, up to eight; a loop
// of parents is nobody's.
func TestChainsOfSpans(t *testing.T) {
	for n, calls := range map[int]int64{2: 1, 9: 1, 10: 2} {
		spans := toolSpans(n, func(i int, s *activitySpan) { s.parent = uint64(i) })
		require.Equal(t, calls, only(t, activity{spans: spans}, "tools")["calls"], n)
	}
	loop := toolSpans(3, func(i int, s *activitySpan) { s.parent = uint64((i+1)%3 + 1) })
	require.Equal(t, int64(3), only(t, activity{spans: loop}, "tools")["calls"])
	self := toolSpans(1, func(_ int, s *activitySpan) { s.parent = s.span })
	require.Equal(t, int64(1), only(t, activity{spans: self}, "tools")["calls"])
}
