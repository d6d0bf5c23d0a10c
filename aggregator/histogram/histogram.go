package histogram

import (
	"errors"
	"math"
	"slices"
)

// ErrNegative is returned for a value below zero.
var ErrNegative = errors.New("negative value")

// ErrOverflow is returned where the sum or the count would exceed an int64.
var ErrOverflow = errors.New("sum exceeds 63 bits")

// BinCount is a bin in use and how many values fell into it.
type BinCount struct {
	Bin   Bin
	Count int64
}

// Histogram is a distribution of non-negative int64 values. The zero value is
// an empty histogram, ready for use. It is not safe for concurrent use.
//
// Invariants, after every call:
//   - count, sum, min and max are those of the recorded values, exactly;
//   - bins ascend strictly and have positive counts;
//   - the counts of bins plus the length of recent add up to count;
//   - min and max are 0 while count is 0.
type Histogram struct {
	count, sum, min, max int64
	bins                 []BinCount
	// recent holds the bins of values that were recorded since bins was last
	// brought up to date: appending is several times cheaper than inserting.
	recent []Bin
}

// maxRecent bounds recent; 1,024 bins keep it within 2 KiB.
const maxRecent = 1024

// Record adds one value. On an error the histogram is as it was before.
func (h *Histogram) Record(v int64) error {
	if v < 0 {
		return ErrNegative
	}
	if h.sum > math.MaxInt64-v || h.count == math.MaxInt64 {
		return ErrOverflow
	}
	if h.count == 0 || v < h.min {
		h.min = v
	}
	if v > h.max {
		h.max = v
	}
	h.count++
	h.sum += v
	if len(h.recent) == maxRecent {
		h.settle()
	}
	h.recent = append(h.recent, BinOf(v))
	return nil
}

// CanMerge tells whether Merge(o) would succeed.
func (h *Histogram) CanMerge(o *Histogram) bool {
	return h.sum <= math.MaxInt64-o.sum && h.count <= math.MaxInt64-o.count
}

// Merge adds everything o holds. o is left as it is. On an error the histogram
// is as it was before.
func (h *Histogram) Merge(o *Histogram) error {
	if !h.CanMerge(o) {
		return ErrOverflow
	}
	if o.count == 0 {
		return nil
	}
	if h.count == 0 || o.min < h.min {
		h.min = o.min
	}
	h.max = max(h.max, o.max)
	h.count += o.count
	h.sum += o.sum
	h.settle()
	h.addBins(o.bins)
	for _, b := range o.recent {
		if len(h.recent) == maxRecent {
			h.settle()
		}
		h.recent = append(h.recent, b)
	}
	return nil
}

// Settle brings the bins up to date. Reading does so by itself; after Settle,
// reading changes nothing, so that several goroutines may read.
func (h *Histogram) Settle() { h.settle() }

// settle moves recent into bins.
func (h *Histogram) settle() {
	if len(h.recent) == 0 {
		return
	}
	if len(h.recent) <= fewBins {
		var few [fewBins]BinCount
		h.addBins(countFew(few[:0], h.recent))
	} else {
		t := tallies.Get().(*tally)
		h.addBins(t.count(h.recent))
		tallies.Put(t)
	}
	h.recent = h.recent[:0]
}

// addBins adds ascending bins to h.bins, in place: first to the bins in use,
// then it makes room at the end and moves the rest apart from the back.
func (h *Histogram) addBins(add []BinCount) {
	if len(h.bins) == 0 {
		h.bins = append(h.bins, add...)
		return
	}
	missing, from := 0, 0
	for _, a := range add {
		at, found := search(h.bins[from:], a.Bin)
		from += at
		if found {
			h.bins[from].Count += a.Count
		} else {
			missing++
		}
	}
	if missing == 0 {
		return
	}
	end := len(h.bins)
	h.bins = slices.Grow(h.bins, missing)[:end+missing]
	for j := len(add) - 1; missing > 0; j-- {
		at, found := search(h.bins[:end], add[j].Bin)
		if found {
			continue
		}
		copy(h.bins[at+missing:], h.bins[at:end])
		missing--
		h.bins[at+missing] = add[j]
		end = at
	}
}

// search returns where b is, or belongs, in ascending bins. It looks near the
// front first, in steps that double: whoever adds many bins finds each a few
// behind the one before.
func search(bins []BinCount, b Bin) (int, bool) {
	low, high := 0, 1
	for high <= len(bins) && bins[high-1].Bin < b {
		low, high = high, 2*high
	}
	high = min(high, len(bins))
	for low < high {
		middle := int(uint(low+high) >> 1)
		if bins[middle].Bin < b {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, low < len(bins) && bins[low].Bin == b
}

// Count returns how many values were recorded.
func (h *Histogram) Count() int64 { return h.count }

// Sum returns the exact sum of the values.
func (h *Histogram) Sum() int64 { return h.sum }

// Min returns the smallest value; 0 while the histogram is empty.
func (h *Histogram) Min() int64 { return h.min }

// Max returns the largest value; 0 while the histogram is empty.
func (h *Histogram) Max() int64 { return h.max }

// Bins returns the bins in use, ascending. The slice is the histogram's own:
// it must not be changed and is valid until the next call that records, merges
// or resets.
func (h *Histogram) Bins() []BinCount {
	h.settle()
	return h.bins
}

// Reset empties the histogram and keeps its memory for reuse.
func (h *Histogram) Reset() {
	*h = Histogram{bins: h.bins[:0], recent: h.recent[:0]}
}

// Size returns an estimate of the bytes the histogram occupies.
func (h *Histogram) Size() int { return 16*cap(h.bins) + 2*cap(h.recent) }
