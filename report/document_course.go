package report

import (
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
	l.add(word, "start UTC", func(f *analysis.Fault) string { return clockText(&f.StartUTC) })
	l.add(number, "s", func(f *analysis.Fault) string { return secondsText(&f.LengthS) })
	phases := []struct {
		head string
		of   func(*analysis.Fault) *analysis.ImpactPhase
	}{
		{"before", func(f *analysis.Fault) *analysis.ImpactPhase { return &f.Before }},
		{"during", func(f *analysis.Fault) *analysis.ImpactPhase { return &f.During }},
		{"after", func(f *analysis.Fault) *analysis.ImpactPhase { return &f.After }},
	}
	l.group = "errors %"
	for _, phase := range phases {
		l.add(number, phase.head, func(f *analysis.Fault) string { return tables.Percent(phase.of(f).ErrorShare) })
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
		return secondsText(f.RecoveryS)
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
		lines = append(lines, [2]string{a.Severity + " " + strings.ReplaceAll(a.Kind, "_", " "), clockText(&a.StartUTC) + " · " + a.Text})
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
	l.add(word, "start UTC", func(b *analysis.Burst) string { return clockText(&b.StartUTC) })
	l.add(number, "seconds", func(b *analysis.Burst) string { return tables.Count(b.DurationS) })
	l.add(number, "requests", func(b *analysis.Burst) string { return tables.Count(b.Requests) })
	l.add(number, "refused %", func(b *analysis.Burst) string { return tables.Percent(b.RefusedShare) })
	l.add(number, "peak %", func(b *analysis.Burst) string { return tables.Percent(&b.PeakShare) })
	l.add(number, "recovery s", func(b *analysis.Burst) string {
		switch {
		case b.StillActive:
			return "active"
		case b.RecoveryS == nil:
			return ""
		}
		return tables.Count(*b.RecoveryS)
	})
	l.add(name, "faults", func(b *analysis.Burst) string { return strings.Join(b.Faults, ", ") })
	shown := p.Bursts.Rows[:min(maxTextRows, len(p.Bursts.Rows))]
	addTable(d, "Bursts of refused requests", shown, &l, moreText(p.Bursts.Count-len(shown), "burst"))
}
