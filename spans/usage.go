package spans

import (
	"encoding/json"
	"maps"
	"math"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// readUsage reads the tokens of a leaf, and what they cost.
func (w *walker) readUsage() {
	o := &w.observation
	w.token(fieldInputTokens, aggregator.FactInputTokens, &o.InputTokens)
	w.token(fieldOutputTokens, aggregator.FactOutputTokens, &o.OutputTokens)
	w.token(fieldCacheReadTokens, aggregator.FactCacheReadTokens, &o.CacheReadTokens)
	w.token(fieldCacheWriteTokens, aggregator.FactCacheWriteTokens, &o.CacheWriteTokens)
	w.token(fieldReasoningTokens, aggregator.FactReasoningTokens, &o.ReasoningTokens)
	if w.span.has(fieldUsageDetails) && w.text(&w.span, fieldUsageDetails) != "" {
		w.readUsageDetails()
	}
	w.includeCached()
	o.Usage = w.known&(aggregator.FactInputTokens|aggregator.FactOutputTokens) != 0
	if !o.Usage {
		o.CacheReadTokens, o.CacheWriteTokens, o.ReasoningTokens = 0, 0, 0
		w.known &^= tokenFacts
	}
	w.readCost()
}

func (w *walker) token(f field, fact aggregator.Fact, into *int64) {
	if w.span.has(f) {
		if n, ok := w.count(f, maxTokens); ok {
			*into = n
			w.known |= fact
		}
	}
}

// tokenFacts are the numbers that readUsage reads.
const tokenFacts = aggregator.FactInputTokens | aggregator.FactOutputTokens | aggregator.FactCacheReadTokens |
	aggregator.FactCacheWriteTokens | aggregator.FactReasoningTokens

// includeCached adds the cached input tokens where the span counts them apart:
// Claude Code always does; elsewhere, more cached tokens than input ones say
// so.
func (w *walker) includeCached() {
	o := &w.observation
	cached := o.CacheReadTokens + o.CacheWriteTokens
	if cached == 0 || w.known&aggregator.FactInputTokens == 0 {
		return
	}
	if cached > o.InputTokens || w.claudeCode && w.span.ranks[fieldInputTokens] == w.index.claudeInputRank {
		o.InputTokens += cached
	}
}

// readCost takes the cost that the span states, else what the configured
// prices make of its tokens.
func (w *walker) readCost() {
	o := &w.observation
	if o.CostNanoUSD, o.Priced = w.scaled(&w.span, fieldCost, maxCostNanoUSD); o.Priced {
		return
	}
	if w.span.has(fieldCostDetails) {
		if total, ok := totalCost(w.numbers(fieldCostDetails)); ok {
			nano := math.Round(total * 1e9)
			if o.Priced = nano >= 0 && nano <= maxCostNanoUSD; o.Priced {
				o.CostNanoUSD = int64(nano)
				return
			}
			o.Notes |= aggregator.NoteInvalidNumber
		}
	}
	if !o.Usage {
		return
	}
	price := w.priceOf(o.Series.Model)
	if price == nil {
		price = w.priceOf(w.text(&w.span, fieldResponseModel))
	}
	if price != nil {
		if o.CostNanoUSD, o.Priced = price.costOf(o); !o.Priced {
			o.Notes |= aggregator.NoteInvalidNumber
		}
	}
}

// totalCost returns the total, else the sum of the parts.
func totalCost(parts map[string]float64) (float64, bool) {
	if total, ok := parts["total"]; ok {
		return total, true
	}
	sum := 0.0
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		sum += parts[name]
	}
	return sum, len(parts) > 0
}

// numbers reads a JSON object of numbers, as Langfuse writes them. Those of an
// object within it go by both names, joined by a dot.
func (w *walker) numbers(f field) map[string]float64 {
	text := w.text(&w.span, f)
	var object map[string]any
	if len(text) > maxDetails || json.Unmarshal([]byte(text), &object) != nil {
		w.observation.Notes |= aggregator.NoteInvalidAttributeType
		return nil
	}
	numbers := map[string]float64{}
	for name, value := range object {
		inner, _ := value.(map[string]any)
		for part, value := range inner {
			if n, ok := value.(float64); ok {
				numbers[name+"."+part] = n
			}
		}
	}
	for name, value := range object { // these win: a name may hold a dot
		if n, ok := value.(float64); ok {
			numbers[name] = n
		}
	}
	return numbers
}

// maxDetails bounds the JSON that is parsed, in bytes.
const maxDetails = 4096

// readUsageDetails reads the tokens as Langfuse counts them. Its own input and
// output leave out what has an entry beside them, unless the stated total says
// that they do not; the counts of OpenAI, which it passes on, include theirs.
func (w *walker) readUsageDetails() {
	o := &w.observation
	numbers := w.numbers(fieldUsageDetails)
	take := func(fact aggregator.Fact, into *int64, names ...string) {
		for _, name := range names {
			n, ok := numbers[name]
			if !ok || w.known&fact != 0 {
				continue
			}
			if !(n >= 0 && n <= maxTokens) || n != math.Trunc(n) {
				o.Notes |= aggregator.NoteInvalidNumber
				continue
			}
			*into = int64(n)
			w.known |= fact
		}
	}
	stated := w.known
	take(aggregator.FactInputTokens, &o.InputTokens, "input", "input_tokens", "prompt_tokens")
	take(aggregator.FactOutputTokens, &o.OutputTokens, "output", "output_tokens", "completion_tokens")
	take(aggregator.FactCacheReadTokens, &o.CacheReadTokens,
		"cache_read_input_tokens", "input_cached_tokens", "input_cache_read", "prompt_tokens_details.cached_tokens",
		"input_tokens_details.cached_tokens")
	take(aggregator.FactCacheWriteTokens, &o.CacheWriteTokens,
		"cache_creation_input_tokens", "input_cache_creation")
	take(aggregator.FactReasoningTokens, &o.ReasoningTokens, "output_reasoning_tokens", "output_reasoning",
		"completion_tokens_details.reasoning_tokens", "output_tokens_details.reasoning_tokens")
	if _, own := numbers["input"]; !own || numbers["total"] == float64(o.InputTokens+o.OutputTokens) {
		return
	}
	if stated&aggregator.FactInputTokens == 0 && w.known&aggregator.FactInputTokens != 0 {
		o.InputTokens += o.CacheReadTokens + o.CacheWriteTokens
	}
	if stated&aggregator.FactOutputTokens == 0 && w.known&aggregator.FactOutputTokens != 0 {
		o.OutputTokens += o.ReasoningTokens
	}
}
