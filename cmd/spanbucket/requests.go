package main

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// requestFlags are those that choose among single requests.
type requestFlags struct {
	outcome, errorType, model, trace, session string
	errorTypeSet, modelSet                    func() bool
	minLatency                                time.Duration
	limit, offset                             int64
}

func (p *program) requestsCommand() *cobra.Command {
	var flags queryFlags
	var chosen requestFlags
	cmd := &cobra.Command{
		Use:   "requests --db FILE",
		Short: "Print single requests that are kept, newest first",
		Long: `Print single requests that are kept, newest first. Which are kept is a matter of the
configuration (requests.sampling_ratio, retention, max_rows): weight says how many
requests a row stands for. They are shown at once, before what other verbs say of
them has settled.`,
		Example: `  spanbucket requests --db spanbucket.db --outcome server_error --min-latency 2s
  spanbucket requests --db spanbucket.db --trace 4bf92f3577b34da6a3ce929d0e0e4736 --format json`,
		Args: noArguments,
	}
	flags.addInterval(cmd)
	chosen.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := chosen.check(); err != nil {
			return err
		}
		answer, err := askFile(cmd, p, &flags, func(ctx context.Context, tx *sql.Tx, q analysis.Query) (*analysis.Requests, error) {
			return analysis.AskRequests(ctx, tx, chosen.query(q))
		})
		if err != nil {
			return err
		}
		return p.writeRequests(flags.format, answer)
	}
	return cmd
}

func (f *requestFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.outcome, "outcome", "", "only this outcome, such as rate_limited")
	flags.StringVar(&f.errorType, "error-type", "", `only this error type; "" means those without`)
	flags.StringVar(&f.model, "model", "", `only this model; "" means those without`)
	flags.StringVar(&f.trace, "trace", "", "only this trace id")
	flags.StringVar(&f.session, "session", "", "only this session id")
	flags.DurationVar(&f.minLatency, "min-latency", 0, "only those that took at least so long, such as 500ms or 2s")
	flags.Int64Var(&f.limit, "limit", 100, fmt.Sprintf("how many to print, 1 to %d", analysis.MaxRequests))
	flags.Int64Var(&f.offset, "offset", 0, "how many of the newest to skip")
	f.errorTypeSet = func() bool { return flags.Changed("error-type") }
	f.modelSet = func() bool { return flags.Changed("model") }
	complete(cmd, "outcome", func() ([]string, cobra.ShellCompDirective) {
		return aggregator.OutcomeNames(), cobra.ShellCompDirectiveNoFileComp
	})
}

func (f *requestFlags) check() error {
	if id, err := hex.DecodeString(f.trace); f.trace != "" && (err != nil || len(id) != 16) {
		return usageError{fmt.Errorf("--trace %q: must be 32 hexadecimal digits", f.trace)}
	}
	switch {
	case f.outcome != "" && !slices.Contains(aggregator.OutcomeNames(), f.outcome):
		return usageError{fmt.Errorf("--outcome %q: must be one of %s", f.outcome, strings.Join(aggregator.OutcomeNames(), ", "))}
	case f.minLatency < 0:
		return usageError{fmt.Errorf("--min-latency %s: must not be negative", f.minLatency)}
	case f.offset < 0:
		return usageError{fmt.Errorf("--offset %d: must not be negative", f.offset)}
	}
	return checkLimit(f.limit)
}

// checkLimit checks how many single requests are asked for.
func checkLimit(limit int64) error {
	if limit < 1 || limit > analysis.MaxRequests {
		return usageError{fmt.Errorf("--limit %d: must be 1 to %d", limit, analysis.MaxRequests)}
	}
	return nil
}

func (f *requestFlags) query(q analysis.Query) analysis.RequestsQuery {
	asked := analysis.RequestsQuery{
		Query: q, Outcome: f.outcome, TraceID: strings.ToLower(f.trace), SessionID: f.session, MinLatency: f.minLatency,
		Limit: f.limit, Offset: f.offset,
	}
	if f.errorTypeSet() {
		asked.ErrorType = &f.errorType
	}
	if f.modelSet() {
		asked.Model = &f.model
	}
	return asked
}

func (p *program) writeRequests(format string, answer *analysis.Requests) (err error) {
	found := len(answer.Rows) > 0
	switch {
	case format == "json":
		err = writeJSON(p.stdout, answer)
	case format == "csv":
		err = writeCSV(p.stdout, requestNames, requestRecords(answer.Rows))
	case found:
		err = p.printRequests(answer)
	}
	if !found {
		return finish(err, p.asked.nothing("no such request is kept"))
	}
	if found && format != "text" && !answer.Kept.Complete {
		fmt.Fprintln(p.stderr, keptText(&answer.Kept))
	}
	return err
}

var requestNames = []string{
	"start_utc", "start_ns", "trace_id", "span_id", "parent_span_id", "run_id", "duration_ns", "latency_ms", "ttft_ms",
	"injected_delay_ms", "service", "instance", "operation", "kind", "category", "provider", "model", "response_model",
	"deployment", "endpoint", "tool", "agent", "session_id", "message_count", "outcome", "status_code", "error_type",
	"fault", "finish_reason", "resend_count", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
	"reasoning_tokens", "cost_usd", "weight",
}

func requestRecords(rows []analysis.Request) [][]any {
	records := make([][]any, len(rows))
	for i := range rows {
		r := &rows[i]
		records[i] = []any{
			r.StartUTC, r.StartNS, r.TraceID, r.SpanID, r.ParentSpanID, r.RunID, r.DurationNS, r.LatencyMS, r.TTFTMS,
			r.InjectedMS, r.Service, r.Instance, r.Operation, r.Kind, r.Category, r.Provider, r.Model, r.ResponseModel,
			r.Deployment, r.Endpoint, r.Tool, r.Agent, r.SessionID, r.MessageCount, r.Outcome, r.StatusCode, r.ErrorType,
			r.Fault, r.FinishReason, r.ResendCount, r.InputTokens, r.OutputTokens, r.CacheRead, r.CacheWrite,
			r.Reasoning, r.CostUSD, r.Weight,
		}
	}
	return records
}

func (p *program) printRequests(answer *analysis.Requests) error {
	rows := answer.Rows
	oneDay := rows[0].StartUTC[:10] == rows[len(rows)-1].StartUTC[:10]
	t := tables.New(rows)
	t.Text("start UTC", func(r *analysis.Request) string { return timeText(r.StartUTC, oneDay) })
	t.Whole("trace", func(r *analysis.Request) string { return textOrMissing(r.TraceID) })
	t.Text("model", func(r *analysis.Request) string { return tables.Cut(tables.Clean(requestName(r)), 18) })
	t.Text("outcome", func(r *analysis.Request) string { return r.Outcome })
	t.Number("code", func(r *analysis.Request) string { return statusText(r.StatusCode, tables.Missing) })
	t.Number("ms", func(r *analysis.Request) string { return tables.MS(r.LatencyMS) })
	t.Number("weight", func(r *analysis.Request) string { return weightText(r.Weight) })
	if err := t.Write(p.stdout); err != nil {
		return err
	}
	text := keptText(&answer.Kept)
	if answer.OpenFromUTC != nil {
		text += " What starts from " + *answer.OpenFromUTC + " on has not settled: more may come."
	}
	if answer.More {
		text += fmt.Sprintf(" There are more: --offset %d.", answer.Offset+int64(len(rows)))
	}
	_, err := fmt.Fprintf(p.stdout, "\n%s\n", text)
	return err
}

// requestName is what a request is best known by.
func requestName(r *analysis.Request) string {
	for _, name := range []string{r.Model, r.Tool, r.Agent} {
		if name != "" {
			return name
		}
	}
	return r.Operation
}

// weightText leaves out that a row stands for itself.
func weightText(weight float64) string {
	if weight == 1 {
		return tables.Missing
	}
	return tables.MS(&weight)
}
