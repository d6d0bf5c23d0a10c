package histogram

import (
	"fmt"
	"math"
)

// Bins are the bins of a histogram without the exact figures beside it: what its
// stored text holds. They ascend and have positive counts.
type Bins []BinCount

// ParseBins reads what AppendText wrote. It accepts nothing else.
func ParseBins(text string) (Bins, error) {
	bins, err := parseBins(text)
	if err != nil {
		return nil, fmt.Errorf("parse histogram: %w", err)
	}
	var total int64
	for i, b := range bins {
		if b.Count <= 0 || i > 0 && bins[i-1].Bin >= b.Bin {
			return nil, fmt.Errorf("parse histogram: bin %d with count %d at position %d: bins must ascend and hold something", b.Bin, b.Count, i)
		}
		if total > math.MaxInt64-b.Count {
			return nil, fmt.Errorf("parse histogram: %w", ErrOverflow)
		}
		total += b.Count
	}
	return bins, nil
}

// Count is the number of values in all bins.
func (b Bins) Count() (total int64) {
	for _, bin := range b {
		total += bin.Count
	}
	return total
}

// Percentile returns the bin of the value of rank ceil(r*n), and that rank; false
// where there is no value.
func (b Bins) Percentile(r Ratio) (bin Bin, rank int64, ok bool) {
	n := b.Count()
	if n == 0 {
		return 0, 0, false
	}
	rank = r.rank(n)
	var seen int64
	for _, at := range b {
		if seen += at.Count; seen >= rank {
			return at.Bin, rank, true
		}
	}
	return 0, 0, false
}

// Merge adds the bins of another histogram. On an error b is as it was before.
func (b *Bins) Merge(o Bins) error {
	if b.Count() > math.MaxInt64-o.Count() {
		return ErrOverflow
	}
	h := Histogram{bins: *b}
	h.addBins(o)
	*b = h.bins
	return nil
}

// AppendText appends what Histogram.AppendText does.
func (b Bins) AppendText(dst []byte) []byte {
	h := Histogram{bins: b}
	return h.AppendText(dst)
}
