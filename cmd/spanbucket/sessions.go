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

// sessionFlags are those that choose among sessions.
type sessionFlags struct {
	queryFlags
	sort, session, service string
	limit                  int
	changed                func(flag string) bool
}

func (p *program) sessionsCommand() *cobra.Command {
	var flags sessionFlags
	cmd := &cobra.Command{
		Use:   "sessions --db FILE",
		Short: "Print sessions: requests, tool calls, turns, what was accepted, tokens, cost",
		Long: `Print what happened in sessions: requests and how many failed, tool calls, turns and
the time to think and to answer, what was accepted, tokens and cost. The totals are
those of all sessions that are asked for, however many are printed. Of an interval,
only the spans that start in it count.`,
		Example: `  spanbucket sessions --db spanbucket.db --sort cost --limit 5
  spanbucket sessions --db spanbucket.db --session 7f3a --format json
  spanbucket sessions --db spanbucket.db --run load-7 --limit 0 --format csv`,
		Args: noArguments,
	}
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkMost(flags.limit); err != nil {
			return err
		}
		if !slices.Contains(analysis.SessionSorts, flags.sort) {
			return usageError{fmt.Errorf("--sort %q: must be one of %s", flags.sort, strings.Join(analysis.SessionSorts, ", "))}
		}
		answer, err := askFile(cmd, p, &flags.queryFlags, flags.ask)
		if err != nil {
			return err
		}
		return p.writeSessions(&flags, answer)
	}
	return cmd
}

func (f *sessionFlags) add(cmd *cobra.Command) {
	f.addInterval(cmd)
	f.addOpen(cmd)
	flags := cmd.Flags()
	f.changed = flags.Changed
	flags.IntVar(&f.limit, "limit", 20, "how many sessions to print; 0: all")
	flags.StringVar(&f.sort, "sort", analysis.SessionSorts[0], "most of what first: "+strings.Join(analysis.SessionSorts, ", "))
	flags.StringVar(&f.session, "session", "", "only the session of this id")
	flags.StringVar(&f.service, "service", "", `only sessions of this service; "" means those without`)
	completeNothing(cmd, "session", "service", "limit")
	complete(cmd, "sort", func() ([]string, cobra.ShellCompDirective) {
		return analysis.SessionSorts, cobra.ShellCompDirectiveNoFileComp
	})
}

func (f *sessionFlags) ask(ctx context.Context, tx *sql.Tx, q analysis.Query) (*analysis.Sessions, error) {
	asked := analysis.SessionsQuery{Query: q, Sort: f.sort, Limit: f.limit}
	if f.changed("session") {
		asked.SessionID = &f.session
	}
	if f.changed("service") {
		asked.Service = &f.service
	}
	return analysis.AskSessions(ctx, tx, asked)
}

// checkMost checks how many rows are asked for; 0 means all.
func checkMost(limit int) error {
	if limit < 0 {
		return usageError{fmt.Errorf("--limit %d: must not be negative; 0 means all", limit)}
	}
	return nil
}

func (p *program) writeSessions(flags *sessionFlags, answer *analysis.Sessions) (err error) {
	format := flags.format
	p.talk(&answer.Scope, format == "text" && len(answer.Rows) > 0)
	switch {
	case format == "json":
		err = writeJSON(p.stdout, answer)
	case format == "csv":
		err = p.writeSessionRecords(answer)
	case len(answer.Rows) > 0:
		err = p.printSessions(answer)
	}
	if len(answer.Rows) == 0 {
		none := "no span of a session"
		if flags.changed("session") {
			none += fmt.Sprintf(" %q", flags.session)
		}
		return finish(err, p.nothing(&answer.Scope, none))
	}
	return err
}

func (p *program) writeSessionRecords(answer *analysis.Sessions) error {
	var records [][]any
	for i := range answer.Rows {
		s := &answer.Rows[i]
		records = append(records, []any{
			s.RunID, s.Service, s.SessionID, s.FirstUTC, s.LastUTC, s.DurationS, s.Requests, s.Errors, s.ToolCalls, s.ToolErrors,
			s.ToolsPerMinute, s.Prompts, s.ThinkTimeS, s.ResponseTimeS, s.Accepted, s.Rejected, s.AutoAccepted, s.AcceptanceRate,
			s.Productivity, s.InputTokens, s.OutputTokens, s.CostUSD,
		})
	}
	return writeCSV(p.stdout, []string{
		"run_id", "service", "session_id", "first_utc", "last_utc", "duration_s", "requests", "errors", "tool_calls", "tool_errors",
		"tools_per_minute", "prompts", "think_time_s", "response_time_s", "accepted", "rejected", "auto_accepted", "acceptance_rate",
		"productivity_score", "input_tokens", "output_tokens", "cost_usd",
	}, records)
}

func (p *program) printSessions(answer *analysis.Sessions) error {
	if _, err := fmt.Fprintf(p.stdout, "%s\n\n%s\n%s\n", tables.Caption(&answer.Scope), sessionsText(answer), prunedText(answer.CompleteFromUTC)); err != nil {
		return err
	}
	t := tables.New(answer.Rows)
	t.Text("session", func(s *analysis.Session) string { return s.SessionID })
	t.Number("length", func(s *analysis.Session) string { return tables.Length(s.LastNS - s.FirstNS) })
	t.Number("requests", func(s *analysis.Session) string { return tables.Count(s.Requests) })
	t.Number("errors", func(s *analysis.Session) string { return tables.CountOrMissing(s.Errors) })
	t.Number("tools", func(s *analysis.Session) string { return tables.CountOrMissing(s.ToolCalls) })
	t.Number("turns", func(s *analysis.Session) string { return countPointer(s.Prompts) })
	t.Number("think s", func(s *analysis.Session) string { return seconds(s.ThinkTimeS) })
	t.Number("answer s", func(s *analysis.Session) string { return seconds(s.ResponseTimeS) })
	t.Number("accepted %", func(s *analysis.Session) string { return tables.Percent(s.AcceptanceRate) })
	t.Number("score", func(s *analysis.Session) string { return tables.MS(s.Productivity) })
	t.Number("tokens", func(s *analysis.Session) string { return tokensText(s) })
	t.Number("cost USD", func(s *analysis.Session) string { return tables.USD(s.CostUSD) })
	t.Text("service", func(s *analysis.Session) string { return s.Service })
	t.Text("run", func(s *analysis.Session) string { return s.RunID })
	if err := t.Write(p.stdout); err != nil {
		return err
	}
	if left := answer.Total.Sessions - int64(len(answer.Rows)); left > 0 {
		if _, err := fmt.Fprintf(p.stdout, "\n%s more %s; --limit 0 prints all\n", tables.Count(left), tables.Plural(left, "session")); err != nil {
			return err
		}
	}
	return tables.WriteOpen(p.stdout, &answer.Open)
}

// sessionsText is the answer in words.
func sessionsText(answer *analysis.Sessions) string {
	t := &answer.Total
	text := fmt.Sprintf("%s %s with %s %s", tables.Count(t.Sessions), tables.Plural(t.Sessions, "session"),
		tables.Count(t.Requests), tables.Plural(t.Requests, "request"))
	if t.Errors > 0 {
		text += fmt.Sprintf(" (%s %% failed)", tables.Percent(t.ErrorRate))
	}
	if t.ToolCalls > 0 {
		text += fmt.Sprintf(" and %s tool %s", tables.Count(t.ToolCalls), tables.Plural(t.ToolCalls, "call"))
		if t.ToolErrors > 0 {
			text += fmt.Sprintf(" (%s failed)", tables.Count(t.ToolErrors))
		}
	}
	if t.AcceptanceRate != nil {
		text += fmt.Sprintf("; %s %% accepted", tables.Percent(t.AcceptanceRate))
	}
	if t.CostUSD != nil {
		text += fmt.Sprintf("; %s USD", tables.USD(t.CostUSD))
	}
	return text + "."
}

func countPointer(n *int64) string {
	if n == nil {
		return tables.Missing
	}
	return tables.Count(*n)
}

func tokensText(s *analysis.Session) string {
	if s.InputTokens == nil && s.OutputTokens == nil {
		return tables.Missing
	}
	var sum int64
	for _, n := range []*int64{s.InputTokens, s.OutputTokens} {
		if n != nil {
			sum += *n
		}
	}
	return tables.Compact(&sum)
}
