package main

import (
	"fmt"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// deliveryFacts are the lines about spans that arrive twice, or cannot be
// folded; none for a file of a schema without.
func deliveryFacts(answer *analysis.Overview) (facts [][2]string) {
	if d := answer.Deduplication; d != nil {
		facts = append(facts, [2]string{"duplicates", deduplicationText(d)})
	}
	if w := answer.DeadLetters; w != nil && w.Letters > 0 {
		text := fmt.Sprintf("%s with %s %s", tables.Count(w.Letters), tables.Count(w.Spans), tables.Plural(w.Spans, "span"))
		if w.Due > 0 {
			text += fmt.Sprintf(", %s to be tried again", tables.Count(w.Due))
		}
		facts = append(facts, [2]string{"dead letters", text})
	}
	return facts
}

// deduplicationText says how far back a second delivery is noticed.
func deduplicationText(d *analysis.Deduplication) string {
	if !d.On() {
		return "counted again: deduplication is off"
	}
	reach := tables.Seconds(d.ReachS)
	if d.BoundedBy == "max_spans" {
		reach += fmt.Sprintf(" at the present rate: of the last %s spans", tables.Count(d.MaxSpans))
	}
	text := "noticed for " + reach
	if d.SinceUTC == nil {
		return text + "; no span remembered yet"
	}
	return text + fmt.Sprintf("; %s %s remembered, since %s", tables.Count(d.Spans), tables.Plural(d.Spans, "span"), *d.SinceUTC)
}
