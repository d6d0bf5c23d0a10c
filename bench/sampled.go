package main

import (
	"database/sql"
	"fmt"
	"io"
)

// sampledRatio is the share of ordinary requests that the row "sampled" keeps.
const sampledRatio = 0.01

// keptShare returns the share of the spans sent that are rows of their own, kept
// as requests.
func (s *inFolder) keptShare() (float64, error) {
	db, err := sql.Open("sqlite", s.path())
	if err != nil {
		return 0, fmt.Errorf("count requests: %w", err)
	}
	defer db.Close()
	var rows int64
	if err := db.QueryRow("SELECT count(*) FROM request WHERE kept & 1").Scan(&rows); err != nil {
		return 0, fmt.Errorf("count requests: %w", err)
	}
	return float64(rows) / float64(max(s.sent.Load(), 1)), nil
}

// sampledCost is what a sample costs, over what it may: no request kept, plus
// the share that is kept of what keeping one costs.
func sampledCost(off, every, sampled result) summary {
	var ratios []float64
	for i, c := range sampled.costs {
		one := every.costs[i].nanoseconds - off.costs[i].nanoseconds
		ratios = append(ratios, c.nanoseconds/(off.costs[i].nanoseconds+sampled.kept*one))
	}
	return summarize(ratios)
}

// writeSampled compares the rows consume, requests and sampled, where all of
// them ran.
func (r *report) writeSampled(w io.Writer, profile string) {
	byKey := map[string]result{}
	for _, found := range r.results {
		if found.profile == profile {
			byKey[found.key] = found
		}
	}
	off, every, sampled := byKey["consume"], byKey["requests"], byKey["sampled"]
	if len(off.costs) == 0 || len(every.costs) == 0 || len(sampled.costs) == 0 {
		return
	}
	cost := sampledCost(off, every, sampled)
	verdict := "MISSED"
	if cost.median <= 1 {
		verdict = "met"
	}
	fmt.Fprintf(w, "requests at ratio %g: %.2f %% of the spans kept; x %.2f (%.2f-%.2f) of none kept plus that share of one row, limit 1 %s\n",
		sampledRatio, 100*sampled.kept, cost.median, cost.least, cost.most, verdict)
}
