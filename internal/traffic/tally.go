package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"go.opentelemetry.io/otel/attribute"
)

// tally counts the spans sent by what they are expected to count as.
type tally struct {
	spans        int
	byCategory   map[string]map[string]int // category, then outcome
	faulted      int
	inputTokens  int64
	outputTokens int64
	costNanoUSD  int64
	turns        int
	evaluations  int
	trips        int // of circuit breakers, out of closed
	reopened     int
	sessions     map[string]bool // by service and id
	toolCalls    map[string]bool // by id
	rejected     int             // tool calls that a user refused
}

func newTally() tally {
	return tally{byCategory: map[string]map[string]int{}, sessions: map[string]bool{}, toolCalls: map[string]bool{}}
}

func (t *tally) add(s *span) {
	outcomes := t.byCategory[s.category]
	if outcomes == nil {
		outcomes = map[string]int{}
		t.byCategory[s.category] = outcomes
	}
	outcomes[s.outcome]++
	t.spans++
	t.inputTokens += s.inputTokens
	t.outputTokens += s.outputTokens
	t.costNanoUSD += s.costNanoUSD
	if s.turn {
		t.turns++
	}
	for _, a := range s.attributes {
		t.addAttribute(s, a)
	}
	for _, e := range s.events {
		t.addEvent(e)
	}
}

func (t *tally) addAttribute(s *span, a attribute.KeyValue) {
	switch a.Key {
	case "chaos.fault.type":
		if s.category != "fault" {
			t.faulted++
		}
	case "gen_ai.conversation.id", "session.id":
		t.sessions[s.service+"/"+a.Value.AsString()] = true
	case "gen_ai.tool.call.id":
		t.toolCalls[a.Value.AsString()] = true
	case "decision":
		if a.Value.AsString() == "reject" {
			t.rejected++
		}
	}
}

func (t *tally) addEvent(e event) {
	if e.name == "gen_ai.evaluation.result" {
		t.evaluations++
		return
	}
	switch changes := attribute.NewSet(e.attributes...); {
	case !has(changes, "circuit_breaker.to_state", open):
	case has(changes, "circuit_breaker.from_state", halfOpen):
		t.reopened++
	default:
		t.trips++
	}
}

func has(set attribute.Set, key attribute.Key, value string) bool {
	found, ok := set.Value(key)
	return ok && found.AsString() == value
}

func (t *tally) writeJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(map[string]any{
		"schema_version": 1,
		"spans":          t.spans,
		"spans_by":       t.byCategory,
		"fault_marked":   t.faulted,
		"input_tokens":   t.inputTokens,
		"output_tokens":  t.outputTokens,
		"cost_nano_usd":  t.costNanoUSD,
		"sessions":       len(t.sessions),
		"turns":          t.turns,
		"evaluations":    t.evaluations,
		"tool_calls":     len(t.toolCalls),
		"tools_rejected": t.rejected,
		"trips":          t.trips,
		"reopened":       t.reopened,
	})
}

func (t *tally) writeText(w io.Writer) error {
	fmt.Fprintf(w, "sent and acknowledged: %d spans, %d marked with a fault, %d input and %d output tokens,\n",
		t.spans, t.faulted, t.inputTokens, t.outputTokens)
	fmt.Fprintf(w, "  %d sessions with %d turns and %d tool calls, a circuit that opened %d times\n",
		len(t.sessions), t.turns, len(t.toolCalls), t.trips+t.reopened)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "category\tspans\tby outcome")
	for _, category := range slices.Sorted(maps.Keys(t.byCategory)) {
		total := 0
		var parts []string
		for _, outcome := range slices.Sorted(maps.Keys(t.byCategory[category])) {
			n := t.byCategory[category][outcome]
			total += n
			parts = append(parts, fmt.Sprintf("%s %d", outcome, n))
		}
		head := fmt.Sprintf("%s\t%d", category, total)
		for line := range slices.Chunk(parts, 4) {
			fmt.Fprintf(table, "%s\t%s\n", head, strings.Join(line, ", "))
			head = "\t"
		}
	}
	return table.Flush()
}
