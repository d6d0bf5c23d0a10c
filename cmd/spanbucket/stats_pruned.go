package main

import (
	"fmt"
	"strings"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// prunedFacts is the line about what has left; none where nothing has.
func prunedFacts(answer *analysis.Overview) [][2]string {
	var parts []string
	for _, p := range answer.Pruned {
		name := p.Relation
		if p.WidthS > 0 {
			name = tables.WidthName(p.WidthS)
		}
		parts = append(parts, fmt.Sprintf("%s: complete from %s (%s %s left)", name, p.CompleteFromUTC, tables.Count(p.Rows), tables.Plural(p.Rows, "row")))
	}
	if len(parts) == 0 {
		return nil
	}
	return [][2]string{{"pruned", strings.Join(parts, ", ")}}
}
