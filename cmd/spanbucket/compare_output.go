package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// metricTexts are the names of figures in sentences and tables, and how their
// values are shown.
var metricTexts = map[string]struct {
	name string
	cell func(*float64) string
	unit string
}{
	"p50_latency_ms":       {"p50 latency", tables.MS, "ms"},
	"p95_latency_ms":       {"p95 latency", tables.MS, "ms"},
	"p99_latency_ms":       {"p99 latency", tables.MS, "ms"},
	"avg_latency_ms":       {"average latency", tables.MS, "ms"},
	"p95_ttft_ms":          {"p95 time to first token", tables.MS, "ms"},
	"error_rate":           {"error rate", tables.Percent, "%"},
	"requests_per_s":       {"requests per second", tables.USD, ""},
	"cost_usd_per_request": {"cost per request", tables.USD, "USD"},
	"output_tokens_per_s":  {"output tokens per second", tables.USD, ""},
}

func (p *program) writeComparison(flags *compareFlags, c *analysis.Comparison) (err error) {
	format := flags.format
	empty := c.Baseline.Requests == 0 || c.Candidate.Requests == 0
	switch {
	case format == "json":
		err = writeJSON(p.stdout, c)
	case format == "csv":
		err = writeCSV(p.stdout, comparisonNames, comparisonRecords(c))
	case !empty:
		err = p.printComparison(c)
	}
	for _, side := range []*analysis.ComparedSide{&c.Baseline, &c.Candidate} {
		p.talk(&side.Scope, false)
	}
	if !empty {
		return err
	}
	// Without one side there is nothing of the other to compare either: the one to
	// name is the one that has a reason of its own.
	name, side := &flags.baseline, &c.Baseline
	if side.Why == "" && (side.Requests > 0 || c.Candidate.Why != "") {
		name, side = &flags.candidate, &c.Candidate
	}
	p.asked = name.asked
	why := side.Why
	if why == "" {
		why = "no request"
	}
	return finish(err, fmt.Errorf("%s: %w", name.name, p.nothing(&side.Scope, why)))
}

var comparisonNames = []string{
	"metric", "baseline", "candidate", "change", "low", "high", "verdict", "why", "lower_is_better", "baseline_count",
	"candidate_count",
}

func comparisonRecords(c *analysis.Comparison) (records [][]any) {
	for i := range c.Metrics {
		m := &c.Metrics[i]
		records = append(records, []any{m.Name, m.Baseline, m.Candidate, m.Change, m.Low, m.High, string(m.Verdict), m.Why,
			m.LowerIsBetter, m.BaselineCount, m.CandidateCount})
	}
	return records
}

func (p *program) printComparison(c *analysis.Comparison) error {
	if _, err := fmt.Fprintf(p.stdout, "%s\n", comparisonWords(c)); err != nil {
		return err
	}
	if err := tables.WriteFacts(p.stdout, comparisonFacts(c)); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(p.stdout); err != nil {
		return err
	}
	t := tables.New(shownMetrics(c))
	t.Text("figure", func(m *analysis.ComparedMetric) string {
		return strings.TrimSpace(metricTexts[m.Name].name + " " + metricTexts[m.Name].unit)
	})
	t.Number("baseline", func(m *analysis.ComparedMetric) string { return metricTexts[m.Name].cell(m.Baseline) })
	t.Number("candidate", func(m *analysis.ComparedMetric) string { return metricTexts[m.Name].cell(m.Candidate) })
	t.Number("change %", func(m *analysis.ComparedMetric) string { return signed(m.Change) })
	t.Number("95 % interval", intervalText)
	t.Text("verdict", func(m *analysis.ComparedMetric) string { return string(m.Verdict) })
	if err := t.Write(p.stdout); err != nil {
		return err
	}
	return writeRemarks(p.stdout, c)
}

// comparisonWords is the answer in sentences.
func comparisonWords(c *analysis.Comparison) string {
	var text strings.Builder
	var same, few []string
	for _, m := range shownMetrics(c) {
		name := metricTexts[m.Name].name
		switch {
		case m.Verdict == analysis.VerdictNoEvidence:
			same = append(same, name)
		case m.Verdict == analysis.VerdictTooLittle:
			few = append(few, name)
		default:
			fmt.Fprintf(&text, "%s is %s: %s\n", name, m.Verdict, changeText(&m))
		}
	}
	for _, list := range []struct {
		head  string
		names []string
	}{{"no evidence of a change", same}, {"too little data for a verdict", few}} {
		if len(list.names) > 0 {
			text.WriteString(wrap(list.head+": "+strings.Join(list.names, ", "), 96) + "\n")
		}
	}
	return text.String()
}

// changeText is like "812 → 1,020 ms, +25.6 % [+18.0 %, +33.1 %]".
func changeText(m *analysis.ComparedMetric) string {
	t := metricTexts[m.Name]
	text := strings.TrimSpace(fmt.Sprintf("%s → %s %s", t.cell(m.Baseline), t.cell(m.Candidate), t.unit))
	if m.Change == nil {
		return text
	}
	return fmt.Sprintf("%s, %s %% %s", text, signed(m.Change), intervalText(m))
}

// signed shows a change in percent, with its sign.
func signed(v *float64) string {
	if v == nil {
		return tables.Missing
	}
	text := strconv.FormatFloat(*v*100, 'f', 1, 64)
	switch {
	case text == "-0.0":
		return "0.0"
	case *v > 0 && text != "0.0":
		return "+" + text
	}
	return text
}

func intervalText(m *analysis.ComparedMetric) string {
	if m.Low == nil && m.High == nil {
		return ""
	}
	low, high := "…", "…"
	if m.Low != nil {
		low = signed(m.Low)
	}
	if m.High != nil {
		high = signed(m.High)
	}
	return "[" + low + ", " + high + "]"
}

// comparisonFacts say what was compared with what, and how.
func comparisonFacts(c *analysis.Comparison) [][2]string {
	side := func(s *analysis.ComparedSide) string {
		short := analysis.Scope{FromUTC: s.FromUTC, ToUTC: s.ToUTC, RunID: s.RunID}
		return tables.Cut(tables.Caption(&short), 70) + "  ·  " + tables.Count(s.Requests) + " " + tables.Plural(s.Requests, "request")
	}
	how := fmt.Sprintf("%s buckets of %s on each side", tables.Count(c.Buckets), tables.WidthName(c.WidthS))
	if c.WarmupS > 0 {
		how += " after a warm-up of " + tables.WidthName(c.WarmupS)
	}
	if len(c.By) > 0 {
		how += "; by " + strings.Join(c.By, ", ")
	}
	if categories := strings.Join(c.Baseline.Categories, ", "); categories != "" {
		how += "; " + categories
	}
	facts := [][2]string{{"baseline", side(&c.Baseline)}, {"candidate", side(&c.Candidate)}, {"compared", how}}
	if c.Baseline.BlockS > 0 {
		facts = append(facts, [2]string{"intervals", fmt.Sprintf("95 %%, %s replicates of blocks of %s and %s, seed %d",
			tables.Count(int64(c.Replicates)), tables.WidthName(c.Baseline.BlockS), tables.WidthName(c.Candidate.BlockS), c.Seed)})
	}
	return facts
}

// writeRemarks ends a comparison with what stands in the way of verdicts.
func writeRemarks(w io.Writer, c *analysis.Comparison) error {
	var reasons []string
	names := map[string][]string{}
	shown := shownMetrics(c)
	for i := range shown {
		why := shown[i].Why
		if why == "" {
			continue
		}
		if names[why] == nil {
			reasons = append(reasons, why)
		}
		names[why] = append(names[why], metricTexts[shown[i].Name].name)
	}
	var lines []string
	for _, why := range reasons {
		who := strings.Join(names[why], ", ")
		if len(names[why]) == len(shown) {
			who = "all figures"
		}
		lines = append(lines, who+": "+why)
	}
	return writeParagraphs(w, append(lines, c.Notes...))
}

// writeParagraphs writes texts, each on lines of its own, after an empty line.
func writeParagraphs(w io.Writer, texts []string) error {
	all := "\n"
	for _, text := range texts {
		all += wrap(tables.Clean(text), 100) + "\n"
	}
	_, err := io.WriteString(w, all)
	return err
}

// shownMetrics are those that have a value on one side at least.
func shownMetrics(c *analysis.Comparison) (shown []analysis.ComparedMetric) {
	for _, m := range c.Metrics {
		if m.Baseline != nil || m.Candidate != nil {
			shown = append(shown, m)
		}
	}
	return shown
}

// wrap breaks text at spaces into lines of at most so many columns.
func wrap(text string, columns int) string {
	var out strings.Builder
	width := 0
	for i, word := range strings.Split(text, " ") {
		w := tables.DisplayWidth(word)
		switch {
		case i == 0:
		case width+1+w > columns:
			out.WriteString("\n  ")
			width = 2
		default:
			out.WriteByte(' ')
			width++
		}
		out.WriteString(word)
		width += w
	}
	return out.String()
}
