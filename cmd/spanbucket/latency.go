package main

import (
	"database/sql"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

func (p *program) latencyCommand() *cobra.Command {
	var flags queryFlags
	var by, percentiles []string
	var limit int
	cmd := &cobra.Command{
		Use:   "latency --db FILE",
		Short: "Print how long requests took, by model or any other dimension",
		Long: `Print how long requests took, by model or any other dimension. Percentiles come
from merged histograms: within 0.79 % of the true value, never outside the range
of the values. Slow are requests that took more than twice the p95 of their row.`,
		Example: `  spanbucket latency --db spanbucket.db --by provider,model --percentiles p50,p99.9
  spanbucket latency --db spanbucket.db --by fault,outcome --from +10s --to +20s`,
		Args: noArguments,
	}
	flags.add(cmd)
	addBy(cmd, &by)
	cmd.Flags().StringSliceVar(&percentiles, "percentiles", []string{"p50", "p95", "p99"}, "percentiles to print")
	cmd.Flags().IntVar(&limit, "limit", 0, "how many rows to print, the others as one; 0 prints all")
	complete(cmd, "percentiles", func() ([]string, cobra.ShellCompDirective) {
		return []string{"p50", "p90", "p95", "p99", "p99.9"}, cobra.ShellCompDirectiveNoFileComp
	})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		asked, err := parsePercentiles(percentiles)
		if err != nil {
			return err
		}
		if limit < 0 {
			return usageError{fmt.Errorf("--limit %d: must not be negative", limit)}
		}
		by = slices.DeleteFunc(by, func(name string) bool { return name == "" })
		var answer *analysis.Latency
		err = flags.view(cmd.Context(), func(tx *sql.Tx) error {
			q, err := flags.query(cmd.Context(), p, tx)
			if err != nil {
				return err
			}
			answer, err = analysis.AskLatency(cmd.Context(), tx, analysis.LatencyQuery{Query: q, By: by, Percentiles: asked, Limit: limit, Correlate: true})
			return err
		})
		if err != nil {
			return err
		}
		return p.writeLatency(flags.format, answer)
	}
	return cmd
}

func parsePercentiles(names []string) ([]analysis.Percentile, error) {
	var all []analysis.Percentile
	for _, name := range names {
		percentile, err := analysis.ParsePercentile(name)
		if err != nil {
			return nil, usageError{fmt.Errorf("--percentiles: %w", err)}
		}
		if slices.Contains(all, percentile) {
			return nil, usageError{fmt.Errorf("--percentiles: %s is there twice", name)}
		}
		all = append(all, percentile)
	}
	return all, nil
}

func (p *program) writeLatency(format string, answer *analysis.Latency) error {
	return p.writeAnswer(format, answer, &answer.Scope, len(answer.Rows) > 0, answerForms{
		csv:  func() error { return writeCSV(p.stdout, latencyNames(answer), latencyRecords(answer)) },
		text: func() error { return p.printLatency(answer) },
	})
}

func latencyNames(answer *analysis.Latency) []string {
	names := append(slices.Clone(answer.By), "requests", "errors", "error_rate", "requests_injected")
	for _, measure := range []string{"latency", "net_latency", "ttft", "time_per_output_token"} {
		names = append(names, measure+"_count", "sum_"+measure+"_ns", "avg_"+measure+"_ms", "min_"+measure+"_ms")
		for _, percentile := range answer.Percentiles {
			names = append(names, percentile+"_"+measure+"_ms")
		}
		names = append(names, "max_"+measure+"_ms")
	}
	return append(names, "usage_count", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
		"reasoning_tokens", "priced_count", "cost_usd", "slow_threshold_ms", "slow_count", "slow_share", "groups")
}

// otherName stands for the dimensions of what --limit left out.
const otherName = "(other)"

// latencyRows are the rows, and the one of what the limit left out.
func latencyRows(answer *analysis.Latency) []analysis.LatencyRow {
	rows := slices.Clone(answer.Rows)
	if answer.Other != nil {
		other := *answer.Other
		other.Values = slices.Repeat([]string{otherName}, len(answer.By))
		rows = append(rows, other)
	}
	return rows
}

func latencyRecords(answer *analysis.Latency) [][]any {
	var records [][]any
	rows := latencyRows(answer)
	for i := range rows {
		r, groups := &rows[i], int64(1)
		if i == len(answer.Rows) {
			groups = int64(answer.OtherGroups)
		}
		var record []any
		for _, value := range r.Values {
			record = append(record, value)
		}
		record = append(record, r.Requests, r.Errors, r.ErrorRate, r.Injected)
		for _, d := range []*analysis.Distribution{&r.Latency, &r.NetLatency, &r.TTFT, &r.TimePerOutputToken} {
			record = append(record, d.Count, d.SumNS, d.AvgMS, d.MinMS)
			for _, percentile := range answer.Percentiles {
				record = append(record, d.Percentiles.Get(percentile))
			}
			record = append(record, d.MaxMS)
		}
		records = append(records, append(record, r.UsageCount, r.InputTokens, r.OutputTokens, r.CacheReadTokens,
			r.CacheWriteTokens, r.ReasoningTokens, r.PricedCount, r.CostUSD,
			r.SlowThresholdMS, r.SlowCount, r.SlowShare, groups))
	}
	return records
}

func (p *program) printLatency(answer *analysis.Latency) error {
	if _, err := fmt.Fprintf(p.stdout, "%s\n\n", tables.Caption(&answer.Scope)); err != nil {
		return err
	}
	t := tables.New(latencyRows(answer))
	for i, name := range answer.By {
		t.Text(name, func(r *analysis.LatencyRow) string { return r.Values[i] })
	}
	t.Keep = len(answer.By)
	t.Number("requests", func(r *analysis.LatencyRow) string { return tables.Count(r.Requests) })
	t.Number("err %", func(r *analysis.LatencyRow) string { return tables.Percent(r.ErrorRate) })
	t.Number("faults", func(r *analysis.LatencyRow) string { return tables.CountOrMissing(r.Injected) })
	t.Group = "latency ms"
	t.Number("avg", func(r *analysis.LatencyRow) string { return tables.MS(r.Latency.AvgMS) })
	for _, name := range answer.Percentiles {
		t.Number(name, func(r *analysis.LatencyRow) string { return tables.MS(r.Latency.Percentiles.Get(name)) })
	}
	t.Number("max", func(r *analysis.LatencyRow) string { return tables.MS(r.Latency.MaxMS) })
	t.Group = "TTFT ms"
	for _, name := range answer.Percentiles[:min(2, len(answer.Percentiles))] {
		t.Number(name, func(r *analysis.LatencyRow) string { return tables.MS(r.TTFT.Percentiles.Get(name)) })
	}
	if err := t.Write(p.stdout); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(p.stdout, "\n%s", latencyText(answer)); err != nil {
		return err
	}
	return tables.WriteOpen(p.stdout, &answer.Open)
}

// latencyText says in lines what the table does not show.
func latencyText(answer *analysis.Latency) (text string) {
	if answer.OtherGroups > 0 {
		text = fmt.Sprintf("%s sums up %s rows that --limit left out.\n", otherName, tables.Count(int64(answer.OtherGroups)))
	}
	var slow, timed int64
	for _, r := range latencyRows(answer) {
		slow, timed = slow+r.SlowCount, timed+r.Latency.Count
	}
	if timed > 0 {
		part := float64(slow) / float64(timed)
		text += fmt.Sprintf("%s of %s (%s %%) took more than twice the p95 of their row.\n", tables.Count(slow), tables.Count(timed), tables.Percent(&part))
	}
	c := answer.Errors
	if c == nil || c.Ratio == nil {
		return text
	}
	return text + fmt.Sprintf("In the %s of %s buckets of %s with more than 10 %% rejected: %s ms on average, else %s ms:\n%s.\n",
		tables.Count(c.RejectingBuckets), tables.Count(c.RejectingBuckets+c.CleanBuckets), tables.WidthName(c.WidthS),
		tables.MS(c.RejectingAvgMS), tables.MS(c.CleanAvgMS), correlationText(c))
}

// correlationText puts the verdict in words.
func correlationText(c *analysis.Correlation) string {
	switch c.Verdict {
	case "HIGH":
		return "latency goes with rejections (HIGH)"
	case "MODERATE":
		return "latency goes with rejections to some degree (MODERATE)"
	case "LOW":
		return "latency does not go with rejections (LOW)"
	}
	return "too few buckets to tell (" + c.Verdict + ")"
}
