package aggregator

import (
	"bytes"
	"math"
	"math/bits"

	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
)

// Counter names one of the sums of a cell.
type Counter uint8

// The counters. Late is counted by whoever commits; Outcomes, Injected and
// Completed only in headline cells, whose rows are not split by outcome.
const (
	Requests Counter = iota
	AdjustedMicro
	Late
	Resends
	UsageCount
	InputTokens
	OutputTokens
	CacheReadTokens
	CacheWriteTokens
	ReasoningTokens
	PricedCount
	CostNanoUSD
	Completed
	Injected
	firstOutcome
	NumCounters = firstOutcome + Counter(NumOutcomes)
)

// OutcomeCounter returns the counter of an outcome.
func OutcomeCounter(o Outcome) Counter { return firstOutcome + Counter(o) }

// Slowest is the longest span of a cell; between equally long ones the lower
// trace id, then the lower span id. The zero value means none.
type Slowest struct {
	DurationNano int64
	TraceID      [16]byte
	SpanID       [8]byte
	present      bool
}

// NewSlowest returns the span with the given duration and ids.
func NewSlowest(durationNano int64, traceID [16]byte, spanID [8]byte) Slowest {
	return Slowest{DurationNano: durationNano, TraceID: traceID, SpanID: spanID, present: true}
}

// Present tells whether there is a slowest span.
func (s *Slowest) Present() bool { return s.present }

func (s *Slowest) offer(o *Slowest) {
	if o.present && (!s.present || o.slowerThan(s)) {
		*s = *o
	}
}

func (s *Slowest) slowerThan(o *Slowest) bool {
	if s.DurationNano != o.DurationNano {
		return s.DurationNano > o.DurationNano
	}
	if c := bytes.Compare(s.TraceID[:], o.TraceID[:]); c != 0 {
		return c < 0
	}
	return bytes.Compare(s.SpanID[:], o.SpanID[:]) < 0
}

// Cell is what a set of spans adds up to. The zero value is the empty set.
// Counters never go down and are never negative.
type Cell struct {
	Counters [NumCounters]int64
	Measures [NumMeasures]histogram.Histogram
	Slowest  Slowest
}

// CanAdd tells whether Add(o) would keep every sum within an int64.
func (c *Cell) CanAdd(o *Cell) bool {
	for i := range c.Counters {
		if c.Counters[i] > math.MaxInt64-o.Counters[i] {
			return false
		}
	}
	for m := range c.Measures {
		if !c.Measures[m].CanMerge(&o.Measures[m]) {
			return false
		}
	}
	return true
}

// Add adds the spans of o, which is left as it is. Where a sum would overflow
// it returns histogram.ErrOverflow and changes nothing.
func (c *Cell) Add(o *Cell) error {
	if !c.CanAdd(o) {
		return histogram.ErrOverflow
	}
	for i := range c.Counters {
		c.Counters[i] += o.Counters[i]
	}
	for m := range c.Measures {
		if err := c.Measures[m].Merge(&o.Measures[m]); err != nil {
			return err
		}
	}
	c.Slowest.offer(&o.Slowest)
	return nil
}

func (c *Cell) settle() {
	for m := range c.Measures {
		c.Measures[m].Settle()
	}
}

// reset empties the cell and keeps its memory for reuse.
func (c *Cell) reset() {
	c.Counters = [NumCounters]int64{}
	for m := range c.Measures {
		c.Measures[m].Reset()
	}
	c.Slowest = Slowest{}
}

// measureSet is a set of measures; bit m stands for the measure m.
type measureSet uint8

// Headline rows hold two of the measures.
const (
	allMeasures      measureSet = 1<<NumMeasures - 1
	headlineMeasures measureSet = 1<<MeasureDuration | 1<<MeasureTimeToFirstToken
)

// next returns a measure of a set that is not empty, and the rest of the set.
func (s measureSet) next() (Measure, measureSet) {
	return Measure(bits.TrailingZeros8(uint8(s))), s & (s - 1)
}

// canObserve tells whether observe(o) would keep every sum within an int64.
func (c *Cell) canObserve(o *Observation, of measureSet) bool {
	const room = math.MaxInt64
	n := &c.Counters
	if n[AdjustedMicro] > room-o.AdjustedMicro || n[Resends] > room-o.Resends {
		return false
	}
	if o.Usage && (n[InputTokens] > room-o.InputTokens || n[OutputTokens] > room-o.OutputTokens ||
		n[CacheReadTokens] > room-o.CacheReadTokens || n[CacheWriteTokens] > room-o.CacheWriteTokens ||
		n[ReasoningTokens] > room-o.ReasoningTokens) {
		return false
	}
	if o.Priced && n[CostNanoUSD] > room-o.CostNanoUSD {
		return false
	}
	for m, rest := Measure(0), o.present&of; rest != 0; {
		if m, rest = rest.next(); c.Measures[m].Sum() > room-o.values[m] {
			return false
		}
	}
	return true
}

// observe adds one span; canObserve must have agreed.
func (c *Cell) observe(o *Observation, of measureSet) {
	n := &c.Counters
	n[Requests]++
	n[AdjustedMicro] += o.AdjustedMicro
	n[Resends] += o.Resends
	if o.Usage {
		n[UsageCount]++
		n[InputTokens] += o.InputTokens
		n[OutputTokens] += o.OutputTokens
		n[CacheReadTokens] += o.CacheReadTokens
		n[CacheWriteTokens] += o.CacheWriteTokens
		n[ReasoningTokens] += o.ReasoningTokens
	}
	if o.Priced {
		n[PricedCount]++
		n[CostNanoUSD] += o.CostNanoUSD
	}
	for m, rest := Measure(0), o.present&of; rest != 0; {
		m, rest = rest.next()
		// Cannot fail: canObserve has looked at the sum.
		_ = c.Measures[m].Record(o.values[m])
	}
	if d, present := o.Measure(MeasureDuration); present && (!c.Slowest.present || d >= c.Slowest.DurationNano) {
		slowest := NewSlowest(d, o.TraceID, o.SpanID)
		c.Slowest.offer(&slowest)
	}
}
