package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spanbucket/spanbucketexporter/analysis"
)

// caption says in one line what an answer covers.
func caption(s *analysis.Scope) string {
	var parts []string
	if s.FromUTC != nil && s.ToUTC != nil {
		parts = append(parts, *s.FromUTC+" to "+*s.ToUTC)
	}
	if len(s.Categories) > 0 {
		parts = append(parts, strings.Join(s.Categories, ", "))
	}
	if s.RunID != nil {
		parts = append(parts, "run "+runName(*s.RunID))
	}
	return clean(strings.Join(parts, "  ·  "))
}

func runName(id string) string {
	if id == "" {
		return "(none)"
	}
	return id
}

// widthName shows a width in seconds as 10s, 5m, 1h.
func widthName(seconds int64) string {
	switch {
	case seconds%86400 == 0:
		return fmt.Sprintf("%dd", seconds/86400)
	case seconds%3600 == 0:
		return fmt.Sprintf("%dh", seconds/3600)
	case seconds%60 == 0:
		return fmt.Sprintf("%dm", seconds/60)
	}
	return fmt.Sprintf("%ds", seconds)
}

// openText says what was left out; empty for nothing.
func openText(o *analysis.Open) string {
	if o.Buckets == 0 {
		return ""
	}
	text := fmt.Sprintf("left out: %s open %s of %s with %s %s", count(o.Buckets), plural(o.Buckets, "bucket"),
		widthName(o.WidthS), count(o.Requests), plural(o.Requests, "span"))
	if o.SettledUTC != nil {
		text += ", settled at " + *o.SettledUTC
	}
	return text + "; --include-open takes them in"
}

func plural(n int64, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// talk writes what a reader of the answer should know to stderr.
func (p *program) talk(s *analysis.Scope, text bool) {
	if s.Moved && s.FromUTC != nil {
		fmt.Fprintf(p.stderr, "the interval was moved to the edges of buckets: %s to %s\n", *s.FromUTC, *s.ToUTC)
	}
	if open := openText(&s.Open); open != "" && !text {
		fmt.Fprintln(p.stderr, open)
	}
}

// noData returns the error for an answer without rows.
func noData(s *analysis.Scope) error {
	if s.Open.Buckets > 0 {
		return fmt.Errorf("%w has settled in this interval; %s", errNoData, openText(&s.Open))
	}
	return fmt.Errorf("%w in this interval", errNoData)
}

// writeOpen ends a text answer with what was left out.
func writeOpen(w io.Writer, o *analysis.Open) error {
	text := openText(o)
	if text == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "\n%s\n", text)
	return err
}
