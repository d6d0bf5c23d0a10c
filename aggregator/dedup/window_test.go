package dedup_test

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator/dedup"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// model is what a window is: a set, and how it changed since the last commit.
type model struct {
	held    map[uint64]bool
	pending []uint64
}

func (m *model) add(fingerprint uint64) bool {
	if fingerprint == 0 {
		return true
	}
	if m.held[fingerprint] {
		return false
	}
	m.held[fingerprint] = true
	m.pending = append(m.pending, fingerprint)
	return true
}

func (m *model) rollback() {
	for _, fingerprint := range m.pending {
		delete(m.held, fingerprint)
	}
	m.pending = nil
}

// pair does the same to a window and its model.
type pair struct {
	t      testing.TB
	window dedup.Window
	model  model
}

func newPair(t testing.TB) *pair { return &pair{t: t, model: model{held: map[uint64]bool{}}} }

// The steps of a pair, in the order of their numbers in a script.
const (
	stepAdd = iota
	stepAddAgain
	stepCommit
	stepRollback
	stepLoad
	stepRemove // where nothing is pending
	stepReserve
	stepReset
	steps
)

func (p *pair) step(step int, fingerprint uint64) {
	w, m := &p.window, &p.model
	switch step {
	case stepAdd:
		require.Equal(p.t, m.add(fingerprint), w.Add(fingerprint), "Add(%#x)", fingerprint)
	case stepAddAgain:
		if len(m.pending) > 0 {
			require.False(p.t, w.Add(m.pending[fingerprint%uint64(len(m.pending))]), "added in this transaction")
		}
	case stepCommit:
		w.Commit()
		m.pending = nil
	case stepRollback:
		w.Rollback()
		m.rollback()
	case stepLoad:
		require.Equal(p.t, fingerprint != 0 && !m.held[fingerprint], w.Load(fingerprint), "Load(%#x)", fingerprint)
		if fingerprint != 0 {
			m.held[fingerprint] = true
		}
	case stepRemove:
		if len(m.pending) == 0 {
			w.Remove(fingerprint)
			delete(m.held, fingerprint)
		}
	case stepReserve:
		w.Reserve(int(fingerprint % 1_000))
	case stepReset:
		w.Reset()
		*m = model{held: map[uint64]bool{}}
	}
	require.Equal(p.t, len(m.held), w.Len())
	require.Equal(p.t, len(m.pending), len(w.Pending()))
}

// requireEqual compares everything, with all that some numbers might be.
func (p *pair) requireEqual(numbers []uint64) {
	require.Equal(p.t, p.model.pending, append([]uint64(nil), p.window.Pending()...))
	for _, fingerprint := range numbers {
		require.Equal(p.t, p.model.held[fingerprint], p.window.Has(fingerprint), "Has(%#x)", fingerprint)
	}
	for fingerprint := range p.model.held {
		require.True(p.t, p.window.Has(fingerprint), "%#x is lost", fingerprint)
	}
}

// populations are numbers of which some are hard on a table whose slots follow
// the upper bits.
var populations = map[string]func(*rand.Rand) uint64{
	"random":                func(r *rand.Rand) uint64 { return r.Uint64() },
	"few":                   func(r *rand.Rand) uint64 { return r.Uint64N(60) * 0x0123_4567_89ab_cdef },
	"one home":              func(r *rand.Rand) uint64 { return 1<<63 + r.Uint64N(300) },
	"the first slot":        func(r *rand.Rand) uint64 { return r.Uint64N(300) },
	"round the end":         func(r *rand.Rand) uint64 { return math.MaxUint64 - r.Uint64N(300) },
	"both ends":             func(r *rand.Rand) uint64 { return r.Uint64N(300) - 150 },
	"beside the boundaries": func(r *rand.Rand) uint64 { return r.Uint64N(64)<<58 + r.Uint64N(7) - 3 },
	"every slot":            func(r *rand.Rand) uint64 { return r.Uint64N(512) << 55 },
}

// TestWindowIsASet does random steps to a window and to a Go map.
func TestWindowIsASet(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(populations)) {
		t.Run(name, func(t *testing.T) {
			r, draw := seedtest.Rand(t), populations[name]
			for range 20 {
				p := newPair(t)
				weights := randomWeights(r)
				var drawn []uint64
				for range 1_500 {
					fingerprint := draw(r)
					if len(drawn) > 0 && r.IntN(3) == 0 {
						fingerprint = drawn[r.IntN(len(drawn))]
					}
					drawn = append(drawn, fingerprint)
					p.step(weights[r.IntN(len(weights))], fingerprint)
				}
				p.requireEqual(drawn)
			}
		})
	}
}

// randomWeights returns steps to choose from: some windows mostly grow, others
// shrink or are rolled back.
func randomWeights(r *rand.Rand) (weights []int) {
	for step, often := range [steps]int{stepAdd: 60, stepAddAgain: 4, stepCommit: 8, stepRollback: 8, stepLoad: 20, stepRemove: 60, stepReserve: 1} {
		for range 1 + r.IntN(1+often) {
			weights = append(weights, step)
		}
	}
	if r.IntN(4) > 0 {
		weights = slices.DeleteFunc(weights, func(step int) bool { return step == stepReset })
	}
	return weights
}

// TestTheModelNotices is the control: what a wrong window would do is found.
func TestTheModelNotices(t *testing.T) {
	r := seedtest.Rand(t)
	var window dedup.Window
	held := map[uint64]bool{}
	for range 200 {
		fingerprint := r.Uint64()
		window.Add(fingerprint)
		held[fingerprint] = true
	}
	window.Commit()
	forgotten := slices.Min(slices.Collect(maps.Keys(held)))
	window.Remove(forgotten)
	require.False(t, window.Has(forgotten))
	require.True(t, window.Add(forgotten), "what is forgotten counts as new: it would be counted twice")
	require.False(t, window.Add(forgotten))
}

func TestASpanWithoutIDsIsNeverADuplicate(t *testing.T) {
	var window dedup.Window
	for range 3 {
		require.True(t, window.Add(0))
		require.False(t, window.Load(0))
		require.False(t, window.Has(0))
		window.Remove(0)
	}
	require.Zero(t, window.Len())
	require.Empty(t, window.Pending())
	window.Rollback()
	require.Zero(t, window.Len())
}

// TestARolledBackSpanCanComeAgain: what did not become durable is new when it
// is sent again.
func TestARolledBackSpanCanComeAgain(t *testing.T) {
	var window dedup.Window
	require.True(t, window.Add(7))
	window.Commit()
	require.True(t, window.Add(8))
	require.False(t, window.Add(7), "durable")
	require.False(t, window.Add(8), "twice in one transaction")
	require.Equal(t, []uint64{8}, window.Pending())
	window.Rollback()
	require.Empty(t, window.Pending())
	require.False(t, window.Add(7), "durable before")
	require.True(t, window.Add(8))
}

// TestWindowIsSmall holds Bytes to its promise while a window grows, stands
// and shrinks, in transactions of several sizes.
func TestWindowIsSmall(t *testing.T) {
	for _, transaction := range []int{1, 100, 3_000} {
		r := seedtest.Rand(t)
		var window dedup.Window
		var queue []uint64
		require.Zero(t, window.Bytes())
		check := func() {
			require.Equal(t, len(queue), window.Len())
			if len(queue) >= 1_000 {
				require.LessOrEqual(t, window.Bytes(), 16*len(queue), "%d fingerprints", len(queue))
			}
		}
		for _, target := range []int{60_000, 20_000, 23_000, 1_500, 30_000, 1_000, 0} {
			for len(queue) < target {
				for range min(transaction, target-len(queue)) {
					queue = append(queue, r.Uint64())
					require.True(t, window.Add(queue[len(queue)-1]))
				}
				window.Commit()
				check()
			}
			for len(queue) > target {
				window.Remove(queue[0])
				queue = queue[1:]
				check()
			}
		}
		require.LessOrEqual(t, window.Bytes(), 1_024, "empty again")
		require.True(t, window.Add(1))
		window.Reset()
		require.Zero(t, window.Bytes())
	}
}

// TestAnAbandonedTransactionCostsNothing: memory is as before.
func TestAnAbandonedTransactionCostsNothing(t *testing.T) {
	r := seedtest.Rand(t)
	var window dedup.Window
	for range 2_000 {
		window.Load(r.Uint64())
	}
	for range 100_000 {
		window.Add(r.Uint64())
	}
	require.Greater(t, window.Bytes(), 1_000_000)
	window.Rollback()
	require.Equal(t, 2_000, window.Len())
	require.LessOrEqual(t, window.Bytes(), 16*2_000)
}

// TestReserveGrowsOnce: loading what there is room for moves nothing.
func TestReserveGrowsOnce(t *testing.T) {
	r := seedtest.Rand(t)
	var window dedup.Window
	window.Reserve(10_000)
	before := window.Bytes()
	for range 10_000 {
		window.Load(r.Uint64())
	}
	require.Equal(t, before, window.Bytes())
	require.LessOrEqual(t, before, 16*10_000)
	require.Empty(t, window.Pending(), "loaded ones are durable")
}

func FuzzWindow(f *testing.F) {
	f.Add([]byte{stepAdd, 0x80, stepAdd, 0x81, stepCommit, 0, stepRemove, 0x80, stepAdd, 0x80, stepRollback, 0})
	f.Add([]byte{stepLoad, 0xff, stepLoad, 0xfe, stepLoad, 0x00, stepRemove, 0xff, stepReset, 0, stepAdd, 0})
	f.Fuzz(func(t *testing.T, script []byte) {
		p := newPair(t)
		var drawn []uint64
		for ; len(script) >= 2; script = script[2:] {
			// The number of the step, then eight bits that become the ends of 64.
			low, high := uint64(script[1])&0x0f, uint64(script[1])&0xf0
			fingerprint := high<<56 | low
			if script[0]&0x80 != 0 && high == 0xf0 {
				fingerprint = math.MaxUint64 - low
			}
			drawn = append(drawn, fingerprint)
			p.step(int(script[0])%steps, fingerprint)
		}
		p.requireEqual(drawn)
	})
}

// BenchmarkAdd adds to a window of 4 million and takes the oldest out, as a
// full window does.
func BenchmarkAdd(b *testing.B) {
	const size, transaction, warmed = 4_000_000, 1_000, 64
	arrivals := func(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 2)) }
	oldest, newest := arrivals(1), arrivals(1)
	var window dedup.Window
	window.Reserve(size)
	for range size {
		window.Load(newest.Uint64())
	}
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			window.Add(newest.Uint64())
			if n++; n%transaction == 0 {
				window.Commit()
				b.StopTimer()
				for range transaction {
					window.Remove(oldest.Uint64())
				}
				b.StartTimer()
			}
		}
		window.Commit()
		b.ReportMetric(float64(window.Bytes())/float64(window.Len()), "B/entry")
	})
	b.Run("new, warmed", func(b *testing.B) {
		b.ReportAllocs()
		next := make([]uint64, transaction)
		for n := 0; b.Loop(); n++ {
			if n%transaction == 0 {
				b.StopTimer()
				window.Commit()
				for i := range next {
					window.Remove(oldest.Uint64())
					next[i] = newest.Uint64()
				}
				b.StartTimer()
			}
			if at := n % transaction; at%warmed == 0 {
				window.Warm(next[at:min(at+warmed, transaction)])
			}
			window.Add(next[n%transaction])
		}
		window.Commit()
	})
	b.Run("duplicate", func(b *testing.B) {
		again := arrivals(3)
		known := make([]uint64, 1<<16)
		for i := range known {
			known[i] = again.Uint64()
			window.Load(known[i])
		}
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			if window.Add(known[n%len(known)]) {
				b.Fatal("a duplicate passes")
			}
			n++
		}
	})
	b.Run("remove", func(b *testing.B) {
		for b.Loop() {
			window.Add(newest.Uint64())
			window.Commit()
			window.Remove(oldest.Uint64())
		}
	})
}
