package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

func (p *program) windowCommand() *cobra.Command {
	var flags queryFlags
	cmd := &cobra.Command{
		Use:   "window --db FILE --from TIME --to TIME",
		Short: "Print what happened in an interval beside the rest of the run",
		Long: `Print what happened between --from and --to beside the same figures for the rest of
the run, or of the file: requests, outcomes, latency, tokens, errors by type, and
the fault windows that touch the interval. +40s counts from when the run began,
@1769767200 is Unix seconds; a bare number is neither and is refused.`,
		Example: `  spanbucket window --db spanbucket.db --run load-7 --from +40s --to +2m
  spanbucket window --db spanbucket.db --from 2026-01-30T10:01:00Z --to 2026-01-30T10:02:00Z`,
		Args: noArguments,
	}
	flags.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if flags.from == "" && flags.to == "" {
			return usageError{errors.New("--from or --to is missing")}
		}
		answer, err := askFile(cmd, p, &flags, analysis.AskWindow)
		if err != nil {
			return err
		}
		return p.writeWindow(flags.format, answer)
	}
	return cmd
}

func (p *program) writeWindow(format string, answer *analysis.Window) (err error) {
	found := answer.Inside.Requests > 0
	p.talk(&answer.Scope, format == "text" && found)
	switch {
	case format == "json":
		err = writeJSON(p.stdout, answer)
	case format == "csv":
		err = writeCSV(p.stdout, []string{"measure", "inside", "outside"}, windowRecords(answer))
	case found:
		err = p.printWindow(answer)
	}
	if !found {
		return finish(err, p.noData(&answer.Scope))
	}
	return err
}

// windowRecords has a row for each figure.
func windowRecords(answer *analysis.Window) [][]any {
	in, out := windowValues(&answer.Inside), windowValues(&answer.Outside)
	var records [][]any
	for i := range in {
		records = append(records, []any{in[i].name, in[i].value, out[i].value})
	}
	for _, r := range answer.ErrorTypes.Rows {
		records = append(records, []any{"errors_of_type " + nameOr(r.ErrorType, "(none)"), r.Inside, r.Outside})
	}
	return records
}

type windowValue struct {
	name  string
	value any
}

func windowValues(f *analysis.WindowFigures) []windowValue {
	values := []windowValue{
		{"seconds", f.Seconds},
		{"requests_total", f.Requests}, {"requests_per_s", f.RPS}, {"errors", f.Errors}, {"error_rate", f.ErrorRate},
		{"requests_injected", f.Injected}, {"completed_total", f.Completed},
	}
	for o, n := range f.Outcomes {
		values = append(values, windowValue{"requests_" + aggregator.Outcome(o).String(), n})
	}
	for _, d := range []struct {
		name string
		of   *analysis.Distribution
	}{{"latency", &f.Latency}, {"ttft", &f.TTFT}} {
		values = append(values, windowValue{d.name + "_count", d.of.Count}, windowValue{"avg_" + d.name + "_ms", d.of.AvgMS},
			windowValue{"min_" + d.name + "_ms", d.of.MinMS})
		for _, name := range []string{"p50", "p95", "p99"} {
			values = append(values, windowValue{name + "_" + d.name + "_ms", d.of.Percentiles.Get(name)})
		}
		values = append(values, windowValue{"max_" + d.name + "_ms", d.of.MaxMS})
	}
	return append(values, []windowValue{
		{"usage_count", f.UsageCount}, {"input_tokens", f.InputTokens}, {"output_tokens", f.OutputTokens},
		{"cache_read_tokens", f.CacheReadTokens}, {"cache_write_tokens", f.CacheWriteTokens},
		{"reasoning_tokens", f.ReasoningTokens}, {"priced_count", f.PricedCount}, {"cost_usd", f.CostUSD},
	}...)
}

// windowLine is a line of the text: a figure of the interval and of the rest.
type windowLine struct{ name, inside, outside string }

func (p *program) printWindow(answer *analysis.Window) error {
	if _, err := fmt.Fprintf(p.stdout, "%s\n\n%s\n\n", tables.Caption(&answer.Scope), windowText(answer)); err != nil {
		return err
	}
	in, out := windowCells(&answer.Inside), windowCells(&answer.Outside)
	var lines []windowLine
	for i := range in {
		if in[i][1] != tables.Missing || out[i][1] != tables.Missing {
			lines = append(lines, windowLine{in[i][0], in[i][1], out[i][1]})
		}
	}
	if err := p.printWindowLines("", lines); err != nil {
		return err
	}
	lines = nil
	for _, r := range answer.ErrorTypes.Rows {
		lines = append(lines, windowLine{nameOr(r.ErrorType, "(none)"), tables.CountOrMissing(r.Inside), tables.CountOrMissing(r.Outside)})
	}
	if len(lines) > 0 {
		if _, err := fmt.Fprintln(p.stdout); err != nil {
			return err
		}
		if err := p.printWindowLines("error type", lines); err != nil {
			return err
		}
	}
	if e := &answer.ErrorTypes; e.Widened {
		if _, err := fmt.Fprintf(p.stdout, "Error types are counted from %s to %s.\n", *e.FromUTC, *e.ToUTC); err != nil {
			return err
		}
	}
	if err := p.printTouching(answer.Faults); err != nil {
		return err
	}
	return tables.WriteOpen(p.stdout, &answer.Open)
}

// windowText is the answer in words.
func windowText(answer *analysis.Window) string {
	in, out := &answer.Inside, &answer.Outside
	text := fmt.Sprintf("%s %s, %s %% failed", tables.Count(in.Requests), tables.Plural(in.Requests, "request"), tables.Percent(in.ErrorRate))
	if out.ErrorRate != nil {
		text += fmt.Sprintf(" (else %s %%)", tables.Percent(out.ErrorRate))
	}
	if p95 := in.Latency.Percentiles.Get("p95"); p95 != nil {
		text += fmt.Sprintf("; p95 %s ms", tables.MS(p95))
		if rest := out.Latency.Percentiles.Get("p95"); rest != nil {
			text += fmt.Sprintf(" (else %s ms)", tables.MS(rest))
		}
	}
	if n := int64(len(answer.Faults)); n > 0 {
		text += fmt.Sprintf("; %s %s", tables.Count(n), tables.Plural(n, "fault"))
	}
	return text + "."
}

func (p *program) printWindowLines(head string, lines []windowLine) error {
	t := tables.New(lines)
	t.Text(head, func(l *windowLine) string { return l.name })
	t.Number("inside", func(l *windowLine) string { return l.inside })
	t.Number("the rest", func(l *windowLine) string { return l.outside })
	t.Keep = 3
	return t.Write(p.stdout)
}

// windowCells are the lines of one part: name and value.
func windowCells(f *analysis.WindowFigures) [][2]string {
	cells := [][2]string{
		{"seconds", tables.Count(f.Seconds)}, {"requests", tables.Count(f.Requests)}, {"requests/s", tables.MS(f.RPS)},
		{"errors %", tables.Percent(f.ErrorRate)},
	}
	for o, n := range f.Outcomes {
		if aggregator.Outcome(o) != aggregator.OutcomeSuccess {
			cells = append(cells, [2]string{"  " + aggregator.Outcome(o).String(), tables.CountOrMissing(n)})
		}
	}
	cells = append(cells, [2]string{"under a fault", tables.CountOrMissing(f.Injected)})
	for _, d := range []struct {
		name string
		of   *analysis.Distribution
	}{{"latency", &f.Latency}, {"TTFT", &f.TTFT}} {
		cells = append(cells, [2]string{d.name + " avg ms", tables.MS(d.of.AvgMS)})
		for _, name := range []string{"p50", "p95", "p99"} {
			cells = append(cells, [2]string{d.name + " " + name + " ms", tables.MS(d.of.Percentiles.Get(name))})
		}
		cells = append(cells, [2]string{d.name + " max ms", tables.MS(d.of.MaxMS)})
	}
	return append(cells, [2]string{"tokens in", tables.Compact(f.InputTokens)}, [2]string{"tokens out", tables.Compact(f.OutputTokens)},
		[2]string{"cost USD", tables.USD(f.CostUSD)})
}

// printTouching lists faults.
func (p *program) printTouching(faults []analysis.JoinedFault) error {
	if len(faults) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(p.stdout); err != nil {
		return err
	}
	const most = 10
	shown := faults[:min(len(faults), most)]
	t := tables.New(shown)
	t.Text("fault in this interval", func(f *analysis.JoinedFault) string { return tables.Cut(tables.Clean(f.Fault), 24) })
	t.Text("target", func(f *analysis.JoinedFault) string { return tables.Cut(tables.Clean(textOrMissing(f.Target)), 24) })
	t.Text("start", func(f *analysis.JoinedFault) string { return f.StartUTC })
	t.Text("end", func(f *analysis.JoinedFault) string { return f.EndUTC })
	t.Number("marked", markedText)
	if err := t.Write(p.stdout); err != nil || len(shown) == len(faults) {
		return err
	}
	_, err := fmt.Fprintf(p.stdout, "and %s more\n", tables.Count(int64(len(faults)-len(shown))))
	return err
}
