package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/check"
	"github.com/spanbucket/spanbucketexporter/fakellm"
	"github.com/spanbucket/spanbucketexporter/report/tables"
	"github.com/spanbucket/spanbucketexporter/stress"
	"github.com/spanbucket/spanbucketexporter/stress/chaos"
	"github.com/spanbucket/spanbucketexporter/stress/experiment"
)

// stressProgress shows how far a load has come: on a terminal one line that
// changes, elsewhere a line every ten seconds.
type stressProgress struct {
	to       io.Writer // nil: nobody looks
	terminal bool
	wide     int
	last     experiment.Progress
	lines    int
}

func (p *program) newStressProgress(quiet bool) *stressProgress {
	if quiet {
		return &stressProgress{}
	}
	return &stressProgress{to: p.stderr, terminal: isTerminal(p.stderr)}
}

func (s *stressProgress) progress(now experiment.Progress) {
	before := s.last
	s.last = now
	if s.to == nil {
		return
	}
	line := progressLine(&before, &now)
	if s.terminal {
		fmt.Fprintf(s.to, "\r%-*s", s.wide, line)
		s.wide = max(s.wide, tables.DisplayWidth(line))
		return
	}
	if s.lines++; s.lines%10 == 0 {
		fmt.Fprintln(s.to, line)
	}
}

// progressLine tells of the last second.
func progressLine(before, now *experiment.Progress) string {
	calls := now.Counts.Calls - before.Counts.Calls
	seconds := (now.Elapsed - before.Elapsed).Seconds()
	failed := now.Counts.Calls - now.Counts.Outcomes[stress.Success]
	line := fmt.Sprintf("%4.0f s  %s users  %s calls  %.0f/s  %s errors", now.Elapsed.Seconds(), tables.Count(now.Users), tables.Count(now.Counts.Calls),
		float64(calls)/max(seconds, 0.001), tables.Count(failed))
	if now.P99 != nil {
		ms := float64(*now.P99) / 1e6
		line += "  p99 " + tables.MS(&ms) + " ms"
	}
	if now.Phase != "" {
		line += "  " + now.Phase
	}
	return line
}

func (s *stressProgress) tested(r chaos.Result) {
	if s.to == nil {
		return
	}
	s.end()
	word := "passed"
	if !r.Passed {
		word = "FAILED"
	}
	fmt.Fprintf(s.to, "%s  %s: %s (expected: %s)\n", word, r.Name, tables.Clean(r.Actual), r.Expected)
}

func (s *stressProgress) end() {
	if s.terminal && s.wide > 0 {
		fmt.Fprintln(s.to)
		s.wide = 0
	}
}

// stressAnswer is what the clients saw.
type stressAnswer struct {
	RunID     string             `json:"run_id"`
	Mode      stress.Mode        `json:"mode"`
	Profile   string             `json:"profile"`
	DurationS float64            `json:"duration_s"`
	OpenLoop  bool               `json:"open_loop"`
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
	Check     *check.Report      `json:"check"` // of thresholds; nil: there were none
}

func newStressAnswer(c *experiment.Config, result *experiment.Result) *stressAnswer {
	a := &stressAnswer{
		RunID: result.RunID, Mode: c.Mode, Profile: c.Profile.Name, OpenLoop: c.Rate > 0,
		Outcomes: map[string]int64{}, LatencyMS: map[string]float64{}, Injected: map[string]int64{}, Chaos: result.Chaos,
	}
	if a.Chaos == nil {
		a.Chaos = []chaos.Result{}
	}
	if result.Truth != nil {
		for f, n := range result.Truth.Injected {
			if name := fakellm.Fault(f).String(); n > 0 && name != "" {
				a.Injected[name] = n
			}
		}
	}
	if result.Load == nil {
		return a
	}
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
	return a
}

// writeStress writes what the clients saw.
func (p *program) writeStress(flags *stressFlags, a *stressAnswer) error {
	switch flags.format {
	case "json":
		return writeJSON(p.stdout, a)
	case "csv":
		rows := [][]any{{"calls", a.Calls}, {"attempts", a.Attempts}, {"sessions", a.Sessions}, {"tool_calls", a.ToolCalls}, {"circuit_trips", a.Trips}}
		for _, outcome := range slices.Sorted(maps.Keys(a.Outcomes)) {
			rows = append(rows, []any{"outcome_" + outcome, a.Outcomes[outcome]})
		}
		for _, test := range a.Chaos {
			rows = append(rows, []any{"chaos_" + test.Name, test.Passed})
		}
		if a.Check != nil {
			for i := range a.Check.Results {
				r := &a.Check.Results[i]
				rows = append(rows, []any{"check " + r.Name(), string(r.Status)})
			}
		}
		return writeCSV(p.stdout, []string{"what", "value"}, rows)
	}
	return tables.WriteFacts(p.stdout, stressFacts(a))
}

func stressFacts(a *stressAnswer) [][2]string {
	facts := [][2]string{{"run", fmt.Sprintf("%s  (%s)", a.RunID, a.Mode)}}
	if a.Calls > 0 {
		succeeded := float64(a.Outcomes["success"]) / float64(a.Calls)
		facts = append(facts, [2]string{"calls", fmt.Sprintf("%s in %.1f s, %s %% succeeded", tables.Count(a.Calls), a.DurationS, tables.Percent(&succeeded))},
			[2]string{"failures", namedCounts(a.Outcomes, "success")})
		p50, p95, p99 := a.LatencyMS["p50"], a.LatencyMS["p95"], a.LatencyMS["p99"]
		facts = append(facts, [2]string{"latency", fmt.Sprintf("p50 %s ms, p95 %s ms, p99 %s ms, as the clients saw it", tables.MS(&p50), tables.MS(&p95), tables.MS(&p99))},
			[2]string{"clients", fmt.Sprintf("%s HTTP requests, %s of them resent; %s sessions, %s tool calls; the circuit opened %s %s",
				tables.Count(a.Attempts), tables.Count(a.Resends), tables.Count(a.Sessions), tables.Count(a.ToolCalls), tables.Count(a.Trips), tables.Plural(a.Trips, "time"))})
		facts = append(facts, [2]string{"load", loopText(a)})
	}
	if len(a.Injected) > 0 {
		facts = append(facts, [2]string{"injected", namedCounts(a.Injected, "")})
	}
	if len(a.Chaos) > 0 {
		passed := 0
		for _, test := range a.Chaos {
			if test.Passed {
				passed++
			}
		}
		facts = append(facts, [2]string{"chaos tests", fmt.Sprintf("%d of %d passed", passed, len(a.Chaos))})
	}
	return facts
}

// loopText says what the way the load was made means for its latency.
func loopText(a *stressAnswer) string {
	if a.OpenLoop {
		return fmt.Sprintf("open: latency counts from when a call was due; %s began late, %s never", tables.Count(a.Delayed), tables.Count(a.Dropped))
	}
	return "closed: users wait for answers, so a slow server is asked less and hides part of its latency"
}

// namedCounts lists counts by name, the largest first.
func namedCounts(counts map[string]int64, without string) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		if counts[a] != counts[b] {
			return int(counts[b] - counts[a])
		}
		return strings.Compare(a, b)
	})
	text := ""
	for _, name := range names {
		if name != without {
			text += fmt.Sprintf(", %s %s", tables.Count(counts[name]), name)
		}
	}
	if text == "" {
		return "none"
	}
	return text[2:]
}

// afterStress asks the file about the run, and writes the report.
func (p *program) afterStress(ctx context.Context, flags *stressFlags, c *experiment.Config) error {
	query := flags.ofRun(c.RunID, flags.format)
	if flags.format == "text" {
		if err := query.view(ctx, func(tx *sql.Tx) error { return p.tellStress(ctx, &query, tx) }); err != nil {
			return err
		}
	}
	if flags.report == "" {
		return nil
	}
	query.format = reportFormat(flags.report)
	if err := p.report(ctx, &query, flags.report); err != nil {
		return fmt.Errorf("--report %s: %w", flags.report, err)
	}
	told := p.stdout
	if flags.format != "text" {
		told = p.stderr
	}
	_, err := fmt.Fprintf(told, "\nreport: %s\n", tables.Clean(flags.report))
	return err
}

// tellStress writes what the file says in words.
func (p *program) tellStress(ctx context.Context, flags *queryFlags, tx *sql.Tx) error {
	q, err := flags.query(ctx, p, tx)
	if err != nil {
		return err
	}
	answer, err := analysis.AskDiagnosis(ctx, tx, q)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(p.stdout, "\n%s\n", folded("the file says: "+tables.Clean(answer.Text))); err != nil {
		return err
	}
	impact, err := analysis.AskFaultImpact(ctx, tx, q)
	if err != nil {
		return err
	}
	injected := injectedFaults(impact)
	if len(injected) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(p.stdout); err != nil {
		return err
	}
	return impactTable(injected).Write(p.stdout)
}

// injectedFaults are the faults that an injector told of, and that met
// requests. What it did to single ones is the same fault, seen from nearby.
func injectedFaults(impact *analysis.FaultImpact) (faults []numberedFault) {
	for i := range impact.Rows {
		f := &impact.Rows[i]
		if slices.Contains(f.Sources, "injector") && f.During.Requests != nil && *f.During.Requests > 0 {
			faults = append(faults, numberedFault{len(faults) + 1, f})
		}
	}
	return faults
}
