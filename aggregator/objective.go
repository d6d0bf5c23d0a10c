package aggregator

import (
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"slices"
	"strconv"
)

// Objective is a service level objective: which spans it is about, which of
// them are good, and what share of them should be.
type Objective struct {
	Name     string
	Category Category
	// Service, Operation and Model narrow it to spans with exactly this value;
	// empty: any.
	Service, Operation, Model string
	// LatencyNano is the longest duration of a good span; 0: any will do, and a
	// span without a usable one too.
	LatencyNano int64
	// TargetNano is the share of good spans that is aimed at, in 1e-9: more than
	// 0, less than 1e9.
	TargetNano int64
}

// ObjectiveID identifies what is counted for an objective: the first 63 bits of
// the SHA-256 of name, category, service, operation, model and latency in
// decimal nanoseconds (nothing for none), each preceded by its length in bytes
// as a big-endian 32-bit number. The target is no part of it: another one asks
// the same counts.
type ObjectiveID int64

// ID derives the identifier.
func (j *Objective) ID() ObjectiveID {
	latency := ""
	if j.LatencyNano != 0 {
		latency = strconv.FormatInt(j.LatencyNano, 10)
	}
	var text []byte
	for _, value := range [...]string{j.Name, j.Category.String(), j.Service, j.Operation, j.Model, latency} {
		text = binary.BigEndian.AppendUint32(text, uint32(len(value)))
		text = append(text, value...)
	}
	sum := sha256.Sum256(text)
	return ObjectiveID(binary.BigEndian.Uint64(sum[:8]) >> 1)
}

// Counts tells whether a span counts towards the objective, and whether it is
// good. A span that its user cancelled says nothing of the service, and is left
// out. One without a usable duration is not good where there is a latency.
func (j *Objective) Counts(o *Observation) (counted, good bool) {
	if o.Series.Category != j.Category || o.Rejected != NotRejected {
		return false, false
	}
	return j.counts(&o.Series, o)
}

// counts is Counts for a span of the category that is folded into a series.
func (j *Objective) counts(s *Series, o *Observation) (counted, good bool) {
	if s.Outcome == OutcomeCancelled ||
		j.Service != "" && j.Service != s.Service ||
		j.Operation != "" && j.Operation != s.Operation ||
		j.Model != "" && j.Model != s.Model {
		return false, false
	}
	if s.Outcome != OutcomeSuccess {
		return true, false
	}
	if j.LatencyNano == 0 {
		return true, true
	}
	duration, usable := o.Measure(MeasureDuration)
	return true, usable && duration <= j.LatencyNano
}

// IsNarrowed tells whether the objective is about some spans of its category
// only, besides those that were not cancelled.
func (j *Objective) IsNarrowed() bool { return j.Service != "" || j.Operation != "" || j.Model != "" }

// ObjectiveCount is how many spans count towards an objective, and how many of
// them are good.
type ObjectiveCount struct {
	Good, Total int64
}

// objectives are those that deltas count for. They are not changed.
type objectives struct {
	all []Objective
	ids []ObjectiveID
	// of are the indexes of those of a category.
	of [NumCategories][]int32
}

func newObjectives(all []Objective) *objectives {
	s := &objectives{all: slices.Clone(all)}
	for i := range s.all {
		s.ids = append(s.ids, s.all[i].ID())
		c := s.all[i].Category
		s.of[c] = append(s.of[c], int32(i))
	}
	return s
}

func (s *objectives) equal(o *objectives) bool { return s == o || slices.Equal(s.all, o.all) }

// countObjectives counts a span for the objectives of its category, in the cell
// of the bucket it starts in.
func (d *Delta) countObjectives(head *HeadlineCell, s *Series, o *Observation) {
	of := d.objectives.of[head.Category]
	if len(of) == 0 {
		return
	}
	counts := d.countsOf(head)
	for i, k := range of {
		counted, good := d.objectives.all[k].counts(s, o)
		if counted {
			counts[i].Total++
		}
		if good {
			counts[i].Good++
		}
	}
}

// countsOf returns what a cell counts for each objective of its category, and
// makes room for it where there is none.
func (d *Delta) countsOf(head *HeadlineCell) []ObjectiveCount {
	n := len(d.objectives.of[head.Category])
	if head.counts < 0 {
		head.counts = int32(len(d.counts))
		for range n {
			d.counts = append(d.counts, ObjectiveCount{})
		}
	}
	return d.counts[head.counts : int(head.counts)+n]
}

// ObjectiveCounts returns what a headline cell of the delta counts for the
// objectives that a span of it counts towards.
func (d *Delta) ObjectiveCounts(c *HeadlineCell) iter.Seq2[ObjectiveID, ObjectiveCount] {
	return func(yield func(ObjectiveID, ObjectiveCount) bool) {
		if c.counts < 0 {
			return
		}
		for i, k := range d.objectives.of[c.Category] {
			if n := d.counts[int(c.counts)+i]; n.Total > 0 && !yield(d.objectives.ids[k], n) {
				return
			}
		}
	}
}

// mergeCounts adds what a cell of another delta with the same objectives counts.
func (d *Delta) mergeCounts(head *HeadlineCell, o *Delta, c *HeadlineCell) {
	if c.counts < 0 {
		return
	}
	// No sum is more than the requests of the cell, which fit.
	counts := d.countsOf(head)
	for i := range counts {
		n := o.counts[int(c.counts)+i]
		counts[i].Good += n.Good
		counts[i].Total += n.Total
	}
}
