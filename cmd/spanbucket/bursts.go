package main

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

func (p *program) burstsCommand() *cobra.Command {
	var flags queryFlags
	var q analysis.BurstsQuery
	cmd := &cobra.Command{
		Use:   "bursts --db FILE",
		Short: "Print when requests were refused, and how clients took it",
		Long: `Print when requests were refused, over a rate limit or for lack of capacity, how
long it took until that was over, what it was like before, during and after, and
whether clients backed off. A burst starts when the share of refused requests in a
bucket exceeds --start-share, and is over with the first bucket with requests in
which it is below --end-share. One that the data end in is marked as active.`,
		Example: `  spanbucket bursts --db spanbucket.db
  spanbucket bursts --db spanbucket.db --run load-7 --width 1s --start-share 0.5`,
		Args: noArguments,
	}
	flags.add(cmd)
	cmd.Flags().Float64Var(&q.StartShare, "start-share", 0.3, "share of refused requests above which a burst starts")
	cmd.Flags().Float64Var(&q.EndShare, "end-share", 0.1, "share of refused requests below which a burst is over")
	cmd.Flags().Int64Var(&q.MinRefused, "min-refused", 3, "how many refused requests make a burst at least")
	completeNothing(cmd, "start-share", "end-share", "min-refused")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		// Written so that NaN is refused.
		if !(q.EndShare > 0 && q.EndShare <= q.StartShare && q.StartShare < 1) {
			return usageError{fmt.Errorf("--start-share %g --end-share %g: must be 0 < end <= start < 1", q.StartShare, q.EndShare)}
		}
		if q.MinRefused < 1 {
			return usageError{fmt.Errorf("--min-refused %d: must be 1 or more", q.MinRefused)}
		}
		answer, err := askFile(cmd, p, &flags, func(ctx context.Context, tx *sql.Tx, asked analysis.Query) (*analysis.Bursts, error) {
			q.Query = asked
			return analysis.AskBursts(ctx, tx, q)
		})
		if err != nil {
			return err
		}
		return p.writeBursts(flags.format, answer)
	}
	return cmd
}

func (p *program) writeBursts(format string, answer *analysis.Bursts) error {
	return p.writeAnswer(format, answer, &answer.Scope, answer.Requests > 0, answerForms{
		csv:  func() error { return writeCSV(p.stdout, burstNames(), burstRecords(answer)) },
		text: func() error { return p.printBursts(answer) },
	})
}

func burstNames() []string {
	names := []string{
		"start", "start_utc", "end", "end_utc", "duration_s", "still_active", "recovery_s", "requests_total", "requests_rate_limited",
		"requests_capacity_error", "refused_share", "peak_refused_share", "resends", "client_resends", "faults",
	}
	for _, phase := range []string{"before", "during", "after"} {
		for _, name := range []string{"duration_s", "requests_total", "success_per_s", "avg_latency_ms", "p95_latency_ms"} {
			names = append(names, name+"_"+phase)
		}
	}
	return names
}

func burstRecords(answer *analysis.Bursts) [][]any {
	var records [][]any
	for i := range answer.Rows {
		b := &answer.Rows[i]
		record := []any{
			b.Start, b.StartUTC, b.End, b.EndUTC, b.DurationS, b.StillActive, b.RecoveryS, b.Requests, b.RateLimited,
			b.CapacityErrors, b.RefusedShare, b.PeakShare, b.Resends, b.ClientResends, strings.Join(b.Faults, ", "),
		}
		for _, phase := range []*analysis.BurstPhase{b.Before, b.During, b.After} {
			if phase == nil {
				record = append(record, nil, nil, nil, nil, nil)
				continue
			}
			record = append(record, phase.DurationS, phase.Requests, phase.SuccessPerS, phase.AvgMS, phase.P95MS)
		}
		records = append(records, record)
	}
	return records
}

func (p *program) printBursts(answer *analysis.Bursts) error {
	_, err := fmt.Fprintf(p.stdout, "%s  ·  buckets of %s\n\n%s\n", tables.Caption(&answer.Scope), tables.WidthName(answer.WidthS),
		folded(burstsText(answer)+" "+behaviourText(answer.AIMD)))
	if err != nil || len(answer.Rows) == 0 {
		return err
	}
	if _, err := fmt.Fprintln(p.stdout); err != nil {
		return err
	}
	oneDay := isOneDay(&answer.Scope)
	t := tables.New(answer.Rows)
	t.Text("start", func(b *analysis.Burst) string { return timeText(b.StartUTC, oneDay) })
	t.Number("lasted", func(b *analysis.Burst) string { return tables.Seconds(b.DurationS) })
	t.Number("over after", burstRecovery)
	t.Number("requests", func(b *analysis.Burst) string { return tables.Count(b.Requests) })
	t.Number("refused %", func(b *analysis.Burst) string { return tables.Percent(b.RefusedShare) })
	phaseColumns(t, "successes/s", func(b *analysis.BurstPhase) *float64 { return &b.SuccessPerS })
	phaseColumns(t, "p95 ms", func(b *analysis.BurstPhase) *float64 { return b.P95MS })
	if err := t.Write(p.stdout); err != nil {
		return err
	}
	return tables.WriteOpen(p.stdout, &answer.Open)
}

// phaseColumns adds a figure of before, during and after.
func phaseColumns(t *tables.Table[analysis.Burst], group string, figure func(*analysis.BurstPhase) *float64) {
	t.Group = group
	for _, phase := range []struct {
		name string
		of   func(*analysis.Burst) *analysis.BurstPhase
	}{
		{"before", func(b *analysis.Burst) *analysis.BurstPhase { return b.Before }},
		{"during", func(b *analysis.Burst) *analysis.BurstPhase { return b.During }},
		{"after", func(b *analysis.Burst) *analysis.BurstPhase { return b.After }},
	} {
		t.Number(phase.name, func(b *analysis.Burst) string {
			if phase.of(b) == nil {
				return tables.Missing
			}
			return tables.MS(figure(phase.of(b)))
		})
	}
}

func burstRecovery(b *analysis.Burst) string {
	if b.RecoveryS == nil {
		return "active"
	}
	return tables.Seconds(*b.RecoveryS)
}

// burstsText says in words how often requests were refused.
func burstsText(answer *analysis.Bursts) string {
	text := "No burst of refused requests."
	if n := int64(answer.Count); n > 0 {
		text = fmt.Sprintf("%s %s of refused requests", tables.Count(n), tables.Plural(n, "burst"))
		if left := n - int64(len(answer.Rows)); left > 0 {
			text += fmt.Sprintf(", of which the first %d are shown", len(answer.Rows))
		}
		if answer.StillOpen > 0 {
			text += "; the last one was still active when the data ended"
		}
		text += "."
	}
	return text
}

// behaviourText says in words what clients did about being refused.
func behaviourText(a *analysis.AIMD) string {
	if *a.RefusedShare == 0 {
		return "Nothing was refused."
	}
	text := fmt.Sprintf("%s %% of all requests were refused, %s %% over a rate limit", tables.Percent(a.RefusedShare), tables.Percent(a.BackoffRatio))
	if a.Backoff != "" {
		text += ": back-off looks " + a.Backoff
	}
	text += "."
	if a.NormalSuccessPerS != nil && a.BurstSuccessPerS != nil {
		text += fmt.Sprintf(" %s successes per second in bursts, %s outside.", tables.MS(a.BurstSuccessPerS), tables.MS(a.NormalSuccessPerS))
	}
	switch {
	case a.Recovered == 1:
		text += fmt.Sprintf(" Refusals ended after %d s.", *a.MaxRecoveryS)
	case a.Recovered > 1:
		text += fmt.Sprintf(" Refusals ended after %s s on average, %d s at most.", tables.MS(a.AvgRecoveryS), *a.MaxRecoveryS)
	}
	switch {
	case a.Resends != nil:
		text += fmt.Sprintf(" Requests were sent again %s %s.", tables.Count(*a.Resends), tables.Plural(*a.Resends, "time"))
	case a.ClientResends != nil:
		text += fmt.Sprintf(" HTTP clients sent requests again %s %s.", tables.Count(*a.ClientResends), tables.Plural(*a.ClientResends, "time"))
	}
	if a.Trend != "" {
		text += " From the first to the last third of the bursts: " + a.Trend + "."
	}
	return text
}
