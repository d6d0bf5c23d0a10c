package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
)

// A throughput cliff is a fall of the successes per bucket to less than half of
// the median of the buckets before it, by more than chance would bring about:
// four times the standard deviation of as many independent events.
const (
	cliffBefore   = 10 // buckets the level is taken from, at most
	cliffLevels   = 3  // at least
	cliffShare    = 0.5
	cliffSigmas   = 4
	cliffAtTheEnd = 3 // buckets it must last if the data end in it
)

// cliffs finds throughput cliffs. One lasts until a bucket is back at half of
// the level or above. Buckets without requests, or cut, count neither way, and
// neither does a fall that the end of a run explains.
func (s *anomalySearch) cliffs(context.Context, *sql.Tx) error {
	t := s.wide
	var levels []float64
	from, to, low := -1, -1, 0
	var level float64
	for i := t.first; i <= t.last; i++ {
		if t.cut(i) || t.rows[i].requests == 0 {
			continue
		}
		success := float64(t.rows[i].outcomes.Success())
		if from < 0 && len(levels) >= cliffLevels {
			level = median(slices.Clone(levels[max(0, len(levels)-cliffBefore):]))
		}
		falls := level > 0 && success < cliffShare*level && level-success > cliffSigmas*math.Sqrt(level)
		switch {
		case from >= 0 && success >= cliffShare*level:
			s.reportCliff(from, to, level, false)
			from = -1
			levels = append(levels, success)
		case from < 0 && falls:
			from, to, low = i, i+1, 1
		case from >= 0:
			to = i + 1
			low++
		default:
			levels = append(levels, success)
		}
	}
	if from >= 0 && low >= cliffAtTheEnd {
		s.reportCliff(from, t.last+1, level, true)
	}
	return nil
}

func (s *anomalySearch) reportCliff(from, to int, level float64, open bool) {
	t := s.wide
	start := t.at(from)
	ended := func(r runPresence) bool { return r.last >= start-t.widthS && r.last < start+t.widthS }
	same := func(a Anomaly) bool {
		return a.Kind == AnomalyZeroSuccess && a.Start < t.at(to) && a.End > start
	}
	if slices.ContainsFunc(s.runs, ended) || slices.ContainsFunc(s.found, same) {
		return
	}
	var success, seconds int64
	for i := from; i < to; i++ {
		if t.rows[i].requests > 0 {
			success += t.rows[i].outcomes.Success()
			seconds += t.widthS
		}
	}
	rate, before := float64(success)/float64(seconds), level/float64(t.widthS)
	s.report(t, from, to, Anomaly{
		Kind: AnomalyThroughputCliff, Severity: graded(1-rate/before, 0.6, 0.9), StillActive: open,
		Figure: &rate, Reference: &before, Unit: "successes/s",
		Text: fmt.Sprintf("Throughput fell to %s successes per second from %s, for %s.", figure(rate), figure(before), lasting(t.at(to)-start)),
	})
}

// An error cluster is a row of buckets with errors, of which so few have any
// that they stand out.
const (
	clusterErrors  = 10  // at least
	clusterBuckets = 10  // with requests, at least
	clusterShare   = 0.1 // of the buckets with requests have errors, at most
)

// clusters finds the stretches of time into which the errors of every kind
// fall, where fewer than a tenth of the buckets with requests have any.
// Neighbours, silence aside, belong together. Buckets that a known fault touches
// are left out.
func (s *anomalySearch) clusters(context.Context, *sql.Tx) error {
	t := s.wide
	var busy []int
	var errors, failing int64
	for i := t.first; i <= t.last; i++ {
		if row := &t.rows[i]; row.requests > 0 && !s.faults.touch(t.at(i), t.at(i+1)) {
			busy = append(busy, i)
			if n := row.errors(); n > 0 {
				errors += n
				failing++
			}
		}
	}
	if errors < clusterErrors || len(busy) < clusterBuckets || float64(failing) >= clusterShare*float64(len(busy)) {
		return nil
	}
	for k := 0; k < len(busy); k++ {
		var sum tick
		start := k
		for ; k < len(busy) && t.rows[busy[k]].errors() > 0; k++ {
			sum.add(&t.rows[busy[k]])
		}
		if sum.errors() >= clusterErrors {
			s.reportCluster(busy[start], busy[k-1]+1, errors)
		}
	}
	return nil
}

func (s *anomalySearch) reportCluster(from, to int, all int64) {
	// As exactly as the narrow buckets know.
	t := s.fine
	from, to = max(0, t.index(s.wide.at(from))), min(t.n, t.index(s.wide.at(to)-1)+1)
	for t.rows[from].errors() == 0 {
		from++
	}
	for t.rows[to-1].errors() == 0 {
		to--
	}
	sum := t.sum(from, to)
	inside, overall := *share(sum.errors(), sum.requests), float64(all)/float64(t.sum(0, t.n).requests)
	s.report(t, from, to, Anomaly{
		// High are the worst of them as periods without success.
		Kind: AnomalyErrorCluster, Severity: graded(inside, 0.5, math.Inf(1)), StillActive: to > t.last,
		Figure: &inside, Reference: &overall, Unit: "error rate",
		Text: fmt.Sprintf("%s of all %s errors fall into %s: %s of the requests there failed.",
			thousands(sum.errors()), thousands(all), lasting(t.at(to)-t.at(from)), percentText(inside)),
	})
}
