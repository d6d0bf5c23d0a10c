package histogram

import (
	"math/bits"
	"slices"
	"sync"
)

// tally counts equal bins without comparing them: it fits the first-level
// cache, where counting is several times faster than sorting.
type tally struct {
	counts [MaxBin + 1]uint32
	used   [MaxBin/64 + 1]uint64 // bit b%64 of word b/64: counts[b] > 0
	result []BinCount
}

var tallies = sync.Pool{New: func() any { return new(tally) }}

// fewBins is how many bins are sorted faster than tallied.
const fewBins = 24

// countFew appends the distinct bins of list, which it sorts, ascending and
// each with how often it stands there.
func countFew(result []BinCount, list []Bin) []BinCount {
	slices.Sort(list)
	for i, b := range list {
		if i == 0 || b != list[i-1] {
			result = append(result, BinCount{Bin: b})
		}
		result[len(result)-1].Count++
	}
	return result
}

// count returns the distinct bins of list, ascending, each with how often it
// stands there. The result is valid until the next call.
func (t *tally) count(list []Bin) []BinCount {
	t.result = t.result[:0]
	for _, b := range list {
		t.counts[b]++
		t.used[b/64] |= 1 << (b % 64)
	}
	for word, set := range t.used {
		for ; set != 0; set &= set - 1 {
			b := Bin(word*64 + bits.TrailingZeros64(set))
			t.result = append(t.result, BinCount{Bin: b, Count: int64(t.counts[b])})
			t.counts[b] = 0
		}
		t.used[word] = 0
	}
	return t.result
}
