package histogram_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// ratios ascend, as Percentiles wants them.
var ratios = []histogram.Ratio{
	{Num: 0, Den: 1}, {Num: 1, Den: 1_000_000}, {Num: 7, Den: 100}, {Num: 1, Den: 3}, histogram.P50, histogram.P90,
	histogram.P95, histogram.P99, {Num: 999, Den: 1000}, {Num: math.MaxUint32 - 1, Den: math.MaxUint32}, {Num: 1, Den: 1},
}

// nearestRank is the definition in arbitrary precision: ceil(p*n), at least 1.
func nearestRank(r histogram.Ratio, n int64) int64 {
	product := new(big.Int).Mul(big.NewInt(int64(r.Num)), big.NewInt(n))
	quotient, remainder := new(big.Int).QuoRem(product, big.NewInt(int64(r.Den)), new(big.Int))
	if remainder.Sign() > 0 {
		quotient.Add(quotient, big.NewInt(1))
	}
	return max(1, quotient.Int64())
}

// checkPercentiles compares with the sorted values themselves.
func checkPercentiles(t *testing.T, h *histogram.Histogram, sorted []int64) {
	t.Helper()
	n := int64(len(sorted))
	out := make([]int64, len(ratios))
	if !h.Percentiles(ratios, out) {
		t.Fatalf("no percentiles of %d values", n)
	}
	for i, r := range ratios {
		if one, ok := h.Percentile(r); !ok || one != out[i] {
			t.Errorf("n=%d: Percentile(%v) = %d, %v; Percentiles says %d", n, r, one, ok, out[i])
		}
		rank := nearestRank(r, n)
		want := sorted[rank-1]
		switch {
		case rank == 1 && out[i] != sorted[0]:
			t.Errorf("n=%d: p=%v has rank 1 and is %d, the minimum is %d", n, r, out[i], sorted[0])
		case rank == n && out[i] != sorted[n-1]:
			t.Errorf("n=%d: p=%v has rank n and is %d, the maximum is %d", n, r, out[i], sorted[n-1])
		case !within128th(out[i], want):
			t.Errorf("n=%d: p=%v is %d, the value of rank %d is %d: off by more than 1/128", n, r, out[i], rank, want)
		case out[i] < sorted[0] || out[i] > sorted[n-1]:
			t.Errorf("n=%d: p=%v is %d, outside %d … %d", n, r, out[i], sorted[0], sorted[n-1])
		case want < 128 && out[i] != want:
			t.Errorf("n=%d: p=%v is %d, want exactly %d", n, r, out[i], want)
		}
	}
}

// within128th tells whether |got-want| <= want/128, exactly.
func within128th(got, want int64) bool {
	distance := new(big.Int).Sub(big.NewInt(got), big.NewInt(want))
	return distance.Abs(distance).Lsh(distance, 7).Cmp(big.NewInt(want)) <= 0
}

// sources draw values of several kinds; none can overflow a sum of 2,000.
var sources = []struct {
	name string
	draw func(*rand.Rand) int64
}{
	{"every magnitude up to 24 h", func(r *rand.Rand) int64 { return r.Int64N(86_400_000_000_000) >> r.UintN(47) }},
	{"exact integers", func(r *rand.Rand) int64 { return r.Int64N(128) }},
	{"few values", func(r *rand.Rand) int64 { return []int64{0, 127, 128, 129, 1_000_000_007}[r.IntN(5)] }},
	{"one bin", func(r *rand.Rand) int64 { return 1<<40 + r.Int64N(1<<34) }},
	{"log-normal around 2 s", func(r *rand.Rand) int64 { return int64(2e9 * math.Exp(0.6*r.NormFloat64())) }},
	{"all equal", func(*rand.Rand) int64 { return 123_456_789 }},
	{"as large as fits", func(r *rand.Rand) int64 { return math.MaxInt64/2000 - r.Int64N(1000) }},
}

// TestPercentilesAreNearestRank asks after every value from the first to the
// 2,000th, which also shows that asking changes nothing.
func TestPercentilesAreNearestRank(t *testing.T) {
	for _, source := range sources {
		t.Run(source.name, func(t *testing.T) {
			random := seedtest.Rand(t)
			var h histogram.Histogram
			var sorted []int64
			for range 2000 {
				v := source.draw(random)
				at, _ := slices.BinarySearch(sorted, v)
				sorted = slices.Insert(sorted, at, v)
				if err := h.Record(v); err != nil {
					t.Fatal(err)
				}
				checkPercentiles(t, &h, sorted)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// TestRankIsNotAFloatingPointProduct shows counts for which ceil(p*n) in
// float64 is one too many, and that the histogram gives the true rank. The
// values 1 … n are their own ranks as long as they are below 128.
func TestRankIsNotAFloatingPointProduct(t *testing.T) {
	p, r := 0.07, histogram.Ratio{Num: 7, Den: 100}
	tests := []struct{ n, rank, floatRank int64 }{
		{100, 7, 8}, {200, 14, 15}, {300, 21, 22}, {1200, 84, 85},
	}
	for _, test := range tests {
		if got := int64(math.Ceil(p * float64(test.n))); got != test.floatRank {
			t.Errorf("ceil(%g*%d) = %d in float64, the test expects %d: choose another n", p, test.n, got, test.floatRank)
		}
		var h histogram.Histogram
		for v := range test.n {
			if err := h.Record(v + 1); err != nil {
				t.Fatal(err)
			}
		}
		if got, _ := h.Percentile(r); got != test.rank {
			t.Errorf("n=%d: the 7th percentile of 1 … n has rank %d, want %d", test.n, got, test.rank)
		}
	}
}

// TestPercentilesOfCountsBeyondFloat: with 2^62 values a float64 no longer
// knows single ranks.
func TestPercentilesOfCountsBeyondFloat(t *testing.T) {
	const half = 1<<61 - 1
	// Ranks 1 … half are 0, half+1 … 2*half are 1, then there are three values 2.
	h, err := histogram.Parse(`{"0":2305843009213693951,"1":2305843009213693951,"2":3}`,
		histogram.Stats{Count: 2*half + 3, Sum: half + 6, Min: 0, Max: 2})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		ratio histogram.Ratio
		want  int64
	}{
		{histogram.Ratio{Num: 0, Den: math.MaxUint32}, 0},
		{histogram.Ratio{Num: 1, Den: 3}, 0},
		{histogram.P50, 1}, // rank half+2
		{histogram.P99, 1},
		{histogram.Ratio{Num: math.MaxUint32 - 1, Den: math.MaxUint32}, 1},
		{histogram.Ratio{Num: math.MaxUint32, Den: math.MaxUint32}, 2},
	}
	for _, test := range tests {
		if got, ok := h.Percentile(test.ratio); !ok || got != test.want {
			t.Errorf("Percentile(%v) = %d, %v; want %d", test.ratio, got, ok, test.want)
		}
	}
}

func TestNoPercentilesOfNothing(t *testing.T) {
	var h histogram.Histogram
	out := []int64{-7, -7}
	if h.Percentiles([]histogram.Ratio{histogram.P50, histogram.P99}, out) || !slices.Equal(out, []int64{-7, -7}) {
		t.Errorf("an empty histogram filled in %d", out)
	}
	if v, ok := h.Percentile(histogram.P50); ok || v != 0 {
		t.Errorf("Percentile = %d, %v; want 0, false", v, ok)
	}
	if err := h.Record(5); err != nil {
		t.Fatal(err)
	}
	h.Reset()
	if _, ok := h.Percentile(histogram.P50); ok {
		t.Error("a percentile after Reset")
	}
}

// TestPercentileIsClamped: the middle of a bin is no answer where no value can
// be.
func TestPercentileIsClamped(t *testing.T) {
	tests := []struct {
		name   string
		values []int64
		want   int64 // of the median, which is neither minimum nor maximum by rank
	}{
		{"the middle is above the maximum", []int64{1024, 1025, 1026}, 1026},
		{"the middle is below the minimum", []int64{1037, 1038, 1039}, 1037},
		{"the middle is between", []int64{1025, 1026, 1039}, 1032},
	}
	for _, test := range tests {
		var h histogram.Histogram
		for _, v := range test.values {
			if err := h.Record(v); err != nil {
				t.Fatal(err)
			}
		}
		if got, _ := h.Percentile(histogram.P50); got != test.want {
			t.Errorf("%s: the median of %d is %d, want %d", test.name, test.values, got, test.want)
		}
	}
}
