package report

import (
	"fmt"
	"strings"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// document says what the first pick of the report has to tell.
func (r *Report) document() *document {
	d := &document{}
	d.heading(1, Title)
	if len(r.Picks) == 0 {
		d.paragraph("There are no spans in this interval.")
		d.paragraph(tables.Open(&r.Open))
		return d
	}
	p := &r.Picks[0]
	d.paragraph(r.caption(p))
	if p.Diagnosis != nil {
		d.paragraph(p.Diagnosis.Status + ": " + p.Diagnosis.Text)
	}
	d.facts(p.headline())
	p.addImpact(d)
	r.addCategories(d)
	r.addRuns(d)
	r.addLoad(d, p)
	p.addObjectives(d)
	p.addAnomalies(d)
	p.addBursts(d)
	p.addTables(d)
	p.addErrors(d)
	p.addUsage(d)
	p.addCircuits(d)
	p.addTools(d)
	p.addSessions(d)
	p.addChaos(d)
	p.addSlow(d)
	r.addRemarks(d)
	return d
}

// caption says what the first pick covers.
func (r *Report) caption(p *Pick) string {
	parts := []string{"every run"}
	switch {
	case p.RunID != nil:
		parts[0] = "run " + tables.RunName(*p.RunID)
	case len(r.Runs) == 1:
		parts[0] = "run " + tables.RunName(r.Runs[0].RunID)
	}
	if p.FromUTC != nil && p.ToUTC != nil {
		parts = append(parts, *p.FromUTC+" to "+*p.ToUTC)
	}
	return strings.Join(append(parts, strings.Join(p.Categories, " and ")), " · ")
}

// headline are the figures that one wants to know first.
func (p *Pick) headline() (lines facts) {
	t := p.Totals
	add := func(name string, parts ...string) {
		lines = append(lines, [2]string{name, strings.Join(parts, " · ")})
	}
	requests := []string{tables.Count(t.Requests)}
	if t.RPS != nil {
		requests = append(requests, tables.MS(t.RPS)+" per second")
	}
	if t.Injected > 0 {
		requests = append(requests, tables.Count(t.Injected)+" with an injected fault")
	}
	add("requests", requests...)
	add("errors", tables.Count(t.Errors), tables.Percent(t.ErrorRate)+" %")
	for _, measure := range []struct {
		name string
		of   *analysis.Distribution
	}{{"latency", &t.Latency}, {"time to first token", &t.TTFT}} {
		if d := measure.of; d.Count > 0 {
			parts := []string{"average " + tables.MS(d.AvgMS) + " ms"}
			for _, v := range d.Percentiles {
				parts = append(parts, v.Name+" "+tables.MS(&v.MS)+" ms")
			}
			add(measure.name, append(parts, "max "+tables.MS(d.MaxMS)+" ms")...)
		}
	}
	if t.UsageCount > 0 {
		parts := []string{tables.Count(*t.InputTokens) + " in", tables.Count(*t.OutputTokens) + " out"}
		if t.UsageCount < t.Requests {
			parts = append(parts, "told by "+tables.Count(t.UsageCount)+" requests")
		}
		add("tokens", parts...)
	}
	if t.PricedCount > 0 {
		parts := []string{tables.USD(t.CostUSD) + " USD"}
		if t.PricedCount < t.UsageCount {
			parts = append(parts, tables.Count(t.PricedCount)+" of "+tables.Count(t.UsageCount)+" requests have a price")
		}
		add("cost", parts...)
	}
	return lines
}

func (r *Report) addCategories(d *document) {
	if len(r.Categories) < 2 {
		return
	}
	var l layout[Category]
	l.add(word, "category", func(c *Category) string { return c.Category })
	l.add(number, "requests", func(c *Category) string { return tables.Count(c.Requests) })
	l.add(number, "err %", func(c *Category) string { return tables.Percent(c.ErrorRate) })
	l.add(number, "faults", func(c *Category) string { return tables.CountOrMissing(c.Injected) })
	addDistribution(&l, func(c *Category) (*analysis.Distribution, *analysis.Distribution) { return &c.Latency, &c.TTFT })
	l.add(number, "cost USD", func(c *Category) string { return tables.USD(c.CostUSD) })
	addTable(d, "By category", r.Categories, &l, "")
}

// addDistribution adds the columns of latency and time to first token.
func addDistribution[R any](l *layout[R], of func(*R) (latency, ttft *analysis.Distribution)) {
	l.group = "latency ms"
	for _, p := range []string{"p50", "p95", "p99"} {
		l.add(number, p, func(r *R) string { d, _ := of(r); return tables.MS(d.Percentiles.Get(p)) })
	}
	l.add(number, "max", func(r *R) string { d, _ := of(r); return tables.MS(d.MaxMS) })
	l.group = "TTFT ms"
	l.add(number, "p95", func(r *R) string { _, d := of(r); return tables.MS(d.Percentiles.Get("p95")) })
	l.group = ""
}

// maxTextRuns is how many runs a text lists.
const maxTextRuns = 20

func (r *Report) addRuns(d *document) {
	if len(r.Runs) < 2 {
		return
	}
	shown := r.Runs[:min(maxTextRuns, len(r.Runs))]
	var l layout[Run]
	l.add(name, "run", func(v *Run) string { return tables.RunName(v.RunID) })
	l.add(name, "name", func(v *Run) string { return orEmpty(v.Name) })
	l.add(word, "start", func(v *Run) string { return tables.Time(orEmpty(v.FirstUTC), false) })
	l.add(number, "length", func(v *Run) string {
		if v.FirstNS == nil || v.LastNS == nil {
			return ""
		}
		return tables.Length(*v.LastNS - *v.FirstNS)
	})
	l.add(number, "requests", func(v *Run) string { return tables.Count(v.Requests) })
	addTable(d, "Runs", shown, &l, moreText(r.RunsTotal-len(shown), "run"))
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// scope is what the pick covers.
func (p *Pick) scope() *analysis.Scope { return &analysis.Scope{FromUTC: p.FromUTC, ToUTC: p.ToUTC} }

// clock shows an instant, without the day where the pick lies within one.
func (p *Pick) clock(utc string) string { return tables.Time(utc, tables.IsOneDay(p.scope())) }

// moreText says that there are n more of something.
func moreText(n int, noun string) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf("and %s more %s", tables.Count(int64(n)), tables.Plural(int64(n), noun))
}

// addRemarks says what became of all spans, and what the report leaves out.
func (r *Report) addRemarks(d *document) {
	lines := facts{{"spans", countsText(r.Ledger)}}
	if len(r.Notes) > 0 {
		lines = append(lines, [2]string{"notes", countsText(r.Notes)})
	}
	for _, p := range r.Pruned {
		what := p.Relation
		if p.WidthS > 0 {
			what += " of " + tables.WidthName(p.WidthS)
		}
		lines = append(lines, [2]string{"pruned", fmt.Sprintf("%s rows of %s have left; complete from %s on",
			tables.Count(p.Rows), what, p.CompleteFromUTC)})
	}
	for _, text := range append([]string{tables.Open(&r.Open)}, r.LeftOut...) {
		if text != "" {
			lines = append(lines, [2]string{"left out", strings.TrimPrefix(text, "left out: ")})
		}
	}
	d.heading(2, "The file")
	d.facts(lines)
}

func countsText(counts []analysis.Count) string {
	var parts []string
	for _, c := range counts {
		parts = append(parts, tables.Count(c.Spans)+" "+c.Reason)
	}
	return strings.Join(parts, ", ")
}
