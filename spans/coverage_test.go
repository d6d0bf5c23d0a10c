package spans

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// chosen collects which source every field was read from.
type chosen map[target]bool

func (c chosen) add(r *record) {
	for slot, rank := range r.ranks[:numFields] {
		if rank != 0 {
			c[target{uint8(slot), rank}] = true
		}
	}
}

// TestEverySourceIsChosen fails for an attribute that no golden span makes a
// field be read from: a name that nobody has seen at work may be misspelt.
func TestEverySourceIsChosen(t *testing.T) {
	seen := chosen{}
	reader := NewReader(Options{})
	words, events, present := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, batch := range goldenCases(t) {
		w := newWalker(reader)
		w.index = reader.full
		w.walk(batch, nil, func(span ptrace.Span) bool {
			if w.observe(span, goldenNow.UnixNano()) {
				w.readRequest(span)
			}
			for _, r := range []*record{&w.span, &w.resource, &w.event} {
				seen.add(r)
			}
			for name := range span.Attributes().All() {
				present[name] = true
			}
			words[w.meaning.operation] = true
			for _, event := range span.Events().All() {
				events[event.Name()] = true
				if name, ok := event.Attributes().Get("event.name"); ok {
					events[name.AsString()] = true
				}
			}
			return true
		})
	}
	for _, s := range sources {
		for i, name := range slices.Concat(s.attributes, s.claudeCode) {
			// Of two fields it only counts that they are there.
			found := present[name] && (s.field == fieldAnnotated || s.field == fieldChaosToolkit)
			assert.True(t, found || seen[target{uint8(s.field), uint8(i + 1)}],
				"no case in testdata/dialects makes %q the source of %s", name, fieldMeanings[s.field])
		}
	}
	for name := range eventNames {
		assert.True(t, events[name], "no case in testdata/dialects has the event %q", name)
	}
	for attribute, meanings := range map[string]map[string]meaning{"span name": claudeCodeSpans} {
		for word, m := range meanings {
			assert.True(t, words[m.named(word).operation], "no case in testdata/dialects has %q in %s", word, attribute)
		}
	}
}

// TestEveryWordIsUsed fails for a word of a vocabulary that no golden span has.
func TestEveryWordIsUsed(t *testing.T) {
	used := map[string]map[string]bool{}
	for _, batch := range goldenCases(t) {
		for _, resourceSpans := range batch.ResourceSpans().All() {
			for _, scopeSpans := range resourceSpans.ScopeSpans().All() {
				for _, span := range scopeSpans.Spans().All() {
					for name, value := range span.Attributes().All() {
						v := vocabularies[name]
						if v == nil {
							continue
						}
						if used[name] == nil {
							used[name] = map[string]bool{}
						}
						_, word := v.find(value.AsString())
						used[name][word] = true
					}
				}
			}
		}
	}
	for attribute, meanings := range words {
		for word := range meanings {
			other := used[attribute][strings.ToUpper(word)] || used[attribute][strings.ToLower(word)]
			assert.True(t, other || used[attribute][word], "no case in testdata/dialects has %s=%q", attribute, word)
		}
	}
}
