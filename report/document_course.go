package report

import (
	"math"
	"strconv"
	"strings"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

func (p *Pick) addImpact(d *document) {
	if p.FaultImpact == nil {
		return
	}
	var l layout[analysis.Fault]
	l.add(name, "fault", func(f *analysis.Fault) string { return f.Fault })
	l.most(14)
	l.add(word, "start", func(f *analysis.Fault) string { return p.clock(f.StartUTC) })
	l.add(number, "length", func(f *analysis.Fault) string { return tables.Length(f.EndNS - f.StartNS) })
	phases := []struct {
		head string
		of   func(*analysis.Fault) *analysis.ImpactPhase
	}{
		{"before", func(f *analysis.Fault) *analysis.ImpactPhase { return &f.Before }},
		{"during", func(f *analysis.Fault) *analysis.ImpactPhase { return &f.During }},
		{"after", func(f *analysis.Fault) *analysis.ImpactPhase { return &f.After }},
	}
	l.group = "err %"
	for _, phase := range phases {
		l.add(number, phase.head, func(f *analysis.Fault) string { return tables.Percent(phase.of(f).ErrorRate) })
	}
	l.group = "p95 ms"
	for _, phase := range phases {
		l.add(number, phase.head, func(f *analysis.Fault) string { return tables.MS(phase.of(f).Latency.P95MS) })
	}
	l.group = ""
	l.add(number, "recovery s", func(f *analysis.Fault) string {
		if f.Recovery == analysis.NotRecovered {
			return "never"
		}
		return tables.MS(f.RecoveryS)
	})
	rows := p.FaultImpact.Rows
	shown := rows[:min(maxTextRows, len(rows))]
	addTable(d, "Faults", shown, &l, moreText(len(rows)-len(shown)+int(p.FaultImpact.Left), "fault"))
}

func (p *Pick) addAnomalies(d *document) {
	if p.Anomalies == nil {
		return
	}
	var unexpected []analysis.Anomaly
	for _, a := range p.Anomalies.Rows {
		if !a.Expected {
			unexpected = append(unexpected, a)
		}
	}
	if len(unexpected) == 0 {
		return
	}
	shown := unexpected[:min(maxTextRows, len(unexpected))]
	lines := facts{}
	for _, a := range shown {
		lines = append(lines, [2]string{a.Severity + " " + strings.ReplaceAll(a.Kind, "_", " "), p.clock(a.StartUTC) + " · " + a.Text})
	}
	d.heading(2, "Anomalies")
	d.facts(lines)
	if n := p.Anomalies.Unexpected - len(shown); n > 0 {
		d.paragraph("and " + tables.Count(int64(n)) + " more")
	}
}

func (p *Pick) addBursts(d *document) {
	if p.Bursts == nil {
		return
	}
	var l layout[analysis.Burst]
	l.add(word, "start", func(b *analysis.Burst) string { return p.clock(b.StartUTC) })
	l.add(number, "lasted", func(b *analysis.Burst) string { return tables.Seconds(b.DurationS) })
	l.add(number, "requests", func(b *analysis.Burst) string { return tables.Count(b.Requests) })
	l.add(number, "refused %", func(b *analysis.Burst) string { return tables.Percent(b.RefusedShare) })
	l.add(number, "peak %", func(b *analysis.Burst) string { return tables.Percent(&b.PeakShare) })
	l.add(number, "over after", func(b *analysis.Burst) string {
		if b.RecoveryS == nil {
			return "active"
		}
		return tables.Seconds(*b.RecoveryS)
	})
	l.add(name, "faults", func(b *analysis.Burst) string { return strings.Join(b.Faults, ", ") })
	shown := p.Bursts.Rows[:min(maxTextRows, len(p.Bursts.Rows))]
	addTable(d, "Bursts of refused requests", shown, &l, moreText(p.Bursts.Count-len(shown), "burst"))
}

func (p *Pick) addObjectives(d *document) {
	if p.SLOs == nil {
		return
	}
	var l layout[analysis.SLO]
	l.add(name, "objective", func(s *analysis.SLO) string { return s.Name })
	l.add(number, "aim %", func(s *analysis.SLO) string { return shareText(&s.Objective) })
	l.add(number, "good %", func(s *analysis.SLO) string { return shareText(s.GoodShare) })
	l.add(number, "requests", func(s *analysis.SLO) string { return tables.Count(s.Total) })
	l.add(word, "met", func(s *analysis.SLO) string {
		if s.Met == nil {
			return ""
		}
		return map[bool]string{true: "yes", false: "no"}[*s.Met]
	})
	l.add(number, "budget %", func(s *analysis.SLO) string { return tables.Percent(s.BudgetSpent) })
	l.add(word, "alert", func(s *analysis.SLO) string { return orEmpty(s.Alert) })
	shown := p.SLOs.Rows[:min(maxTextRows, len(p.SLOs.Rows))]
	addTable(d, "Objectives", shown, &l, moreText(len(p.SLOs.Rows)-len(shown), "objective"))
}

// shareText shows a share that lies near 1 with the digits that tell it apart,
// rounded down: 99.95.
func shareText(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(math.Floor(*v*1e5+1e-6)/1e3, 'f', -1, 64)
}
