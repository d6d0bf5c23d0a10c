package main

import (
	"fmt"

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

// noData returns the error for an answer without rows.
func noData(s *analysis.Scope) error {
	if s.Open.Buckets > 0 {
		return fmt.Errorf("%w has settled in this interval; %s", errNoData, tables.Open(&s.Open))
	}
	return fmt.Errorf("%w in this interval", errNoData)
}
