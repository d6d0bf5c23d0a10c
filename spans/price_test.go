package spans

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// chatOf returns what a chat span with these attributes says.
func chatOf(t *testing.T, options Options, attributes map[string]any) aggregator.Observation {
	t.Helper()
	batch := ptrace.NewTraces()
	span := batch.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	span.SetStartTimestamp(1)
	require.NoError(t, span.Attributes().FromRaw(attributes))
	span.Attributes().PutStr("gen_ai.operation.name", "chat")
	for o := range NewReader(options).Observations(batch, goldenNow) {
		return *o
	}
	t.Fatal("no observation")
	return aggregator.Observation{}
}

// exactCost is the cost in 1e-9 US dollars by unbounded integers, rounded half
// up once.
func exactCost(p *Price, input, output, read, written int64) *big.Int {
	sum := new(big.Int)
	for _, part := range [][2]int64{
		{max(0, input-read-written), p.Input}, {output, p.Output}, {read, p.CacheRead}, {written, p.CacheWrite},
	} {
		sum.Add(sum, new(big.Int).Mul(big.NewInt(part[0]), big.NewInt(part[1])))
	}
	return sum.Div(sum.Add(sum, big.NewInt(500)), big.NewInt(1000))
}

// TestCostsAreExact: of any tokens and prices, to the nanodollar; what does not
// fit is no cost, and noted.
func TestCostsAreExact(t *testing.T) {
	random := seedtest.Rand(t)
	number := func(limit int64) int64 { return random.Int64N(limit) >> random.IntN(62) }
	tooMuch := 0
	for range 20_000 {
		p := Price{
			Model: "*", Input: number(math.MaxInt64), Output: number(math.MaxInt64), CacheRead: number(math.MaxInt64),
			CacheWrite: number(math.MaxInt64),
		}
		o := aggregator.Observation{
			InputTokens: number(maxTokens), OutputTokens: number(maxTokens), CacheReadTokens: number(maxTokens),
			CacheWriteTokens: number(maxTokens),
		}
		want := exactCost(&p, o.InputTokens, o.OutputTokens, o.CacheReadTokens, o.CacheWriteTokens)
		got, fits := p.costOf(&o)
		require.Equal(t, want.IsInt64(), fits, "%+v %+v", p, o)
		if fits {
			require.Equal(t, want.Int64(), got, "%+v %+v", p, o)
		} else {
			tooMuch++
		}
	}
	assert.NotZero(t, tooMuch, "no cost was too much")
	got := chatOf(t, Options{Prices: []Price{{Model: "*", Input: math.MaxInt64}}}, map[string]any{
		"gen_ai.request.model": "m", "gen_ai.usage.input_tokens": int64(maxTokens),
	})
	assert.False(t, got.Priced)
	assert.Zero(t, got.CostNanoUSD)
	assert.Equal(t, aggregator.NoteInvalidNumber, got.Notes&aggregator.NoteInvalidNumber)
}

// TestCostOf says which cost counts.
func TestCostOf(t *testing.T) {
	const (
		request, answer = "gen_ai.request.model", "gen_ai.response.model"
		in, out         = "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"
		read, write     = "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_write.input_tokens"
		stated, langs   = "gen_ai.usage.cost", "langfuse.observation.cost_details"
	)
	prices := []Price{
		{Model: "mini*", Input: 1_000, Output: 2_000, CacheRead: 100, CacheWrite: 3_000},
		{Model: "m*", Input: 10_000, Output: 20_000}, {Model: "tiny", Input: 400}, {Model: "small", Input: 500},
	}
	for name, c := range map[string]struct {
		attributes map[string]any
		want       int64 // -1: none
	}{
		"first pattern":              {map[string]any{request: "mini-1", in: int64(10), out: int64(1)}, 12},
		"second pattern":             {map[string]any{request: "max", in: int64(10), out: int64(1)}, 120},
		"no pattern":                 {map[string]any{request: "other", in: int64(10)}, -1},
		"the model that answered":    {map[string]any{request: "other", answer: "mini-1", in: int64(10)}, 10},
		"the model that was asked":   {map[string]any{request: "max", answer: "mini-1", in: int64(10)}, 100},
		"no model":                   {map[string]any{in: int64(10)}, -1},
		"no tokens":                  {map[string]any{request: "mini-1"}, -1},
		"tokens of zero":             {map[string]any{request: "mini-1", in: int64(0)}, 0},
		"cached ones are cheaper":    {map[string]any{request: "mini-1", in: int64(100), read: int64(50), write: int64(10)}, 40 + 5 + 30},
		"cached ones are apart":      {map[string]any{request: "mini-1", in: int64(10), read: int64(50)}, 10 + 5},
		"cached ones, input unknown": {map[string]any{request: "mini-1", out: int64(1), read: int64(50)}, 2 + 5},
		"rounded down":               {map[string]any{request: "tiny", in: int64(1)}, 0},
		"rounded up":                 {map[string]any{request: "small", in: int64(1)}, 1},
		"stated":                     {map[string]any{request: "mini-1", in: int64(10), stated: 0.25}, 250_000_000},
		"stated without tokens":      {map[string]any{stated: 0.25}, 250_000_000},
		"stated to be nothing":       {map[string]any{request: "mini-1", in: int64(10), stated: 0.0}, 0},
		"stated to be negative":      {map[string]any{request: "mini-1", in: int64(10), stated: -0.25}, 10},
		"a million":                  {map[string]any{stated: 1e6}, maxCostNanoUSD},
		"more than a million":        {map[string]any{stated: 1e6 + 1}, -1},
		"of Langfuse":                {map[string]any{langs: `{"input":0.1,"total":0.3000000006}`}, 300_000_001},
		"of Langfuse, negative":      {map[string]any{langs: `{"total":-1}`}, -1},
		"of Langfuse, too much":      {map[string]any{langs: `{"total":1000001}`}, -1},
		"of Langfuse, no JSON":       {map[string]any{langs: `{"total":NaN}`}, -1},
		"of Langfuse, too long":      {map[string]any{langs: `{"total":1` + strings.Repeat(" ", maxDetails) + "}"}, -1},
	} {
		o := chatOf(t, Options{Prices: prices}, c.attributes)
		got := o.CostNanoUSD
		if !o.Priced {
			assert.Zero(t, got, name)
			got = -1
		}
		assert.Equal(t, c.want, got, name)
	}
}

// TestPatternsFitAsDefined compares them with the definition, which takes
// exponential time.
func TestPatternsFitAsDefined(t *testing.T) {
	var fits func(pattern, text []rune) bool
	fits = func(pattern, text []rune) bool {
		switch {
		case len(pattern) == 0:
			return len(text) == 0
		case pattern[0] == '*':
			return fits(pattern[1:], text) || len(text) > 0 && fits(pattern, text[1:])
		case len(text) == 0:
			return false
		default:
			return (pattern[0] == '?' || pattern[0] == text[0]) && fits(pattern[1:], text[1:])
		}
	}
	random, fitting := seedtest.Rand(t), 0
	for range 50_000 {
		pattern, text := anyRunes(random, "ab**??é"), anyRunes(random, "aabé")
		want := fits(pattern, text)
		if want {
			fitting++
		}
		require.Equal(t, want, matches(string(pattern), string(text)), "%q, %q", string(pattern), string(text))
	}
	assert.Greater(t, fitting, 1000)
	assert.True(t, matches("a?b", "a\xffb"), "a byte that is no character")
	assert.False(t, matches("a?b", "a\xff\xffb"))
}

func anyRunes(random *rand.Rand, from string) (list []rune) {
	alphabet := []rune(from)
	for range random.IntN(9) {
		list = append(list, alphabet[random.IntN(len(alphabet))])
	}
	return list
}

// A stated cost of 0, such as that of a gateway's own cache, goes before prices.
func TestAStatedCostOfNothingIsACost(t *testing.T) {
	o := chatOf(t, Options{Prices: []Price{{Model: "*", Input: 1_000_000, Output: 1_000_000}}}, map[string]any{
		"gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 5, "gen_ai.usage.cost": 0,
	})
	require.True(t, o.Priced)
	require.Zero(t, o.CostNanoUSD)
}
