package main

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
	"github.com/spanbucket/spanbucketexporter/check"
	"github.com/spanbucket/spanbucketexporter/fakellm"
	"github.com/spanbucket/spanbucketexporter/stress"
	"github.com/spanbucket/spanbucketexporter/stress/chaos"
	"github.com/spanbucket/spanbucketexporter/stress/experiment"
)

// stressAnswer is what the clients saw.
type stressAnswer struct {
	RunID       string      `json:"run_id"`
	Mode        stress.Mode `json:"mode"`
	Profile     *string     `json:"profile"` // nil: the mode has none
	Seed        uint64      `json:"seed"`
	Interrupted bool        `json:"interrupted"`
	DurationS   float64     `json:"duration_s"`
	OpenLoop    bool        `json:"open_loop"`
	Rate        *float64    `json:"rate"` // calls a second of an open load
	// Caveat says what the way the load was made means for its latency; nil: there
	// was no load.
	Caveat    *string            `json:"caveat"`
	Calls     int64              `json:"calls"`
	PerSecond *float64           `json:"calls_per_s"`
	Outcomes  map[string]int64   `json:"outcomes"`
	Attempts  int64              `json:"attempts"`
	Resends   int64              `json:"resends"`
	Sessions  int64              `json:"sessions"`
	ToolCalls int64              `json:"tool_calls"`
	Trips     int64              `json:"circuit_trips"`
	Delayed   int64              `json:"delayed_starts"`
	Dropped   int64              `json:"dropped_starts"`
	LatencyMS map[string]float64 `json:"latency_ms"`
	Injected  map[string]int64   `json:"injected"`
	Chaos     []chaos.Result     `json:"chaos_results"`
	Skipped   []chaos.Skip       `json:"chaos_skipped"`
	Check     *check.Report      `json:"check"` // of thresholds; nil: there were none
}

func newStressAnswer(c *experiment.Config, result *experiment.Result) *stressAnswer {
	a := &stressAnswer{
		RunID: result.RunID, Mode: c.Mode, Seed: c.Seed, Interrupted: result.Interrupted, OpenLoop: c.Rate > 0,
		Outcomes: map[string]int64{}, LatencyMS: map[string]float64{}, Injected: map[string]int64{},
		Chaos: append([]chaos.Result{}, result.Chaos...), Skipped: append([]chaos.Skip{}, result.Skipped...),
	}
	if c.Mode.HasProfile() {
		a.Profile = &c.Profile.Name
	}
	if c.Rate > 0 {
		a.Rate = &c.Rate
	}
	if result.Truth != nil {
		for f, n := range result.Truth.Injected {
			if name := fakellm.Fault(f).String(); n > 0 && name != "" {
				a.Injected[name] = n
			}
		}
	}
	if result.Load != nil {
		a.addLoad(result)
	}
	return a
}

// addLoad adds what the clients of a load saw.
func (a *stressAnswer) addLoad(result *experiment.Result) {
	counts := result.Load.Counts()
	a.DurationS = result.Ended.Sub(result.Began).Round(time.Millisecond).Seconds()
	a.Calls, a.Attempts, a.Resends, a.Sessions, a.ToolCalls = counts.Calls, counts.Attempts, counts.Resends, counts.Sessions, counts.ToolCalls
	a.Trips, a.Delayed, a.Dropped = counts.Transitions["open"], counts.Delayed, counts.Dropped
	for outcome, n := range counts.Outcomes {
		a.Outcomes[string(outcome)] = n
	}
	if a.DurationS > 0 {
		rate := float64(a.Calls) / a.DurationS
		a.PerSecond = &rate
	}
	for name, ratio := range map[string]histogram.Ratio{"p50": {Num: 50, Den: 100}, "p95": {Num: 95, Den: 100}, "p99": {Num: 99, Den: 100}} {
		if value, ok := result.Load.Percentile(ratio); ok {
			a.LatencyMS[name] = float64(value) / 1e6
		}
	}
	caveat := loopText(a)
	a.Caveat = &caveat
}

// rows are the answer as names and values: the names of JSON, and for its members
// theirs behind that.
func (a *stressAnswer) rows() [][]any {
	rows := [][]any{
		{"run_id", a.RunID}, {"mode", string(a.Mode)}, {"profile", a.Profile}, {"seed", strconv.FormatUint(a.Seed, 10)}, {"interrupted", a.Interrupted},
		{"duration_s", a.DurationS}, {"open_loop", a.OpenLoop}, {"rate", a.Rate}, {"calls", a.Calls}, {"calls_per_s", a.PerSecond},
		{"attempts", a.Attempts}, {"resends", a.Resends}, {"sessions", a.Sessions}, {"tool_calls", a.ToolCalls}, {"circuit_trips", a.Trips},
		{"delayed_starts", a.Delayed}, {"dropped_starts", a.Dropped},
	}
	for _, name := range slices.Sorted(maps.Keys(a.LatencyMS)) {
		rows = append(rows, []any{"latency_" + name + "_ms", a.LatencyMS[name]})
	}
	for _, counted := range []struct {
		prefix string
		counts map[string]int64
	}{{"outcome_", a.Outcomes}, {"injected_", a.Injected}} {
		for _, name := range slices.Sorted(maps.Keys(counted.counts)) {
			rows = append(rows, []any{counted.prefix + name, counted.counts[name]})
		}
	}
	for _, test := range a.Chaos {
		rows = append(rows, []any{"chaos_" + test.Name, test.Passed})
	}
	for _, skip := range a.Skipped {
		rows = append(rows, []any{"chaos_" + skip.Name, "skipped: " + skip.Reason})
	}
	if a.Check == nil {
		return rows
	}
	for i := range a.Check.Results {
		r := &a.Check.Results[i]
		rows = append(rows, []any{"check " + r.Name(), string(r.Status)})
	}
	return rows
}
