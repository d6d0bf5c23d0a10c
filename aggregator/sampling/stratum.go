package sampling

import (
	"cmp"
	"container/heap"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// MinuteSeconds is the length of the minute of a stratum.
const MinuteSeconds = 60

// StratumKey names a stratum: the candidates of one minute, category and
// outcome.
type StratumKey struct {
	MinuteS  int64 // when it starts, Unix seconds; by the start of the spans
	Category aggregator.Category
	Outcome  aggregator.Outcome
}

// StratumOf returns the stratum of a span.
func StratumOf(o *aggregator.Observation) StratumKey {
	minute := aggregator.BucketStart(aggregator.UnixSeconds(o.StartUnixNano), MinuteSeconds)
	return StratumKey{minute, o.Series.Category, o.Series.Outcome}
}

// Key is the place of a candidate in the order in which a stratum chooses, the
// lowest first: by its hash, and where hashes are equal by what the span says,
// so that it does not matter which came first.
type Key struct {
	Hash          uint64 // SpanHash
	StartUnixNano int64
	DurationNano  int64 // -1: none that can be used
	Series        int64 // id
	Rest          uint64
}

// Compare is the order: negative where k comes before other.
func (k *Key) Compare(other *Key) int {
	return cmp.Or(
		cmp.Compare(k.Hash, other.Hash), cmp.Compare(k.StartUnixNano, other.StartUnixNano),
		cmp.Compare(k.DurationNano, other.DurationNano), cmp.Compare(k.Series, other.Series),
		cmp.Compare(k.Rest, other.Rest),
	)
}

// Member is a candidate that was chosen, with what its owner ties to it.
type Member[T any] struct {
	Key
	Value T
}

// Stratum is what is chosen of the candidates of one minute, category and
// outcome: those with the lowest keys. The zero value has seen none.
type Stratum[T any] struct {
	spans   int64
	members byLastKey[T]
}

// NewStratum returns a stratum that has seen so many candidates, at least as
// many as its members, and chosen the given ones. It takes over the slice.
func NewStratum[T any](spans int64, members []Member[T]) *Stratum[T] {
	s := &Stratum[T]{max(spans, int64(len(members))), members}
	heap.Init(&s.members)
	return s
}

// Spans returns how many candidates there were.
func (s *Stratum[T]) Spans() int64 { return s.spans }

// Rows returns how many are chosen.
func (s *Stratum[T]) Rows() int { return len(s.members) }

// Chose tells whether some were not chosen: only then do the others stand for
// more than themselves.
func (s *Stratum[T]) Chose() bool { return s.spans > int64(len(s.members)) }

// limit is how many may be chosen. A stratum that has let candidates go does
// not grow: some of those would come before what comes now.
func (s *Stratum[T]) limit(most int) int {
	if s.Chose() {
		return min(most, len(s.members))
	}
	return max(most, 0)
}

// Refuses tells whether, with at most so many rows, a candidate of this hash is
// sure not to be chosen, so that CountRefused is all there is to do.
func (s *Stratum[T]) Refuses(hash uint64, most int) bool {
	limit := s.limit(most)
	return limit == 0 || len(s.members) == limit && hash > s.members[0].Hash
}

// CountRefused counts a candidate that Refuses tells of.
func (s *Stratum[T]) CountRefused() { s.spans++ }

// Offer counts a candidate and keeps it where it is one of the lowest, at most
// so many. It returns whether it does, and which it lets go for that; they
// belong to the caller.
func (s *Stratum[T]) Offer(k Key, value T, most int) (kept bool, evicted []Member[T]) {
	limit := s.limit(most)
	evicted = s.shrink(limit, nil)
	s.spans++
	full := len(s.members) == limit
	if limit == 0 || full && k.Compare(&s.members[0].Key) >= 0 {
		return false, evicted
	}
	heap.Push(&s.members, Member[T]{k, value})
	return true, s.shrink(limit, evicted)
}

// Merge adds what another stratum of the same key saw and chose, and returns
// which of both it lets go. The result is the stratum of all candidates of
// both. The other one is not to be used afterwards.
func (s *Stratum[T]) Merge(other *Stratum[T], most int) (evicted []Member[T]) {
	limit := min(s.limit(most), other.limit(most))
	s.spans += other.spans
	for _, m := range other.members {
		heap.Push(&s.members, m)
	}
	return s.shrink(limit, nil)
}

func (s *Stratum[T]) shrink(limit int, evicted []Member[T]) []Member[T] {
	for len(s.members) > limit {
		evicted = append(evicted, heap.Pop(&s.members).(Member[T]))
	}
	return evicted
}

// All calls yield for what is chosen, in no particular order. The values can be
// changed, as long as the stratum is not.
func (s *Stratum[T]) All(yield func(*Member[T]) bool) {
	for i := range s.members {
		if !yield(&s.members[i]) {
			return
		}
	}
}

// Weight is how many candidates each member stands for: Spans / Rows. Over all
// members that adds up to the candidates.
func (s *Stratum[T]) Weight() float64 { return float64(s.spans) / float64(max(len(s.members), 1)) }

// byLastKey is a heap with the highest key on top.
type byLastKey[T any] []Member[T]

func (h byLastKey[T]) Len() int           { return len(h) }
func (h byLastKey[T]) Less(i, j int) bool { return h[i].Compare(&h[j].Key) > 0 }
func (h byLastKey[T]) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is for the package heap.
func (h *byLastKey[T]) Push(m any) { *h = append(*h, m.(Member[T])) }

// Pop is for the package heap.
func (h *byLastKey[T]) Pop() any {
	last := len(*h) - 1
	m := (*h)[last]
	(*h)[last] = Member[T]{} // not to hold on to its value
	*h = (*h)[:last]
	return m
}
