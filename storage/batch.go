package storage

import (
	"iter"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/dedup"
)

// Batch is what one caller wants to make durable. It belongs to the store until
// Write returns.
type Batch struct {
	// Delta is what the batch adds, folded into FinestWidths. It is not
	// changed.
	Delta *aggregator.Delta
	// Observations are the spans of the delta, in the order they were folded.
	// The writer iterates them only where it must fold anew.
	Observations iter.Seq[*aggregator.Observation]
	// Requests returns those of the same spans that are wanted, in the same
	// order, in full. It asks wanted once for every span, by its index, just
	// before it would return it. The writer iterates them where rows of their
	// own are to be kept.
	Requests func(wanted func(span int) bool) iter.Seq[*aggregator.Request]
	// Plan says which of the spans have to be read in full; nil: all, and what
	// is kept of them is decided then.
	Plan *Plan
	// Fingerprints holds one of every span, in the same order, 0 for a span
	// that is always counted; nil where all are.
	Fingerprints []uint64
	// Letters become durable together with the batch.
	Letters []*Letter
	// Basis is what the batch was folded on; a batch that can be folded on
	// another one has Refold.
	Basis Basis
	// Refold returns the same spans folded on another basis. The writer calls
	// it where the file changed since the caller asked for Store.Basis. nil:
	// the basis does not matter.
	Refold func(Basis) Batch

	// excluded spans are of the batch no more, but for Requests and Plan.
	excluded spanSet
}

// Basis is what folding must know of the file.
type Basis struct {
	// Run is the run of spans that name none.
	Run string
	// Key of the fingerprints.
	Key dedup.Key
}

// spanSet is a set of indexes of the spans of a batch; nil is the empty one.
type spanSet []bool

func (s spanSet) has(i int) bool { return i < len(s) && s[i] }

// filtered iterates the observations whose index is not in the set.
func filtered(all iter.Seq[*aggregator.Observation], without spanSet) iter.Seq[*aggregator.Observation] {
	return func(yield func(*aggregator.Observation) bool) {
		i := -1
		for o := range all {
			if i++; !without.has(i) && !yield(o) {
				return
			}
		}
	}
}

// without returns the batch without some spans, folded anew into a delta, which
// is emptied first.
func (b *Batch) without(spans spanSet, into *aggregator.Delta) Batch {
	rest := Batch{
		Delta: into, Observations: filtered(b.Observations, spans), Requests: b.Requests, Plan: b.Plan, excluded: spans,
	}
	into.Reset()
	for o := range rest.Observations {
		into.Fold(o)
	}
	into.Settle()
	return rest
}
