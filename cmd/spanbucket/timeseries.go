package main

import (
	"database/sql"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

func (p *program) timeseriesCommand() *cobra.Command {
	var flags queryFlags
	cmd := &cobra.Command{
		Use:   "timeseries --db FILE",
		Short: "Print the course of requests, errors and latency over time",
		Long: `Print the course of requests, errors and latency over time: one row per bucket,
run and category, those without requests too. Without --width the buckets are the
narrowest that cut the interval into at most 120. partial: what is shown begins or
ends inside the bucket.`,
		Example: `  spanbucket timeseries --db spanbucket.db --from +10s --to +20s --width 1s
  spanbucket timeseries --db spanbucket.db --category tool --format csv`,
		Args: noArguments,
	}
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var answer *analysis.Timeseries
		err := flags.view(cmd.Context(), func(tx *sql.Tx) error {
			q, err := flags.query(cmd.Context(), p, tx)
			if err != nil {
				return err
			}
			answer, err = analysis.AskTimeseries(cmd.Context(), tx, q)
			return err
		})
		if err != nil {
			return err
		}
		return p.writeTimeseries(flags.format, answer)
	}
	return cmd
}

func (p *program) writeTimeseries(format string, answer *analysis.Timeseries) error {
	return p.writeAnswer(format, answer, &answer.Scope, len(answer.Rows) > 0, answerForms{
		csv:  func() error { return writeCSV(p.stdout, timeseriesNames, timeseriesRecords(answer)) },
		text: func() error { return p.printTimeseries(answer) },
	})
}

var timeseriesNames = []string{
	"run_id", "width_s", "bucket_start", "bucket_utc", "category", "settled", "partial", "requests_total", "requests_success",
	"errors", "error_rate", "requests_rate_limited", "requests_injected", "completed_total", "latency_count",
	"avg_latency_ms", "p50_latency_ms", "p95_latency_ms", "p99_latency_ms", "max_latency_ms", "ttft_count",
	"p50_ttft_ms", "p95_ttft_ms", "input_tokens", "output_tokens", "cost_usd",
}

func timeseriesRecords(answer *analysis.Timeseries) [][]any {
	records := make([][]any, len(answer.Rows))
	for i := range answer.Rows {
		r := &answer.Rows[i]
		records[i] = []any{
			r.RunID, answer.WidthS, r.BucketStart, r.BucketUTC, r.Category, r.Settled, r.Partial, r.Requests, r.Success,
			r.Errors, r.ErrorRate, r.RateLimited, r.Injected, r.Completed, r.LatencyCount,
			r.AvgMS, r.P50MS, r.P95MS, r.P99MS, r.MaxMS, r.TTFTCount,
			r.TTFTP50MS, r.TTFTP95MS, r.InputTokens, r.OutputTokens, r.CostUSD,
		}
	}
	return records
}

func (p *program) printTimeseries(answer *analysis.Timeseries) error {
	rows := answer.Rows
	day := rows[0].BucketUTC[:10]
	oneDay := day == rows[len(rows)-1].BucketUTC[:10]
	if _, err := fmt.Fprintf(p.stdout, "%s  ·  buckets of %s\n\n", tables.Caption(&answer.Scope), tables.WidthName(answer.WidthS)); err != nil {
		return err
	}
	if err := timeseriesTable(rows, oneDay).Write(p.stdout); err != nil {
		return err
	}
	return tables.WriteOpen(p.stdout, &answer.Open)
}

func timeseriesTable(rows []analysis.TimeseriesRow, oneDay bool) *tables.Table[analysis.TimeseriesRow] {
	var runs, categories bool
	for i := range rows {
		runs = runs || rows[i].RunID != rows[0].RunID
		categories = categories || rows[i].Category != rows[0].Category
	}
	t := tables.New(rows)
	t.Text("time UTC", func(r *analysis.TimeseriesRow) string {
		if oneDay {
			return r.BucketUTC[11:19]
		}
		return r.BucketUTC[:10] + " " + r.BucketUTC[11:19]
	})
	if runs {
		t.Text("run", func(r *analysis.TimeseriesRow) string { return tables.RunName(r.RunID) })
	}
	if categories {
		t.Text("category", func(r *analysis.TimeseriesRow) string { return r.Category })
	}
	t.Number("requests", func(r *analysis.TimeseriesRow) string { return tables.Count(r.Requests) })
	t.Rank = 3
	t.Number("completed", func(r *analysis.TimeseriesRow) string { return tables.Count(r.Completed) })
	t.Rank = 0
	t.Number("err %", func(r *analysis.TimeseriesRow) string { return tables.Percent(r.ErrorRate) })
	t.Number("faults", func(r *analysis.TimeseriesRow) string { return tables.CountOrMissing(r.Injected) })
	t.Group = "latency ms"
	t.Number("p50", func(r *analysis.TimeseriesRow) string { return tables.MS(r.P50MS) })
	t.Number("p95", func(r *analysis.TimeseriesRow) string { return tables.MS(r.P95MS) })
	t.Number("p99", func(r *analysis.TimeseriesRow) string { return tables.MS(r.P99MS) })
	t.Rank = 4
	t.Number("max", func(r *analysis.TimeseriesRow) string { return tables.MS(r.MaxMS) })
	t.Group = "TTFT ms"
	t.Rank = 2
	t.Number("p50", func(r *analysis.TimeseriesRow) string { return tables.MS(r.TTFTP50MS) })
	t.Rank = 1
	t.Number("p95", func(r *analysis.TimeseriesRow) string { return tables.MS(r.TTFTP95MS) })
	t.Group = ""
	t.Number("cost USD", func(r *analysis.TimeseriesRow) string { return tables.USD(r.CostUSD) })
	t.Rank = 0
	t.Text("state", func(r *analysis.TimeseriesRow) string {
		switch {
		case !r.Settled:
			return "open"
		case r.Partial:
			return "partial"
		}
		return ""
	})
	return t
}
