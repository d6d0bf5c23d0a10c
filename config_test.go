package spanbucketexporter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.yaml.in/yaml/v3"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// configFrom reads a configuration as the collector does: decoding, then
// validation.
func configFrom(conf *confmap.Conf) (*Config, error) {
	config := NewFactory().CreateDefaultConfig().(*Config)
	if err := conf.Unmarshal(config); err != nil {
		return nil, err
	}
	return config, confmap.Validate(config)
}

func configFromYAML(t testing.TB, text string) (*Config, error) {
	t.Helper()
	var values map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(text), &values))
	return configFrom(confmap.NewFromStringMap(values))
}

func TestInvalidConfigurations(t *testing.T) {
	// What the message must say: the key, the value and the rule.
	want := map[string][]string{
		"unknown key":                      {"pth"},
		"unknown key in a bucket":          {"retain"},
		"empty path":                       {`path: "": must not be empty`},
		"path in memory":                   {`path: ":memory:": must name a file`},
		"file mode for the world":          {"file_mode: 0644: must let the owner read and write"},
		"file mode without write":          {"file_mode: 0400: must let the owner read and write"},
		"file mode that is none":           {`file_mode: "rw-------": must be octal digits`},
		"no buckets":                       {"buckets: 0 widths: must be from 1 to 8"},
		"width below a second":             {"buckets::0::width: 500ms: must be whole seconds"},
		"width of a fraction":              {"buckets::0::width: 1.5s: must be whole seconds"},
		"width that does not divide":       {"buckets::1::width: 1m0s: must be a multiple of the width before it, 7s"},
		"widths in the wrong order":        {"buckets::1::width: 10s: must be a multiple of the width before it, 1m0s, and larger"},
		"the same width twice":             {"buckets::1::width: 10s: must be a multiple of the width before it, 10s, and larger"},
		"retention shorter than the width": {"buckets::0::retention: 5m0s: must not be shorter than the width, 1h0m0s"},
		"retention of zero":                {`retention: "0s": must be a positive duration such as 72h, or forever`},
		"misspelt retention":               {`retention: "eternal": must be a positive duration`},
		"misspelt detail":                  {`detail: "seris": must be series or headline`},
		"misspelt synchronous":             {`synchronous: "ful": must be full or normal`},
		"settle after negative":            {"settle_after: -1s: must be whole seconds, from 0s to 24h0m0s"},
		"settle after without a unit":      {"settle_after: 90: must be a duration such as 60s"},
		"retention without a unit":         {"retention: 0: must be a positive duration"},
		"max series zero":                  {"max_series: 0: must be from 1 to 1000000"},
		"dimension without a name":         {`dimensions::0::name: "": must name an attribute`},
		"dimension twice":                  {`dimensions::1::name: "user.tier": is dimension 0 already`},
		"max values zero":                  {"dimensions::0::max_values: 0: must be from 1 to 100000"},
		"misspelt outcome":                 {`outcomes: "ratelimited": must be one of the outcomes`},
		"run name without id":              {`run::name: "nightly": needs run::id`},
		"negative timeout":                 {"timeout", "non-negative"},
		"several at once": {
			`path: "":`, "max_series: -5:", "buckets::1::width: 1m0s:", "dimensions::0::max_values: -1:",
		},
		"misspelt and out of range at once": {
			"max_size", `"nonsense"`, "max_series: -5:", "requests::slow_threshold: 5: must be a duration", "requests::sampling_ratio: 1.5: must be from 0 to 1",
			`requests::per_category: "nonsense": must be one`, "requests::max_rows: -1: must be", `retention: "0s": must be a positive duration`,
		},
		"several misspelt at once": {`synchronous: "ful"`, `file_mode: "9"`, `outcomes: "b"`},

		"unknown key in requests":               {"requests", "max_row"},
		"unknown key in a category of requests": {"per_category", "sampling_ratio"},
		"requests out of range": {
			"requests::sampling_ratio: 1.1: must be from 0 to 1, with at most 6 decimals", "requests::slow_threshold: 0s: must be from 1ms to 24h0m0s",
			"requests::max_for_cause: 100001: must be from 0 to 100000", "requests::max_rows: -1: must be from 0, which is no bound, to 1000000000000",
			"requests::retention: 59s: must not be shorter than 1m0s", "requests::per_category::llm::slow_threshold: 25h0m0s: must be from 1ms",
			`requests::per_category: "chat": must be one of the categories, such as llm`,
		},
		"requests below range":                     {`retention: "0s": must be a positive duration such as 72h, or forever`},
		"share of requests with too many decimals": {"requests::sampling_ratio: 1e-07: must be from 0 to 1, with at most 6 decimals"},
		"share of requests that is none":           {"requests::sampling_ratio: NaN: must be"},
		"requests without a unit": {
			"requests::slow_threshold: 5: must be a duration such as 1s",
			"requests::per_category::llm::slow_threshold: 30: must be a duration such as 30s",
			`requests::per_category::tool::slow_threshold: "soon": must be a duration such as 30s`,
		},
		"retention of requests without a unit": {"requests::retention: 72: must be a positive duration such as 72h, or forever"},
		"field that is none":                   {`fields: "colour": must be one of agent, `, "model"},
		"field without attributes":             {"fields::model: 0 attributes: must be from 1 to 16"},
		"field that is none and has nothing":   {`fields: "colour": must be one of`, "fields::model: 0 attributes:"},
		"key that is none and has nothing":     {"pth"},
		"field of too many attributes":         {"fields::model: 17 attributes: must be from 1 to 16"},
		"field of attributes that are none": {
			`fields::model::1: "": must name an attribute`, `fields::model::2: "a.b": is attribute 0 already`,
		},
		"field of a map":        {"fields[model]"},
		"price without a model": {`prices::0::model: "": must name models`},
		"price of nothing":      {"prices::0::input: none: must be given where output is not"},
		"prices out of range": {
			"prices::0::input: -0.5: must be from 0 to 1000000", "prices::0::output: 1000000.000001: must be",
			"prices::1::cache_read: 2000000: must be", "prices::1::cache_write: -1: must be",
		},
		"prices with too many decimals": {
			`'input' "0.0000001": must be US dollars per million tokens, such as 0.075, with at most 6 decimals`, `"0.1234567": must be`,
		},
		"prices that are none":     {`'input' "NaN": must be`, `'output' "+Inf": must be`, `'cache_read' "2,50": must be`, `'cache_write' "--1": must be`},
		"unknown key in a price":   {"prices[0]", "reasoning"},
		"fault gap without a unit": {"gap: 5: must be a duration such as 5s", `'start' "noon"`},
		"fault gap negative":       {"faults::gap: -1s: must be from 0s to 1h0m0s"},
		"fault gap of a day":       {"faults::gap: 24h0m0s: must be from 0s to 1h0m0s"},
		"fault window without anything": {
			`faults::windows::0::fault: "": must name the fault`, "faults::windows::0::start: none: must be given",
			"faults::windows::0::end: none: must be given",
		},
		"fault window that ends before it starts": {
			"faults::windows::0::end: 2026-01-30T09:59:59Z: must not be before the start, 2026-01-30T10:00:00Z",
		},
		"times that are none":           {`'start' "1769767200": must be a time such as`, `'end' "noon"`, "windows[1]", `"@0"`, `"@99999999999"`},
		"times out of range":            {`"1969-12-31T23:59:59.5Z": must be a time such as`, `"2262-01-01T00:00:00Z": must be a time such as`},
		"unknown key in a fault window": {"windows[0]", "severity"},
		"numbers without a unit":        {"timeout: 5: must be a duration such as 5s", "dedup::window: 86400: must be a duration such as 24h", "colour"},
		"fractions": {
			"max_series: 1.9: must be a whole number", "dedup::max_spans: 1000.5: must be", "dead_letters::max_attempts: 2.7: must be",
			"dead_letters::max_rows: 10.1: must be", "requests::max_for_cause: 1.5: must be a whole number", "requests::max_rows: 2.5: must be",
		},
		"durations that are none": {`timeout: "soon": must be a duration such as 5s`, `dedup::window: "1 day": must be a duration such as 24h`},
		"deduplication out of range": {
			"dedup::window: 30s: must be whole seconds, from 1m0s to 8784h0m0s, or 0s; 0 of either key switches deduplication off",
			"dedup::max_spans: 10: must be from 1000 to 100000000, or 0", "dedup::secret: 5 bytes: must be from 16 to 1024 bytes",
		},
		"deduplication of ages":        {"dedup::window: 9000h0m0s: must be", "dedup::max_spans: 100000001: must be"},
		"window of half a second more": {"dedup::window: 1m0.5s: must be whole seconds"},
		"dead letters out of range":    {"dead_letters::max_attempts: 0: must be from 1 to 1000", "dead_letters::max_rows: -1: must be from 1 to 1000000"},
		"dead letters without end":     {"dead_letters::max_attempts: 1001: must be", "dead_letters::max_rows: 1000001: must be"},
		"unknown key in dedup":         {"dedup", "windows"},
		"pinned run without id":        {"run::pinned: true: needs run::id"},
		"objective without anything": {
			`slos::0::name: "": must name the objective`, `slos::0::category: "": must be one of the categories, such as llm`,
			"slos::0::objective: 0: must be more than 0 and less than 1, such as 0.99",
		},
		"objective twice":     {`slos::2::name: "chat": is objective 0 already`},
		"too many objectives": {"slos: 51 objectives: must be at most 50"},
		"objectives out of range": {
			"slos::0::objective: 1: must be more than 0", "slos::1::objective: 99.9: must be", "slos::2::objective: -0.5: must be",
			"slos::0::latency: 0s: must be more than 0s, up to 24h0m0s", "slos::1::latency: -2s: must be", "slos::2::latency: 25h0m0s: must be",
			`slos::3::category: "chat": must be one of the categories`, `slos::3::model: "aaaa`,
		},
		"objective with a latency without a unit": {"latency: 2: must be a duration such as 2s", `latency: "soon": must be`},
		"objectives that are none": {
			`'objective' "99%": must be a share such as 0.999, with at most 9 decimals`, `'objective' "0.9999999999": must be`, `'objective' "NaN"`,
		},
		"unknown key in an objective": {"slos[0]", "target"},
		"several of the blocks at once": {
			"requests::sampling_ratio: 2:", "fields::model: 0 attributes:", `prices::0::model: "":`, "prices::0::input: none:",
			"faults::gap: 2h0m0s:", "faults::windows::0::end: none:", "run::pinned: true:",
		},
	}
	cases, err := confmaptest.LoadConf("testdata/invalid.yaml")
	require.NoError(t, err)
	require.Len(t, cases.ToStringMap(), len(want), "cases in testdata/invalid.yaml")
	for name, texts := range want {
		t.Run(name, func(t *testing.T) {
			sub, err := cases.Sub(name)
			require.NoError(t, err)
			_, err = configFrom(sub)
			require.Error(t, err)
			for _, text := range texts {
				require.ErrorContains(t, err, text)
			}
		})
	}
}

func TestDefaultConfigurationIsValid(t *testing.T) {
	config, err := configFromYAML(t, "{}")
	require.NoError(t, err)
	require.Equal(t, NewFactory().CreateDefaultConfig(), config)
	require.NoError(t, componenttest.CheckConfigStruct(config))
	require.False(t, config.Queue.HasValue(), "no queue: the acknowledgement is the commit")
	require.False(t, config.Retry.Enabled, "no retry: the client is told")
}

func TestConfigurationIsReadAsWritten(t *testing.T) {
	config, err := configFromYAML(t, `
path: /var/lib/spans.db
file_mode: "0640"
buckets: [{width: 5s, retention: forever, detail: headline}, {width: 20s, retention: 36h}]
settle_after: 90s
dimensions: [{name: user.tier, default: unknown}, {name: region, max_values: 7}]
max_series: 200
outcomes: {QuotaError: rate_limited, "reqwest::Error": server_error}
run: {id: r1, name: nightly}
synchronous: normal
timeout: 9s
`)
	require.NoError(t, err)
	require.Equal(t, []BucketConfig{
		{Width: 5 * time.Second, Detail: Detail(storage.DetailHeadline)},
		{Width: 20 * time.Second, Retention: Retention(36 * time.Hour)},
	}, config.Buckets, "given buckets replace the default ones")
	require.Equal(t, []DimensionConfig{
		{Name: "user.tier", Default: "unknown", MaxValues: 100}, {Name: "region", MaxValues: 7},
	}, config.Dimensions)
	require.Equal(t, Outcomes{
		"QuotaError": Outcome(aggregator.OutcomeRateLimited), "reqwest::Error": Outcome(aggregator.OutcomeServerError),
	}, config.Outcomes)
	require.Equal(t, FileMode(0o640), config.FileMode)
	require.Equal(t, Synchronous(storage.SynchronousNormal), config.Synchronous)
	require.Equal(t, 9*time.Second, config.Timeout.Timeout)
	require.Equal(t, RunConfig{ID: "r1", Name: "nightly"}, config.Run)
}

// TestOptionalBlocks must not switch themselves on by being mentioned in part.
func TestOptionalBlocks(t *testing.T) {
	for text, want := range map[string]struct{ queue, retry bool }{
		`{}`:                               {},
		`sending_queue: {queue_size: 100}`: {},
		`sending_queue:`:                   {},
		`sending_queue: {enabled: false, queue_size: 100}`:                         {},
		`retry_on_failure: {max_interval: 10s}`:                                    {},
		`sending_queue: {enabled: true}`:                                           {queue: true, retry: true},
		`{sending_queue: {enabled: true}, retry_on_failure: {enabled: false}}`:     {queue: true},
		`retry_on_failure: {enabled: true}`:                                        {retry: true},
		`{sending_queue: {enabled: true}, retry_on_failure: {max_interval: 10s}}`:  {queue: true, retry: true},
		`{sending_queue: {enabled: false}, retry_on_failure: {max_interval: 10s}}`: {},
	} {
		t.Run(text, func(t *testing.T) {
			config, err := configFromYAML(t, text)
			require.NoError(t, err)
			require.Equal(t, want.queue, config.Queue.HasValue(), "queue")
			require.Equal(t, want.retry, config.Retry.Enabled, "retry")
			if want.queue && want.retry {
				require.Zero(t, config.Retry.MaxElapsedTime, "with a queue, retry has no end")
			}
		})
	}
}
