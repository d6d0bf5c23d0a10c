package main

import (
	"fmt"
	"strings"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// numberedFault is a fault with the number that it has in the tables.
type numberedFault struct {
	number int
	*analysis.Fault
}

func (p *program) printFaults(onlyImpact bool, answer *analysis.FaultImpact) error {
	if _, err := fmt.Fprintf(p.stdout, "%s\n", faultsText(answer)); err != nil {
		return err
	}
	var numbered []numberedFault
	for i := range answer.Rows {
		numbered = append(numbered, numberedFault{i + 1, &answer.Rows[i]})
	}
	if !onlyImpact {
		if _, err := fmt.Fprintln(p.stdout); err != nil {
			return err
		}
		if err := faultTable(numbered).Write(p.stdout); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(p.stdout); err != nil {
		return err
	}
	if err := impactTable(numbered).Write(p.stdout); err != nil {
		return err
	}
	for i := range answer.Rows {
		if f := &answer.Rows[i]; f.StraddlingEstimated || f.Before.Estimated || f.During.Estimated || f.After.Estimated {
			if _, err := fmt.Fprintln(p.stdout, "\n~ estimated from requests that are a sample"); err != nil {
				return err
			}
			break
		}
	}
	return tables.WriteOpen(p.stdout, &answer.Open)
}

// faultsText is the answer in words.
func faultsText(answer *analysis.FaultImpact) string {
	n, windows := int64(len(answer.Rows))+answer.Left, int64(len(answer.Windows))
	text := fmt.Sprintf("%s %s in %s %s", tables.Count(n), tables.Plural(n, "fault"), tables.Count(windows), tables.Plural(windows, "window"))
	if answer.Left > 0 {
		text += fmt.Sprintf(", of which the %d longest are looked at", len(answer.Rows))
	}
	counts := map[string]int64{}
	for i := range answer.Rows {
		counts[answer.Rows[i].Recovery]++
	}
	var parts []string
	for _, r := range []struct{ recovery, text string }{
		{analysis.Recovered, "%s recovered from"}, {analysis.NotRecovered, "%s not"}, {analysis.RecoveryUnknown, "of %s it is not known"},
	} {
		if counts[r.recovery] > 0 {
			parts = append(parts, fmt.Sprintf(r.text, tables.Count(counts[r.recovery])))
		}
	}
	if counts[analysis.RecoveryUnknown] == int64(len(answer.Rows)) {
		parts = []string{"whether the figures recovered is not known"}
	}
	return text + ": " + strings.Join(parts, ", ") + "." + worstText(answer.Rows)
}

// worstText tells of the fault under which most more requests failed, else of
// the one that slowed them down most; empty where none did either.
func worstText(faults []analysis.Fault) string {
	worst, errors, slower := -1, 0.01, 1.1
	for i := range faults {
		if d := faults[i].DuringBefore.ErrorRate; d != nil && *d >= errors {
			worst, errors = i, *d
		}
	}
	for i := range faults {
		if d := faults[i].DuringBefore.P95; d != nil && *d >= slower && errors == 0.01 {
			worst, slower = i, *d
		}
	}
	if worst < 0 {
		return ""
	}
	f := &faults[worst]
	text := fmt.Sprintf("\nUnder %d %s, %s %% of requests failed (before: %s %%)", worst+1, tables.Clean(f.Fault),
		tables.Percent(f.During.ErrorRate), tables.Percent(f.Before.ErrorRate))
	if f.DuringBefore.P95 != nil {
		text += fmt.Sprintf(" and p95 was %s ms (%s)", tables.MS(f.During.Latency.P95MS), tables.MS(f.Before.Latency.P95MS))
	}
	return text + "."
}

func faultTable(faults []numberedFault) *tables.Table[numberedFault] {
	t := tables.New(faults)
	t.Number("#", func(f *numberedFault) string { return fmt.Sprint(f.number) })
	t.Text("fault", func(f *numberedFault) string { return tables.Cut(tables.Clean(f.Fault.Fault), 16) })
	t.Text("target", func(f *numberedFault) string { return tables.Cut(tables.Clean(textOrMissing(f.Target)), 16) })
	t.Text("start", func(f *numberedFault) string { return f.StartUTC })
	t.Number("length", func(f *numberedFault) string {
		if f.OpenEnd {
			return lengthText(f.EndNS-f.StartNS) + " …"
		}
		return lengthText(f.EndNS - f.StartNS)
	})
	t.Text("marks", func(f *numberedFault) string { return tables.Cut(tables.Clean(strings.Join(f.Kinds, ", ")), 20) })
	t.Text("said by", func(f *numberedFault) string { return strings.Join(f.Sources, ", ") })
	t.Number("marked", func(f *numberedFault) string { return tables.CountOrMissing(f.Marked) })
	t.Text("run", func(f *numberedFault) string { return tables.Cut(tables.Clean(f.RunID), 12) })
	t.Text("experiment", func(f *numberedFault) string {
		return tables.Cut(tables.Clean(strings.Join(f.ExperimentIDs, ", ")), 12)
	})
	return t
}

// faultPhase is a line of the table of what faults did.
type faultPhase struct {
	numberedFault
	name  string
	phase *analysis.ImpactPhase
	note  string
}

func impactTable(faults []numberedFault) *tables.Table[faultPhase] {
	var lines []faultPhase
	for _, f := range faults {
		lines = append(lines, faultPhase{f, "before", &f.Before, straddlingText(f.Fault)}, faultPhase{f, "during", &f.During, edgeText(f.Fault)},
			faultPhase{f, "after", &f.After, recoveryText(f.Fault)})
	}
	t := tables.New(lines)
	t.Text("#", func(l *faultPhase) string {
		if l.name != "before" {
			return " "
		}
		return fmt.Sprintf("%d %s", l.number, tables.Cut(tables.Clean(l.Fault.Fault), 12))
	})
	t.Text("phase", func(l *faultPhase) string { return l.name })
	t.Keep = 2
	t.Number("requests", func(l *faultPhase) string { return weighted(l.phase.Requests, l.phase.Estimated) })
	t.Number("req/s", func(l *faultPhase) string { return tables.MS(l.phase.RequestsPerS) })
	t.Number("err %", func(l *faultPhase) string { return tables.Percent(l.phase.ErrorRate) })
	t.Group = "latency ms"
	t.Number("p50", func(l *faultPhase) string { return tables.MS(l.phase.Latency.P50MS) })
	t.Number("p95", func(l *faultPhase) string { return tables.MS(l.phase.Latency.P95MS) })
	t.Number("p99", func(l *faultPhase) string { return tables.MS(l.phase.Latency.P99MS) })
	t.Group = "net"
	t.Number("p95", func(l *faultPhase) string { return tables.MS(l.phase.NetLatency.P95MS) })
	t.Group = "ttft"
	t.Number("p95", func(l *faultPhase) string { return tables.MS(l.phase.TTFT.P95MS) })
	t.Group = ""
	t.Text("", func(l *faultPhase) string { return l.note })
	return t
}

// weighted shows a number of requests that may be an estimate.
func weighted(n *float64, estimated bool) string {
	if n == nil {
		return tables.Missing
	}
	text := tables.Count(int64(*n + 0.5))
	if estimated {
		return "~" + text
	}
	return text
}

func straddlingText(f *analysis.Fault) string {
	if f.Straddling == nil || *f.Straddling == 0 {
		return " "
	}
	return weighted(f.Straddling, f.StraddlingEstimated) + " in flight, left out"
}

func edgeText(f *analysis.Fault) string {
	if f.EdgeShare == nil || *f.EdgeShare == 0 {
		return " "
	}
	return "cuts " + tables.Percent(f.EdgeShare) + " % of its buckets"
}

// recoveryText says when the figures were back.
func recoveryText(f *analysis.Fault) string {
	switch {
	case f.RecoveryS != nil && *f.RecoveryS == 0:
		return "recovered at once"
	case f.RecoveryS != nil:
		return "recovered in " + lengthText(int64(*f.RecoveryS*1e9))
	case f.Recovery == analysis.NotRecovered && f.WatchEnds == "data":
		return "not by the end of data"
	case f.Recovery == analysis.NotRecovered:
		return "not before the next fault"
	}
	return "recovery not known"
}

// impactColumns are the figures of one phase.
var impactColumns = []string{
	"covered_s", "estimated", "requests", "errors", "requests_injected", "requests_per_s", "success_share", "error_rate",
	"avg_latency_ms", "p50_latency_ms", "p95_latency_ms", "p99_latency_ms",
	"avg_net_latency_ms", "p50_net_latency_ms", "p95_net_latency_ms", "p99_net_latency_ms",
	"p50_ttft_ms", "p95_ttft_ms", "p99_ttft_ms", "input_tokens", "output_tokens", "cost_usd",
}

func impactNames() []string {
	names := []string{
		"run_id", "fault", "target", "experiment_ids", "kinds", "sources", "start_utc", "end_utc", "start_ns", "end_ns", "open_end", "requests_marked",
		"straddling", "straddling_estimated", "edge_share", "recovery", "recovery_s", "watched_s", "watch_ends",
	}
	for _, phase := range []string{"before", "during", "after"} {
		for _, column := range impactColumns {
			names = append(names, column+"_"+phase)
		}
	}
	return names
}

func impactRecords(answer *analysis.FaultImpact) [][]any {
	var records [][]any
	for i := range answer.Rows {
		f := &answer.Rows[i]
		record := []any{
			f.RunID, f.Fault, f.Target, strings.Join(f.ExperimentIDs, " "), strings.Join(f.Kinds, " "), strings.Join(f.Sources, " "), f.StartUTC, f.EndUTC, f.StartNS, f.EndNS,
			f.OpenEnd, f.Marked, f.Straddling, f.StraddlingEstimated, f.EdgeShare, f.Recovery, f.RecoveryS, f.WatchedS, f.WatchEnds,
		}
		for _, p := range []*analysis.ImpactPhase{&f.Before, &f.During, &f.After} {
			l, n, t := &p.Latency, &p.NetLatency, &p.TTFT
			record = append(record, p.CoveredS, p.Estimated, p.Requests, p.Errors, p.Injected, p.RequestsPerS, p.SuccessShare, p.ErrorRate,
				l.AvgMS, l.P50MS, l.P95MS, l.P99MS, n.AvgMS, n.P50MS, n.P95MS, n.P99MS, t.P50MS, t.P95MS, t.P99MS,
				p.InputTokens, p.OutputTokens, p.CostUSD)
		}
		records = append(records, record)
	}
	return records
}
