package mcpserver

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
)

// nothing is for tools without arguments.
type nothing struct{}

// interval is what nearly every question takes.
type interval struct {
	Run      *string  `json:"run,omitempty" jsonschema:"only this run id; the empty text means spans outside any run; left out: every run"`
	Category []string `json:"category,omitempty" jsonschema:"only these categories, such as llm, embedding, tool, agent, server; left out: what the file calls requests"`
	From     string   `json:"from,omitempty" jsonschema:"only spans that start at this time or later: 2026-01-30T10:00:00Z, @1769767200 (Unix seconds), +40s since the run or file began, or -10m before its end"`
	To       string   `json:"to,omitempty" jsonschema:"only spans that start before this time; same forms"`
	Open     bool     `json:"include_open,omitempty" jsonschema:"take recent buckets into account that may still lack spans"`
}

// widths is for questions that choose a width of buckets.
type widths struct {
	Width string `json:"width,omitempty" jsonschema:"width of the buckets to read, such as 10s or 5m; left out: chosen"`
}

// query turns the arguments into a query of the file.
func (i *interval) query(ctx context.Context, s *server, tx *sql.Tx) (q analysis.Query, err error) {
	q = analysis.Query{Now: s.Now(), Run: i.Run, IncludeOpen: i.Open}
	for _, name := range i.Category {
		c, ok := aggregator.ParseCategory(name)
		if !ok {
			return q, fmt.Errorf("category %q: must be one of %s", name, strings.Join(aggregator.CategoryNames(), ", "))
		}
		q.Categories = append(q.Categories, c)
	}
	data, err := analysis.ReadExtent(ctx, tx, i.Run)
	if err != nil {
		return q, err
	}
	if q.From, err = analysis.ParseTime(i.From, data); err != nil {
		return q, fmt.Errorf("from %w", err)
	}
	if q.To, err = analysis.ParseTime(i.To, data); err != nil {
		return q, fmt.Errorf("to %w", err)
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		return q, fmt.Errorf("from %s, to %s: the interval must not be empty", i.From, i.To)
	}
	return q, nil
}

func (w *widths) set(q *analysis.Query) (err error) {
	if q.Width, err = analysis.ParseWidth(w.Width); err != nil {
		return fmt.Errorf("width %w", err)
	}
	return nil
}

// percentiles are those of every answer.
func percentiles() (all []analysis.Percentile, err error) {
	for _, name := range []string{"p50", "p95", "p99"} {
		p, err := analysis.ParsePercentile(name)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}
