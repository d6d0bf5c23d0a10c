package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// talk writes what a reader of the answer should know to stderr.
func (p *program) talk(s *analysis.Scope, text bool) {
	if s.Moved && s.FromUTC != nil {
		fmt.Fprintf(p.stderr, "the interval was moved to the edges of buckets: %s to %s\n", *s.FromUTC, *s.ToUTC)
	}
	if open := tables.Open(&s.Open); open != "" && !text {
		fmt.Fprintln(p.stderr, open)
	}
}

// askedScope is what was asked for, and from when to when there would be spans.
type askedScope struct {
	query analysis.Query
	data  analysis.Extent // of the run that is asked for, or of the file
}

// interval says what interval was asked for; empty for all there is.
func (a *askedScope) interval() string {
	from, to := a.query.From.Format(time.RFC3339Nano), a.query.To.Format(time.RFC3339Nano)
	switch {
	case a.query.From.IsZero() && a.query.To.IsZero():
		return ""
	case a.query.From.IsZero():
		return " before " + to
	case a.query.To.IsZero():
		return " from " + from + " on"
	}
	return " in " + from + " to " + to
}

// whose says what the spans are of.
func (a *askedScope) whose() string {
	if run := a.query.Run; run != nil {
		return "run " + tables.RunName(*run)
	}
	return "the file"
}

// nothing is the error for an answer without rows: what there is none of, in
// which interval, and where the spans of the file lie.
func (a *askedScope) nothing(what string) error {
	if a.data.Begin.IsZero() {
		return fmt.Errorf("%w: %s has no spans", errNoData, a.whose())
	}
	return fmt.Errorf("%w: %s%s; %s has spans from %s to %s", errNoData, what, a.interval(), a.whose(),
		a.data.Begin.Format(time.RFC3339), a.data.End.Format(time.RFC3339))
}

// noData returns the error for an answer about requests that has no rows.
func (p *program) noData(s *analysis.Scope) error {
	what := "no span"
	if len(s.Categories) > 0 {
		what = "no request (" + strings.Join(s.Categories, ", ") + ")"
	}
	return p.nothing(s, what)
}

// nothing returns the error for an answer that has no rows: what there is none of,
// unless that may be only because it has not settled.
func (p *program) nothing(s *analysis.Scope, what string) error {
	if s.Open.Buckets > 0 {
		return fmt.Errorf("%w has settled%s; %s", errNoData, p.asked.interval(), tables.Open(&s.Open))
	}
	return p.asked.nothing(what)
}
