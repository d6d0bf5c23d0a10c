package storage

import (
	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
)

// Plan says of every span of a batch what is kept of it, as far as the span
// tells. It is made along with the delta of the batch, so that the writer reads
// no span in full of which nothing is kept. Create it with NewPlan.
type Plan struct {
	policy       *sampling.Policy
	dropSessions bool

	spans      []plannedSpan
	candidates []plannedCandidate
	wanted     bool // some span has to be read in full
	// sampledUntil is one more than the latest start, in Unix nanoseconds, of
	// the spans that have no row that stands for them alone, but for the
	// candidates.
	sampledUntil int64
	// unknownUntil is the same of the spans that had no chance to have a row.
	unknownUntil int64
}

// plannedSpan is a sampling.Verdict, and spanHasDetails where the span has to
// be read in full whatever that is.
type plannedSpan uint8

const spanHasDetails plannedSpan = 1 << 7

func (p plannedSpan) verdict() sampling.Verdict { return sampling.Verdict(p &^ spanHasDetails) }

// plannedCandidate is a span that its stratum may choose.
type plannedCandidate struct {
	span          int
	startUnixNano int64
	hash          uint64
	stratum       sampling.StratumKey
}

// NewPlan returns a plan for a batch, of a file with these Options: of the same
// policy, nil for one that keeps all, and DropSessions.
func NewPlan(policy *sampling.Policy, dropSessions bool) *Plan {
	return &Plan{policy: orAll(policy), dropSessions: dropSessions}
}

// keepAll keeps every span, and tells none that was slow.
var keepAll = sampling.Policy{RatioMicro: sampling.Whole}

func orAll(p *sampling.Policy) *sampling.Policy {
	if p == nil {
		return &keepAll
	}
	return p
}

// Reset empties the plan and keeps its memory for reuse.
func (p *Plan) Reset() {
	*p = Plan{policy: p.policy, dropSessions: p.dropSessions, spans: p.spans[:0], candidates: p.candidates[:0]}
}

// Add plans for the next span.
func (p *Plan) Add(o *aggregator.Observation) {
	verdict := p.policy.Decide(o)
	planned := plannedSpan(verdict)
	if verdict == sampling.Candidate {
		p.candidates = append(p.candidates, plannedCandidate{len(p.spans), o.StartUnixNano, sampling.SpanHash(o), sampling.StratumOf(o)})
	}
	if hasDetails(o.Details, p.dropSessions) && o.Rejected == aggregator.NotRejected {
		planned |= spanHasDetails
	}
	p.wanted = p.wanted || planned != 0
	if o.Rejected == aggregator.NotRejected {
		if isSampled(p.policy, verdict) {
			p.sampledUntil = max(p.sampledUntil, o.StartUnixNano+1)
		}
		if isUnknown(p.policy, verdict) {
			p.unknownUntil = max(p.unknownUntil, o.StartUnixNano+1)
		}
	}
	p.spans = append(p.spans, planned)
}

// hasDetails tells whether a span with these details has to be read in full even
// where it is not kept as a request.
func hasDetails(details aggregator.Details, dropSessions bool) bool {
	return details&aggregator.DetailsOfEvents != 0 || details&aggregator.DetailsOfSession != 0 && !dropSessions
}

// isSampled tells whether a folded span has no row that stands for it alone.
// Of candidates their strata know.
func isSampled(p *sampling.Policy, v sampling.Verdict) bool {
	return v == sampling.NotKept || p.WeightMicro(v) != sampling.Whole
}

// isUnknown tells whether a folded span had no chance to have a row, so that no
// row stands for it.
func isUnknown(p *sampling.Policy, v sampling.Verdict) bool {
	return v == sampling.NotKept && p.RatioMicro <= 0
}
