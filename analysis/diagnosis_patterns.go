package analysis

import (
	"fmt"
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
