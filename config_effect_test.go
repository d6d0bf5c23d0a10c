package spanbucketexporter

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/spans"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// chatSpan is a batch of one LLM call of a million input tokens, ten thousand
// of them from a cache, and a thousand output tokens.
func chatSpan(attributes map[string]any) ptrace.Traces {
	batch := ptrace.NewTraces()
	span := batch.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetTraceID([16]byte{1})
	span.SetSpanID([8]byte{2})
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(pagesNow))
	span.SetEndTimestamp(span.StartTimestamp() + 1e9)
	all := map[string]any{
		"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o",
		"gen_ai.usage.input_tokens": 1_000_000, "gen_ai.usage.cache_read.input_tokens": 10_000, "gen_ai.usage.output_tokens": 1_000,
	}
	for name, value := range attributes {
		all[name] = value
	}
	if err := span.Attributes().FromRaw(all); err != nil {
		panic(err)
	}
	return batch
}

// fileAfter runs an exporter with the configuration until it has stored the
// batches, and opens the file for reading.
func fileAfter(t *testing.T, path, text string, batches ...ptrace.Traces) *storage.Reader {
	t.Helper()
	config, err := configFromYAML(t, text)
	require.NoError(t, err)
	config.Path = path
	e := startExporter(t, config)
	for _, batch := range batches {
		require.NoError(t, e.ConsumeTraces(t.Context(), batch))
	}
	stopExporter(t, e)
	return openReader(t, path)
}

func newFile(t *testing.T) string { return filepath.Join(t.TempDir(), "spanbucket.db") }

// TestConfiguredFieldsAreRead: what is configured comes in place of the
// built-in attributes, in its order.
func TestConfiguredFieldsAreRead(t *testing.T) {
	for _, c := range []struct {
		fields     string
		attributes map[string]any
		model      string
	}{
		{"{}", nil, "gpt-4o"},
		{"{tool: [my.tool]}", nil, "gpt-4o"},
		{"{model: [my.attr, gen_ai.response.model]}", map[string]any{"my.attr": "mine", "gen_ai.response.model": "other"}, "mine"},
		{"{model: [gen_ai.response.model, my.attr]}", map[string]any{"my.attr": "mine", "gen_ai.response.model": "other"}, "other"},
		{"{model: [my.attr, gen_ai.response.model]}", map[string]any{"gen_ai.response.model": "other"}, "other"},
		{"{model: [my.attr]}", nil, ""},
	} {
		t.Run(c.fields, func(t *testing.T) {
			reader := fileAfter(t, newFile(t), "fields: "+c.fields, chatSpan(c.attributes))
			require.Equal(t, []string{c.model}, column(t, reader, "SELECT DISTINCT model FROM latency"))
			require.Equal(t, []string{c.model}, column(t, reader, "SELECT model FROM requests"))
		})
	}
}

// TestEveryFieldCanBeConfigured, and with as many attributes as are allowed.
func TestEveryFieldCanBeConfigured(t *testing.T) {
	config := createDefaultConfig().(*Config)
	config.Fields = map[string][]string{}
	for _, field := range spans.FieldNames() {
		for i := range spans.MaxFieldSources {
			config.Fields[field] = append(config.Fields[field], fmt.Sprintf("my.%s.%d", field, i))
		}
	}
	for i := range spans.MaxDimensions {
		config.Dimensions = append(config.Dimensions, DimensionConfig{Name: fmt.Sprint("dimension.", i), MaxValues: 1})
	}
	require.NoError(t, config.Validate())
	last := fmt.Sprintf("my.model.%d", spans.MaxFieldSources-1)
	for o := range spans.NewReader(config.readerOptions()).Observations(chatSpan(map[string]any{last: "mine"}), pagesNow) {
		require.Equal(t, "mine", o.Series.Model)
	}
	readme := readPage(t, "README.md").text
	require.Contains(t, readme, "`"+strings.Join(spans.FieldNames(), "`, `")+"`")
}

// TestConfiguredPricesAreCharged, to the nanodollar.
func TestConfiguredPricesAreCharged(t *testing.T) {
	for _, c := range []struct {
		prices string
		cost   any
	}{
		{"[]", nil},
		{"[{model: gpt-4, input: 1}]", nil},
		{"[{model: gpt-4o, input: 2.50, output: 10}]", 2.51},
		{"[{model: gpt-4o, input: 2.50, output: 10, cache_read: 1.25}]", 2.4975},
		{"[{model: gpt-4o, input: 0.075}]", 0.075},
		{"[{model: gpt-4o, output: 3}]", 0.003},
		{`[{model: claude*, input: 3}, {model: "gpt-4?", input: 0.1}, {model: "gpt*", input: 5}]`, 0.1},
		{"[{model: gpt-4o, input: 0}]", 0.0},
	} {
		t.Run(c.prices, func(t *testing.T) {
			reader := fileAfter(t, newFile(t), "prices: "+c.prices, chatSpan(nil))
			for _, relation := range []string{"timeseries", "latency", "requests"} {
				require.Equal(t, []row{{"cost_usd": c.cost}}, query(t, reader, "SELECT max(cost_usd) AS cost_usd FROM "+relation), relation)
			}
		})
	}
}

func TestRequestsAreKeptOrNot(t *testing.T) {
	for text, want := range map[string]string{
		"{}": "1", "requests: {sampling_ratio: 1}": "1", "requests: {sampling_ratio: 0}": "0", "requests: {sampling_ratio: }": "1",
		// The span takes a second, and its trace is drawn at ratios above 0.564497.
		"requests: {sampling_ratio: 0.564497}": "0", "requests: {sampling_ratio: 0.564498}": "1",
		"requests: {sampling_ratio: 0, per_category: {llm: {slow_threshold: 1s}}}":                   "1",
		"requests: {sampling_ratio: 0, max_for_cause: 0, per_category: {llm: {slow_threshold: 1s}}}": "0",
		"requests: {sampling_ratio: 0, per_category: {llm: {slow_threshold: 1001ms}}}":               "0",
		"requests: {sampling_ratio: 0, slow_threshold: 1ms}":                                         "0",
	} {
		reader := fileAfter(t, newFile(t), text, chatSpan(nil))
		require.Equal(t, []string{want}, column(t, reader, "SELECT count(*) FROM requests"), text)
		require.Equal(t, []string{"1"}, column(t, reader, "SELECT spans FROM ledger WHERE reason = 'folded'"), text)
	}
}

// TestConfiguredWindowsFollowTheConfiguration: one that is no longer in it
// leaves the file at the next start; what was imported stays.
func TestConfiguredWindowsFollowTheConfiguration(t *testing.T) {
	const latency = "{fault: latency, start: 2026-01-30T10:00:00Z, end: 2026-01-30T10:01:00Z, target: search, run: load-1, experiment_id: e}"
	const kill = `{fault: kill, start: "@1769767200", end: "@1769767200"}`
	const asRow = "SELECT group_concat(source || ' ' || fault || ' ' || target || ' ' || run_id || ' ' || experiment_id || ' ' || (end_ns - start_ns), '; ' ORDER BY source, fault) FROM fault_window"
	path := newFile(t)
	for _, c := range []struct{ windows, want string }{
		{"[" + latency + ", " + kill + "]", "config kill    0; config latency search load-1 e 60000000000"},
		{"[" + latency + ", " + latency + "]", "config latency search load-1 e 60000000000"},
		{"[" + kill + "]", "config kill    0"},
		{"[]", "import seen    5"},
		{"[" + kill + "]", "config kill    0; import seen    5"},
		{"", "import seen    5"},
	} {
		reader := fileAfter(t, path, "faults: {windows: "+c.windows+"}")
		if c.windows == "[]" {
			require.Equal(t, []string{"0"}, column(t, reader, "SELECT count(*) FROM fault_window"))
			added, err := storage.ImportFaultWindows(t.Context(), path, []aggregator.FaultWindow{{Fault: "seen", StartUnixNano: 5, EndUnixNano: 10}})
			require.NoError(t, err)
			require.Equal(t, 1, added)
		}
		require.Equal(t, []string{c.want}, column(t, reader, asRow), c.windows)
	}
}

func TestFaultGapAndPinAreHandedToTheFile(t *testing.T) {
	reader := fileAfter(t, newFile(t), "{faults: {gap: 1500ms}, run: {id: r, pinned: true}}", chatSpan(nil))
	require.Equal(t, []string{"1500000000"}, column(t, reader, "SELECT value FROM meta WHERE key = 'fault_gap_ns'"))
	require.Equal(t, []string{"1"}, column(t, reader, "SELECT pinned FROM runs WHERE run_id = 'r'"))
}
