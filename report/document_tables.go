package report

import (
	"strings"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// textTables are the dimensions that a text has tables of; what failed has
// tables of its own.
var textTables = map[string]string{
	"model": "By model", "provider": "By provider", "operation": "By operation", "service": "By service", "agent": "By agent",
	"fault": "By injected fault", "run_id": "By run",
}

// maxTextRows is how many rows a table of a text has.
const maxTextRows = 20

func (p *Pick) addTables(d *document) {
	for i := range p.Tables {
		t := &p.Tables[i]
		title, wanted := textTables[t.By]
		if !wanted || len(t.Rows) < 2 && t.By != "model" {
			continue
		}
		shown := t.Rows[:min(maxTextRows, len(t.Rows))]
		var l layout[analysis.LatencyRow]
		l.add(name, strings.TrimSuffix(t.By, "_id"), func(r *analysis.LatencyRow) string {
			if t.By == "run_id" {
				return tables.RunName(r.Values[0])
			}
			return r.Values[0]
		})
		l.most(28)
		l.add(number, "requests", func(r *analysis.LatencyRow) string { return tables.Count(r.Requests) })
		l.add(number, "err %", func(r *analysis.LatencyRow) string { return tables.Percent(r.ErrorRate) })
		l.add(number, "faults", func(r *analysis.LatencyRow) string { return tables.CountOrMissing(r.Injected) })
		addDistribution(&l, func(r *analysis.LatencyRow) (*analysis.Distribution, *analysis.Distribution) {
			return &r.Latency, &r.TTFT
		})
		addTable(d, title, shown, &l, moreText(len(t.Rows)-len(shown)+t.OtherGroups, strings.TrimSuffix(t.By, "_id")))
	}
}

func (p *Pick) addErrors(d *document) {
	e := p.Errors
	if e == nil || e.Errors == 0 {
		return
	}
	row := func(head string, kind cellKind) *layout[analysis.ErrorRow] {
		var l layout[analysis.ErrorRow]
		l.add(kind, head, func(r *analysis.ErrorRow) string { return r.Name })
		l.most(24)
		l.add(number, "errors", func(r *analysis.ErrorRow) string { return tables.Count(r.Errors) })
		l.add(number, "%", func(r *analysis.ErrorRow) string { return tables.Percent(&r.ShareOfErrors) })
		l.add(number, "faults", func(r *analysis.ErrorRow) string { return tables.CountOrMissing(r.Injected) })
		if tables.IsOneDay(p.scope()) {
			l.add(word, "first", func(r *analysis.ErrorRow) string { return p.clock(r.FirstSeenUTC) })
		}
		l.add(word, "last", func(r *analysis.ErrorRow) string { return p.clock(r.LastSeenUTC) })
		l.add(name, "a trace to look at", func(r *analysis.ErrorRow) string {
			if len(r.Samples) == 0 {
				return ""
			}
			return r.Samples[0].TraceID
		})
		return &l
	}
	addTable(d, "Errors", e.ByOutcome, row("outcome", word), seenWithin(e.ByOutcome))
	shown := e.ByType[:min(maxTextRows, len(e.ByType))]
	more := []string{moreText(p.ErrorTypes-len(shown), "type"), seenWithin(shown)}
	addTable(d, "Errors by type", shown, row("error type", name), strings.TrimSpace(strings.Join(more, " ")))
}

// seenWithin says how well first and last are known, unless to the second.
func seenWithin(rows []analysis.ErrorRow) string {
	within := int64(0)
	for i := range rows {
		within = max(within, rows[i].SeenWithinS)
	}
	if within <= 1 {
		return ""
	}
	return "first and last: in the " + tables.WidthName(within) + " that begin then"
}

func (p *Pick) addUsage(d *document) {
	u := p.Usage
	if u == nil || u.Total == nil || u.Total.UsageCount == 0 {
		return
	}
	var l layout[analysis.UsageRow]
	l.add(name, "model", func(r *analysis.UsageRow) string { return r.Values[0] })
	l.group = "tokens"
	l.add(number, "in", func(r *analysis.UsageRow) string { return tables.Compact(r.InputTokens) })
	l.add(number, "out", func(r *analysis.UsageRow) string { return tables.Compact(r.OutputTokens) })
	l.add(number, "out/s", func(r *analysis.UsageRow) string { return tables.MS(r.OutputTokensPerS) })
	l.group = "USD"
	l.add(number, "cost", func(r *analysis.UsageRow) string { return tables.USD(r.CostUSD) })
	l.add(number, "1,000 req.", func(r *analysis.UsageRow) string { return tables.USD(r.CostPer1000USD) })
	l.group = ""
	l.add(number, "unpriced", func(r *analysis.UsageRow) string { return tables.CountOrMissing(r.UnpricedCount) })
	shown := u.Rows[:min(maxTextRows, len(u.Rows))]
	addTable(d, "Tokens and cost", shown, &l, moreText(p.UsageModels-len(shown), "model"))
}

func (p *Pick) addSlow(d *document) {
	s := p.Slow
	if s == nil {
		return
	}
	var l layout[analysis.SlowRow]
	l.add(number, "ms", func(r *analysis.SlowRow) string { return tables.MS(&r.LatencyMS) })
	l.add(name, "trace", func(r *analysis.SlowRow) string { return orEmpty(r.TraceID) })
	l.add(word, map[bool]string{true: "bucket", false: "start"}[s.Source == "buckets"], func(r *analysis.SlowRow) string { return p.clock(r.StartUTC) })
	of := func(pick func(*analysis.Request) string) func(*analysis.SlowRow) string {
		return func(r *analysis.SlowRow) string {
			if r.Request == nil {
				return ""
			}
			return pick(r.Request)
		}
	}
	l.add(name, "model", of(func(r *analysis.Request) string { return r.Model }))
	l.most(18)
	l.add(word, "outcome", of(func(r *analysis.Request) string { return r.Outcome }))
	more := ""
	if s.Source == "buckets" {
		more = "No single request is kept: these are the slowest of each bucket."
	} else if !s.Kept.Complete {
		more = "Of the slowest requests that are kept; not every request is."
	}
	addTable(d, "Slowest requests", s.Rows[:min(10, len(s.Rows))], &l, more)
}
