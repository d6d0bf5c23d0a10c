package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// tally counts the spans sent by what they are expected to count as.
type tally struct {
	spans        int
	byCategory   map[string]map[string]int // category, then outcome
	faulted      int
	inputTokens  int64
	outputTokens int64
}

func (t *tally) add(s *span) {
	if t.byCategory == nil {
		t.byCategory = map[string]map[string]int{}
	}
	outcomes := t.byCategory[s.category]
	if outcomes == nil {
		outcomes = map[string]int{}
		t.byCategory[s.category] = outcomes
	}
	outcomes[s.outcome]++
	t.spans++
	for _, a := range s.attributes {
		switch a.Key {
		case "chaos.fault.type":
			t.faulted++
		case "gen_ai.usage.input_tokens":
			t.inputTokens += s.ownTokens(a.Value.AsInt64())
		case "gen_ai.usage.output_tokens":
			t.outputTokens += s.ownTokens(a.Value.AsInt64())
		}
	}
}

// ownTokens leaves out the tokens of agent spans, which repeat their calls'.
func (s *span) ownTokens(n int64) int64 {
	if s.category == "llm" || s.category == "embedding" {
		return n
	}
	return 0
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
	})
}

func (t *tally) writeText(w io.Writer) error {
	fmt.Fprintf(w, "sent and acknowledged: %d spans, %d marked with a fault, %d input and %d output tokens\n",
		t.spans, t.faulted, t.inputTokens, t.outputTokens)
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
		fmt.Fprintf(table, "%s\t%d\t%s\n", category, total, strings.Join(parts, ", "))
	}
	return table.Flush()
}
