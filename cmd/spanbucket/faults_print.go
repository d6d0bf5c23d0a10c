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
		if err := faultTable(numbered, answer.Unmet).Write(p.stdout); err != nil {
			return err
		}
		for _, f := range numbered {
			if text := kindsText(&f); text != "" {
				if _, err := fmt.Fprintf(p.stdout, "\n%s\n", folded(text)); err != nil {
					return err
				}
			}
		}
	}
	if len(numbered) == 0 {
		return tables.WriteOpen(p.stdout, &answer.Open)
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
	unmet := int64(len(answer.Unmet)) + answer.UnmetLeft
	if len(answer.Rows) == 0 {
		return fmt.Sprintf("%s %s, and no request met %s.", tables.Count(unmet), tables.Plural(unmet, "fault"), itOrThem(unmet))
	}
	n := int64(len(answer.Rows)) + answer.Left
	text := fmt.Sprintf("%s %s", tables.Count(n), tables.Plural(n, "fault"))
	if answer.Left > 0 {
		text += fmt.Sprintf(", of which the %d longest are looked at", len(answer.Rows))
	}
	text += ": " + recoveriesText(answer.Rows) + "."
	if unmet > 0 {
		text += fmt.Sprintf(" No request met %s more.", tables.Count(unmet))
	}
	return text + worstText(answer)
}

func itOrThem(n int64) string {
	if n == 1 {
		return "it"
	}
	return "them"
}

// recoveriesText says from how many faults the figures recovered.
func recoveriesText(faults []analysis.Fault) string {
	if len(faults) == 1 {
		return recoveryText(&faults[0])
	}
	const background, throughout = "background", "throughout"
	counts := map[string]int64{}
	for i := range faults {
		switch f := &faults[i]; {
		case f.Background:
			counts[background]++
		case f.Throughout && f.Recovery == analysis.RecoveryUnknown:
			counts[throughout]++
		default:
			counts[f.Recovery]++
		}
	}
	if counts[analysis.RecoveryUnknown] == int64(len(faults)) {
		return "whether the figures recovered is not known"
	}
	var parts []string
	for _, r := range []struct{ recovery, text string }{
		{analysis.Recovered, "%s recovered from"}, {analysis.NotRecovered, "%s not recovered from"},
		{analysis.RecoveryUnknown, "recovery from %s not known"},
		{throughout, "%s there all the time"}, {background, "%s injected all through a run"},
	} {
		if counts[r.recovery] > 0 {
			parts = append(parts, fmt.Sprintf(r.text, tables.Count(counts[r.recovery])))
		}
	}
	return strings.Join(parts, ", ")
}

// worstText tells of the fault that did most; empty where none did anything.
func worstText(answer *analysis.FaultImpact) string {
	worst := answer.Worst()
	if worst < 0 {
		return ""
	}
	f := &answer.Rows[worst]
	text := fmt.Sprintf("\nUnder %d %s, %s %% of requests failed (before: %s %%)", worst+1, tables.Clean(f.Fault),
		tables.Percent(f.During.ErrorRate), tables.Percent(f.Before.ErrorRate))
	if f.DuringBefore.P95 != nil {
		text += fmt.Sprintf(" and p95 was %s ms (%s)", tables.MS(f.During.Latency.P95MS), tables.MS(f.Before.Latency.P95MS))
	}
	return text + "."
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
		if f.Background { // there is no before and no after
			lines = append(lines, faultPhase{f, "during", &f.During, recoveryText(f.Fault)})
			continue
		}
		lines = append(lines, faultPhase{f, "before", &f.Before, straddlingText(f.Fault)}, faultPhase{f, "during", &f.During, edgeText(f.Fault)},
			faultPhase{f, "after", &f.After, recoveryText(f.Fault)})
	}
	t := tables.New(lines)
	t.Text("#", func(l *faultPhase) string {
		if l.name != "before" && !l.Background {
			return " "
		}
		return fmt.Sprintf("%d %s", l.number, tables.Cut(tables.Clean(l.Fault.Fault), 12))
	})
	t.Text("phase", func(l *faultPhase) string { return l.name })
	t.Keep = 2
	t.Number("requests", func(l *faultPhase) string { return weighted(l.phase.Requests, l.phase.Estimated) })
	t.Rank = 2
	t.Number("req/s", func(l *faultPhase) string { return tables.MS(l.phase.RequestsPerS) })
	t.Rank = 0
	t.Number("err %", func(l *faultPhase) string { return tables.Percent(l.phase.ErrorRate) })
	t.Group = "latency ms"
	t.Rank = 3
	t.Number("p50", func(l *faultPhase) string { return tables.MS(l.phase.Latency.P50MS) })
	t.Rank = 0
	t.Number("p95", func(l *faultPhase) string { return tables.MS(l.phase.Latency.P95MS) })
	t.Rank = 5
	t.Number("p99", func(l *faultPhase) string { return tables.MS(l.phase.Latency.P99MS) })
	t.Rank = 1
	t.Group = "net"
	t.Number("p95", func(l *faultPhase) string { return tables.MS(l.phase.NetLatency.P95MS) })
	t.Rank = 4
	t.Group = "ttft"
	t.Number("p95", func(l *faultPhase) string { return tables.MS(l.phase.TTFT.P95MS) })
	t.Rank = 0
	t.Group = ""
	t.Whole("", func(l *faultPhase) string { return l.note })
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
	case f.Background:
		return "injected all through the run"
	case f.RecoveryS != nil && *f.RecoveryS == 0:
		return "recovered at once"
	case f.RecoveryS != nil:
		return "recovered in " + tables.Length(int64(*f.RecoveryS*1e9))
	case f.Recovery == analysis.NotRecovered && f.WatchEnds == "data":
		return "not by the end of data"
	case f.Throughout:
		return "there all the time"
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
		"run_id", "fault", "target", "experiment_ids", "kinds", "sources", "start_utc", "end_utc", "start_ns", "end_ns", "open_end", "requests_marked", "spans_marked",
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
			f.OpenEnd, f.Marked, f.MarkedSpans, f.Straddling, f.StraddlingEstimated, f.EdgeShare, f.Recovery, f.RecoveryS, f.WatchedS, f.WatchEnds,
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
