package spanbucketexporter

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/exporter/exporterhelper"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.yaml.in/yaml/v3"

	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
	"github.com/spanbucket/spanbucketexporter/internal/spantest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// pagesNow stands for the present in the queries of the pages.
var pagesNow = time.Date(2026, 1, 30, 11, 0, 0, 0, time.UTC)

// trafficFile returns a file with an hour of traffic up to pagesNow.
func trafficFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	config := testConfig(path)
	config.Faults.Windows = []FaultWindowConfig{{
		Fault: "latency", Start: Instant(pagesNow.Add(-30 * time.Minute).UnixNano()), End: Instant(pagesNow.Add(-20 * time.Minute).UnixNano()),
	}}
	limit := 2 * time.Second
	config.SLOs = []SLOConfig{{Name: "chat", Category: "llm", Latency: &limit, Objective: 990_000_000}}
	e := startExporter(t, config)
	g := spantest.New(1, spantest.Dense)
	const batches = 30
	step := time.Hour / batches
	for i := range batches {
		require.NoError(t, e.ConsumeTraces(t.Context(), g.Batch(300, pagesNow.Add(-time.Hour+time.Duration(i)*step), step)))
	}
	require.NoError(t, e.ConsumeTraces(t.Context(), traces(fewSpans())))
	sendGoldens(t, e) // sessions, tools, faults, costs
	stopExporter(t, e)
	return path
}

// fewSpans are the cases in which a rank or a clamp is easily wrong: models
// with few calls, with all calls in one bin, and with a round number of calls.
func fewSpans() []sentSpan {
	const second = int64(time.Second)
	var spans []sentSpan
	add := func(model string, durations ...int64) {
		for i, d := range durations {
			// Over the hour, so that each has a bucket of its own.
			start := pagesNow.UnixNano() - 3599*second + int64(i)*second*3598/int64(len(durations))
			spans = append(spans, sentSpan{
				traceID: [16]byte{1, byte(len(spans) >> 8), byte(len(spans))}, spanID: [8]byte{2, byte(len(spans) >> 8), byte(len(spans))},
				start: start, end: start + d, service: "few", operation: "chat", model: model,
			})
		}
	}
	ramp := func(n int, step int64) (durations []int64) {
		for i := range n {
			durations = append(durations, int64(i+1)*step)
		}
		return durations
	}
	add("n=1", 1_500_000_007)
	add("n=2", 1_500_000_007, 3_000_000_019)
	add("n=99", ramp(99, 1_000_003)...)
	add("n=100", ramp(100, 1_000_003)...)
	add("n=101", ramp(101, 1_000_003)...)
	add("n=200", ramp(200, 1_000_003)...)
	add("nanoseconds", ramp(120, 1)...)
	// A bin of 2^21 ns holds them all; its middle lies above the maximum.
	add("one bin, middle above", slices.Repeat([]int64{268_435_456, 268_435_457, 268_435_458}, 50)...)
	add("one bin, middle below", slices.Repeat([]int64{270_532_605, 270_532_606, 270_532_607}, 50)...)
	add("zero", slices.Repeat([]int64{0}, 150)...)
	return spans
}

// runnable replaces what a query takes from the moment, or from Grafana.
func runnable(text string) string {
	return strings.NewReplacer(
		"'now'", "'"+pagesNow.Format(time.DateTime)+"'",
		"$__from", fmt.Sprint(pagesNow.Add(-time.Hour).UnixMilli()),
		"$__to", fmt.Sprint(pagesNow.UnixMilli()),
	).Replace(text)
}

// TestQueriesOfThePages runs every query of the README and of docs in the
// sqlite3 shell and through our driver, against a file that the exporter
// wrote, and compares the rows.
func TestQueriesOfThePages(t *testing.T) {
	path := trafficFile(t)
	reader := openReader(t, path)
	pages, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	queries := 0
	for _, file := range append(pages, "README.md") {
		for _, text := range readPage(t, file).fences("sql") {
			queries++
			t.Run(fmt.Sprintf("%s %d", file, queries), func(t *testing.T) {
				text = runnable(text)
				ours, theirs := query(t, reader, text), shell(t, path, text)
				require.NotEmpty(t, ours, text)
				require.Len(t, theirs, len(ours))
				for i := range ours {
					require.Len(t, theirs[i], len(ours[i]))
					for column, value := range ours[i] {
						requireSameValue(t, column, value, theirs[i][column])
					}
				}
			})
		}
	}
	require.GreaterOrEqual(t, queries, 12)
}

// TestPercentileOfTheReadme compares the README's p99 query with package
// histogram, exactly, and with the nearest rank among the durations sent.
func TestPercentileOfTheReadme(t *testing.T) {
	var text string
	for _, candidate := range readPage(t, "README.md").fences("sql") {
		if strings.Contains(candidate, "p99_ms") {
			require.Empty(t, text, "one query computes p99")
			text = candidate
		}
	}
	require.LessOrEqual(t, strings.Count(text, "\n"), 10, "lines")
	path := trafficFile(t)
	reader := openReader(t, path)
	merged := map[string]*histogram.Histogram{}
	for _, r := range query(t, reader, `SELECT model, histogram, h.count, h.min_ns, h.max_ns, sum_latency_ns
		FROM histograms AS h JOIN latency USING (width_s, bucket_start, series_id)
		WHERE measure = 'duration' AND category = 'llm' AND width_s = 300 AND bucket_start >= ?`, pagesNow.Add(-time.Hour).Unix()) {
		h, err := histogram.Parse(r["histogram"].(string), histogram.Stats{
			Count: r["count"].(int64), Min: r["min_ns"].(int64), Max: r["max_ns"].(int64), Sum: r["sum_latency_ns"].(int64),
		})
		require.NoError(t, err)
		model := r["model"].(string)
		if merged[model] == nil {
			merged[model] = &histogram.Histogram{}
		}
		require.NoError(t, merged[model].Merge(&h))
	}
	sent := map[string][]*sentSpan{}
	few := fewSpans()
	for i := range few {
		sent[few[i].model] = append(sent[few[i].model], &few[i])
	}
	rows := query(t, reader, runnable(text))
	require.Len(t, rows, len(merged))
	for _, r := range rows {
		model := r["model"].(string)
		want, ok := merged[model].Percentile(histogram.P99)
		require.True(t, ok)
		require.Equal(t, merged[model].Count(), r["total"], model)
		require.Equal(t, float64(want)/1e6, r["p99_ms"], model)
		if spans := sent[model]; spans != nil {
			f := measure(spans, (*sentSpan).duration)
			require.InDelta(t, f.nearestRank(99), want, float64(f.nearestRank(99))/128, model)
			if len(f.sorted) < 100 {
				require.Equal(t, f.sorted[len(f.sorted)-1], want, "%s: rank n is the maximum", model)
			}
		}
		delete(sent, model)
	}
	require.Empty(t, sent, "every model has its row")
	// The same for every percentile, the first rank included.
	for _, percent := range []uint32{1, 50, 90, 95, 100} {
		other := strings.Replace(text, "(99 *", fmt.Sprintf("(%d *", percent), 1)
		for _, r := range query(t, reader, runnable(other)) {
			want, _ := merged[r["model"].(string)].Percentile(histogram.Ratio{Num: percent, Den: 100})
			require.Equal(t, float64(want)/1e6, r["p99_ms"], "p%d of %s", percent, r["model"])
		}
	}
}

// TestConfigurationsOfThePages loads every configuration that the pages show,
// as the collector does, and checks that nothing in front of the exporter
// answers for it.
func TestConfigurationsOfThePages(t *testing.T) {
	exporters, pipelines := 0, 0
	pages, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	for _, file := range append(pages, "README.md") {
		for _, text := range readPage(t, file).fences("yaml") {
			var whole struct {
				Exporters map[string]map[string]any
				Service   struct {
					Pipelines map[string]struct{ Processors, Exporters []string }
				}
			}
			require.NoError(t, yaml.Unmarshal([]byte(text), &whole), text)
			for id, values := range whole.Exporters {
				if !isOf(t, id, "spanbucket") {
					continue
				}
				exporters++
				config, err := configFrom(confmap.NewFromStringMap(values))
				require.NoError(t, err, text)
				require.False(t, config.Queue.HasValue(), "%s has a queue", id)
			}
			for name, pipeline := range whole.Service.Pipelines {
				if !slices.ContainsFunc(pipeline.Exporters, func(id string) bool { return isOf(t, id, "spanbucket") }) {
					continue
				}
				pipelines++
				for _, id := range pipeline.Processors {
					require.False(t, isOf(t, id, "batch"), "%s batches in front of the exporter", name)
				}
			}
		}
	}
	require.Positive(t, exporters)
	require.Positive(t, pipelines)
}

func isOf(t *testing.T, id, kind string) bool {
	t.Helper()
	var parsed component.ID
	require.NoError(t, parsed.UnmarshalText([]byte(id)))
	return parsed.Type().String() == kind
}

// TestConfigurationTable compares the README's table with the configuration:
// every key is there, and every default is the one that it names.
func TestConfigurationTable(t *testing.T) {
	var written []string
	for _, r := range readPage(t, "README.md").under(t, "Configuration", "key").rows {
		require.Len(t, r, 3, r)
		key := codeSpans(r[0])[0]
		written = append(written, key)
		if r[1] == "" {
			continue
		}
		stated := codeSpans(r[1])
		require.Len(t, stated, 1, r)
		t.Run(key, func(t *testing.T) {
			without, err := configFromYAML(t, settingOf(key, ""))
			require.NoError(t, err)
			with, err := configFromYAML(t, settingOf(key, stated[0]))
			require.NoError(t, err)
			dropEmpty(with)
			require.Equal(t, without, with, "the default is not %s", stated[0])
			// A key that did not exist would be refused.
			_, err = configFromYAML(t, settingOf(key+"x", stated[0]))
			require.Error(t, err)
		})
	}
	require.ElementsMatch(t, configKeys(reflect.TypeFor[Config](), ""), written)
}

// dropEmpty makes lists and maps without elements nil: there are none, whether
// that is written or not.
func dropEmpty(c *Config) {
	if len(c.Dimensions)+len(c.Outcomes)+len(c.Fields)+len(c.Prices)+len(c.SLOs)+len(c.Faults.Windows) == 0 {
		c.Dimensions, c.Outcomes, c.Fields, c.Prices, c.SLOs, c.Faults.Windows = nil, nil, nil, nil, nil, nil
	}
}

// settingOf writes a configuration that sets one key, given as in the table,
// or leaves it out where value is empty.
func settingOf(key, value string) string {
	nest := func(key, value string) string {
		if outer, inner, nested := strings.Cut(key, "."); nested {
			return fmt.Sprintf("%s: {%s: %s}", outer, inner, value)
		}
		return key + ": " + value
	}
	list, inner, ofElement := strings.Cut(key, "[].")
	switch {
	case ofElement:
		// What an element must have.
		must := map[string]string{
			"buckets": "width: 1s", "dimensions": "name: an.attribute", "prices": "model: m, input: 1", "slos": "name: chat, category: llm, objective: 0.99",
			"faults.windows": `fault: f, start: "@1", end: "@2"`,
		}[list]
		if value != "" {
			must += ", " + inner + ": " + value
		}
		return nest(list, "[{"+must+"}]")
	case value == "":
		return ""
	}
	return nest(key, value)
}

// configKeys lists the keys of a configuration as the table names them; what
// belongs to the collector is one key.
func configKeys(of reflect.Type, prefix string) (keys []string) {
	for i := range of.NumField() {
		field := of.Field(i)
		tag := field.Tag.Get("mapstructure")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case tag == "":
		case options == "squash":
			keys = append(keys, configKeys(field.Type, prefix)...)
		case field.Type == reflect.TypeFor[configretry.BackOffConfig](),
			field.Type == reflect.TypeFor[configoptional.Optional[exporterhelper.QueueBatchConfig]]():
			keys = append(keys, prefix+name)
		case field.Type.Kind() == reflect.Struct:
			keys = append(keys, configKeys(field.Type, prefix+name+".")...)
		case field.Type.Kind() == reflect.Slice && field.Type.Elem().Kind() == reflect.Struct:
			keys = append(keys, prefix+name)
			keys = append(keys, configKeys(field.Type.Elem(), prefix+name+"[].")...)
		default:
			keys = append(keys, prefix+name)
		}
	}
	return keys
}

// TestRelationsOfTheReadme checks that the relations the README lists are in
// the file, and that they are all that people are meant to read.
func TestRelationsOfTheReadme(t *testing.T) {
	reader := openReader(t, trafficFile(t))
	want := column(t, reader, `SELECT name FROM sqlite_schema WHERE type = 'view' OR name IN ('ledger', 'notes', 'meta')`)
	require.ElementsMatch(t, want, readPage(t, "README.md").under(t, "The file", "relation").firstCodes())
}

// TestManifestOfTheReadme holds the versions of the README's builder manifest
// to those that this checkout is built with.
func TestManifestOfTheReadme(t *testing.T) {
	var manifest, command string
	for _, block := range readPage(t, "README.md").fences("sh") {
		if _, rest, found := strings.Cut(block, "cat > builder.yaml <<'EOF'\n"); found {
			manifest, command, found = strings.Cut(rest, "\nEOF\n")
			require.True(t, found)
		}
	}
	require.NotEmpty(t, manifest)
	required, _ := readModule(t, "cmd/otelcol-spanbucket")
	parts := regexp.MustCompile(`gomod: (\S+) (\S+)`).FindAllStringSubmatch(manifest, -1)
	require.GreaterOrEqual(t, len(parts), 6)
	for _, part := range parts {
		assert.Equal(t, required[part[1]], part[2], part[1])
	}
	tools, _ := readModule(t, "tools")
	const builder = "go.opentelemetry.io/collector/cmd/builder"
	assert.Contains(t, command, builder+"@"+tools[builder]+" --config builder.yaml")
	var parsed map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(manifest), &parsed))
	assert.Contains(t, readPage(t, "README.md").text, fmt.Sprintf("schema version %d", storage.SchemaVersion), "what becomes of older files")
}

// TestCommandsOfThePages checks that what the pages tell people to type is
// there: targets of make, and verbs of the command line.
func TestCommandsOfThePages(t *testing.T) {
	makefile, err := os.ReadFile("Makefile")
	require.NoError(t, err)
	targets := 0
	for _, file := range []string{"README.md", "CONTRIBUTING.md"} {
		for _, found := range regexp.MustCompile("(?m)(?:^|`)make ([a-z-]+)").FindAllStringSubmatch(readPage(t, file).text, -1) {
			targets++
			assert.Regexp(t, `(?m)^`+found[1]+`:`, string(makefile), "%s: make %s", file, found[1])
		}
	}
	require.GreaterOrEqual(t, targets, 3)

	program := filepath.Join(t.TempDir(), "spanbucket")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/spanbucket")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // also under the race detector
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	path := trafficFile(t)
	e := startExporter(t, testConfig(path))
	sendRefused(t, e, path)
	stopExporter(t, e)
	// What verbs that write files need besides.
	recorded := filepath.Join(t.TempDir(), "recorded.jsonl")
	require.NoError(t, os.WriteFile(recorded, recordLines(t, []ptrace.Traces{traces(fewSpans())}), 0o600))
	more := map[string][]string{
		"snapshot": {"--force", "-o", filepath.Join(t.TempDir(), "copy.db")},
		"merge":    {"--force", "-o", filepath.Join(t.TempDir(), "all.db")},
		"import":   {recorded},
		"query":    {"SELECT * FROM ledger"},
		"compare":  {"--baseline", "", "--candidate", ""},
		"check":    {"--p99", "86400000"},
		"window":   {"--from", "+0s"},
	}
	for _, verb := range readPage(t, "README.md").under(t, "Command line", "verb").firstCodes() {
		if verb == "serve" || verb == "mcp" || verb == "stress" {
			continue // they end when they are told to; stress needs a collector
		}
		for _, format := range []string{"text", "json", "csv"} {
			if strings.HasPrefix(verb, "export") && format == "text" || verb == "report" && format == "csv" {
				continue // they have formats of their own
			}
			args := append(strings.Fields(verb), "--db", path, "--format", format)
			if verb == "merge" { // takes several files
				args = slices.DeleteFunc(args, func(arg string) bool { return arg == "--db" })
			}
			out, err := exec.CommandContext(t.Context(), program, append(args, more[verb]...)...).Output()
			assert.NoError(t, err, "%s as %s: %s", verb, format, out)
			assert.NotEmpty(t, out, "%s as %s", verb, format)
			if format == "json" {
				assert.True(t, json.Valid(out), "%s: %s", verb, out)
			}
		}
	}
}
