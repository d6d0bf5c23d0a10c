package resampling

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// A draw adds up the buckets of its blocks, each as often as it was drawn: as
// many buckets as there are, whatever the length of a block.
func TestSumAddsUpWhatWasDrawn(t *testing.T) {
	random := seedtest.Rand(t)
	for range 200 {
		buckets, columns := 1+random.IntN(40), 1+random.IntN(4)
		length := 1 + random.IntN(buckets)
		table := NewTable[int64](buckets, columns)
		values := make([][]int64, buckets)
		for i := range values {
			values[i] = make([]int64, columns)
			for c := range columns {
				values[i][c] = random.Int64N(1000)
				table.Add(i, c, values[i][c])
			}
		}
		table.Seal()
		r := NewResample(buckets, length)
		r.Draw(random, buckets)
		want := make([]int64, columns)
		drawn := 0
		for _, start := range r.starts {
			for k := range length {
				if drawn == buckets {
					break
				}
				for c := range columns {
					want[c] += values[(start+k)%buckets][c]
				}
				drawn++
			}
		}
		require.Equal(t, buckets, drawn)
		got := make([]int64, columns)
		table.Sum(r, got)
		require.Equal(t, want, got)
		for i := range values {
			for c := range columns {
				require.Equal(t, values[i][c], table.Value(i, c))
			}
		}
		total := make([]int64, columns)
		table.Total(total)
		for c := range columns {
			sum := int64(0)
			for i := range values {
				sum += values[i][c]
			}
			require.Equal(t, sum, total[c])
		}
	}
}

func TestNothingCanBeSummed(t *testing.T) {
	table := NewTable[float64](0, 0)
	table.Seal()
	table.Total(nil)
}

// autoregression returns a series of first order around noise.
func autoregression(random *rand.Rand, n int, phi, noise float64) []float64 {
	series := make([]float64, n)
	level := random.NormFloat64()
	for i := range series {
		level = phi*level + math.Sqrt(1-phi*phi)*random.NormFloat64()
		series[i] = level + noise*random.NormFloat64()
	}
	return series
}

// The length of a block grows with the correlation, and comes near the best one
// of the theory for an autoregression: (2 G²/D)^(1/3) n^(1/3) with
// G = 2 phi/(1-phi)², g(0) = (1+phi)/(1-phi) and D = 4/3 g(0)².
func TestBlockLengthOfAutoregressions(t *testing.T) {
	random := seedtest.Rand(t)
	const n, runs = 2000, 41
	before := 0.0
	for _, phi := range []float64{0, 0.3, 0.6, 0.9} {
		lengths := make([]float64, runs)
		for i := range lengths {
			lengths[i] = BlockLength(autoregression(random, n, phi, 0))
		}
		slices.Sort(lengths)
		g, g0 := 2*phi/((1-phi)*(1-phi)), (1+phi)/(1-phi)
		best := max(1, math.Cbrt(1.5*g*g/(g0*g0)*n))
		median := lengths[runs/2]
		t.Logf("phi %g: %.1f, the best is %.1f", phi, median, best)
		require.Greater(t, median, before)
		if phi > 0 {
			require.InEpsilon(t, best, median, 0.35)
		}
		before = median
	}
}

func TestBlockLengthOfSeriesWithoutMuchInThem(t *testing.T) {
	for name, series := range map[string][]float64{
		"nothing": nil, "one": {1}, "three": {1, 2, 3}, "constant": make([]float64, 100), "four": {1, 2, 3, 4},
	} {
		length := BlockLength(series)
		require.False(t, math.IsNaN(length) || math.IsInf(length, 0) || length < 1, name)
		require.False(t, math.IsNaN(Widening(append(slices.Clone(series), 0, 0), 1)), name)
	}
	require.Equal(t, 1.0, BlockLength(make([]float64, 100)))
	for n := range 1000 {
		shortest, longest := Bounds(n)
		require.True(t, 1 <= shortest && shortest <= longest, n)
		require.True(t, n < MinBlocks || (n+longest-1)/longest >= MinBlocks, n)
	}
}

// The critical values of Kiefer and Vogelsang are those of the statistic that
// they are for: the mean of independent values over its Bartlett estimate with a
// bandwidth that is a share of them.
func TestCriticalValues(t *testing.T) {
	random := seedtest.Rand(t)
	const n, runs = 100, 8000
	for _, length := range []int{2, 6, 12} {
		statistics := make([]float64, runs)
		for i := range statistics {
			series := autoregression(random, n, 0, 0)
			mean := 0.0
			for _, x := range series {
				mean += x / n
			}
			statistics[i] = math.Abs(mean) * math.Sqrt(n/bartlett(autocovariance(series, length), length))
		}
		slices.Sort(statistics)
		// Of a constant there is nothing that blocks would miss.
		critical := normal975 * Widening(make([]float64, n), length)
		require.InEpsilon(t, statistics[runs*95/100], critical, 0.04, "%d of %d", length, n)
	}
}

// Widened, the middle 95 % of the replicates of a mean hold the true one about
// as often as they should, where blocks alone hold it far too rarely.
func TestIntervalsCover(t *testing.T) {
	random := seedtest.Rand(t)
	const n, runs = 240, 400
	for _, c := range []struct{ phi, noise float64 }{{0, 0}, {0.8, 0}, {0.9, 1}} {
		covered, plain := 0, 0
		for range runs {
			series := autoregression(random, n, c.phi, c.noise)
			table := NewTable[float64](n, 1)
			for i, x := range series {
				table.Add(i, 0, x)
			}
			table.Seal()
			shortest, longest := Bounds(n)
			length := min(max(int(math.Ceil(BlockLength(series))), shortest), longest)
			r, sum := NewResample(n, length), make([]float64, 1)
			table.Total(sum)
			mean := sum[0] / n
			replicates := make([]float64, 399)
			for i := range replicates {
				r.Draw(random, n)
				table.Sum(r, sum)
				replicates[i] = sum[0]/n - mean
			}
			low, high := Interval(replicates)
			w := Widening(series, length)
			if mean+w*low <= 0 && mean+w*high >= 0 {
				covered++
			}
			if mean+low <= 0 && mean+high >= 0 {
				plain++
			}
		}
		t.Logf("phi %g, noise %g: %.1f %%, without widening %.1f %%", c.phi, c.noise, 100*float64(covered)/runs, 100*float64(plain)/runs)
		require.GreaterOrEqual(t, covered, runs*92/100)
		if c.phi > 0 {
			require.Less(t, plain, runs*92/100, "then widening proves nothing")
		}
	}
}

func TestIntervalIsTheMiddle(t *testing.T) {
	values := make([]float64, 1000)
	for i := range values {
		values[i] = float64(i)
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
	low, high := Interval(values)
	require.Equal(t, [2]float64{24, 975}, [2]float64{low, high})
	low, high = Interval([]float64{7})
	require.Equal(t, [2]float64{7, 7}, [2]float64{low, high})
}

func BenchmarkResampling(b *testing.B) {
	const buckets, columns = 360, 1000
	table := NewTable[int64](buckets, columns)
	table.Seal()
	r, out := NewResample(buckets, 25), make([]int64, columns)
	random := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		r.Draw(random, buckets)
		table.Sum(r, out)
	}
}
