package sampling_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

type stratum = sampling.Stratum[int]

// candidates returns keys, some of which are equal in part or as a whole.
func candidates(rng *rand.Rand, n int) []sampling.Key {
	keys := make([]sampling.Key, n)
	for i := range keys {
		keys[i] = sampling.Key{Hash: rng.Uint64N(20), StartUnixNano: rng.Int64N(2), DurationNano: rng.Int64N(2) - 1, Rest: rng.Uint64N(2)}
	}
	return keys
}

// seen returns the stratum of candidates, offered in their order.
func seen(keys []sampling.Key, most int) *stratum {
	s := &stratum{}
	for i, k := range keys {
		if s.Refuses(k.Hash, most) {
			s.CountRefused()
			continue
		}
		s.Offer(k, i, most)
	}
	return s
}

// chosen returns the keys that a stratum chose, in order.
func chosen(s *stratum) []sampling.Key {
	keys := []sampling.Key{}
	for m := range s.All {
		keys = append(keys, m.Key)
	}
	slices.SortFunc(keys, func(a, b sampling.Key) int { return a.Compare(&b) })
	return keys
}

// requireLowest holds a stratum to what it is defined as.
func requireLowest(t *testing.T, s *stratum, all []sampling.Key, most int) {
	t.Helper()
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b sampling.Key) int { return a.Compare(&b) })
	require.Equal(t, append([]sampling.Key{}, sorted[:min(most, len(all))]...), chosen(s))
	require.EqualValues(t, len(all), s.Spans())
	require.Equal(t, min(most, len(all)), s.Rows())
	require.Equal(t, len(all) > most, s.Chose())
	if s.Rows() > 0 {
		require.InDelta(t, len(all), s.Weight()*float64(s.Rows()), 1e-9, "weights add up to the candidates")
	}
}

// TestOrderDoesNotMatter: a stratum has the lowest keys in whatever order they
// come, also where it is taken down and made anew on the way, and every
// candidate is refused, evicted or chosen.
func TestOrderDoesNotMatter(t *testing.T) {
	rng := seedtest.Rand(t)
	for range 300 {
		keys, most := candidates(rng, rng.IntN(30)), rng.IntN(12)
		s, out := &stratum{}, 0
		for i, at := range rng.Perm(len(keys)) {
			k := keys[at]
			if refuses := s.Refuses(k.Hash, most); refuses && rng.IntN(2) == 0 {
				s.CountRefused()
				out++
				continue
			} else if kept, evicted := s.Offer(k, at, most); !kept {
				require.Empty(t, evicted)
				out++
			} else {
				require.False(t, refuses)
				out += len(evicted)
			}
			if i%3 == 0 {
				var again []sampling.Member[int]
				for m := range s.All {
					again = append(again, *m)
				}
				s = sampling.NewStratum(s.Spans(), again)
			}
			require.EqualValues(t, s.Spans(), s.Rows()+out)
		}
		requireLowest(t, s, keys, most)
		for m := range s.All {
			require.Equal(t, keys[m.Value], m.Key)
		}
	}
}

// TestMergedStrataAreThatOfAll, whatever is merged first.
func TestMergedStrataAreThatOfAll(t *testing.T) {
	rng := seedtest.Rand(t)
	for range 300 {
		most := rng.IntN(12)
		parts := [3][]sampling.Key{}
		for i := range parts {
			parts[i] = candidates(rng, rng.IntN(20))
		}
		a, b, c := parts[0], parts[1], parts[2]
		all := slices.Concat(a, b, c)
		merged := func(keys ...[]sampling.Key) *stratum {
			s := &stratum{}
			for _, k := range keys {
				before := s.Rows()
				other := seen(k, most)
				rows := other.Rows()
				evicted := s.Merge(other, most)
				require.Equal(t, before+rows, s.Rows()+len(evicted))
			}
			return s
		}
		requireLowest(t, merged(a, b, c), all, most)
		requireLowest(t, merged(c, a, b), all, most)
		right := merged(b, c)
		right.Merge(seen(a, most), most)
		requireLowest(t, right, all, most)
		requireLowest(t, merged(a, nil), a, most)
	}
}

// TestFewerRowsStayFewer: a stratum that let candidates go, because fewer were
// allowed, does not take in others instead once more are; one that has to
// shrink does so with the next candidate.
func TestFewerRowsStayFewer(t *testing.T) {
	rng := seedtest.Rand(t)
	for range 200 {
		keys := candidates(rng, 40)
		s := seen(keys[:20], 8)
		for i, k := range keys[20:30] {
			s.Offer(k, i, 15)
		}
		requireLowest(t, s, keys[:30], 8)
		kept, evicted := s.Offer(keys[30], 0, 5)
		require.Len(t, evicted, map[bool]int{true: 4, false: 3}[kept])
		for i, k := range keys[31:] {
			s.Offer(k, i, 5)
		}
		requireLowest(t, s, keys, 5)

		wide, narrow := seen(keys[:20], 15), seen(keys[20:], 6)
		wide.Merge(narrow, 15)
		requireLowest(t, wide, keys, 6)
	}
}

func TestStrangeStrata(t *testing.T) {
	s := sampling.NewStratum(-5, []sampling.Member[int]{{}, {}})
	require.EqualValues(t, 2, s.Spans(), "not fewer than there are")
	require.False(t, s.Chose())
	require.EqualValues(t, 1, s.Weight())
	require.Zero(t, (&stratum{}).Weight())
}
