package check

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
)

func number(v float64) *float64 { return &v }

// A value that equals a level passes it, of maxima and of minima.
func TestLevels(t *testing.T) {
	for _, c := range []struct {
		metric     string
		warn, fail *float64
		value      float64
		want       Status
	}{
		{"p99", nil, number(100), 100, Pass},
		{"p99", nil, number(100), 100.0001, Fail},
		{"p99", number(80), number(100), 80, Pass},
		{"p99", number(80), number(100), 80.1, Warn},
		{"p99", number(80), nil, 1e9, Warn},
		{"p99", number(100), number(100), 100.1, Fail},
		{"min_rps", nil, number(50), 50, Pass},
		{"min_rps", nil, number(50), 49.999, Fail},
		{"min_rps", number(60), number(50), 50, Warn},
		{"min_rps", number(60), number(50), 60, Pass},
		{"error_rate", nil, number(0), 0, Pass},
		{"error_rate", nil, number(0), 1e-9, Fail},
		{"circuit_trips", nil, number(0), 1, Fail},
	} {
		rule := Rule{Metric: c.metric, Warn: c.warn, Fail: c.fail}
		require.Equal(t, c.want, rule.judge(c.value), "%+v", c)
	}
}

func TestThresholdsAsText(t *testing.T) {
	for text, want := range map[string]float64{"0": 0, "2000": 2000, "0.5": 0.5, "007": 7} {
		rule, err := NewRule("p99", text)
		require.NoError(t, err, text)
		require.Equal(t, want, *rule.Fail)
	}
	for text, want := range map[string]float64{"0": 0, "1": 1, "0.05": 0.05, "5%": 0.05, "100%": 1} {
		rule, err := NewRule("error-rate", text)
		require.NoError(t, err, text)
		require.Equal(t, "error_rate", rule.Metric)
		require.InDelta(t, want, *rule.Fail, 1e-15)
	}
	for _, text := range []string{"", " 1", "-1", "+1", "NaN", "Inf", "1e3", "0x10", "1_000", "1,000", ".5", "5.", "5%", "2s", "٣", strings.Repeat("9", 400)} {
		_, err := NewRule("p99", text)
		require.ErrorContains(t, err, "must be a number of 0 or more", text)
	}
	for _, text := range []string{"1.01", "101%", "5", "%", "5 %", "-1%"} {
		_, err := NewRule("error-rate", text)
		require.Error(t, err, text)
	}
	_, err := NewRule("p98", "1")
	require.ErrorContains(t, err, "p50")
}

func TestRegressionsAsText(t *testing.T) {
	for text, want := range map[string]Regression{
		"p99=10%": {"p99", 0.1}, "p99=0.1": {"p99", 0.1}, "ttft-p95=0": {"ttft_p95", 0}, "error_rate=250%": {"error_rate", 2.5}, "rps=1": {"rps", 1},
	} {
		got, err := ParseRegression(text)
		require.NoError(t, err, text)
		require.Equal(t, want.Metric, got.Metric)
		require.InDelta(t, want.Limit, got.Limit, 1e-15)
	}
	for _, text := range []string{"", "p99", "p99=", "=10%", "p99=10", "p99=-10%", "p99=NaN", "p99=10%%", "p99 = 10%", "p98=10%", "p99=1e1%", "p99=.1"} {
		_, err := ParseRegression(text)
		require.Error(t, err, text)
	}
}

func TestFileOfThresholds(t *testing.T) {
	rules, err := ParseFile(strings.NewReader(`# comments are fine
p99: 2000
p95: {warn: 800, fail: 1200.5}
error_rate: {warn: 1%}
min_rps: {warn: 100, fail: 50}
circuit_trips: 0
categories:
  tool: {error_rate: "5%"}
models:
  gpt-4o: {p99: {fail: 5000}, cost: 2}
  "": {p50: 1}
`))
	require.NoError(t, err)
	tool, gpt, none := aggregator.CategoryTool, "gpt-4o", ""
	require.Equal(t, []Rule{
		{Metric: "p99", Fail: number(2000)}, {Metric: "p95", Warn: number(800), Fail: number(1200.5)},
		{Metric: "error_rate", Warn: number(0.01)}, {Metric: "min_rps", Warn: number(100), Fail: number(50)},
		{Metric: "circuit_trips", Fail: number(0)}, {Metric: "error_rate", Category: &tool, Fail: number(0.05)},
		{Metric: "p99", Model: &gpt, Fail: number(5000)}, {Metric: "cost", Model: &gpt, Fail: number(2)}, {Metric: "p50", Model: &none, Fail: number(1)},
	}, rules)
}

func TestFilesThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "is empty",
		"# nothing\n":                           "is empty",
		"{}":                                    "sets no threshold",
		"p99":                                   "line 1: thresholds: must be keys and values",
		"- p99: 1":                              "line 1: thresholds: must be keys and values",
		"p98: 1":                                "line 1: p98: must be one of p50, p95",
		"p99: 1\np99: 2":                        "line 2: p99: is there twice",
		"p99: {warn: 2, fail: 1}":               "line 1: p99: warn 2 must not be above fail 1",
		"min_rps: {warn: 1, fail: 2}":           "line 1: min_rps: warn 1 must not be below fail 2",
		"p99: {}":                               "line 1: p99: must have warn, fail or both",
		"p99: {wanr: 2}":                        "line 1: p99.wanr: must be warn or fail",
		"p99: {warn: 1, warn: 2}":               "line 1: p99.warn: is there twice",
		"p99: [1]":                              "line 1: p99: must be keys and values",
		"p99: {warn: [1]}":                      "line 1: p99.warn: must be a number",
		"p99: .nan":                             `line 1: p99: ".nan": must be a number`,
		"p99: .inf":                             `line 1: p99: ".inf": must be a number`,
		"p99: -5":                               `line 1: p99: "-5": must be a number`,
		"p99: 2s":                               `line 1: p99: "2s": must be a number`,
		"p99: ~":                                "must be a number",
		"p99:":                                  "must be a number",
		"p99: yes":                              "must be a number",
		"error_rate: 5":                         "a share must not be above 1",
		"categories: {tools: {p99: 1}}":         "line 1: categories.tools: must be one of",
		"categories: {tool: 5}":                 "line 1: categories.tool: must be keys and values",
		"models: {a: {circuit_trips: 1}}":       "line 1: models.a.circuit_trips: is of the run as a whole",
		"models: {a: {categories: {}}}":         "line 1: models.a.categories: must be one of p50",
		"p99: &x 1\np95: *x":                    "line 2: p95: aliases are not taken",
		"a: &a {p99: 1}\nmodels: {m: {<<: *a}}": "keys must be plain text",
		"? {p99: 1}\n: 2":                       "keys must be plain text",
		"p99: 1\n---\np99: 2":                   "more than one document",
		"p99: {":                                "yaml:",
		"\x00":                                  "yaml:",
		"p99: 1 #" + strings.Repeat("x", 1<<20): "is longer than",
	} {
		_, err := ParseFile(strings.NewReader(text))
		require.ErrorContains(t, err, want, "%.60q", text)
	}
	_, err := ParseFile(failing{})
	require.ErrorContains(t, err, "no disk")
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("no disk") }

// FuzzParseFile: no file makes it panic, and what it takes has levels that make
// sense.
func FuzzParseFile(f *testing.F) {
	f.Add("p99: {warn: 1, fail: 2}\nmodels: {a: {p50: 1}}")
	f.Add("categories: {llm: {error_rate: 5%}}")
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := ParseFile(strings.NewReader(text))
		if err != nil {
			return
		}
		require.NotEmpty(t, rules)
		for i := range rules {
			r := &rules[i]
			require.Contains(t, Names(), r.Metric)
			require.True(t, r.Warn != nil || r.Fail != nil)
			require.False(t, r.Category != nil && r.Model != nil)
			require.NoError(t, r.checkLevels())
		}
	})
}

// A regression fails only where it is shown and larger than the limit.
func TestRegressions(t *testing.T) {
	for _, c := range []struct {
		verdict analysis.Verdict
		change  *float64
		want    Status
	}{
		{analysis.VerdictWorse, number(0.11), Fail}, {analysis.VerdictWorse, number(0.1), Pass},
		{analysis.VerdictWorse, number(-0.11), Fail}, // of a rate
		{analysis.VerdictWorse, nil, Fail},           // from 0 to something
		{analysis.VerdictNoEvidence, number(3), Pass}, {analysis.VerdictBetter, number(-0.5), Pass},
		{analysis.VerdictTooLittle, number(0.01), NoData}, {analysis.VerdictTooLittle, nil, NoData},
	} {
		got, _ := judgeRegression(&analysis.ComparedMetric{Verdict: c.verdict, Change: c.change}, 0.1)
		require.Equal(t, c.want, got, "%+v", c)
	}
}

// An objective that is met warns where it burns too fast; one without requests
// has no data.
func TestObjectives(t *testing.T) {
	yes, no, window := true, false, "1h"
	for _, c := range []struct {
		slo  analysis.SLO
		want Status
	}{
		{analysis.SLO{Met: &yes}, Pass}, {analysis.SLO{Met: &yes, Alert: &window}, Warn},
		{analysis.SLO{Met: &no}, Fail}, {analysis.SLO{Met: &no, Alert: &window}, Fail},
		{analysis.SLO{}, NoData}, {analysis.SLO{Alert: &window}, NoData},
	} {
		require.Equal(t, c.want, judgeObjective(&c.slo).Status, "%+v", c)
	}
}
