package spanbucketexporter

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
	"github.com/spanbucket/spanbucketexporter/spans"
)

// TestPricesAreExact: no price goes through a rounded binary fraction.
func TestPricesAreExact(t *testing.T) {
	for written, want := range map[string]int64{
		"0": 0, "0.0": 0, "1": 1_000_000, "2.50": 2_500_000, "0.075": 75_000, "0.15": 150_000, "0.1": 100_000, "0.3": 300_000,
		"1.1": 1_100_000, "0.000001": 1, "1e-6": 1, "0.07": 70_000, "0.29": 290_000, "2.675": 2_675_000, "1_000": 1_000_000_000,
		"1e3": 1_000_000_000, "1000000": 1e12, "1000000.000000": 1e12, "999999.999999": 999_999_999_999, "123456.789012": 123_456_789_012,
		`"2.50"`: 2_500_000, `"0.075"`: 75_000, `"00.10"`: 100_000, "-0.0": 0,
	} {
		config, err := configFromYAML(t, "prices: [{model: m, input: "+written+"}]")
		require.NoError(t, err, written)
		require.Equal(t, want, config.readerOptions().Prices[0].Input, written)
	}
	// Numbers of cents, and as many with six decimals, as YAML gives them.
	for i := range int64(5_000) {
		for unit, format := range map[int64]string{10_000: "%d.%02d", 1: "%d.%06d"} {
			micro := i * unit
			if unit == 1 {
				micro = i * 199_999_991 % 1_000_000_000_000
			}
			text := fmt.Sprintf(format, micro/1_000_000, micro%1_000_000/unit)
			var number float64
			_, err := fmt.Sscan(text, &number)
			require.NoError(t, err)
			p := PriceConfig{}
			require.NoError(t, confmap.NewFromStringMap(map[string]any{"model": "m", "input": number}).Unmarshal(&p))
			require.Equal(t, micro, int64(*p.Input), text)
		}
	}
}

func TestPricesThatAreNotGiven(t *testing.T) {
	config, err := configFromYAML(t, `
prices:
  - {model: all, input: 2.50, output: 10, cache_read: 1.25, cache_write: 0}
  - {model: "gpt-4o*", input: 2.50, output: 10}
  - {model: "embed-?", input: 0.02}
  - {model: out, output: 3}
  - {model: free, input: 0}
`)
	require.NoError(t, err)
	require.Equal(t, []spans.Price{
		{Model: "all", Input: 2_500_000, Output: 10_000_000, CacheRead: 1_250_000},
		{Model: "gpt-4o*", Input: 2_500_000, Output: 10_000_000, CacheRead: 2_500_000, CacheWrite: 2_500_000},
		{Model: "embed-?", Input: 20_000, CacheRead: 20_000, CacheWrite: 20_000},
		{Model: "out", Output: 3_000_000},
		{Model: "free"},
	}, config.readerOptions().Prices, "in order: the first match wins")
}

func TestTimesOfFaultWindows(t *testing.T) {
	const noon = 1769774400
	for written, want := range map[string]int64{
		"2026-01-30T12:00:00Z":               noon * 1e9, // YAML makes a time of it
		`"2026-01-30T12:00:00Z"`:             noon * 1e9,
		`"2026-01-30t12:00:00z"`:             noon * 1e9,
		"2026-01-30T13:00:00+01:00":          noon * 1e9,
		"2026-01-30 12:00:00":                noon * 1e9,
		`"@1769774400"`:                      noon * 1e9,
		"2026-01-30T12:00:00.123456789Z":     noon*1e9 + 123_456_789,
		`"2026-01-30T12:00:00.123456789Z"`:   noon*1e9 + 123_456_789,
		"2261-12-31T23:59:59.999999999Z":     9214646399999999999,
		"1970-01-01T00:00:00.000000001Z":     1,
		`"2026-01-30T12:00:00.5-00:00"`:      noon*1e9 + 5e8,
		"!!str 2026-01-30T12:00:00Z":         noon * 1e9,
		"!!timestamp '2026-01-30T12:00:00Z'": noon * 1e9,
	} {
		config, err := configFromYAML(t, "faults: {windows: [{fault: x, start: "+written+", end: 2261-12-31T23:59:59.999999999Z}]}")
		require.NoError(t, err, written)
		require.Equal(t, want, config.storageOptions().FaultWindows[0].StartUnixNano, written)
	}
}

func TestBlocksAreHandedOn(t *testing.T) {
	config, err := configFromYAML(t, `
requests:
  {sampling_ratio: 0.05, slow_threshold: 2s, per_category: {llm: {slow_threshold: 45s}, client: {slow_threshold: 1500ms}},
  max_for_cause: 7, retention: 36h, max_rows: 5000}
fields: {model: [my.attr, gen_ai.response.model], tool: [my.tool]}
faults:
  gap: 90s
  windows:
    - {fault: latency, start: 2026-01-30T12:00:00Z, end: "@1769774460", target: search, run: load-1, experiment_id: exp-7}
    - {fault: kill, start: "@1769774400", end: "@1769774400"}
run: {id: r1, pinned: true}
dedup: {window: 2h, max_spans: 5000, secret: of the fleet and long}
dead_letters: {max_attempts: 7, max_rows: 8}
`)
	require.NoError(t, err)
	reader, file := config.readerOptions(), config.storageOptions()
	require.Equal(t, map[string][]string{"model": {"my.attr", "gen_ai.response.model"}, "tool": {"my.tool"}}, reader.Fields)
	policy := sampling.Policy{RatioMicro: 50_000, MaxForCause: 7}
	for c := range policy.SlowNanos {
		policy.SlowNanos[c] = 2e9
	}
	policy.SlowNanos[aggregator.CategoryLLM], policy.SlowNanos[aggregator.CategoryClient] = 45e9, 15e8
	policy.SlowNanos[aggregator.CategoryAgent], policy.SlowNanos[aggregator.CategoryTool] = 120e9, 10e9
	require.Equal(t, &policy, file.Sampling, "what is said of some categories leaves the others as they are")
	require.Equal(t, 36*time.Hour, file.RequestRetention)
	require.EqualValues(t, 5000, file.RequestMaxRows)
	require.True(t, file.RunPinned)
	require.Equal(t, 2*time.Hour, file.DedupWindow)
	require.Equal(t, 5000, file.DedupMaxSpans)
	require.Equal(t, "of the fleet and long", file.DedupSecret)
	require.Equal(t, 8, file.MaxLetters)
	require.Equal(t, 90*time.Second, file.FaultGap)
	const noon = 1769774400e9
	require.Equal(t, []aggregator.FaultWindow{
		{Run: "load-1", Fault: "latency", Target: "search", ExperimentID: "exp-7", StartUnixNano: noon, EndUnixNano: noon + 60e9},
		{Fault: "kill", StartUnixNano: noon, EndUnixNano: noon},
	}, file.FaultWindows)
}

// TestBlocksMentionedInPart stay as they are by default, but for what is
// mentioned.
func TestBlocksMentionedInPart(t *testing.T) {
	for text, change := range map[string]func(*Config){
		"requests:":                                           nil,
		"requests: {}":                                        nil,
		"requests: {per_category: }":                          nil,
		"requests: {per_category: {}}":                        nil,
		"requests: {retention: forever}":                      func(c *Config) { c.Requests.Retention = 0 },
		"requests: {max_rows: 0}":                             func(c *Config) { c.Requests.MaxRows = 0 },
		"requests: {max_for_cause: 0}":                        func(c *Config) { c.Requests.MaxForCause = 0 },
		"requests: {sampling_ratio: 1.0}":                     nil,
		"requests: {per_category: {llm: }}":                   nil,
		"requests: {per_category: {llm: {}}}":                 nil,
		"requests: {per_category: {llm: {slow_threshold: }}}": nil,
		"requests: {slow_threshold: 3s, per_category: {server: {}}}": func(c *Config) {
			c.Requests.SlowThreshold = 3 * time.Second
			c.Requests.PerCategory["server"] = CategoryRequestsConfig{SlowThreshold: 3 * time.Second}
		},
		"requests: {per_category: {llm: {slow_threshold: 1m}}}": func(c *Config) {
			c.Requests.PerCategory["llm"] = CategoryRequestsConfig{SlowThreshold: time.Minute}
		},
		"fields:":                         nil,
		"prices:":                         nil,
		"faults:":                         nil,
		"faults: {}":                      nil,
		"faults: {windows: }":             nil,
		"faults: {gap: }":                 nil,
		"run:":                            nil,
		"dedup:":                          nil,
		"dedup: {}":                       nil,
		"dedup: {max_spans: }":            nil,
		"dead_letters: {}":                nil,
		"dedup: {window: 0s}":             func(c *Config) { c.Dedup.Window = 0 },
		"dedup: {window: 1m}":             func(c *Config) { c.Dedup.Window = time.Minute },
		"dedup: {max_spans: 0}":           func(c *Config) { c.Dedup.MaxSpans = 0 },
		"dedup: {max_spans: 1000}":        func(c *Config) { c.Dedup.MaxSpans = 1000 },
		"dead_letters: {max_attempts: 5}": func(c *Config) { c.DeadLetters.MaxAttempts = 5 },
		"run: {}":                         nil,
		"faults: {gap: 0s}":               func(c *Config) { c.Faults.Gap = 0 },
		"faults: {gap: 1h}":               func(c *Config) { c.Faults.Gap = time.Hour },
		"run: {id: r}":                    func(c *Config) { c.Run.ID = "r" },
		"run: {pinned: false}":            nil,
		`faults: {windows: [{fault: x, start: "@1", end: "@1"}]}`: func(c *Config) {
			c.Faults.Windows = []FaultWindowConfig{{Fault: "x", Start: 1e9, End: 1e9}}
		},
	} {
		t.Run(text, func(t *testing.T) {
			want := createDefaultConfig().(*Config)
			if change != nil {
				change(want)
			}
			config, err := configFromYAML(t, text)
			require.NoError(t, err)
			require.Equal(t, want, config)
		})
	}
	defaults := createDefaultConfig().(*Config).storageOptions()
	require.True(t, defaults.Sampling.KeepsAll())
	require.Equal(t, 72*time.Hour, defaults.RequestRetention)
	require.EqualValues(t, 1_000_000, defaults.RequestMaxRows)
	require.False(t, defaults.RunPinned)
	require.Empty(t, defaults.FaultWindows)
	require.Equal(t, 5*time.Second, defaults.FaultGap)
}

// TestMostOfEach holds the bounds of lists on both of their sides.
func TestMostOfEach(t *testing.T) {
	list := func(n int, element string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(element+", ", n), ", ") + "]"
	}
	for _, c := range []struct {
		text, element, message string
		most                   int
	}{
		{"prices: %s", "{model: m, input: 1}", "prices: 1001 prices: must be at most 1000", 1000},
		{"faults: {windows: %s}", `{fault: x, start: "@1", end: "@2"}`, "faults::windows: 10001 windows: must be at most 10000", 10_000},
	} {
		_, err := configFromYAML(t, fmt.Sprintf(c.text, list(c.most, c.element)))
		require.NoError(t, err)
		_, err = configFromYAML(t, fmt.Sprintf(c.text, list(c.most+1, c.element)))
		require.ErrorContains(t, err, c.message)
	}
	_, err := configFromYAML(t, "fields: {model: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]}")
	require.NoError(t, err)
	for _, text := range []string{"fields: {model: [%q]}", "prices: [{model: %q, input: 1}]", `faults: {windows: [{fault: %q, start: "@1", end: "@2"}]}`} {
		_, err = configFromYAML(t, fmt.Sprintf(text, strings.Repeat("x", aggregator.MaxValueBytes)))
		require.NoError(t, err)
		_, err = configFromYAML(t, fmt.Sprintf(text, strings.Repeat("x", aggregator.MaxValueBytes+1)))
		require.ErrorContains(t, err, "must be valid UTF-8 without NUL, at most 256 bytes")
	}
}

// TestBlocksSurviveMarshalling: the collector can print its configuration.
func TestBlocksSurviveMarshalling(t *testing.T) {
	config, err := configFromYAML(t, `
prices: [{model: "m*", input: 0.075, cache_read: 0}]
faults: {windows: [{fault: x, start: 2026-01-30T12:00:00.5Z, end: "@1769774460"}]}
dedup: {secret: of the fleet and long}
`)
	require.NoError(t, err)
	conf := confmap.New()
	require.NoError(t, conf.Marshal(config))
	require.Equal(t, "[REDACTED]", conf.Get("dedup::secret"))
	conf.Delete("dedup::secret")
	again, err := configFrom(confmap.NewFromStringMap(conf.ToStringMap()))
	require.NoError(t, err)
	require.Equal(t, config.Prices, again.Prices)
	require.Equal(t, config.Faults, again.Faults)
}
