package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

func (p *program) errorsCommand() *cobra.Command {
	var flags queryFlags
	cmd := &cobra.Command{
		Use:   "errors --db FILE",
		Short: "Print which requests failed, how, since when, and traces to look at",
		Long: `Print which requests failed: by outcome, by error type and by status code, since
when, how many of them carry an injected fault, and traces to look at. Counts are
exact, but those by status code, which only single requests have.`,
		Example: `  spanbucket errors --db spanbucket.db
  spanbucket errors --db spanbucket.db --run load-7 --from +40s --to +2m --format json`,
		Args: noArguments,
	}
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		answer, err := askFile(cmd, p, &flags, analysis.AskErrors)
		if err != nil {
			return err
		}
		return p.writeErrors(flags.format, answer)
	}
	return cmd
}

func (p *program) writeErrors(format string, answer *analysis.Errors) error {
	return p.writeAnswer(format, answer, &answer.Scope, answer.Requests > 0, answerForms{
		csv:  func() error { return writeCSV(p.stdout, errorNames, errorRecords(answer)) },
		text: func() error { return p.printErrors(answer) },
	})
}

// errorNames are the columns; those by status code have weights for counts.
var errorNames = []string{
	"by", "name", "errors", "share_of_errors", "share_of_requests", "errors_injected", "kept_rows", "first_seen_utc",
	"last_seen_utc", "seen_within_s", "trace_id_1", "trace_id_2", "trace_id_3",
}

func errorRecords(answer *analysis.Errors) [][]any {
	var records [][]any
	for _, by := range []struct {
		name string
		rows []analysis.ErrorRow
	}{{"outcome", answer.ByOutcome}, {"error_type", answer.ByType}} {
		for _, r := range by.rows {
			record := []any{by.name, r.Name, r.Errors, r.ShareOfErrors, r.ShareOfRequests, r.Injected, nil, r.FirstSeenUTC, r.LastSeenUTC, r.SeenWithinS}
			for i := range 3 {
				record = append(record, traceID(r.Samples, i))
			}
			records = append(records, record)
		}
	}
	for _, r := range answer.StatusCodes.Codes {
		records = append(records, []any{
			"status_code", statusText(r.StatusCode, ""), r.Requests, r.ShareOfErrors, nil, r.Injected, r.Rows, r.FirstSeenUTC, r.LastSeenUTC, nil,
			traceID(r.Samples, 0), traceID(r.Samples, 1), traceID(r.Samples, 2),
		})
	}
	return records
}

func traceID(samples []analysis.Sample, i int) any {
	if i < len(samples) {
		return samples[i].TraceID
	}
	return nil
}

func statusText(code *int64, missing string) string {
	if code == nil {
		return missing
	}
	return fmt.Sprint(*code)
}

func (p *program) printErrors(answer *analysis.Errors) error {
	head := fmt.Sprintf("%s\n\n%s\n", tables.Caption(&answer.Scope), errorsText(answer))
	if _, err := fmt.Fprint(p.stdout, head); err != nil || answer.Errors == 0 {
		return err
	}
	for _, by := range []struct {
		head string
		rows []analysis.ErrorRow
	}{{"outcome", answer.ByOutcome}, {"error type", answer.ByType}} {
		if err := p.printErrorRows(answer, by.head, by.rows); err != nil {
			return err
		}
	}
	if err := p.printStatusCodes(answer); err != nil {
		return err
	}
	return tables.WriteOpen(p.stdout, &answer.Open)
}

// errorsText is the answer in words.
func errorsText(answer *analysis.Errors) string {
	if answer.Errors == 0 {
		return fmt.Sprintf("None of %s %s failed.", tables.Count(answer.Requests), tables.Plural(answer.Requests, "request"))
	}
	text := fmt.Sprintf("%s of %s %s failed (%s %%)", tables.Count(answer.Errors), tables.Count(answer.Requests),
		tables.Plural(answer.Requests, "request"), tables.Percent(answer.ErrorRate))
	if answer.Injected > 0 {
		text += fmt.Sprintf(", %s of these under an injected fault", tables.Count(answer.Injected))
	}
	return text + "."
}

func (p *program) printErrorRows(answer *analysis.Errors, head string, rows []analysis.ErrorRow) error {
	if _, err := fmt.Fprintln(p.stdout); err != nil {
		return err
	}
	oneDay := isOneDay(&answer.Scope)
	shown := rows[:min(len(rows), mostErrorRows)]
	t := tables.New(shown)
	t.Text(head, func(r *analysis.ErrorRow) string { return tables.Cut(tables.Clean(nameOr(r.Name, "(none)")), 24) })
	t.Number("errors", func(r *analysis.ErrorRow) string { return tables.Count(r.Errors) })
	t.Number("%", func(r *analysis.ErrorRow) string { return tables.Percent(&r.ShareOfErrors) })
	t.Rank = 3
	t.Number("faults", func(r *analysis.ErrorRow) string { return tables.CountOrMissing(r.Injected) })
	if t.Rank = 2; oneDay {
		t.Text("first", func(r *analysis.ErrorRow) string { return timeText(r.FirstSeenUTC, true) })
	}
	t.Rank = 0
	t.Text("last", func(r *analysis.ErrorRow) string { return timeText(r.LastSeenUTC, oneDay) })
	t.Rank = 1
	t.Whole("a trace to look at", func(r *analysis.ErrorRow) string { return aTrace(r.Samples) })
	err := t.Write(p.stdout)
	if within := seenWithin(shown); err == nil && within > 1 {
		_, err = fmt.Fprintf(p.stdout, "first and last: in the %s that begin then\n", tables.WidthName(within))
	}
	if err == nil && len(shown) < len(rows) {
		_, err = fmt.Fprintf(p.stdout, "and %s more: --format json or csv\n", tables.Count(int64(len(rows)-len(shown))))
	}
	return err
}

func aTrace(samples []analysis.Sample) string {
	if len(samples) == 0 {
		return tables.Missing
	}
	return samples[0].TraceID
}

// seenWithin is how far the times of the least exact row may be off, in seconds.
func seenWithin(rows []analysis.ErrorRow) (within int64) {
	for i := range rows {
		within = max(within, rows[i].SeenWithinS)
	}
	return within
}

// mostErrorRows is how many rows a table shows.
const mostErrorRows = 20

func (p *program) printStatusCodes(answer *analysis.Errors) error {
	s := &answer.StatusCodes
	if len(s.Codes) == 0 {
		_, err := fmt.Fprintln(p.stdout, "\nStatus codes are not known: no failed request of the interval is kept.")
		return err
	}
	if _, err := fmt.Fprintln(p.stdout); err != nil {
		return err
	}
	t := tables.New(s.Codes)
	t.Text("status code", func(r *analysis.StatusRow) string { return statusText(r.StatusCode, "(none)") })
	t.Number("errors", func(r *analysis.StatusRow) string { return tables.Count(int64(r.Requests + 0.5)) })
	t.Number("%", func(r *analysis.StatusRow) string { return tables.Percent(&r.ShareOfErrors) })
	t.Rank = 3
	t.Number("faults", func(r *analysis.StatusRow) string { return tables.CountOrMissing(int64(r.Injected + 0.5)) })
	oneDay := isOneDay(&answer.Scope)
	if t.Rank = 2; oneDay {
		t.Text("first", func(r *analysis.StatusRow) string { return timeText(r.FirstSeenUTC, true) })
	}
	t.Rank = 0
	t.Text("last", func(r *analysis.StatusRow) string { return timeText(r.LastSeenUTC, oneDay) })
	t.Rank = 1
	t.Whole("a trace to look at", func(r *analysis.StatusRow) string { return aTrace(r.Samples) })
	if err := t.Write(p.stdout); err != nil || s.Complete {
		return err
	}
	text := "are incomplete: only those of %s failed %s are kept"
	switch {
	case s.FromUTC != nil && answer.FromUTC != nil && *s.FromUTC > *answer.FromUTC:
		text = "are those of the newest %s kept %s, from " + *s.FromUTC + " on"
	case s.Estimable:
		text = "are estimates from %s kept %s, each with its weight"
	}
	text = fmt.Sprintf("Status codes "+text+".", tables.Count(s.Rows), tables.Plural(s.Rows, "request"))
	_, err := fmt.Fprintf(p.stdout, "%s\n", text)
	return err
}
