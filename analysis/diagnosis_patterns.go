package analysis

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// The thresholds of patterns.
const (
	timeoutClusterAbove = 10 // connection errors that are timeouts
	diverseErrorTypes   = 5  // types, at least
)

// patterns names what happened, with how often.
func (d *diagnosing) patterns() []string {
	found := []string{}
	name := func(name string, n int) { found = append(found, fmt.Sprintf("%s(%d)", name, n)) }
	if n := d.bursts.Count; n > 0 {
		name("burst_periods", n)
	}
	var timeouts int64
	types := map[string]bool{}
	for _, e := range d.errors {
		if e.kind.outcome == aggregator.OutcomeConnectionError.String() && strings.Contains(strings.ToLower(e.kind.errorType), "timeout") {
			timeouts += e.requests
		}
		types[e.kind.String()] = true
	}
	if timeouts > timeoutClusterAbove {
		name("timeout_cluster", int(timeouts))
	}
	if len(types) >= diverseErrorTypes {
		name("diverse_errors", len(types))
	}
	for _, kind := range []string{
		AnomalyZeroSuccess, AnomalyThroughputCliff, AnomalySilence, AnomalyLatencySpike, AnomalyErrorCluster, AnomalyUnexpectedError,
	} {
		if n := d.unexpected(kind); n > 0 {
			name(kind, n)
		}
	}
	return found
}

// unexpected counts the anomalies of a kind that no known fault explains.
func (d *diagnosing) unexpected(kind string) (n int) {
	for i := range d.anomalies.Rows {
		if a := &d.anomalies.Rows[i]; !a.Expected && a.Kind == kind {
			n++
		}
	}
	return n
}

// recoveredWithin is how far below the success share of the time outside the
// windows a bucket may be that counts as recovered.
const recoveredWithin = 0.05

// faultSummary compares the time inside fault windows with the rest; nil where
// none touches the data.
func (d *diagnosing) faultSummary() *FaultSummary {
	t := d.holding(burstRequestsPerBucket)
	from, to := t.at(0), t.at(t.n)
	s := &FaultSummary{}
	var last int64
	for i := range d.faults.windows {
		w := &d.faults.windows[i]
		if first, end := w.seconds(); first < to && end > from {
			s.Windows++
			s.Names = append(s.Names, w.Fault)
			last = max(last, end)
		}
	}
	if s.Windows == 0 {
		return nil
	}
	slices.Sort(s.Names)
	s.Names = slices.Compact(s.Names)
	var inside, outside tick
	for i := range t.rows {
		if d.faults.touch(t.at(i), t.at(i+1)) {
			inside.add(&t.rows[i])
		} else {
			outside.add(&t.rows[i])
		}
	}
	s.SuccessInside = share(inside.outcomes.Success(), inside.requests)
	s.SuccessOutside = share(outside.outcomes.Success(), outside.requests)
	if s.SuccessOutside == nil {
		return s
	}
	for i := max(0, t.index(last)); i < t.n; i++ {
		success := share(t.rows[i].outcomes.Success(), t.rows[i].requests)
		if success != nil && !d.faults.touch(t.at(i), t.at(i+1)) && *success >= *s.SuccessOutside-recoveredWithin {
			recovery := max(0, t.at(i)-last)
			s.RecoveryS = &recovery
			break
		}
	}
	return s
}
