package histogram

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
)

// AppendText appends the stored form of the bins, a JSON object
// {"bin":count,…} with the bins ascending and no white space, so that equal
// histograms have equal text. Count, sum, minimum and maximum are not in it.
func (h *Histogram) AppendText(dst []byte) []byte {
	dst = append(dst, '{')
	for i, b := range h.Bins() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, binKeys[b.Bin]...)
		if b.Count < 10 {
			dst = append(dst, '0'+byte(b.Count))
		} else {
			dst = strconv.AppendInt(dst, b.Count, 10)
		}
	}
	return append(dst, '}')
}

// binKeys holds the text "bin": of every bin: a commit writes tens of thousands.
var binKeys = func() (keys [MaxBin + 1]string) {
	for b := range keys {
		keys[b] = `"` + strconv.Itoa(b) + `":`
	}
	return keys
}()

// Stats are the exact figures that are stored beside the text of a histogram.
type Stats struct{ Count, Sum, Min, Max int64 }

// Parse reads what AppendText wrote, and checks it against stats. It accepts
// nothing else: white space, bins out of order, zero counts, leading zeros and
// text after the object are errors, and so are figures that do not fit.
func Parse(text string, stats Stats) (Histogram, error) {
	bins, err := parseBins(text)
	if err != nil {
		return Histogram{}, fmt.Errorf("parse histogram: %w", err)
	}
	h := Histogram{count: stats.Count, sum: stats.Sum, min: stats.Min, max: stats.Max, bins: bins}
	if err := h.Validate(); err != nil {
		return Histogram{}, fmt.Errorf("parse histogram: %w", err)
	}
	return h, nil
}

var errSyntax = errors.New(`text is not {"bin":count,…}`)

func parseBins(text string) ([]BinCount, error) {
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' {
		return nil, errSyntax
	}
	text = text[1 : len(text)-1]
	// The shortest member is "0":1 with its comma: six bytes.
	bins := make([]BinCount, 0, len(text)/6+1)
	for first := true; text != ""; first = false {
		if !first {
			if text[0] != ',' {
				return nil, errSyntax
			}
			text = text[1:]
		}
		var bin, count int64
		var ok bool
		if text, ok = skip(text, `"`); !ok {
			return nil, errSyntax
		}
		if bin, text, ok = number(text); !ok || bin > int64(MaxBin) {
			return nil, errSyntax
		}
		if text, ok = skip(text, `":`); !ok {
			return nil, errSyntax
		}
		if count, text, ok = number(text); !ok {
			return nil, errSyntax
		}
		bins = append(bins, BinCount{Bin: Bin(bin), Count: count})
	}
	return slices.Clip(bins), nil
}

func skip(text, prefix string) (rest string, ok bool) {
	if len(text) < len(prefix) || text[:len(prefix)] != prefix {
		return text, false
	}
	return text[len(prefix):], true
}

// number reads a decimal without sign and without leading zeros.
func number(text string) (n int64, rest string, ok bool) {
	i := 0
	for ; i < len(text) && '0' <= text[i] && text[i] <= '9'; i++ {
		d := int64(text[i] - '0')
		if n > (math.MaxInt64-d)/10 {
			return 0, text, false
		}
		n = n*10 + d
	}
	return n, text[i:], i == 1 || i > 1 && text[0] != '0'
}

// Validate checks the invariants and returns the first that does not hold,
// with both figures. Of the sum it can tell only whether values in these bins,
// from min to max, may have it.
func (h *Histogram) Validate() error {
	h.settle()
	if h.count < 0 || h.sum < 0 || h.min < 0 || h.max < h.min {
		return fmt.Errorf("impossible figures: count %d, sum %d, min %d, max %d", h.count, h.sum, h.min, h.max)
	}
	var total int64
	for i, b := range h.bins {
		if b.Count <= 0 || b.Bin > MaxBin || i > 0 && h.bins[i-1].Bin >= b.Bin {
			return fmt.Errorf("bin %d with count %d at position %d: bins must ascend and hold something", b.Bin, b.Count, i)
		}
		if total > math.MaxInt64-b.Count {
			return ErrOverflow
		}
		total += b.Count
	}
	if total != h.count {
		return fmt.Errorf("bins add up to %d, count is %d", total, h.count)
	}
	if h.count == 0 {
		if h.sum != 0 || h.max != 0 {
			return fmt.Errorf("empty, yet sum is %d and max is %d", h.sum, h.max)
		}
		return nil
	}
	return h.validateRange()
}

// validateRange checks the figures of a histogram that is not empty against
// its bins.
func (h *Histogram) validateRange() error {
	first, last := h.bins[0].Bin, h.bins[len(h.bins)-1].Bin
	if BinOf(h.min) != first || BinOf(h.max) != last {
		return fmt.Errorf("min %d and max %d lie outside the bins %d … %d", h.min, h.max, first, last)
	}
	// Every value is at the lower end of its bin, except one that is max; or at
	// the upper end, except one that is min.
	var least, greatest uint128
	for _, b := range h.bins {
		least = least.plus(max(b.Bin.Lower(), h.min), b.Count)
		greatest = greatest.plus(min(b.Bin.Upper(), h.max), b.Count)
	}
	least = least.plus(h.max-max(last.Lower(), h.min), 1)
	missing := min(first.Upper(), h.max) - h.min
	if least.compare(uint64(h.sum)) > 0 || greatest.compare(uint64(h.sum)+uint64(missing)) < 0 {
		return fmt.Errorf("sum %d does not fit %d values from %d to %d in their bins", h.sum, h.count, h.min, h.max)
	}
	return nil
}

type uint128 struct{ hi, lo uint64 }

// plus returns u + a*b.
func (u uint128) plus(a, b int64) uint128 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	lo, carry := bits.Add64(u.lo, lo, 0)
	return uint128{u.hi + hi + carry, lo}
}

func (u uint128) compare(n uint64) int {
	if u.hi > 0 {
		return 1
	}
	return cmp.Compare(u.lo, n)
}
