package main

import (
	"database/sql"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

func (p *program) statsCommand() *cobra.Command {
	var flags queryFlags
	cmd := &cobra.Command{
		Use:   "stats --db FILE",
		Short: "Print what is in the file and how it went",
		Long: `Print what is in the file and how it went: the file itself, what became of every
span received, how far back a second delivery is noticed, and requests, errors,
latency, tokens and cost by category.`,
		Example: `  spanbucket stats --db spanbucket.db
  spanbucket stats --db spanbucket.db --from 2026-01-30T10:00:00Z --to 2026-01-30T11:00:00Z`,
		Args: noArguments,
	}
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var answer *analysis.Overview
		err := flags.view(cmd.Context(), func(tx *sql.Tx) error {
			q, err := flags.query(cmd.Context(), p, tx)
			if err != nil {
				return err
			}
			answer, err = analysis.AskOverview(cmd.Context(), tx, q)
			return err
		})
		if err != nil {
			return err
		}
		return p.writeStats(flags.format, flags.db, answer)
	}
	return cmd
}

// writeStats describes the file also where no request of the interval does.
func (p *program) writeStats(format, path string, answer *analysis.Overview) (err error) {
	found := len(answer.Rows) > 0
	p.talk(&answer.Scope, format == "text")
	switch format {
	case "json":
		err = writeJSON(p.stdout, answer)
	case "csv":
		err = writeCSV(p.stdout, statsNames, statsRecords(answer))
	default:
		err = p.printStats(path, answer)
	}
	if !found {
		return finish(err, p.noData(&answer.Scope))
	}
	return err
}

var statsNames = []string{
	"category", "requests_total", "seconds", "requests_per_s", "errors", "error_rate", "requests_injected", "adjusted_requests", "latency_count",
	"sum_latency_ns", "avg_latency_ms", "min_latency_ms", "p50_latency_ms", "p95_latency_ms", "p99_latency_ms",
	"max_latency_ms", "ttft_count", "avg_ttft_ms", "p50_ttft_ms", "p95_ttft_ms", "usage_count", "input_tokens",
	"output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "priced_count", "cost_usd",
}

func statsRecords(answer *analysis.Overview) [][]any {
	var records [][]any
	for i := range answer.Rows {
		r := &answer.Rows[i]
		l, t := &r.Latency, &r.TTFT
		records = append(records, []any{
			r.Category, r.Requests, r.Seconds, r.RPS, r.Errors, r.ErrorRate, r.Injected, r.Adjusted, l.Count,
			l.SumNS, l.AvgMS, l.MinMS, l.Percentiles.Get("p50"), l.Percentiles.Get("p95"), l.Percentiles.Get("p99"),
			l.MaxMS, t.Count, t.AvgMS, t.Percentiles.Get("p50"), t.Percentiles.Get("p95"), r.UsageCount, r.InputTokens,
			r.OutputTokens, r.CacheReadTokens, r.CacheWriteTokens, r.ReasoningTokens, r.PricedCount, r.CostUSD,
		})
	}
	return records
}

func (p *program) printStats(path string, answer *analysis.Overview) error {
	if err := tables.WriteFacts(p.stdout, statsFacts(path, answer)); err != nil {
		return err
	}
	rows := answer.Rows
	if len(rows) == 0 {
		return nil
	}
	if answer.Total != nil && strings.Contains(answer.Total.Category, "+") {
		rows = append([]analysis.CategoryRow{*answer.Total}, rows...)
	}
	if _, err := fmt.Fprintf(p.stdout, "\n%s\n\n", tables.Caption(&answer.Scope)); err != nil {
		return err
	}
	t := tables.New(rows)
	t.Text("category", func(r *analysis.CategoryRow) string { return r.Category })
	t.Number("requests", func(r *analysis.CategoryRow) string { return tables.Count(r.Requests) })
	t.Number("err %", func(r *analysis.CategoryRow) string { return tables.Percent(r.ErrorRate) })
	t.Rank = 2
	t.Number("faults", func(r *analysis.CategoryRow) string { return tables.CountOrMissing(r.Injected) })
	t.Rank = 0
	t.Group = "latency ms"
	for _, name := range []string{"p50", "p95", "p99"} {
		t.Number(name, func(r *analysis.CategoryRow) string { return tables.MS(r.Latency.Percentiles.Get(name)) })
	}
	t.Rank = 4
	t.Number("max", func(r *analysis.CategoryRow) string { return tables.MS(r.Latency.MaxMS) })
	t.Group = "TTFT ms"
	for i, name := range []string{"p50", "p95"} {
		t.Rank = 3 - 3*i
		t.Number(name, func(r *analysis.CategoryRow) string { return tables.MS(r.TTFT.Percentiles.Get(name)) })
	}
	t.Group = "tokens"
	t.Number("in", func(r *analysis.CategoryRow) string { return tables.Compact(r.InputTokens) })
	t.Number("out", func(r *analysis.CategoryRow) string { return tables.Compact(r.OutputTokens) })
	t.Group = ""
	t.Number("cost USD", func(r *analysis.CategoryRow) string { return tables.USD(r.CostUSD) })
	if err := t.Write(p.stdout); err != nil {
		return err
	}
	if text := requestStatusText(&answer.StatusCodes, tables.Columns(p.stdout)); text != "" {
		if _, err := fmt.Fprintf(p.stdout, "\n%s\n", text); err != nil {
			return err
		}
	}
	return tables.WriteOpen(p.stdout, &answer.Open)
}

// requestStatusText counts requests by status code, in lines of so many columns;
// empty where none is known.
func requestStatusText(s *analysis.RequestStatus, columns int) string {
	const most, tie = 8, "\x1f" // no line ends between a code and its number
	var parts []string
	known := false
	failed := onlyFailedHaveCodes(s.Codes)
	for i := range s.Codes {
		c := &s.Codes[i]
		known = known || c.StatusCode != nil
		n := c.Requests
		if failed {
			n = c.Errors
		}
		if i < most && n > 0 {
			parts = append(parts, fmt.Sprintf("%s:%s%s", statusText(c.StatusCode, "no code"), tie, tables.Count(int64(n+0.5))))
		}
	}
	if !known {
		return ""
	}
	if more := len(s.Codes) - most; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	text := "Status codes of requests: "
	if failed {
		text = "Status codes of requests that failed: "
	}
	text += strings.Join(parts, ", ")
	switch {
	case s.Complete:
	case s.Estimable:
		text += fmt.Sprintf("; estimates from %s kept %s", tables.Count(s.Rows), tables.Plural(s.Rows, "row"))
	default:
		text += fmt.Sprintf("; of %s that %s kept", tables.Count(s.Rows), map[bool]string{true: "is", false: "are"}[s.Rows == 1])
	}
	return strings.ReplaceAll(tables.Wrap(text+".", columns), tie, " ")
}

// statsFacts are the lines about the file.
func statsFacts(path string, answer *analysis.Overview) [][2]string {
	f := &answer.File
	facts := [][2]string{
		{"file", fmt.Sprintf("%s  (%s, schema %d)", path, tables.Bytes(f.Bytes), f.SchemaVersion)},
		{"written by", fmt.Sprintf("spanbucket %s since %s, %s %s", orMissing(f.WriterVersion), f.CreatedUTC,
			tables.Count(f.Commits), tables.Plural(f.Commits, "commit"))},
	}
	if f.FirstUTC != nil && f.LastUTC != nil {
		facts = append(facts, [2]string{"spans", fmt.Sprintf("%s to %s  (%s)", *f.FirstUTC, *f.LastUTC, tables.Length(*f.LastNS-*f.FirstNS))})
	}
	if runs := runsText(answer.Runs); runs != "" {
		facts = append(facts, [2]string{"runs", runs})
	}
	facts = append(facts, [2]string{"buckets", widthsText(answer.Widths)},
		[2]string{"requests are", strings.Join(f.Headline, ", ")},
		[2]string{"ledger", countsText(answer.Ledger)})
	if len(answer.Notes) > 0 {
		facts = append(facts, [2]string{"notes", countsText(answer.Notes)})
	}
	return append(append(facts, prunedFacts(answer)...), deliveryFacts(answer)...)
}

func orMissing(text string) string {
	if text == "" {
		return tables.Missing
	}
	return text
}

// runsText names the runs, the first few of many; empty where there are only
// spans outside any.
func runsText(runs []analysis.Run) string {
	const most = 5
	if len(runs) == 1 && runs[0].RunID == "" {
		return ""
	}
	var names []string
	for i, r := range runs {
		if i == most {
			names = append(names, fmt.Sprintf("and %s more", tables.Count(int64(len(runs)-most))))
			break
		}
		names = append(names, fmt.Sprintf("%s (%s %s)", tables.Cut(tables.RunName(r.RunID), tables.MaxCell), tables.Count(r.Requests), tables.Plural(r.Requests, "request")))
	}
	return strings.Join(names, ", ")
}

func widthsText(widths []analysis.WidthSummary) string {
	var names []string
	for _, w := range widths {
		names = append(names, fmt.Sprintf("%s: %s", tables.WidthName(w.WidthS), tables.Count(w.Rows)))
	}
	return strings.Join(names, ", ")
}

func countsText(counts []analysis.Count) string {
	if len(counts) == 0 {
		return tables.Missing
	}
	var parts []string
	for _, c := range counts {
		parts = append(parts, tables.Count(c.Spans)+" "+c.Reason)
	}
	return strings.Join(parts, ", ")
}

// onlyFailedHaveCodes tells whether requests have succeeded, but none of them has
// a status code: their instrumentation writes one only where a request fails.
func onlyFailedHaveCodes(codes []analysis.RequestStatusRow) bool {
	without := false
	for i := range codes {
		switch c := &codes[i]; {
		case c.Requests <= c.Errors:
		case c.StatusCode != nil:
			return false
		default:
			without = true
		}
	}
	return without
}
