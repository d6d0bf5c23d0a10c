package analysis

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
)

// runPresence is where the requests of a run lie: the starts of its first and of
// its last bucket, Unix seconds.
type runPresence struct{ first, last int64 }

// readRuns returns the extents of the runs on the axis.
func (t *ticks) readRuns(ctx context.Context, tx *sql.Tx) ([]runPresence, error) {
	if t.n == 0 {
		return nil, nil
	}
	filter := t.reading.filter(t.segment)
	where, args := filter.Condition(false)
	rows, err := tx.QueryContext(ctx, "SELECT min(b.bucket_start), max(b.bucket_start) FROM headline_bucket AS b WHERE b.requests > 0 AND "+
		where+" GROUP BY b.run_id ORDER BY 1, 2", args...)
	if err != nil {
		return nil, fmt.Errorf("look up runs: %w", err)
	}
	defer rows.Close()
	var all []runPresence
	for rows.Next() {
		var e runPresence
		if err := rows.Scan(&e.first, &e.last); err != nil {
			return nil, fmt.Errorf("look up runs: %w", err)
		}
		all = append(all, e)
	}
	return all, rows.Err()
}

// silenceFactor is how many times the usual step from one request to the next a
// silence lasts at least. Requests that come at random leave a gap of 15 times
// their mean distance once in three million.
const silenceFactor = 20

// silenceRequests is how many requests there are at least where silence says
// something.
const silenceRequests = 10

// silences finds the time without requests inside a run: at least silenceS, and
// twenty times the usual step from one request to the next.
func (s *anomalySearch) silences(context.Context, *sql.Tx) error {
	t := s.fine
	var busy []int
	for i := t.first; i <= t.last; i++ {
		if t.rows[i].requests > 0 {
			busy = append(busy, i)
		}
	}
	if len(busy) < 2 || t.sum(0, t.n).requests < silenceRequests {
		return nil
	}
	least := max(float64(s.silenceS), silenceFactor*t.usualStepS(busy))
	for k := 1; k < len(busy); k++ {
		from, to := busy[k-1]+1, busy[k]
		length := t.at(to) - t.at(from)
		if float64(length) < least || !s.running(t.at(from-1), t.at(to)) {
			continue
		}
		rate := t.requestsPerSecond(busy[max(0, k-10)], from)
		zero := 0.0
		s.report(t, from, to, Anomaly{
			Kind: AnomalySilence, Severity: graded(float64(length), 60, 300), Figure: &zero, Reference: &rate, Unit: "requests/s",
			Text: fmt.Sprintf("No requests for %s, after %s per second.", lasting(length), figure(rate)),
		})
	}
	return nil
}

// usualStepS is the mean time from one request to the next, in seconds, without
// the longest tenth of the steps from one bucket with requests to the next.
func (t *ticks) usualStepS(busy []int) float64 {
	steps := make([]int, len(busy)-1)
	for k := range steps {
		steps[k] = busy[k+1] - busy[k]
	}
	slices.Sort(steps)
	kept := steps[:len(steps)*9/10]
	total := 0
	for _, step := range kept {
		total += step
	}
	requests := float64(t.sum(0, t.n).requests) / float64(len(steps)) * float64(len(kept))
	return float64(int64(total)*t.widthS) / max(1, requests)
}

// running tells whether one and the same run had requests in the bucket at
// from or earlier and in the bucket at to or later: between runs, silence is
// what one expects.
func (s *anomalySearch) running(from, to int64) bool {
	return slices.ContainsFunc(s.runs, func(r runPresence) bool { return r.first <= from && r.last >= to })
}

// requestsPerSecond is the rate over the buckets [from, to).
func (t *ticks) requestsPerSecond(from, to int) float64 {
	return float64(t.sum(from, to).requests) / float64(t.at(to)-t.at(from))
}

// The bounds of a period without success: so many requests, and so many that
// chance would not bring them about.
const (
	minZeroSuccess    = 10
	zeroSuccessChance = 1e-6
)

// zeroSuccess finds the periods in which every request failed. They have at
// least ten requests, and so many that at the share of errors of all the data
// such a row of failures had a chance of one in a million.
func (s *anomalySearch) zeroSuccess(context.Context, *sql.Tx) error {
	t := s.fine
	all := t.sum(0, t.n)
	success := share(all.outcomes.Success(), all.requests)
	if success == nil {
		return nil
	}
	least := float64(minZeroSuccess)
	if failures := 1 - *success; failures > 0 && failures < 1 {
		least = max(least, math.Log(zeroSuccessChance)/math.Log(failures))
	}
	from, to := -1, -1
	end := func() {
		if from < 0 {
			return
		}
		if sum := t.sum(from, to); float64(sum.requests) >= least {
			s.reportZeroSuccess(from, to, sum.requests, *success)
		}
		from = -1
	}
	for i := t.first; i <= t.last; i++ {
		switch row := &t.rows[i]; {
		case row.requests == 0:
		case row.outcomes.Success() > 0:
			end()
		default:
			if from < 0 {
				from = i
			}
			to = i + 1
		}
	}
	end()
	return nil
}

func (s *anomalySearch) reportZeroSuccess(from, to int, requests int64, success float64) {
	zero := 0.0
	s.report(s.fine, from, to, Anomaly{
		Kind: AnomalyZeroSuccess, Severity: SeverityHigh, StillActive: to > s.fine.last, Figure: &zero, Reference: &success, Unit: "success share",
		Text: fmt.Sprintf("All %s failed for %s.", counted(requests, "request", "requests"), lasting(s.fine.at(to)-s.fine.at(from))),
	})
}
