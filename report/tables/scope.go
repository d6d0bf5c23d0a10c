package tables

import (
	"fmt"
	"io"
	"strings"

	"github.com/spanbucket/spanbucketexporter/analysis"
)

// Caption says in one line what an answer covers.
func Caption(s *analysis.Scope) string {
	var parts []string
	if s.FromUTC != nil && s.ToUTC != nil {
		interval := *s.FromUTC + " to " + *s.ToUTC
		if s.Moved {
			interval += " (moved to edges of buckets)"
		}
		parts = append(parts, interval)
	}
	if len(s.Categories) > 0 {
		parts = append(parts, strings.Join(s.Categories, ", "))
	}
	if s.RunID != nil {
		parts = append(parts, "run "+RunName(*s.RunID))
	}
	return Clean(strings.Join(parts, "  ·  "))
}

// RunName shows the id of a run; (none) for spans outside any.
func RunName(id string) string {
	if id == "" {
		return "(none)"
	}
	return id
}

// WidthName shows a width in seconds as 10s, 5m, 1h.
func WidthName(seconds int64) string { return analysis.WidthName(seconds) }

// Open says what was left out; empty for nothing.
func Open(o *analysis.Open) string {
	if o.Buckets == 0 {
		return ""
	}
	text := fmt.Sprintf("left out: %s open %s of %s with %s %s", Count(o.Buckets), Plural(o.Buckets, "bucket"),
		WidthName(o.WidthS), Count(o.Requests), Plural(o.Requests, "span"))
	if o.SettledUTC != nil {
		text += ", settled at " + *o.SettledUTC
	}
	return text + "; --include-open takes them in"
}

// Plural returns a noun, with an s unless n is 1.
func Plural(n int64, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// WriteOpen ends a text answer with what was left out.
func WriteOpen(w io.Writer, o *analysis.Open) error {
	text := Open(o)
	if text == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "\n%s\n", text)
	return err
}
