package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spanbucket/spanbucketexporter/check"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// finishCheck writes the results and returns the error that the exit code comes
// from.
func (p *program) finishCheck(ctx context.Context, f *checkFlags, r *check.Report) (err error) {
	if err := f.writeJUnit(ctx, r); err != nil {
		return err
	}
	switch f.format {
	case "json":
		err = writeJSON(p.stdout, r)
	case "csv":
		err = writeCSV(p.stdout, resultNames, resultRecords(r))
	default:
		err = p.printCheck(r)
	}
	p.talk(&r.Scope, f.format == "text")
	return finish(err, f.verdict(r))
}

func (f *checkFlags) junitFile() *writtenFile {
	return &writtenFile{flag: "--junit", path: f.junit, source: f.db}
}

// writeJUnit writes the results for other programs, where that is wanted.
func (f *checkFlags) writeJUnit(ctx context.Context, r *check.Report) error {
	if f.junit == "" {
		return nil
	}
	return f.junitFile().write(ctx, func(w io.Writer) error { return r.WriteJUnit(w, describeResult) })
}

// verdict is the error that the exit code of a check comes from.
func (f *checkFlags) verdict(r *check.Report) error {
	switch {
	case r.Failed > 0:
		return fmt.Errorf("%w: %d of %d", errCheck, r.Failed, len(r.Results))
	case r.NoData > 0:
		return fmt.Errorf("%w for %d of %d checks", errNoData, r.NoData, len(r.Results))
	case r.Warned > 0 && f.strict:
		return fmt.Errorf("%w: %d of %d warn, and --strict is set", errCheck, r.Warned, len(r.Results))
	}
	return nil
}

var resultNames = []string{"check", "category", "model", "status", "value", "warn", "fail", "minimum", "unit", "message"}

func resultRecords(r *check.Report) (records [][]any) {
	for i := range r.Results {
		c := &r.Results[i]
		records = append(records, []any{c.Check, c.Category, c.Model, string(c.Status), c.Value, c.Warn, c.Fail, c.Minimum, c.Unit, c.Message})
	}
	return records
}

func (p *program) printCheck(r *check.Report) error {
	if _, err := fmt.Fprintf(p.stdout, "%s\n%s  ·  %s %s\n\n", checkWords(r), tables.Caption(&r.Scope),
		tables.Count(r.Requests), tables.Plural(r.Requests, "request")); err != nil {
		return err
	}
	t := tables.New(r.Results)
	t.Text("result", func(c *check.Result) string { return strings.ToUpper(string(c.Status)) })
	t.Text("check", func(c *check.Result) string { return c.Name() })
	t.Number("value", func(c *check.Result) string { return levelText(c, c.Value) })
	t.Number("warn", func(c *check.Result) string { return levelText(c, c.Warn) })
	t.Number("fail", func(c *check.Result) string { return levelText(c, c.Fail) })
	var long []string
	t.Text("", func(c *check.Result) string {
		if tables.DisplayWidth(c.Message) > tables.MaxCell {
			long = append(long, c.Name()+": "+c.Message)
			return ""
		}
		return c.Message
	})
	if err := t.Write(p.stdout); err != nil {
		return err
	}
	if r.Comparison != nil {
		long = append(long, r.Comparison.Notes...)
	}
	if len(long) > 0 {
		if err := writeParagraphs(p.stdout, long); err != nil {
			return err
		}
	}
	return tables.WriteOpen(p.stdout, &r.Open)
}

// checkWords is the outcome in one line.
func checkWords(r *check.Report) string {
	var parts []string
	for _, part := range []struct {
		n    int
		text string
	}{{r.Failed, "failed"}, {r.NoData, "without data"}, {r.Warned, "warned"}, {r.Passed, "passed"}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.text))
		}
	}
	return strings.ToUpper(string(r.Status)) + ": " + strings.Join(parts, ", ")
}

// levelText shows a value in the unit of its check.
func levelText(c *check.Result, v *float64) string {
	switch {
	case v == nil:
		return tables.Missing
	case c.Unit == "share" && strings.HasSuffix(c.Check, "regression"):
		return signed(v) + " %"
	case c.Unit == "share" && strings.HasPrefix(c.Check, "slo"):
		return fineShare(*v) + " %"
	case c.Unit == "share":
		return tables.Percent(v) + " %"
	case c.Unit == "ms":
		return tables.MS(v) + " ms"
	case c.Unit == "USD":
		return tables.USD(v) + " USD"
	case c.Unit == "":
		return tables.Count(int64(*v))
	}
	return tables.USD(v) + c.Unit
}

// fineShare shows a share in percent with as many decimals as objectives have,
// three at most. Less than all never looks like all.
func fineShare(v float64) string {
	text := strconv.FormatFloat(v*100, 'f', 3, 64)
	if v < 1 && text == "100.000" {
		text = "99.999"
	}
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// describeResult says in a sentence what became of a check.
func describeResult(c *check.Result) string {
	sign := "at most"
	if c.Minimum {
		sign = "at least"
	}
	text := fmt.Sprintf("%s: %s is %s", c.Status, c.Name(), levelText(c, c.Value))
	if c.Value == nil {
		text = fmt.Sprintf("%s: %s", c.Status, c.Name())
	}
	if c.Warn != nil {
		text += fmt.Sprintf(", warns unless %s %s", sign, levelText(c, c.Warn))
	}
	if c.Fail != nil {
		text += fmt.Sprintf(", fails unless %s %s", sign, levelText(c, c.Fail))
	}
	if c.Message != "" {
		text += " (" + c.Message + ")"
	}
	return text
}
