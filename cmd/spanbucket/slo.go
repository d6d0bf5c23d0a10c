package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

func (p *program) sloCommand() *cobra.Command {
	var flags queryFlags
	cmd := &cobra.Command{
		Use:   "slo --db FILE",
		Short: "Print service level objectives: good requests, error budgets, burn rates",
		Long: `Print how the service level objectives of the configuration (slos) fare: good and
total requests of the interval, counted exactly as they came in, the error budget
spent, and burn rates over 1 h, 6 h, 3 d and 30 d that end with the newest data, or
at --to. A burn rate of 1 spends the budget in just the time that the objective is
for; 14.4 over 1 h, 6 over 6 h and 1 over 3 d are alerts.`,
		Example: `  spanbucket slo --db spanbucket.db
  spanbucket slo --db spanbucket.db --run load-1 --format json`,
		Args: noArguments,
	}
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		answer, err := askFile(cmd, p, &flags, analysis.AskSLOs)
		if err != nil {
			return err
		}
		return p.writeSLOs(flags.format, answer)
	}
	return cmd
}

func (p *program) writeSLOs(format string, answer *analysis.SLOs) (err error) {
	p.talk(&answer.Scope, format == "text" && answer.HasRequests())
	switch {
	case format == "json":
		err = writeJSON(p.stdout, answer)
	case format == "csv":
		err = writeCSV(p.stdout, sloNames(), sloRecords(answer))
	case answer.HasRequests():
		err = p.printSLOs(answer)
	}
	switch {
	case len(answer.Rows) == 0:
		return finish(err, fmt.Errorf("%w: no service level objective is counted in this file; slos in the configuration of the collector names them", errNoData))
	case !answer.HasRequests():
		return finish(err, p.noData(&answer.Scope))
	}
	return err
}

func sloNames() []string {
	names := []string{
		"name", "category", "service", "operation", "model", "latency_ms", "objective", "configured", "counted_from_utc",
		"good", "total", "good_share", "met", "error_budget_spent",
	}
	for _, w := range analysis.BurnWindows {
		names = append(names, "burn_rate_"+w.Name, "covered_"+w.Name)
	}
	return append(names, "alert")
}

func sloRecords(answer *analysis.SLOs) [][]any {
	var records [][]any
	for i := range answer.Rows {
		s := &answer.Rows[i]
		record := []any{
			s.Name, s.Category, s.Service, s.Operation, s.Model, s.LatencyMS, s.Objective, s.Configured, s.CountedFromUTC,
			s.Good, s.Total, s.GoodShare, nil, s.BudgetSpent,
		}
		if s.Met != nil {
			record[len(record)-2] = *s.Met
		}
		for k := range analysis.BurnWindows {
			var rate, covered any
			if k < len(s.Burn) {
				rate, covered = s.Burn[k].Rate, s.Burn[k].Covered
			}
			record = append(record, rate, covered)
		}
		records = append(records, append(record, s.Alert))
	}
	return records
}

func (p *program) printSLOs(answer *analysis.SLOs) error {
	if _, err := fmt.Fprintf(p.stdout, "%s\n\n%s\n\n", tables.Caption(&answer.Scope), sloText(answer)); err != nil {
		return err
	}
	t := tables.New(answer.Rows)
	t.Text("objective", func(s *analysis.SLO) string { return tables.Cut(tables.Clean(s.Name), 24) })
	t.Text("good is", func(s *analysis.SLO) string { return tables.Cut(tables.Clean(sloTarget(s)), 28) })
	t.Number("requests", func(s *analysis.SLO) string { return tables.Count(s.Total) })
	t.Number("good", func(s *analysis.SLO) string { return sharePercent(s.GoodShare) })
	t.Number("budget %", func(s *analysis.SLO) string { return tables.Percent(s.BudgetSpent) })
	t.Group = "burn rate"
	for i, w := range analysis.BurnWindows {
		t.Number(w.Name, func(s *analysis.SLO) string {
			if i >= len(s.Burn) {
				return tables.Missing
			}
			return burnText(&s.Burn[i])
		})
	}
	t.Group = ""
	if err := t.Write(p.stdout); err != nil {
		return err
	}
	return p.printSLONotes(answer)
}

// burnText shows a burn rate, ! behind one that is an alert and * behind one of
// which not all of the window is known.
func burnText(b *analysis.BurnRate) string {
	if b.Rate == nil {
		return tables.Missing
	}
	text := fmt.Sprintf("%.1f", *b.Rate)
	if b.Alert {
		text += "!"
	}
	if b.Covered < 1 {
		text += "*"
	}
	return text
}

func (p *program) printSLONotes(answer *analysis.SLOs) error {
	var notes []string
	partial, retired := false, false
	for i := range answer.Rows {
		retired = retired || !answer.Rows[i].Configured
		for _, b := range answer.Rows[i].Burn {
			partial = partial || b.Rate != nil && b.Covered < 1
		}
	}
	if answer.BurnEndUTC != nil {
		notes = append(notes, "Windows end at "+*answer.BurnEndUTC+"; ! is an alert.")
	}
	if partial {
		notes = append(notes, "* Only part of the window is in the file, or was counted.")
	}
	if retired {
		notes = append(notes, "(old): no longer configured so.")
	}
	if len(notes) > 0 {
		if _, err := fmt.Fprintln(p.stdout, "\n"+strings.Join(notes, "\n")); err != nil {
			return err
		}
	}
	return tables.WriteOpen(p.stdout, &answer.Open)
}

// sloTarget says what an objective asks for.
func sloTarget(s *analysis.SLO) string {
	// As it was written: shares have up to nine decimals.
	text := fmt.Sprintf("%s %% %s", strconv.FormatFloat(math.Round(s.Objective*1e9)/1e7, 'f', -1, 64), s.Category)
	if s.LatencyMS != nil {
		text += " in " + tables.MS(s.LatencyMS) + " ms"
	}
	for _, only := range []*string{s.Service, s.Operation, s.Model} {
		if only != nil {
			text += ", " + *only
		}
	}
	if !s.Configured {
		text = "(old) " + text
	}
	return text
}

// sharePercent shows a share with up to three decimals.
func sharePercent(share *float64) string {
	if share == nil {
		return tables.Missing
	}
	// Rounded down: what misses 99.9 % must not look as if it met it.
	text := fmt.Sprintf("%.7f", *share*100)
	if i := strings.IndexByte(text, '.'); i >= 0 {
		text = strings.TrimRight(text[:i+4], "0")
	}
	return strings.TrimSuffix(text, ".") + " %"
}

// sloText is the answer in words.
func sloText(answer *analysis.SLOs) string {
	var met, counted int
	var missed, alerts []string
	for i := range answer.Rows {
		s := &answer.Rows[i]
		if s.Met != nil {
			if counted++; *s.Met {
				met++
			} else {
				missed = append(missed, tables.Clean(s.Name))
			}
		}
		if s.Alert != nil {
			alerts = append(alerts, fmt.Sprintf("%s (%s)", tables.Clean(s.Name), *s.Alert))
		}
	}
	text := fmt.Sprintf("%d of %d %s met", met, counted, tables.Plural(int64(counted), "objective"))
	if len(missed) > 0 {
		text += "; missed: " + strings.Join(missed, ", ")
	}
	text += "."
	if len(alerts) > 0 {
		text += " Budget burns too fast: " + strings.Join(alerts, ", ") + "."
	}
	return tables.Wrap(text, 100)
}
