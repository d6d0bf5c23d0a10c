package histogram_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// content is everything a histogram says.
func content(h *histogram.Histogram) string {
	out := make([]int64, len(ratios))
	ok := h.Percentiles(ratios, out)
	return fmt.Sprintf("count %d sum %d min %d max %d percentiles %v %d bins %s",
		h.Count(), h.Sum(), h.Min(), h.Max(), ok, out, h.AppendText(nil))
}

func stats(h *histogram.Histogram) histogram.Stats {
	return histogram.Stats{Count: h.Count(), Sum: h.Sum(), Min: h.Min(), Max: h.Max()}
}

// expect compares a histogram with the values that should be in it, counted in
// a plain map.
func expect(t *testing.T, h *histogram.Histogram, values []int64) {
	t.Helper()
	var sum, lowest, highest int64
	bins := map[histogram.Bin]int64{}
	for i, v := range values {
		sum += v
		bins[histogram.BinOf(v)]++
		if i == 0 {
			lowest = v
		}
		lowest, highest = min(lowest, v), max(highest, v)
	}
	want := histogram.Stats{Count: int64(len(values)), Sum: sum, Min: lowest, Max: highest}
	if got := stats(h); got != want {
		t.Errorf("figures %+v, want %+v", got, want)
	}
	if got := h.Bins(); len(got) != len(bins) {
		t.Errorf("%d bins, want %d", len(got), len(bins))
	}
	for i, b := range h.Bins() {
		if b.Count != bins[b.Bin] {
			t.Errorf("bin %d holds %d, want %d", b.Bin, b.Count, bins[b.Bin])
		}
		if i > 0 && h.Bins()[i-1].Bin >= b.Bin {
			t.Errorf("bin %d follows bin %d", b.Bin, h.Bins()[i-1].Bin)
		}
	}
	if err := h.Validate(); err != nil {
		t.Errorf("Validate: %v", err)
	}
	if len(values) > 0 {
		checkPercentiles(t, h, slices.Sorted(slices.Values(values)))
	}
}

func record(t *testing.T, h *histogram.Histogram, values []int64) {
	t.Helper()
	for _, v := range values {
		if err := h.Record(v); err != nil {
			t.Fatalf("record %d: %v", v, err)
		}
	}
}

func merge(t *testing.T, h, o *histogram.Histogram) {
	t.Helper()
	if !h.CanMerge(o) {
		t.Fatal("CanMerge says no")
	}
	if err := h.Merge(o); err != nil {
		t.Fatal(err)
	}
}

func parsed(t *testing.T, h *histogram.Histogram) *histogram.Histogram {
	t.Helper()
	p, err := histogram.Parse(string(h.AppendText(nil)), stats(h))
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

func recorded(t *testing.T, values []int64) *histogram.Histogram {
	t.Helper()
	h := new(histogram.Histogram)
	record(t, h, values)
	return h
}

// constructors are all the ways to come by a histogram of given values.
var constructors = []struct {
	name  string
	build func(t *testing.T, values []int64) *histogram.Histogram
}{
	{"recorded", recorded},
	{"recorded, looked at half-way", func(t *testing.T, values []int64) *histogram.Histogram {
		h := recorded(t, values[:len(values)/2])
		_ = h.Bins()
		record(t, h, values[len(values)/2:])
		return h
	}},
	{"merged", func(t *testing.T, values []int64) *histogram.Histogram {
		h := recorded(t, values[:len(values)/3])
		merge(t, h, recorded(t, values[len(values)/3:]))
		return h
	}},
	{"parsed", func(t *testing.T, values []int64) *histogram.Histogram { return parsed(t, recorded(t, values)) }},
	{"merged after parse", func(t *testing.T, values []int64) *histogram.Histogram {
		h := parsed(t, recorded(t, values[:len(values)/2]))
		merge(t, h, parsed(t, recorded(t, values[len(values)/2:])))
		return h
	}},
	{"recorded after parse", func(t *testing.T, values []int64) *histogram.Histogram {
		h := parsed(t, recorded(t, values[:len(values)/2]))
		record(t, h, values[len(values)/2:])
		return h
	}},
	{"reset and reused", func(t *testing.T, values []int64) *histogram.Histogram {
		h := recorded(t, []int64{0, 5, 77, 1 << 20, 1 << 50, 1<<50 + 1})
		_ = h.Bins()
		record(t, h, []int64{3, 1 << 41})
		h.Reset()
		record(t, h, values)
		return h
	}},
	{"merged into a reset one", func(t *testing.T, values []int64) *histogram.Histogram {
		h := recorded(t, []int64{9, 9, 1 << 30})
		h.Reset()
		merge(t, h, recorded(t, values))
		return h
	}},
}

// sizes lie around the places where a histogram may reorganise itself.
var sizes = []int{0, 1, 2, 63, 65, 127, 1023, 1024, 1025, 2047, 2049, 5000}

func draw(random *rand.Rand, n int) []int64 {
	values := make([]int64, n)
	source := sources[random.IntN(len(sources)-1)] // the last one may overflow a sum
	for i := range values {
		values[i] = source.draw(random)
	}
	return values
}

func TestEveryConstructorGivesTheSame(t *testing.T) {
	for _, size := range sizes {
		for _, constructor := range constructors {
			t.Run(fmt.Sprint(constructor.name, " of ", size), func(t *testing.T) {
				values := draw(seedtest.Rand(t), size)
				expect(t, constructor.build(t, values), values)
			})
		}
	}
}

// TestMergeLaws: for every pair of ways to build two histograms, merging is
// commutative, has the empty one as its identity and changes the receiver only.
func TestMergeLaws(t *testing.T) {
	for _, one := range constructors {
		for _, two := range constructors {
			t.Run(one.name+" and "+two.name, func(t *testing.T) {
				random := seedtest.Rand(t)
				a, b := draw(random, sizes[random.IntN(len(sizes))]), draw(random, sizes[random.IntN(len(sizes))])
				both := slices.Concat(a, b)

				left, right := one.build(t, a), two.build(t, b)
				before := content(right)
				merge(t, left, right)
				expect(t, left, both)
				if after := content(right); after != before {
					t.Errorf("the argument changed from\n%s\nto\n%s", before, after)
				}
				// Neither shares memory with the other from now on.
				record(t, left, b)
				if after := content(right); after != before {
					t.Error("recording into the receiver changed the argument")
				}

				swapped := two.build(t, b)
				merge(t, swapped, one.build(t, a))
				expect(t, swapped, both)

				alone, empty := content(one.build(t, a)), new(histogram.Histogram)
				merge(t, empty, one.build(t, a))
				if got := content(empty); got != alone {
					t.Errorf("nothing + a = %s, want %s", got, alone)
				}
				same := one.build(t, a)
				merge(t, same, new(histogram.Histogram))
				if got := content(same); got != alone {
					t.Errorf("a + nothing = %s, want %s", got, alone)
				}
			})
		}
	}
}

// TestMergeInAnyTree: parts merged in any order and any grouping are the whole.
func TestMergeInAnyTree(t *testing.T) {
	random := seedtest.Rand(t)
	for range 60 {
		values := draw(random, 1+random.IntN(4000))
		whole := recorded(t, values)
		var parts []*histogram.Histogram
		for rest := values; len(rest) > 0; {
			n := 1 + random.IntN(len(rest))
			parts = append(parts, constructors[random.IntN(len(constructors))].build(t, rest[:n]))
			rest = rest[n:]
		}
		for len(parts) > 1 {
			i := random.IntN(len(parts) - 1)
			j := i + 1 + random.IntN(len(parts)-i-1)
			if random.IntN(2) == 0 {
				parts[i], parts[j] = parts[j], parts[i]
			}
			merge(t, parts[i], parts[j])
			parts = slices.Delete(parts, j, j+1)
		}
		if got, want := content(parts[0]), content(whole); got != want {
			t.Fatalf("merged parts say\n%s\nthe whole says\n%s", got, want)
		}
	}
}

func TestMergeWithItselfDoubles(t *testing.T) {
	values := draw(seedtest.Rand(t), 3000)
	h := recorded(t, values)
	merge(t, h, h)
	expect(t, h, slices.Concat(values, values))
}

// TestRefusalsChangeNothing: what cannot be taken leaves the histogram as it
// was.
func TestRefusalsChangeNothing(t *testing.T) {
	full, err := histogram.Parse(`{"0":9223372036854775807}`, histogram.Stats{Count: math.MaxInt64})
	if err != nil {
		t.Fatal(err)
	}
	recordOf := func(v int64) func(*histogram.Histogram) error {
		return func(h *histogram.Histogram) error { return h.Record(v) }
	}
	mergeOf := func(values ...int64) func(*histogram.Histogram) error {
		return func(h *histogram.Histogram) error {
			o := recorded(t, values)
			if h.CanMerge(o) {
				return errors.New("CanMerge says it can")
			}
			return h.Merge(o)
		}
	}
	tests := []struct {
		name   string
		before func() *histogram.Histogram
		change func(*histogram.Histogram) error
		want   error
	}{
		{"-1", func() *histogram.Histogram { return recorded(t, []int64{1, 2, 3}) }, recordOf(-1), histogram.ErrNegative},
		{"-1 into nothing", func() *histogram.Histogram { return recorded(t, nil) }, recordOf(-1), histogram.ErrNegative},
		{"least int64", func() *histogram.Histogram { return recorded(t, []int64{1}) }, recordOf(math.MinInt64), histogram.ErrNegative},
		{"sum, by 1", func() *histogram.Histogram { return recorded(t, []int64{math.MaxInt64}) }, recordOf(1), histogram.ErrOverflow},
		{"sum, by much", func() *histogram.Histogram { return recorded(t, []int64{2, math.MaxInt64 - 2}) }, recordOf(math.MaxInt64), histogram.ErrOverflow},
		{"merged sum, by 1", func() *histogram.Histogram { return recorded(t, []int64{math.MaxInt64 - 9}) }, mergeOf(4, 6), histogram.ErrOverflow},
		{"count", func() *histogram.Histogram { return &full }, recordOf(0), histogram.ErrOverflow},
		{"merged count", func() *histogram.Histogram { return &full }, mergeOf(0), histogram.ErrOverflow},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := test.before()
			before := content(h)
			if err := test.change(h); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if after := content(h); after != before {
				t.Errorf("changed from\n%s\nto\n%s", before, after)
			}
			if err := h.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSumsUpToTheLimit: what just fits is taken.
func TestSumsUpToTheLimit(t *testing.T) {
	values := []int64{math.MaxInt64 - 10, 3, 7, 0, 0}
	expect(t, recorded(t, values), values)
	h := recorded(t, values[:1])
	merge(t, h, recorded(t, values[1:]))
	expect(t, h, values)
	merge(t, h, recorded(t, []int64{0}))
	expect(t, h, append(values, 0))
	// The last bin among many.
	values = append(make([]int64, 1000), math.MaxInt64)
	expect(t, recorded(t, values), values)
}

func TestResetKeepsMemoryAndNothingElse(t *testing.T) {
	h := recorded(t, draw(seedtest.Rand(t), 3000))
	size := h.Size()
	h.Reset()
	if h.Size() < size/2 {
		t.Errorf("%d bytes, %d before Reset: the memory is not kept", h.Size(), size)
	}
	expect(t, h, nil)
	if got := testing.AllocsPerRun(100, func() {
		h.Reset()
		for v := range int64(1000) {
			_ = h.Record(v * 1_000_003)
		}
	}); got > 0 {
		t.Errorf("%g allocations to record into a reset histogram", got)
	}
}

// TestSizeIsBounded: a histogram takes no more memory than its bins, however
// many values it has seen.
func TestSizeIsBounded(t *testing.T) {
	random := seedtest.Rand(t)
	var h, other histogram.Histogram
	for range 300_000 {
		if err := h.Record(random.Int64() >> (20 + random.UintN(43))); err != nil {
			t.Fatal(err)
		}
	}
	record(t, &other, draw(random, 500))
	for range 100 {
		merge(t, &h, &other)
	}
	const most = 2 * 16 * (int(histogram.MaxBin) + 1)
	if h.Size() > most {
		t.Errorf("%d bytes for %d bins, want at most %d", h.Size(), len(h.Bins()), most)
	}
}
