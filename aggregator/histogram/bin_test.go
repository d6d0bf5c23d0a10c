package histogram_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// TestBinsAreStable pins numbers that are in files: changing one makes every
// stored histogram say something else.
func TestBinsAreStable(t *testing.T) {
	if histogram.PrecisionBits != 6 || histogram.MaxBin != 3711 {
		t.Errorf("PrecisionBits = %d, MaxBin = %d; want 6, 3711", histogram.PrecisionBits, histogram.MaxBin)
	}
	tests := []struct {
		value int64
		bin   histogram.Bin
	}{
		{0, 0},
		{1, 1},
		{63, 63},
		{64, 64},
		{126, 126},
		{127, 127}, // the last bin of width 1
		{128, 128},
		{129, 128},
		{130, 129},
		{254, 191},
		{255, 191},
		{256, 192}, // an octave later: width 4
		{259, 192},
		{260, 193},
		{511, 255},
		{512, 256},
		{1000, 317},
		{1023, 319},
		{1024, 320},
		{1_000_000, 954},           // 1 ms
		{1_000_000_000, 1591},      // 1 s
		{60_000_000_000, 1967},     // 1 min
		{86_400_000_000_000, 2638}, // 24 h, the longest duration
		{1<<62 - 1, 3647},          // the last value of its octave
		{1 << 62, 3648},            // the first of the last octave
		{math.MaxInt64 - 1, 3711},
		{math.MaxInt64, 3711},
	}
	for _, test := range tests {
		if got := histogram.BinOf(test.value); got != test.bin {
			t.Errorf("BinOf(%d) = %d, want %d", test.value, got, test.bin)
		}
	}
}

// TestBinBoundsAreStable pins bounds that readers compute from the bin alone.
func TestBinBoundsAreStable(t *testing.T) {
	tests := []struct {
		bin                      histogram.Bin
		lower, upper, mid, width int64
	}{
		{0, 0, 0, 0, 1},
		{1, 1, 1, 1, 1},
		{127, 127, 127, 127, 1},
		{128, 128, 129, 129, 2},
		{191, 254, 255, 255, 2},
		{192, 256, 259, 258, 4},
		{255, 508, 511, 510, 4},
		{256, 512, 519, 516, 8},
		{317, 1000, 1007, 1004, 8},
		{1591, 998244352, 1006632959, 1002438656, 8388608},
		{3647, 4575657221408423936, 4611686018427387903, 4593671619917905920, 36028797018963968},
		{3648, 4611686018427387904, 4683743612465315839, 4647714815446351872, 72057594037927936},
		{3711, 9151314442816847872, math.MaxInt64, 9187343239835811840, 72057594037927936},
	}
	for _, test := range tests {
		b := test.bin
		if b.Lower() != test.lower || b.Upper() != test.upper || b.Mid() != test.mid || b.Width() != test.width {
			t.Errorf("bin %d: lower %d, upper %d, mid %d, width %d; want %d, %d, %d, %d",
				b, b.Lower(), b.Upper(), b.Mid(), b.Width(), test.lower, test.upper, test.mid, test.width)
		}
	}
}

// edges returns the lower ends of all bins and the end of the last one, as the
// definition in words says: 128 integers, then 64 equal parts of each octave.
func edges() []*big.Int {
	var list []*big.Int
	for i := range int64(128) {
		list = append(list, big.NewInt(i))
	}
	for octave := uint(7); octave <= 62; octave++ {
		start := new(big.Int).Lsh(big.NewInt(1), octave)
		part := new(big.Int).Rsh(start, 6)
		for i := range int64(64) {
			list = append(list, new(big.Int).Add(start, new(big.Int).Mul(part, big.NewInt(i))))
		}
	}
	return append(list, new(big.Int).Lsh(big.NewInt(1), 63))
}

// TestBinsTileTheIntegers walks over all bins: each begins where the one before
// ended, and both its ends and its middle lie in it.
func TestBinsTileTheIntegers(t *testing.T) {
	edge := edges()
	if len(edge) != 3713 {
		t.Fatalf("%d edges, want 3712 bins and an end", len(edge))
	}
	for b := histogram.Bin(0); b <= histogram.MaxBin; b++ {
		lower, end := edge[b].Int64(), edge[b+1]
		upper := new(big.Int).Sub(end, big.NewInt(1)).Int64()
		width := new(big.Int).Sub(end, edge[b])
		mid := new(big.Int).Add(edge[b], new(big.Int).Rsh(width, 1)).Int64()
		if b.Lower() != lower || b.Upper() != upper || b.Mid() != mid || b.Width() != width.Int64() {
			t.Errorf("bin %d: lower %d, upper %d, mid %d, width %d; want %d, %d, %d, %v",
				b, b.Lower(), b.Upper(), b.Mid(), b.Width(), lower, upper, mid, width)
		}
		for _, v := range []int64{lower, mid, upper} {
			if got := histogram.BinOf(v); got != b {
				t.Errorf("BinOf(%d) = %d, want %d", v, got, b)
			}
		}
	}
}

// TestMidIsCloseToEveryValue: |mid - v| <= v/128 in exact arithmetic, for the
// values that are worst, the ends of each bin, and for random ones of every
// magnitude.
func TestMidIsCloseToEveryValue(t *testing.T) {
	check := func(v int64) {
		t.Helper()
		distance := new(big.Int).Sub(big.NewInt(histogram.BinOf(v).Mid()), big.NewInt(v))
		if distance.Abs(distance).Lsh(distance, 7).Cmp(big.NewInt(v)) > 0 {
			t.Errorf("bin %d stands for %d by %d: off by more than 1/128", histogram.BinOf(v), v, histogram.BinOf(v).Mid())
		}
	}
	for b := histogram.Bin(0); b <= histogram.MaxBin; b++ {
		check(b.Lower())
		check(b.Upper())
	}
	random := seedtest.Rand(t)
	for range 200_000 {
		check(random.Int64() >> random.UintN(63))
	}
}

// TestBinFormula: the two lines of the design, which SQL uses too, agree with
// the package.
func TestBinFormula(t *testing.T) {
	formula := func(v int64) int64 {
		bitLen := int64(big.NewInt(v).BitLen())
		e := max(0, bitLen-7)
		return e<<6 + v>>e
	}
	lower := func(bin int64) int64 {
		if bin < 128 {
			return bin
		}
		return ((bin & 63) + 64) << ((bin >> 6) - 1)
	}
	random := seedtest.Rand(t)
	for range 100_000 {
		v := random.Int64() >> random.UintN(63)
		if got := histogram.BinOf(v); int64(got) != formula(v) {
			t.Errorf("BinOf(%d) = %d, the formula says %d", v, got, formula(v))
		}
	}
	for b := range histogram.MaxBin + 1 {
		if b.Lower() != lower(int64(b)) {
			t.Errorf("bin %d begins at %d, the formula says %d", b, b.Lower(), lower(int64(b)))
		}
	}
}
