package report_test

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/report/tables"
)

// hostileNames are names that do harm where they are taken for anything else
// than text.
var hostileNames = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</code></td></table><b>`, `<!-- -->`, `&lt;b&gt;`,
	`[click](javascript:alert(1))`, `![x](http://evil.example/x.png)`, `https://evil.example`, `www.evil.example`, `<http://evil.example>`,
	"`code`", "``two``", "a`b", "`", "a|b", `a\|b`, `\`, `a\`, "|", "||", "---|---", "# heading", "- item", "> quote", "1. item", "***", "~~~",
	`@everyone`, `#1`, `$x$`, `=1+1`, `+cmd|' /C calc'!A0`, `-2+3`, `@SUM(1)`,
	"\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\u202egnp.exe", "a\u200bb", "line\nbreak", "tab\ttab", "carriage\rreturn",
	" leading", "trailing ", "  ", "日本語のモデル", "é", "👩‍👩‍👧", strings.Repeat("long", 60),
}

// hostileFile has two requests, of which one failed, under each name.
func hostileFile(t *testing.T, names []string) string {
	t.Helper()
	var all []aggregator.Observation
	for i, text := range names {
		for _, outcome := range []aggregator.Outcome{aggregator.OutcomeSuccess, aggregator.OutcomeServerError} {
			o := aggregator.Observation{StartUnixNano: filetest.Begin.Add(time.Duration(i) * time.Second).UnixNano(), AdjustedMicro: 1e6}
			o.EndUnixNano = o.StartUnixNano + 50e6
			o.Series.Category, o.Series.Outcome = aggregator.CategoryLLM, outcome
			o.Series.Model, o.Series.Provider, o.Series.Agent, o.Series.Service = text, text, text, text
			o.Series.Operation, o.Series.Fault = text, text
			o.Series.Run = text
			if outcome != aggregator.OutcomeSuccess {
				o.Series.ErrorType = text
			}
			o.TraceID[0], o.TraceID[1], o.SpanID[0] = byte(i+1), byte(outcome+1), 1
			o.SetMeasure(aggregator.MeasureDuration, 50e6+int64(i))
			o.Usage, o.InputTokens, o.OutputTokens = true, 10, 10
			all = append(all, o)
		}
	}
	return makeFile(t, all)
}

// rowsOfText is how many rows of a table a text has at most.
const rowsOfText = 20

// hostileMarkdown returns reports in which every hostile name is shown.
func hostileMarkdown(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	for names := range slices.Chunk(hostileNames, rowsOfText) {
		require.NoError(t, assemble(t, hostileFile(t, names), analysis.Query{}).WriteMarkdown(&out))
	}
	return out.String()
}

// Nothing in a text can steer a terminal, and lines are at most 100 columns.
func TestTextOfHostileNamesIsInert(t *testing.T) {
	var out bytes.Buffer
	for names := range slices.Chunk(hostileNames, rowsOfText) {
		require.NoError(t, assemble(t, hostileFile(t, names), analysis.Query{}).WriteText(&out))
	}
	require.NotContains(t, out.String(), "\x1b")
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSuffix(line, "\n")
		require.Equal(t, tables.Clean(line), line)
		require.LessOrEqual(t, tables.DisplayWidth(line), 100, line)
	}
}

// In Markdown a name stands in a code span, in which nothing is read, or is
// written letter by letter: what is left of a table row without its code is ours.
func TestMarkdownOfHostileNamesIsInert(t *testing.T) {
	out := hostileMarkdown(t)
	code := regexp.MustCompile("`[^`|\\\\]+`|<code>([^<>&|`\\\\!-/:;=?@\\[\\]^_{}~]|&#[0-9]+;)*</code>")
	columns, rows := 0, 0
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		require.Equal(t, tables.Clean(line), line)
		left := code.ReplaceAllString(line, "CODE")
		require.NotContains(t, left, "`")
		require.NotContains(t, left, "<")
		require.NotRegexp(t, `https?://|www\.|@[A-Za-z]|(^|[^\\])[]\[*#]`, strings.TrimLeft(strings.ReplaceAll(left, "**", ""), "#"))
		if !strings.HasPrefix(line, "|") {
			columns = 0
			continue
		}
		require.NotRegexp(t, `evil\.example|alert\(`, left, "a name is code in a table")
		if columns == 0 {
			columns = strings.Count(left, "|")
		}
		rows++
		require.Equal(t, columns, strings.Count(left, "|"), "a cell ends a row: %s", line)
	}
	require.Greater(t, rows, 100)
}

// What is in the code is what the name says.
func TestMarkdownSaysTheNames(t *testing.T) {
	out := hostileMarkdown(t)
	for _, want := range []string{"`<script>alert(1)</script>`", "<code>a&#124;b</code>", "<code>&#96;</code>", "`@everyone`", "`日本語のモデル`"} {
		require.Contains(t, out, want)
	}
}

func TestTextOfNoSpans(t *testing.T) {
	made := assemble(t, makeFile(t, nil), analysis.Query{})
	var text, markdown bytes.Buffer
	require.NoError(t, made.WriteText(&text))
	require.NoError(t, made.WriteMarkdown(&markdown))
	require.Contains(t, text.String(), "There are no spans in this interval.")
	require.Contains(t, markdown.String(), "There are no spans in this interval.")
}
