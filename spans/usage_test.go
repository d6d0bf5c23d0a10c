package spans

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

const usageDetails = "langfuse.observation.usage_details"

// tokens are input, output, cache read, cache write and reasoning ones; -1 for
// what is not known.
type tokens [5]int64

func tokensOf(r *aggregator.Request) tokens {
	all := tokens{r.InputTokens, r.OutputTokens, r.CacheReadTokens, r.CacheWriteTokens, r.ReasoningTokens}
	for i, fact := range []aggregator.Fact{
		aggregator.FactInputTokens, aggregator.FactOutputTokens, aggregator.FactCacheReadTokens, aggregator.FactCacheWriteTokens,
		aggregator.FactReasoningTokens,
	} {
		if r.Known&fact == 0 && all[i] == 0 {
			all[i] = -1
		}
	}
	return all
}

var unknownTokens = tokens{-1, -1, -1, -1, -1}

// TestUsageDetails: the tokens that Langfuse writes as a JSON object. Its own
// input and output leave out what stands beside them, unless the total says
// otherwise.
func TestUsageDetails(t *testing.T) {
	const invalidNumber, invalidType = aggregator.NoteInvalidNumber, aggregator.NoteInvalidAttributeType
	for text, c := range map[string]struct {
		want  tokens
		notes aggregator.Note
	}{
		`{"input":10,"output":5}`: {tokens{10, 5, -1, -1, -1}, 0},
		`{"input":10,"output":5,"input_cached_tokens":3,"cache_creation_input_tokens":2,"output_reasoning_tokens":1,"total":21}`: {tokens{15, 6, 3, 2, 1}, 0},
		`{"input":10,"output":5,"input_cached_tokens":3,"output_reasoning":1}`:                                                   {tokens{13, 6, 3, -1, 1}, 0},
		`{"input":10,"output":5,"input_cached_tokens":3,"output_reasoning":1,"total":15}`:                                        {tokens{10, 5, 3, -1, 1}, 0},
		`{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":3,"audio":null},
			"completion_tokens_details":{"reasoning_tokens":1}}`: {tokens{10, 5, 3, -1, 1}, 0},
		`{"input":1e3,"output":5.0}`:             {tokens{1000, 5, -1, -1, -1}, 0},
		`{"input":10.5,"output":5}`:              {tokens{-1, 5, -1, -1, -1}, invalidNumber},
		`{"input":-1,"output":5}`:                {tokens{-1, 5, -1, -1, -1}, invalidNumber},
		`{"input":1e300,"output":5}`:             {tokens{-1, 5, -1, -1, -1}, invalidNumber},
		`{"input":1099511627776,"output":5}`:     {tokens{maxTokens, 5, -1, -1, -1}, 0},
		`{"input":1099511627777,"output":5}`:     {tokens{-1, 5, -1, -1, -1}, invalidNumber},
		`{"input":"10","output":true,"total":3}`: {unknownTokens, 0},
		`{"input_cached_tokens":3}`:              {unknownTokens, 0},
		`{}`:                                     {unknownTokens, 0},
		`null`:                                   {unknownTokens, 0},
		`[1]`:                                    {unknownTokens, invalidType},
		`{"input":NaN}`:                          {unknownTokens, invalidType},
		`{"input":1e999}`:                        {unknownTokens, invalidType},
		`{"input":10`:                            {unknownTokens, invalidType},
	} {
		got := requestWith(t, attributes{"service.name": "s"}, attributes{"gen_ai.operation.name": "chat", usageDetails: text})
		assert.Equal(t, c.want, tokensOf(&got), text)
		assert.Equal(t, c.notes, got.Notes&^aggregator.NoteZeroID, text)
		assert.Equal(t, c.want[0] >= 0 || c.want[1] >= 0, got.Usage, text)
	}
	got := requestWith(t, nil, attributes{
		"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": int64(70), "gen_ai.usage.cache_read.input_tokens": int64(30),
		usageDetails: `{"input":10,"output":5,"input_cached_tokens":4}`,
	})
	assert.Equal(t, tokens{70, 5, 30, -1, -1}, tokensOf(&got), "an attribute wins, and includes cached ones")
}

// TestCachedTokensAreIncludedOnce: where the span counts them apart, they are
// added.
func TestCachedTokensAreIncludedOnce(t *testing.T) {
	const in, read, write = "gen_ai.usage.input_tokens", "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_write.input_tokens"
	for name, c := range map[string]struct {
		spanName string
		span     attributes
		want     tokens
	}{
		"included":              {"chat", attributes{in: int64(10), read: int64(4), write: int64(5)}, tokens{10, -1, 4, 5, -1}},
		"all of them":           {"chat", attributes{in: int64(10), read: int64(4), write: int64(6)}, tokens{10, -1, 4, 6, -1}},
		"one more than all":     {"chat", attributes{in: int64(10), read: int64(5), write: int64(6)}, tokens{21, -1, 5, 6, -1}},
		"input of zero":         {"chat", attributes{in: int64(0), read: int64(5)}, tokens{5, -1, 5, -1, -1}},
		"input unknown":         {"chat", attributes{"gen_ai.usage.output_tokens": int64(1), read: int64(5)}, tokens{-1, 1, 5, -1, -1}},
		"cached ones alone":     {"chat", attributes{read: int64(5), write: int64(6)}, unknownTokens},
		"Claude Code":           {"claude_code.llm_request", attributes{"input_tokens": int64(10), "cache_read_tokens": int64(4)}, tokens{14, -1, 4, -1, -1}},
		"Claude Code, included": {"claude_code.llm_request", attributes{in: int64(10), "cache_read_tokens": int64(4)}, tokens{10, -1, 4, -1, -1}},
		"another's input":       {"chat", attributes{"input_tokens": int64(10), "cache_read_tokens": int64(4)}, unknownTokens},
	} {
		batch, span := spanWith(t, nil, c.span)
		span.SetName(c.spanName)
		span.Attributes().PutStr("gen_ai.operation.name", "chat")
		got := requestsOf(NewReader(Options{}), batch)[0]
		assert.Equal(t, c.want, tokensOf(&got), name)
	}
}
