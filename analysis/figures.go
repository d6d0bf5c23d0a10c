package analysis

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
)

// Percentile is a percentile that can be asked for.
type Percentile struct {
	Name  string // as in p99 or p99.9
	Ratio histogram.Ratio
}

// ParsePercentile reads p50, p99.9 and the like: above 0, at most 100, with up
// to five decimals.
func ParsePercentile(text string) (Percentile, error) {
	digits, ok := strings.CutPrefix(text, "p")
	whole, fraction, _ := strings.Cut(digits, ".")
	num, err := strconv.ParseUint(whole+fraction, 10, 32)
	den := uint64(100)
	for range fraction {
		den *= 10
	}
	if !ok || err != nil || len(fraction) > 5 || strings.HasSuffix(digits, ".") || num == 0 || num > den {
		return Percentile{}, fmt.Errorf("percentile %q: must be p followed by a number above 0 and up to 100, such as p99.9", text)
	}
	return Percentile{text, histogram.Ratio{Num: uint32(num), Den: uint32(den)}}, nil
}

// Value is the value of one percentile.
type Value struct {
	Name string
	MS   float64 // milliseconds
}

// Values are percentiles in the order they were asked for.
type Values []Value

// MarshalJSON writes an object {"p50":1.25,…}.
func (v Values) MarshalJSON() ([]byte, error) {
	text := []byte{'{'}
	for i, p := range v {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendQuote(text, p.Name)
		text = append(text, ':')
		text = strconv.AppendFloat(text, p.MS, 'f', -1, 64)
	}
	return append(text, '}'), nil
}

// Get returns the value of a percentile in milliseconds; nil where there is
// none.
func (v Values) Get(name string) *float64 {
	i := slices.IndexFunc(v, func(p Value) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &v[i].MS
}

// Distribution sums up the values of one measure. All but Count are nil where
// it is 0.
type Distribution struct {
	Count       int64    `json:"count"`
	SumNS       *int64   `json:"sum_ns"`
	AvgMS       *float64 `json:"avg_ms"`
	MinMS       *float64 `json:"min_ms"`
	MaxMS       *float64 `json:"max_ms"`
	Percentiles Values   `json:"percentiles_ms"`
}

func milliseconds(nanoseconds int64) float64 { return float64(nanoseconds) / 1e6 }

func newDistribution(h *histogram.Histogram, percentiles []Percentile) Distribution {
	d := Distribution{Count: h.Count()}
	if d.Count == 0 {
		return d
	}
	sum, avg := h.Sum(), milliseconds(h.Sum())/float64(h.Count())
	low, high := milliseconds(h.Min()), milliseconds(h.Max())
	d.SumNS, d.AvgMS, d.MinMS, d.MaxMS = &sum, &avg, &low, &high
	for _, p := range percentiles {
		// Present, as the histogram is not empty.
		value, _ := h.Percentile(p.Ratio)
		d.Percentiles = append(d.Percentiles, Value{p.Name, milliseconds(value)})
	}
	return d
}

// Usage sums up tokens and cost. The tokens are nil where UsageCount is 0, the
// cost where PricedCount is.
type Usage struct {
	UsageCount       int64    `json:"usage_count"` // requests the tokens come from
	InputTokens      *int64   `json:"input_tokens"`
	OutputTokens     *int64   `json:"output_tokens"`
	CacheReadTokens  *int64   `json:"cache_read_tokens"`
	CacheWriteTokens *int64   `json:"cache_write_tokens"`
	ReasoningTokens  *int64   `json:"reasoning_tokens"`
	PricedCount      int64    `json:"priced_count"` // requests the cost comes from
	CostUSD          *float64 `json:"cost_usd"`
}

func newUsage(c *aggregator.Cell) Usage {
	n := &c.Counters
	u := Usage{UsageCount: n[aggregator.UsageCount], PricedCount: n[aggregator.PricedCount]}
	if u.UsageCount > 0 {
		tokens := *n // the figures must not move with the cell
		u.InputTokens, u.OutputTokens = &tokens[aggregator.InputTokens], &tokens[aggregator.OutputTokens]
		u.CacheReadTokens, u.CacheWriteTokens = &tokens[aggregator.CacheReadTokens], &tokens[aggregator.CacheWriteTokens]
		u.ReasoningTokens = &tokens[aggregator.ReasoningTokens]
	}
	if u.PricedCount > 0 {
		cost := float64(n[aggregator.CostNanoUSD]) / 1e9
		u.CostUSD = &cost
	}
	return u
}

// share returns part/whole; nil where the whole is 0.
func share(part, whole int64) *float64 {
	if whole == 0 {
		return nil
	}
	f := float64(part) / float64(whole)
	return &f
}

// add merges a row into a sum; the error names what overflowed.
func add(sum, cell *aggregator.Cell) error {
	if err := sum.Add(cell); err != nil {
		return fmt.Errorf("sums exceed %d: %w", int64(math.MaxInt64), err)
	}
	return nil
}
