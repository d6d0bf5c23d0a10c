package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spanbucket/spanbucketexporter/analysis"
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

// writeStress writes what the clients saw.
func (p *program) writeStress(flags *stressFlags, a *stressAnswer) error {
	switch flags.format {
	case "json":
		return writeJSON(p.stdout, a)
	case "csv":
		return writeCSV(p.stdout, []string{"what", "value"}, a.rows())
	}
	return tables.WriteFacts(p.stdout, foldedFacts(stressFacts(a)))
}

// stressColumns is how wide the facts are at most.
const stressColumns = 100

// foldedFacts lets no line be too wide: the rest goes below its beginning.
func foldedFacts(facts [][2]string) (lines [][2]string) {
	longest := 0
	for _, f := range facts {
		longest = max(longest, tables.DisplayWidth(f[0]))
	}
	for _, f := range facts {
		name := f[0]
		for line := range strings.SplitSeq(tables.Wrap(tables.Clean(f[1]), stressColumns-longest-2), "\n") {
			lines = append(lines, [2]string{name, strings.ReplaceAll(line, bond, " ")})
			name = ""
		}
	}
	return lines
}

func stressFacts(a *stressAnswer) [][2]string {
	run := fmt.Sprintf("%s (%s, seed %d)", a.RunID, a.Mode, a.Seed)
	if a.Interrupted {
		run += ", interrupted"
	}
	facts := [][2]string{{"run", run}}
	if a.Calls > 0 {
		succeeded := float64(a.Outcomes["success"]) / float64(a.Calls)
		p50, p95, p99 := a.LatencyMS["p50"], a.LatencyMS["p95"], a.LatencyMS["p99"]
		facts = append(facts,
			[2]string{"calls", fmt.Sprintf("%s in %.1f s, %s %% succeeded", tables.Count(a.Calls), a.DurationS, tables.Percent(&succeeded))},
			[2]string{"failures", namedCounts(a.Outcomes, "success")},
			[2]string{"latency", fmt.Sprintf("p50 %s ms, p95 %s ms, p99 %s ms, as the clients saw it", tables.MS(&p50), tables.MS(&p95), tables.MS(&p99))},
			[2]string{"clients", fmt.Sprintf("%s HTTP requests, %s of them resent; %s sessions, %s tool calls; the circuit opened %s %s",
				tables.Count(a.Attempts), tables.Count(a.Resends), tables.Count(a.Sessions), tables.Count(a.ToolCalls), tables.Count(a.Trips), tables.Plural(a.Trips, "time"))})
	}
	if a.Caveat != nil {
		facts = append(facts, [2]string{"load", *a.Caveat})
	}
	if len(a.Injected) > 0 {
		facts = append(facts, [2]string{"injected", namedCounts(a.Injected, "")})
	}
	return append(facts, chaosFacts(a)...)
}

// chaosFacts say how many chaos tests passed, and which did not run.
func chaosFacts(a *stressAnswer) (facts [][2]string) {
	if len(a.Chaos) > 0 {
		passed := 0
		for _, test := range a.Chaos {
			if test.Passed {
				passed++
			}
		}
		facts = append(facts, [2]string{"chaos tests", fmt.Sprintf("%d of %d passed", passed, len(a.Chaos))})
	}
	var reasons []string
	names := map[string][]string{}
	for _, skip := range a.Skipped {
		if names[skip.Reason] == nil {
			reasons = append(reasons, skip.Reason)
		}
		names[skip.Reason] = append(names[skip.Reason], skip.Name)
	}
	for _, reason := range reasons {
		facts = append(facts, [2]string{"skipped", fmt.Sprintf("%s: %s", strings.Join(names[reason], ", "), reason)})
	}
	return facts
}

// loopText says what the way a load was made means for its latency.
func loopText(a *stressAnswer) string {
	if a.OpenLoop {
		return fmt.Sprintf("open: latency counts from when a call was due; %s began late, %s never", tables.Count(a.Delayed), tables.Count(a.Dropped))
	}
	return "closed: users wait for answers, so a slow server is asked less and hides part of its latency"
}

// bond is a space at which foldedFacts breaks no line: one of the characters that
// mean nothing.
const bond = "\ue000"

// namedCounts lists counts by name, the largest first, for foldedFacts.
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
			text += fmt.Sprintf(", %s%s%s", tables.Count(counts[name]), bond, name)
		}
	}
	if text == "" {
		return "none"
	}
	return text[2:]
}

// afterStress asks the file about the run, and writes the report. One of them
// failing is no reason to leave the other out.
func (p *program) afterStress(ctx context.Context, flags *stressFlags, c *experiment.Config) error {
	query := flags.ofRun(c.RunID, flags.format)
	var faults []error
	if flags.format == "text" {
		faults = append(faults, unread(query.view(ctx, func(tx *sql.Tx) error { return p.tellStress(ctx, &query, tx) })))
	}
	if flags.report != "" {
		faults = append(faults, p.stressReport(ctx, flags, query))
	}
	return worst(faults...)
}

// stressReport writes the report of a run, and says where it is.
func (p *program) stressReport(ctx context.Context, flags *stressFlags, query queryFlags) error {
	query.format = reportFormat(flags.report)
	if err := p.report(ctx, &query, "--report", flags.report); err != nil {
		return err
	}
	told := p.stdout
	if flags.format != "text" {
		told = p.stderr
	}
	_, err := fmt.Fprintf(told, "\nreport: %s\n", tables.Clean(flags.report))
	return unread(err)
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
