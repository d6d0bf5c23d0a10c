package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// listedFault is a line of the table of faults; it has no number where no
// request met the fault.
type listedFault struct {
	number  string
	openEnd bool
	*analysis.JoinedFault
}

func faultTable(faults []numberedFault, unmet []analysis.JoinedFault) *tables.Table[listedFault] {
	var lines []listedFault
	for _, f := range faults {
		lines = append(lines, listedFault{fmt.Sprint(f.number), f.OpenEnd, &f.JoinedFault})
	}
	for i := range unmet {
		lines = append(lines, listedFault{" ", false, &unmet[i]})
	}
	slices.SortStableFunc(lines, func(a, b listedFault) int { return cmp.Compare(a.StartNS, b.StartNS) })
	t := tables.New(lines)
	t.Number("#", func(f *listedFault) string { return f.number })
	t.Text("fault", func(f *listedFault) string { return tables.Cut(tables.Clean(f.Fault), 16) })
	t.Text("target", func(f *listedFault) string { return tables.Cut(tables.Clean(textOrMissing(f.Target)), 16) })
	t.Text("start", func(f *listedFault) string { return f.StartUTC })
	t.Number("length", func(f *listedFault) string {
		if f.openEnd {
			return tables.Length(f.EndNS-f.StartNS) + " …"
		}
		return tables.Length(f.EndNS - f.StartNS)
	})
	t.Number("marked", func(f *listedFault) string {
		if f.number == " " {
			return "no request"
		}
		return markedText(f.JoinedFault)
	})
	t.Text("said by", func(f *listedFault) string { return strings.Join(f.Sources, ", ") })
	t.Text("run", func(f *listedFault) string { return tables.Cut(tables.Clean(f.RunID), 12) })
	t.Text("experiment", func(f *listedFault) string {
		return tables.Cut(tables.Clean(strings.Join(f.ExperimentIDs, ", ")), 12)
	})
	return t
}

// markedText counts what says that the fault touched it: requests, else other
// spans.
func markedText(f *analysis.JoinedFault) string {
	switch spans := f.MarkedSpans; {
	case f.Marked > 0:
		return tables.Count(f.Marked)
	case spans != nil && *spans > 0:
		return tables.Count(*spans) + " " + tables.Plural(*spans, "span")
	}
	return tables.Missing
}

// kindsText says which marks a fault is made of, the most frequent first; empty
// where it has none but its own.
func kindsText(f *numberedFault) string {
	if len(f.KindRows) == 0 {
		return ""
	}
	of := func(k *analysis.FaultKind) int64 {
		if f.Marked == 0 && k.MarkedSpans != nil {
			return *k.MarkedSpans
		}
		return k.Marked
	}
	rows := slices.Clone(f.KindRows)
	slices.SortStableFunc(rows, func(a, b analysis.FaultKind) int { return cmp.Compare(of(&b), of(&a)) })
	var parts []string
	for i := range rows {
		if i == maxKinds {
			parts = append(parts, fmt.Sprintf("%d more", len(rows)-i))
			break
		}
		parts = append(parts, tables.Count(of(&rows[i]))+" "+tables.Cut(tables.Clean(rows[i].Fault), 30))
	}
	what := "requests"
	if f.Marked == 0 {
		what = "spans of " + strings.Join(f.MarkedCategories, ", ")
	}
	return fmt.Sprintf("%d %s, as the marks on %s say: %s", f.number, tables.Cut(tables.Clean(f.Fault.Fault), 30), what, strings.Join(parts, ", "))
}

const maxKinds = 30 // that are named of a fault
