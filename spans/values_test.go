package spans_test

import (
	"math"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

const (
	invalidNumber = aggregator.NoteInvalidNumber
	invalidType   = aggregator.NoteInvalidAttributeType
)

// TestTokensCountOnLeaves: agents and workflows repeat the tokens of their
// children, an answer fetched again those of an earlier call.
func TestTokensCountOnLeaves(t *testing.T) {
	leaves := map[string]bool{"chat": true, "text_completion": true, "generate_content": true, "embeddings": true}
	for _, operation := range []string{
		"chat", "text_completion", "generate_content", "embeddings", "retrieval", "execute_tool", "create_agent",
		"invoke_agent", "invoke_workflow", "fetch_response", "rerank", "plan", "",
	} {
		got := observe(t, attributes{
			"gen_ai.operation.name": operation, "gen_ai.usage.input_tokens": int64(100), "gen_ai.usage.output_tokens": int64(20),
			"gen_ai.usage.cache_read.input_tokens": int64(60), "gen_ai.usage.cache_write.input_tokens": int64(30),
			"gen_ai.usage.reasoning.output_tokens": int64(10),
		})
		tokens := [5]int64{got.InputTokens, got.OutputTokens, got.CacheReadTokens, got.CacheWriteTokens, got.ReasoningTokens}
		want := [5]int64{}
		if leaves[operation] {
			want = [5]int64{100, 20, 60, 30, 10}
		}
		if got.Usage != leaves[operation] || tokens != want {
			t.Errorf("%q: usage %v, tokens %d; want %v, %d", operation, got.Usage, tokens, leaves[operation], want)
		}
	}
}

// TestUsage: a span counts as one with tokens if it gives input or output.
func TestUsage(t *testing.T) {
	const in, out = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
	tests := []struct {
		name          string
		attributes    attributes
		usage         bool
		input, output int64
		notes         aggregator.Note
	}{
		{"none", attributes{}, false, 0, 0, 0},
		{"input", attributes{in: int64(5)}, true, 5, 0, 0},
		{"output", attributes{out: int64(5)}, true, 0, 5, 0},
		{"zero is a number", attributes{in: int64(0), out: int64(0)}, true, 0, 0, 0},
		{"cached ones alone", attributes{"gen_ai.usage.cache_read.input_tokens": int64(5)}, false, 0, 0, 0},
		{"whole double", attributes{in: 5.0}, true, 5, 0, 0},
		{"minus zero", attributes{in: math.Copysign(0, -1)}, true, 0, 0, 0},
		{"digits", attributes{in: "5"}, true, 5, 0, 0},
		{"the most", attributes{in: int64(1 << 40)}, true, 1 << 40, 0, 0},
		{"the most as double", attributes{in: float64(1 << 40)}, true, 1 << 40, 0, 0},
		{"one more than the most", attributes{in: int64(1<<40 + 1)}, false, 0, 0, invalidNumber},
		{"greatest", attributes{in: int64(math.MaxInt64), out: int64(1)}, true, 0, 1, invalidNumber},
		{"negative", attributes{in: int64(-1), out: int64(1)}, true, 0, 1, invalidNumber},
		{"least", attributes{in: int64(math.MinInt64)}, false, 0, 0, invalidNumber},
		{"fraction", attributes{in: 1.5}, false, 0, 0, invalidNumber},
		{"tiny", attributes{in: math.SmallestNonzeroFloat64}, false, 0, 0, invalidNumber},
		{"NaN", attributes{in: math.NaN()}, false, 0, 0, invalidNumber},
		{"infinity", attributes{in: math.Inf(1)}, false, 0, 0, invalidNumber},
		{"minus infinity", attributes{in: math.Inf(-1)}, false, 0, 0, invalidNumber},
		{"2^63 as double", attributes{in: float64(1 << 63)}, false, 0, 0, invalidNumber},
		{"greatest double", attributes{in: math.MaxFloat64}, false, 0, 0, invalidNumber},
		{"words", attributes{in: "a few"}, false, 0, 0, invalidNumber},
		{"fraction in text", attributes{in: "1.5"}, false, 0, 0, invalidNumber},
		{"exponent in text", attributes{in: "1e3"}, false, 0, 0, invalidNumber},
		{"hexadecimal", attributes{in: "0x10"}, false, 0, 0, invalidNumber},
		{"underscore", attributes{in: "1_000"}, false, 0, 0, invalidNumber},
		{"2^64 in text", attributes{in: "18446744073709551616"}, false, 0, 0, invalidNumber},
		{"text of nothing", attributes{in: ""}, false, 0, 0, 0},
		{"truth", attributes{in: true}, false, 0, 0, invalidType},
		{"array", attributes{in: []any{int64(5)}}, false, 0, 0, invalidType},
		{"map", attributes{in: map[string]any{"a": int64(5)}}, false, 0, 0, invalidType},
		{"bytes", attributes{in: []byte("5")}, false, 0, 0, invalidType},
		{"both bad", attributes{in: []byte("5"), out: int64(-5)}, false, 0, 0, invalidType | invalidNumber},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.attributes["gen_ai.operation.name"] = "chat"
			got := observe(t, test.attributes)
			if got.Usage != test.usage || got.InputTokens != test.input || got.OutputTokens != test.output || got.Notes != test.notes {
				t.Errorf("usage %v, input %d, output %d, notes %b; want %v, %d, %d, %b",
					got.Usage, got.InputTokens, got.OutputTokens, got.Notes, test.usage, test.input, test.output, test.notes)
			}
		})
	}
}

// TestCacheWriteHasTwoNames: the present name wins over the former one.
func TestCacheWriteHasTwoNames(t *testing.T) {
	const present, former = "gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"
	for _, test := range []struct {
		attributes attributes
		want       int64
	}{
		{attributes{present: int64(5)}, 5}, {attributes{former: int64(7)}, 7}, {attributes{former: int64(7), present: int64(5)}, 5},
	} {
		test.attributes["gen_ai.operation.name"] = "chat"
		test.attributes["gen_ai.usage.input_tokens"] = int64(100)
		if got := observe(t, test.attributes).CacheWriteTokens; got != test.want {
			t.Errorf("%v: %d, want %d", test.attributes, got, test.want)
		}
	}
}

// TestTimeToFirstToken comes in seconds and is kept in nanoseconds.
func TestTimeToFirstToken(t *testing.T) {
	day := 24 * time.Hour
	tests := []struct {
		value   any
		want    int64
		present bool
		notes   aggregator.Note
	}{
		{0.5, 500_000_000, true, 0},
		{0.1, 100_000_000, true, 0},
		{0.1 + 0.2, 300_000_000, true, 0},
		{1e-9, 1, true, 0},
		{0.4e-9, 0, true, 0},
		{0.6e-9, 1, true, 0},
		{0.0, 0, true, 0},
		{1.000000001, 1_000_000_001, true, 0},
		{int64(2), 2_000_000_000, true, 0},
		{"0.25", 250_000_000, true, 0},
		{"1e-3", 1_000_000, true, 0},
		{day.Seconds(), int64(day), true, 0},
		{day.Seconds() + 1, 0, false, invalidNumber},
		{-1e-9, 0, false, invalidNumber},
		{int64(-1), 0, false, invalidNumber},
		{int64(math.MaxInt64), 0, false, invalidNumber},
		{int64(math.MinInt64), 0, false, invalidNumber},
		{math.NaN(), 0, false, invalidNumber},
		{math.Inf(1), 0, false, invalidNumber},
		{math.Inf(-1), 0, false, invalidNumber},
		{math.MaxFloat64, 0, false, invalidNumber},
		{"NaN", 0, false, invalidNumber},
		{"Inf", 0, false, invalidNumber},
		{"soon", 0, false, invalidNumber},
		{"", 0, false, 0},
		{true, 0, false, invalidType},
		{[]any{0.5}, 0, false, invalidType},
	}
	for _, test := range tests {
		got := observe(t, attributes{"gen_ai.operation.name": "chat", "gen_ai.response.time_to_first_chunk": test.value})
		ns, present := got.Measure(aggregator.MeasureTimeToFirstToken)
		if ns != test.want || present != test.present || got.Notes != test.notes {
			t.Errorf("%v: %d ns, %v, notes %b; want %d, %v, %b", test.value, ns, present, got.Notes, test.want, test.present, test.notes)
		}
	}
}

// TestTimePerOutputToken is (duration - time to first token) / (tokens - 1),
// rounded down, where all three are known.
func TestTimePerOutputToken(t *testing.T) {
	const chunk, out = "gen_ai.response.time_to_first_chunk", "gen_ai.usage.output_tokens"
	tests := []struct {
		name       string
		attributes attributes
		duration   time.Duration // negative: no end
		want       int64
		present    bool
	}{
		{"as defined", attributes{chunk: 0.4, out: int64(7)}, time.Second, 100_000_000, true},
		{"rounded down", attributes{chunk: 0.0, out: int64(4)}, time.Second, 333_333_333, true},
		{"two tokens", attributes{chunk: 0.25, out: int64(2)}, time.Second, 750_000_000, true},
		{"all at once", attributes{chunk: 1.0, out: int64(5)}, time.Second, 0, true},
		{"one token", attributes{chunk: 0.5, out: int64(1)}, time.Second, 0, false},
		{"no token", attributes{chunk: 0.5, out: int64(0)}, time.Second, 0, false},
		{"tokens unknown", attributes{chunk: 0.5}, time.Second, 0, false},
		{"first token unknown", attributes{out: int64(5)}, time.Second, 0, false},
		{"first token after the end", attributes{chunk: 1.5, out: int64(5)}, time.Second, 0, false},
		{"no end", attributes{chunk: 0.5, out: int64(5)}, -1, 0, false},
		{"not a leaf", attributes{chunk: 0.5, out: int64(5), "gen_ai.operation.name": "invoke_agent"}, time.Second, 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.attributes["gen_ai.operation.name"] == nil {
				test.attributes["gen_ai.operation.name"] = "chat"
			}
			batch, span := spanOf(nil, test.attributes)
			span.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(test.duration)))
			if test.duration < 0 {
				span.SetEndTimestamp(0)
			}
			o := readOne(t, batch)
			if got, present := o.Measure(aggregator.MeasureTimePerOutputToken); got != test.want || present != test.present {
				t.Errorf("%d ns, %v; want %d, %v", got, present, test.want, test.present)
			}
			if _, present := o.Measure(aggregator.MeasureNetDuration); present {
				t.Error("a net duration without a fault")
			}
		})
	}
}

// TestResends bounds what one span may claim.
func TestResends(t *testing.T) {
	for _, test := range []struct {
		value any
		want  int64
		notes aggregator.Note
	}{
		{int64(0), 0, 0}, {int64(3), 3, 0}, {"2", 2, 0}, {int64(1_000_000), 1_000_000, 0}, {int64(1_000_001), 0, invalidNumber},
		{int64(-1), 0, invalidNumber}, {math.NaN(), 0, invalidNumber}, {false, 0, invalidType},
	} {
		got := observe(t, attributes{"http.request.resend_count": test.value})
		if got.Resends != test.want || got.Notes != test.notes {
			t.Errorf("%v: %d, notes %b; want %d, %b", test.value, got.Resends, got.Notes, test.want, test.notes)
		}
	}
}

// TestUnusableNameDoesNotHideAnother: of the names of a field, the first that
// says anything counts.
func TestUnusableNameDoesNotHideAnother(t *testing.T) {
	for name, first := range map[string]any{
		"array": []any{"a"}, "map": map[string]any{"a": "b"}, "bytes": []byte("a"), "empty text": "",
	} {
		got := observe(t, attributes{
			"gen_ai.operation.name": "chat", "gen_ai.request.model": first, "gen_ai.response.model": "gpt-4o",
		})
		if got.Series.Model != "gpt-4o" {
			t.Errorf("%s: model %q", name, got.Series.Model)
		}
		if noted := got.Notes == aggregator.NoteInvalidAttributeType; noted == (name == "empty text") {
			t.Errorf("%s: notes %b", name, got.Notes)
		}
	}
}
