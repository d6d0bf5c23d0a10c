package main

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

func (p *program) slowCommand() *cobra.Command {
	var flags queryFlags
	var threshold time.Duration
	var limit int64
	cmd := &cobra.Command{
		Use:   "slow --db FILE",
		Short: "Print the slowest requests, with their traces",
		Long: `Print the slowest requests that are kept, with their traces; where none is kept, the
slowest of each bucket, of which the file remembers the trace.`,
		Example: `  spanbucket slow --db spanbucket.db --limit 5
  spanbucket slow --db spanbucket.db --threshold 10s --category tool`,
		Args: noArguments,
	}
	flags.add(cmd)
	cmd.Flags().DurationVar(&threshold, "threshold", 0, "only those that took at least so long, such as 500ms or 2s")
	cmd.Flags().Int64Var(&limit, "limit", 20, fmt.Sprintf("how many to print, 1 to %d", analysis.MaxRequests))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if threshold < 0 {
			return usageError{fmt.Errorf("--threshold %s: must not be negative", threshold)}
		}
		if err := checkLimit(limit); err != nil {
			return err
		}
		answer, err := askFile(cmd, p, &flags, func(ctx context.Context, tx *sql.Tx, q analysis.Query) (*analysis.Slow, error) {
			return analysis.AskSlow(ctx, tx, analysis.SlowQuery{Query: q, Threshold: threshold, Limit: limit})
		})
		if err != nil {
			return err
		}
		return p.writeSlow(flags.format, answer)
	}
	return cmd
}

func (p *program) writeSlow(format string, answer *analysis.Slow) (err error) {
	found := len(answer.Rows) > 0
	p.talk(&answer.Scope, format == "text" && found)
	switch {
	case format == "json":
		err = writeJSON(p.stdout, answer)
	case format == "csv":
		err = writeCSV(p.stdout, slowNames, slowRecords(answer))
	case found:
		err = p.printSlow(answer)
	}
	if !found {
		return finish(err, p.noData(&answer.Scope))
	}
	if found && format != "text" {
		fmt.Fprintln(p.stderr, slowText(answer))
	}
	return err
}

// slowText says what may be missing.
func slowText(answer *analysis.Slow) string {
	if answer.Source == "buckets" {
		return "No request of the interval is kept: these are the slowest of their buckets, others may have been as slow."
	}
	return keptText(&answer.Kept)
}

var slowNames = []string{
	"latency_ms", "trace_id", "span_id", "run_id", "category", "start_utc", "start_ns", "model", "operation", "outcome",
	"error_type", "fault", "weight", "source",
}

func slowRecords(answer *analysis.Slow) [][]any {
	var records [][]any
	for i := range answer.Rows {
		r := &answer.Rows[i]
		record := []any{r.LatencyMS, r.TraceID, r.SpanID, r.RunID, r.Category, r.StartUTC, r.StartNS}
		if q := r.Request; q != nil {
			record = append(record, q.Model, q.Operation, q.Outcome, q.ErrorType, q.Fault, q.Weight)
		} else {
			record = append(record, nil, nil, nil, nil, nil, nil)
		}
		records = append(records, append(record, answer.Source))
	}
	return records
}

func (p *program) printSlow(answer *analysis.Slow) error {
	if _, err := fmt.Fprintf(p.stdout, "%s\n\n", tables.Caption(&answer.Scope)); err != nil {
		return err
	}
	oneDay := isOneDay(&answer.Scope)
	of := func(cell func(*analysis.Request) string) func(*analysis.SlowRow) string {
		return func(r *analysis.SlowRow) string {
			if r.Request == nil {
				return tables.Missing
			}
			return cell(r.Request)
		}
	}
	t := tables.New(answer.Rows)
	t.Number("ms", func(r *analysis.SlowRow) string { return tables.MS(&r.LatencyMS) })
	t.Whole("trace", func(r *analysis.SlowRow) string { return textOrMissing(r.TraceID) })
	t.Text(map[string]string{"buckets": "bucket UTC"}[answer.Source]+map[string]string{"requests": "start UTC"}[answer.Source],
		func(r *analysis.SlowRow) string { return timeText(r.StartUTC, oneDay) })
	t.Text("category", func(r *analysis.SlowRow) string { return r.Category })
	t.Text("model", of(func(r *analysis.Request) string { return tables.Cut(tables.Clean(requestName(r)), 18) }))
	t.Text("outcome", of(func(r *analysis.Request) string { return r.Outcome }))
	t.Number("weight", of(func(r *analysis.Request) string { return weightText(r.Weight) }))
	if err := t.Write(p.stdout); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(p.stdout, "\n%s\n", slowText(answer)); err != nil {
		return err
	}
	return tables.WriteOpen(p.stdout, &answer.Open)
}
