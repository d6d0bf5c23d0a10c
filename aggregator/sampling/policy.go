package sampling

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// Whole is the ratio that keeps every trace, in millionths.
const Whole = 1_000_000

// ratioDecimals is how many decimals a ratio may have.
const ratioDecimals = 6

// Policy says which spans are kept as rows of their own. The zero value keeps
// none. It is a value and safe for concurrent use.
type Policy struct {
	// RatioMicro is the share of traces that are kept, in millionths, from 0 to
	// Whole.
	RatioMicro int64
	// SlowNanos is the duration in nanoseconds, by category, from which on a
	// span is slow; 0: none is.
	SlowNanos [aggregator.NumCategories]int64
	// MaxForCause is how many spans of a stratum are kept for cause besides
	// those of the sample.
	MaxForCause int
}

// Default returns the policy of those who set nothing: every span has a row.
func Default() Policy {
	const second = 1_000_000_000
	p := Policy{RatioMicro: Whole, MaxForCause: 100}
	for c := range p.SlowNanos {
		p.SlowNanos[c] = second
	}
	p.SlowNanos[aggregator.CategoryLLM] = 30 * second
	p.SlowNanos[aggregator.CategoryAgent] = 120 * second
	p.SlowNanos[aggregator.CategoryTool] = 10 * second
	return p
}

// Verdict is what is decided on one span.
type Verdict uint8

// The verdicts. A Candidate has a row where its stratum chooses it.
const (
	NotKept   Verdict = iota // it has no row
	Ordinary                 // of the sample
	ForCause                 // of the sample, and for cause
	Candidate                // for cause, outside the sample
)

// ParseRatio returns a share, a decimal from 0 to 1 such as 0.05 with at most 6
// decimals, in millionths. Others are an error that gives the rule.
func ParseRatio(text string) (micro int64, err error) {
	whole, decimals, _ := strings.Cut(text, ".")
	if len(decimals) <= ratioDecimals {
		digits := whole + decimals + strings.Repeat("0", ratioDecimals-len(decimals))
		n, err := strconv.ParseUint(digits, 10, 32)
		if err == nil && whole != "" && n <= Whole {
			return int64(n), nil
		}
	}
	return 0, fmt.Errorf("must be from 0 to 1, with at most %d decimals", ratioDecimals)
}

// KeepsNone tells whether no span has a row.
func (p *Policy) KeepsNone() bool { return p.RatioMicro <= 0 && p.MaxForCause <= 0 }

// KeepsAll tells whether every span has a row that stands for it alone.
func (p *Policy) KeepsAll() bool { return p.RatioMicro >= Whole }

// WeightMicro is how many spans a row of the sample stands for, in millionths:
// one over the ratio, rounded, where it is ordinary. One for cause stands for
// itself, since of the others there are candidates, but where none of those are
// kept it is like any other. For other verdicts it is one.
func (p *Policy) WeightMicro(v Verdict) int64 {
	sampled := v == Ordinary || v == ForCause && p.MaxForCause <= 0
	if !sampled || p.RatioMicro <= 0 || p.KeepsAll() {
		return Whole
	}
	return (Whole*Whole + p.RatioMicro/2) / p.RatioMicro
}

// Decide decides on a span. One that is rejected has no row.
func (p *Policy) Decide(o *aggregator.Observation) Verdict {
	switch {
	case o.Rejected != aggregator.NotRejected:
		return NotKept
	case p.isForCause(o):
		switch {
		case p.inSample(o):
			return ForCause
		case p.MaxForCause > 0:
			return Candidate
		}
		return NotKept
	case p.inSample(o):
		return Ordinary
	}
	return NotKept
}

// isForCause tells whether a span failed, carries a fault or was slow.
func (p *Policy) isForCause(o *aggregator.Observation) bool {
	if o.Series.Outcome != aggregator.OutcomeSuccess || o.Series.Fault != "" {
		return true
	}
	slow := p.SlowNanos[o.Series.Category]
	duration, usable := o.Measure(aggregator.MeasureDuration)
	return usable && slow > 0 && duration >= slow
}

// inSample tells whether the trace of a span is kept. Without a hash where all
// or none are.
func (p *Policy) inSample(o *aggregator.Observation) bool {
	if p.RatioMicro <= 0 || p.RatioMicro >= Whole {
		return p.RatioMicro > 0
	}
	return TraceHash(o)%Whole < uint64(p.RatioMicro)
}
