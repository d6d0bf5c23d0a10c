package spans

import (
	"math"
	"math/bits"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// Price says what the tokens of some models cost, in 1e-12 US dollars for one,
// which is a millionth of the usual price for a million.
type Price struct {
	// Model is a pattern for the name of the model, requested or answering:
	// '*' stands for any text, '?' for one character.
	Model string
	// Input is for input tokens that are not cached, Output for output tokens,
	// CacheRead and CacheWrite for the cached ones.
	Input, Output, CacheRead, CacheWrite int64
}

// priceOf returns the first price whose pattern fits the model, nil for none.
func (w *walker) priceOf(model string) *Price {
	// No model has a longer name; matching takes time.
	if len(w.reader.prices) == 0 || model == "" || len(model) > aggregator.MaxValueBytes {
		return nil
	}
	if price, known := w.priced[model]; known {
		return price
	}
	var found *Price
	for i := range w.reader.prices {
		if matches(w.reader.prices[i].Model, model) {
			found = &w.reader.prices[i]
			break
		}
	}
	if len(w.priced) < maxJoined {
		w.priced[strings.Clone(model)] = found
	}
	return found
}

// costOf returns what the tokens of an observation cost, in 1e-9 US dollars,
// rounded once; false where that does not fit.
func (p *Price) costOf(o *aggregator.Observation) (int64, bool) {
	// Instrumentation that counts badly may state more cached tokens than
	// input ones.
	fresh := max(0, o.InputTokens-o.CacheReadTokens-o.CacheWriteTokens)
	var hi, lo, carry uint64
	for _, part := range [...][2]int64{
		{fresh, p.Input}, {o.OutputTokens, p.Output}, {o.CacheReadTokens, p.CacheRead}, {o.CacheWriteTokens, p.CacheWrite},
	} {
		partHi, partLo := bits.Mul64(uint64(part[0]), uint64(part[1]))
		lo, carry = bits.Add64(lo, partLo, 0)
		hi, _ = bits.Add64(hi, partHi, carry)
	}
	lo, carry = bits.Add64(lo, picoPerNano/2, 0)
	hi += carry
	if hi >= picoPerNano {
		return 0, false
	}
	nano, _ := bits.Div64(hi, lo, picoPerNano)
	return int64(nano), nano <= math.MaxInt64
}

const picoPerNano = 1000
