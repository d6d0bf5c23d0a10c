package main

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

func (p *program) usageCommand() *cobra.Command {
	var flags queryFlags
	var by []string
	cmd := &cobra.Command{
		Use:   "usage --db FILE",
		Short: "Print tokens and cost, by model or any other dimension",
		Long: `Print tokens and cost, by model or any other dimension. Requests whose cost is not
known are counted as unpriced, and are in no sum of money.`,
		Example: `  spanbucket usage --db spanbucket.db --by service,model
  spanbucket usage --db spanbucket.db --by user.tier --format csv`,
		Args: noArguments,
	}
	flags.add(cmd)
	addBy(cmd, &by)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		by = slices.DeleteFunc(by, func(name string) bool { return name == "" })
		answer, err := askFile(cmd, p, &flags, func(ctx context.Context, tx *sql.Tx, q analysis.Query) (*analysis.UsageAnswer, error) {
			return analysis.AskUsage(ctx, tx, analysis.UsageQuery{Query: q, By: by})
		})
		if err != nil {
			return err
		}
		return p.writeUsage(flags.format, answer)
	}
	return cmd
}

// addBy adds the flag that names dimensions.
func addBy(cmd *cobra.Command, by *[]string) {
	cmd.Flags().StringSliceVar(by, "by", []string{"model"},
		"dimensions to split by: "+strings.Join(analysis.Dimensions, ", ")+`, or a configured one; "" for none`)
	complete(cmd, "by", func() ([]string, cobra.ShellCompDirective) {
		return analysis.Dimensions, cobra.ShellCompDirectiveNoFileComp
	})
}

func (p *program) writeUsage(format string, answer *analysis.UsageAnswer) error {
	return p.writeAnswer(format, answer, &answer.Scope, len(answer.Rows) > 0, answerForms{
		csv: func() error {
			return writeCSV(p.stdout, append(slices.Clone(answer.By), usageNames...), usageRecords(answer))
		},
		text: func() error { return p.printUsage(answer) },
	})
}

var usageNames = []string{
	"requests", "usage_count", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
	"reasoning_tokens", "output_tokens_per_s", "avg_time_per_output_token_ms", "priced_count", "unpriced_count", "cost_usd",
	"cost_per_1000_requests_usd",
}

func usageRecords(answer *analysis.UsageAnswer) [][]any {
	var records [][]any
	for i := range answer.Rows {
		r := &answer.Rows[i]
		var record []any
		for _, value := range r.Values {
			record = append(record, value)
		}
		records = append(records, append(record, r.Requests, r.UsageCount, r.InputTokens, r.OutputTokens, r.CacheReadTokens,
			r.CacheWriteTokens, r.ReasoningTokens, r.OutputTokensPerS, r.AvgTimePerOutputTokenMS, r.PricedCount, r.UnpricedCount,
			r.CostUSD, r.CostPer1000USD))
	}
	return records
}

func (p *program) printUsage(answer *analysis.UsageAnswer) error {
	if _, err := fmt.Fprintf(p.stdout, "%s\n\n%s\n\n", tables.Caption(&answer.Scope), usageText(answer.Total)); err != nil {
		return err
	}
	notZero := func(n *int64) string {
		if n == nil || *n == 0 {
			return tables.Missing
		}
		return tables.Compact(n)
	}
	t := tables.New(answer.Rows)
	for i, name := range answer.By {
		t.Text(name, func(r *analysis.UsageRow) string {
			return tables.Cut(tables.Clean(r.Values[i]), max(12, 24/len(answer.By)))
		})
	}
	t.Keep = len(answer.By)
	t.Number("requests", func(r *analysis.UsageRow) string { return tables.Count(r.Requests) })
	t.Group = "tokens"
	t.Number("in", func(r *analysis.UsageRow) string { return tables.Compact(r.InputTokens) })
	t.Number("cached", func(r *analysis.UsageRow) string { return notZero(r.CacheReadTokens) })
	t.Number("out", func(r *analysis.UsageRow) string { return tables.Compact(r.OutputTokens) })
	t.Number("thought", func(r *analysis.UsageRow) string { return notZero(r.ReasoningTokens) })
	t.Number("out/s", func(r *analysis.UsageRow) string { return tables.MS(r.OutputTokensPerS) })
	t.Group = "USD"
	t.Number("cost", func(r *analysis.UsageRow) string { return tables.USD(r.CostUSD) })
	t.Number("1,000 req.", func(r *analysis.UsageRow) string { return tables.USD(r.CostPer1000USD) })
	t.Group = ""
	t.Number("unpriced", func(r *analysis.UsageRow) string { return tables.CountOrMissing(r.UnpricedCount) })
	if err := t.Write(p.stdout); err != nil {
		return err
	}
	return tables.WriteOpen(p.stdout, &answer.Open)
}

// usageText is the answer in words.
func usageText(total *analysis.UsageRow) string {
	text := fmt.Sprintf("%s of %s %s tell their tokens", tables.Count(total.UsageCount), tables.Count(total.Requests),
		tables.Plural(total.Requests, "request"))
	if total.InputTokens != nil {
		text += fmt.Sprintf(": %s in, %s out", tables.Compact(total.InputTokens), tables.Compact(total.OutputTokens))
	}
	text += "."
	if total.CostUSD != nil {
		text += fmt.Sprintf("\n%s of them have a price: %s USD.", tables.Count(total.PricedCount), tables.USD(total.CostUSD))
	}
	if total.UnpricedCount > 0 {
		text += fmt.Sprintf(" What %s cost is not known.", tables.Count(total.UnpricedCount))
	}
	return text
}
