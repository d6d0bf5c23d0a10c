package report

import (
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

func (p *Pick) addCircuits(d *document) {
	if p.Circuits == nil {
		return
	}
	var l layout[analysis.Circuit]
	l.add(name, "circuit", func(c *analysis.Circuit) string { return c.Circuit })
	l.most(24)
	l.add(name, "service", func(c *analysis.Circuit) string { return c.Service })
	l.most(20)
	l.add(number, "trips", func(c *analysis.Circuit) string { return tables.Count(c.Trips) })
	l.add(number, "reopened", func(c *analysis.Circuit) string { return tables.CountOrMissing(c.Reopened) })
	l.add(number, "open s", func(c *analysis.Circuit) string { return tables.MS(c.OpenS) })
	l.add(number, "recovery s", func(c *analysis.Circuit) string { return tables.MS(c.RecoveryS) })
	l.add(number, "refused", func(c *analysis.Circuit) string { return tables.CountOrMissing(c.Rejected) })
	l.add(word, "state", func(c *analysis.Circuit) string { return c.State })
	shown := p.Circuits.Rows[:min(maxTextRows, len(p.Circuits.Rows))]
	addTable(d, "Circuit breakers", shown, &l, moreText(p.CircuitsTotal-len(shown), "circuit"))
}

func (p *Pick) addTools(d *document) {
	if p.Tools == nil {
		return
	}
	var l layout[analysis.Tool]
	l.add(name, "tool", func(t *analysis.Tool) string { return t.Tool })
	l.add(number, "calls", func(t *analysis.Tool) string { return tables.Count(t.Calls) })
	l.add(number, "share %", func(t *analysis.Tool) string { return tables.Percent(t.Share) })
	l.add(number, "err %", func(t *analysis.Tool) string { return tables.Percent(t.ErrorRate) })
	l.group = "latency ms"
	l.add(number, "p50", func(t *analysis.Tool) string { return tables.MS(t.P50MS) })
	l.add(number, "p95", func(t *analysis.Tool) string { return tables.MS(t.P95MS) })
	l.add(number, "p99", func(t *analysis.Tool) string { return tables.MS(t.P99MS) })
	l.group = ""
	l.add(number, "wait ms", func(t *analysis.Tool) string { return tables.MS(t.WaitAvgMS) })
	l.add(number, "accepted %", func(t *analysis.Tool) string { return percentOrEmpty(t.AcceptanceRate) })
	shown := p.Tools.Rows[:min(maxTextRows, len(p.Tools.Rows))]
	addTable(d, "Tools", shown, &l, moreText(p.ToolsTotal-len(shown), "tool"))
}

func percentOrEmpty(v *float64) string {
	if v == nil {
		return ""
	}
	return tables.Percent(v)
}

func (p *Pick) addSessions(d *document) {
	if p.Sessions == nil {
		return
	}
	var l layout[analysis.Session]
	l.add(name, "session", func(s *analysis.Session) string { return s.SessionID })
	l.add(number, "length", func(s *analysis.Session) string { return tables.Length(s.LastNS - s.FirstNS) })
	l.add(number, "requests", func(s *analysis.Session) string { return tables.Count(s.Requests) })
	l.add(number, "errors", func(s *analysis.Session) string { return tables.CountOrMissing(s.Errors) })
	l.add(number, "tools", func(s *analysis.Session) string { return tables.CountOrMissing(s.ToolCalls) })
	l.add(number, "turns", func(s *analysis.Session) string {
		if s.Prompts == nil {
			return ""
		}
		return tables.Count(*s.Prompts)
	})
	l.add(number, "think s", func(s *analysis.Session) string { return tables.MS(s.ThinkTimeS) })
	l.add(number, "answer s", func(s *analysis.Session) string { return tables.MS(s.ResponseTimeS) })
	l.add(number, "accepted %", func(s *analysis.Session) string { return percentOrEmpty(s.AcceptanceRate) })
	l.add(number, "cost USD", func(s *analysis.Session) string { return tables.USD(s.CostUSD) })
	shown := p.Sessions.Rows[:min(10, len(p.Sessions.Rows))]
	addTable(d, "Sessions", shown, &l, moreText(int(p.Sessions.Total.Sessions)-len(shown), "session"))
}

func (p *Pick) addChaos(d *document) {
	if p.Chaos == nil {
		return
	}
	var l layout[analysis.ChaosResult]
	l.add(word, "result", func(c *analysis.ChaosResult) string {
		return map[bool]string{true: "passed", false: "FAILED"}[c.Passed]
	})
	l.add(name, "test", func(c *analysis.ChaosResult) string { return c.Name })
	l.add(name, "expected", func(c *analysis.ChaosResult) string { return orEmpty(c.Expected) })
	l.add(name, "actual", func(c *analysis.ChaosResult) string { return orEmpty(c.Actual) })
	l.add(name, "error", func(c *analysis.ChaosResult) string { return orEmpty(c.Error) })
	l.add(number, "ms", func(c *analysis.ChaosResult) string { return tables.MS(c.DurationMS) })
	all := int(p.Chaos.Passed + p.Chaos.Failed)
	shown := p.Chaos.Rows[:min(maxTextRows, len(p.Chaos.Rows))]
	addTable(d, "Tests", shown, &l, moreText(all-len(shown), "test"))
}
