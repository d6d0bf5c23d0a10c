//go:build !race

// One goroutine reads: the race detector has nothing to find, and makes SQLite in
// Go twenty times slower.

package storage

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	shell "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// unstated stands for a number that a span does not say; empty texts are
// stored as NULL where the column has that.
const unstated = -1

const second = int64(time.Second)

// activitySpan is a row of request as these tests think of it. Ids are small
// numbers, 0 for none; times count from anInstant.
type activitySpan struct {
	run, service, category, tool, outcome, fault string
	start, duration                              int64 // ns; duration -1: none that is usable
	trace, span, parent                          uint64
	kept, role                                   int64
	session, callID, decision                    string
	target, experiment, circuit, instance        string
	input, output, cost, weight, delay           int64
	marked                                       bool
}

func (s *activitySpan) end() int64       { return s.start + max(s.duration, 0) }
func (s *activitySpan) failed() bool     { return s.outcome != "success" }
func (s *activitySpan) isRequest() bool  { return s.category == "llm" || s.category == "embedding" }
func (s *activitySpan) isToolPart() bool { return s.role >= 2 || s.category == "tool" }

// aSpan is a chat of one second in session s of run r, kept for everything;
// change makes it another.
func aSpan(change func(*activitySpan)) activitySpan {
	s := activitySpan{
		run: "r", service: "app", category: "llm", outcome: "success", duration: second, kept: 7,
		input: unstated, output: unstated, cost: unstated, weight: unstated, delay: unstated,
	}
	change(&s)
	return s
}

type statedWindow struct {
	source, run, fault, target, experiment string
	start, end                             int64
}

type circuitSighting struct {
	run, service, instance, circuit string
	at                              int64
	state, from                     string
}

type judgement struct {
	run, service, session string
	at                    int64
	span                  uint64
	accepted              int64 // unstated: neither
}

// activity is what a file holds.
type activity struct {
	spans     []activitySpan
	windows   []statedWindow
	circuits  []circuitSighting
	judged    []judgement
	gap       int64 // 0: not in meta
	noBuckets bool
}

// activityWidths of the files: the first has no series.
var activityWidths = []int64{1, 10, 60}

const seriesWidth = 10

func orNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func numberOrNull(n int64) any {
	if n == unstated {
		return nil
	}
	return n
}

func at(ns int64) int64 { return anInstant.UnixNano() + ns }

// file writes it in an order that r draws. Ids of series come out differently
// each time.
func (a *activity) file(t *testing.T, r *rand.Rand) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), fmt.Sprintf("activity-%d.db", r.Uint32()))
	db, err := sql.Open("sqlite", dsn(path, []string{"synchronous(0)", "journal_mode(off)", "trusted_schema(0)"}, "mode", "rwc"))
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	for version := int64(1); version <= SchemaVersion; version++ {
		step, err := migrationStep(version)
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), step)
		require.NoError(t, err)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	insert := func(table string, values ...any) {
		t.Helper()
		marks := strings.TrimSuffix(strings.Repeat("?,", len(values)), ",")
		_, err := tx.ExecContext(t.Context(), "INSERT OR IGNORE INTO "+table+" VALUES ("+marks+")", values...)
		require.NoError(t, err)
	}
	insert("meta", "headline_category", "llm,embedding")
	insert("meta", "widths", `[{"width_s":1,"retention_s":60,"detail":"headline"},{"width_s":10,"retention_s":0,"detail":"series"},{"width_s":60,"retention_s":0,"detail":"series"}]`)
	if a.gap != 0 {
		insert("meta", "fault_gap_ns", fmt.Sprint(a.gap))
	}
	series := map[[6]string]int64{}
	for _, i := range r.Perm(len(a.spans)) {
		s := &a.spans[i]
		key := [6]string{s.run, s.service, s.category, s.tool, s.outcome, s.fault}
		if _, known := series[key]; !known {
			series[key] = int64(len(series) + 1)
			insert("series", series[key], s.run, s.service, "op", "client", s.category, "", "", s.tool, "", s.outcome, "", s.fault, "{}", 1, 0)
		}
		var role, marked, parent any
		if s.role != 0 {
			role = s.role
		}
		if s.marked {
			marked = 1
		}
		if s.parent != 0 {
			parent = id8(s.parent)
		}
		p := profile{status: noStatus}
		p.texts[profileDecision], p.texts[profileTarget], p.texts[profileExperiment] = s.decision, s.target, s.experiment
		p.texts[profileCircuit], p.texts[profileInstance] = s.circuit, s.instance
		insert("request_profile (profile_id, decision, target, experiment_id, circuit, instance, newest_s)", profileID(p.values()), orNull(s.decision),
			orNull(s.target), orNull(s.experiment), orNull(s.circuit), orNull(s.instance), 3600)
		insert(`request (start_ns, duration_ns, trace_id, span_id, series_id, kept, profile_id, weight_micro, role, parent_span_id, session_id,
			tool_call_id, input_tokens, output_tokens, cost_nano_usd, marked, injected_delay_ns)`,
			at(s.start), s.duration, id16(s.trace), id8(s.span), series[key], s.kept, profileID(p.values()), numberOrNull(s.weight), role, parent,
			orNull(s.session), orNull(s.callID), numberOrNull(s.input), numberOrNull(s.output), numberOrNull(s.cost), marked, numberOrNull(s.delay))
	}
	for run, extent := range a.extents() {
		insert("run (run_id, first_ns, last_ns, version)", run, at(extent.start), at(extent.end), 1)
	}
	for _, b := range a.buckets() {
		insert(`headline_bucket (width_s, bucket_start, run_id, category, version, requests, adjusted_micro, late, resends, usage_count, input_tokens,
			output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, priced_count, cost_nano_usd, completed, injected, success, rate_limited,
			capacity_error, server_error, client_error, connection_error, malformed, cancelled, circuit_open, other_error, latency_count, sum_latency_ns,
			ttft_count, sum_ttft_ns)`,
			append(append([]any{b.width, b.start, b.run, b.category, 1, 1}, slices.Repeat([]any{0}, 13)...), append([]any{1}, slices.Repeat([]any{0}, 13)...)...)...)
	}
	for _, i := range r.Perm(len(a.windows)) {
		w := a.windows[i]
		insert("fault_window", w.source, w.run, w.fault, w.target, w.experiment, at(w.start), at(w.end))
	}
	for _, i := range r.Perm(len(a.circuits)) {
		c := a.circuits[i]
		insert("circuit_state (run_id, service, instance, circuit, at_ns, state, from_state)", c.run, c.service, c.instance, c.circuit, at(c.at), c.state, c.from)
	}
	for _, i := range r.Perm(len(a.judged)) {
		j := a.judged[i]
		insert("evaluation", at(j.at), id8(j.span), id16(0), i, j.run, j.service, orNull(j.session), "quality", "label", 0.5, numberOrNull(j.accepted), "human")
	}
	require.NoError(t, tx.Commit())
	require.NoError(t, db.Close())
	return path
}

type interval struct{ start, end int64 }

// extents of the runs, from the first start to the last end.
func (a *activity) extents() map[string]interval {
	found := map[string]interval{}
	for i := range a.spans {
		s := &a.spans[i]
		e, known := found[s.run]
		if !known {
			e = interval{s.start, s.end()}
		}
		found[s.run] = interval{min(e.start, s.start), max(e.end, s.end())}
	}
	return found
}

type activityBucket struct {
	width, start  int64 // s; start since the epoch
	run, category string
}

func (a *activity) buckets() []activityBucket {
	if a.noBuckets {
		return nil
	}
	found := map[activityBucket]bool{}
	for i := range a.spans {
		s := &a.spans[i]
		for _, width := range activityWidths {
			found[activityBucket{width, at(s.start) / second / width * width, s.run, s.category}] = true
		}
	}
	return slices.Collect(maps.Keys(found))
}

func utc(ns int64) string { return time.Unix(0, at(ns)).UTC().Format("2006-01-02T15:04:05Z") }

// row is one row of a view by column; nil is NULL.
type row map[string]any

func readView(t *testing.T, path, view string) []row {
	t.Helper()
	r, err := sql.Open("sqlite", readerDSN(path))
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	rows, err := r.QueryContext(t.Context(), "SELECT * FROM "+view)
	require.NoError(t, err, view)
	columns, err := rows.Columns()
	require.NoError(t, err)
	var all []row
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		require.NoError(t, rows.Scan(into...))
		one := row{}
		for i, column := range columns {
			one[column] = values[i]
		}
		all = append(all, one)
	}
	require.NoError(t, rows.Err(), view)
	return all
}

// requireView compares every column of a view with what is wanted, row by row
// as the key columns name them.
func requireView(t *testing.T, path, view string, key []string, want []row) {
	t.Helper()
	named := func(rows []row) map[string]row {
		by := map[string]row{}
		for _, r := range rows {
			name := ""
			for _, column := range key {
				name += fmt.Sprintf("%s=%v ", column, r[column])
			}
			require.NotContains(t, by, name, "%s: twice", view)
			by[name] = r
		}
		return by
	}
	got, wanted := named(readView(t, path, view)), named(want)
	require.ElementsMatch(t, slices.Collect(maps.Keys(wanted)), slices.Collect(maps.Keys(got)), view)
	for name, r := range got {
		require.ElementsMatch(t, slices.Collect(maps.Keys(wanted[name])), slices.Collect(maps.Keys(r)), "%s: columns", view)
		for column, value := range r {
			requireClose(t, wanted[name][column], value, fmt.Sprintf("%s: %s: %s", view, name, column))
		}
	}
}

// requireClose compares two values of SQL; averages may differ in the last
// digits.
func requireClose(t *testing.T, want, got any, what string) {
	t.Helper()
	if f, ok := want.(float64); ok {
		require.IsType(t, f, got, what)
		require.InDelta(t, f, got, 1e-9*max(1, f), what)
		return
	}
	if n, ok := want.(int); ok {
		want = int64(n)
	}
	require.Equal(t, want, got, what)
}

// ratio is NULL without a divisor.
func ratio(a, b float64) any {
	if b == 0 {
		return nil
	}
	return a / b
}

// nearestRank is the value of rank ceil(p*n) in percent, in milliseconds.
func nearestRank(ns []int64, percent int) any {
	if len(ns) == 0 {
		return nil
	}
	ns = slices.Sorted(slices.Values(ns))
	return float64(ns[(len(ns)*percent+99)/100-1]) / 1e6
}

func meanMilliseconds(ns []int64) any {
	sum := 0.0
	for _, n := range ns {
		sum += float64(n)
	}
	return ratio(sum/1e6, float64(len(ns)))
}

var activityViews = []string{
	"tool_call_spans", "tool_calls", "tools", "turns", "sessions", "productivity_weights",
	"fault_windows", "fault_periods", "phases", "fault_impact", "circuits", "circuit_totals", "evaluations",
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// randomActivity draws spans from few values, so that everything collides with
// everything: times on a coarse grid, ids that repeat, parents that loop.
func randomActivity(r *rand.Rand, spans int) *activity {
	a := &activity{gap: pick[int64](r, 0, 2*second, 5*second, 20*second)}
	used := map[string]bool{}
	for range spans {
		s := activitySpan{
			run: pick(r, "", "r1", "r1", "r2"), service: pick(r, "app", "app", "gate"),
			category: pick(r, "llm", "llm", "llm", "embedding", "agent", "workflow", "tool", "tool", "other", "client"),
			outcome:  pick(r, "success", "success", "success", "server_error", "circuit_open"),
			start:    r.Int64N(240) * second / 2, duration: pick(r, -1, 0, second/4, second/2, second, second+1, 3*second, 10*second),
			trace: uint64(r.IntN(5)), span: uint64(r.IntN(14)), parent: uint64(r.IntN(14)),
			kept:    int64(1 + r.IntN(7)),
			session: pick(r, "", "s1", "s2", "s3"), circuit: pick(r, "", "", "db", "x"), instance: pick(r, "", "", "i1"),
			input: pick(r, unstated, int64(r.IntN(100))), output: pick(r, unstated, int64(r.IntN(100))), cost: pick(r, unstated, int64(r.IntN(1e9))),
			weight: pick[int64](r, unstated, unstated, 1e6, 2_500_000, 7e6), delay: unstated,
		}
		if s.category == "other" {
			s.role = int64(r.IntN(5))
		}
		if s.category == "tool" {
			s.role = pick[int64](r, 0, 3, 3, 2)
		}
		if s.isToolPart() {
			s.tool = pick(r, "", "bash", "grep")
			s.callID = pick(r, "", "", "", "c1", "c2", fmt.Sprint("d", r.IntN(30)))
			s.decision = pick(r, "", "", "accept", "auto", "modify", "reject", "reject")
		}
		if r.IntN(6) == 0 {
			s.marked, s.fault = true, pick(r, "latency", "abort")
			s.target, s.experiment = pick(r, "", "db"), pick(r, "", "", "e1")
			s.delay = pick(r, unstated, second/8, second/2, 2*second)
		}
		for used[fmt.Sprint(s.start, s.span, s.trace, s.duration)] {
			s.start++ // those that nothing tells apart have a test of their own
		}
		used[fmt.Sprint(s.start, s.span, s.trace, s.duration)] = true
		a.spans = append(a.spans, s)
	}
	for range r.IntN(6) {
		start := r.Int64N(120*4) * second / 4
		a.windows = append(a.windows, statedWindow{
			source: pick(r, "injector", "config", "import"), run: pick(r, "", "r1", "r2", "none"), fault: pick(r, "latency", "a/b%"),
			target: pick(r, "", "db"), experiment: pick(r, "", "e1"), start: start, end: start + pick(r, 0, second, 5*second, 12*second, 40*second),
		})
	}
	for range r.IntN(60) {
		state, from := pick(r, "closed", "open", "half_open"), pick(r, "", "", "closed", "open", "half_open")
		a.circuits = append(a.circuits, circuitSighting{
			pick(r, "", "r1", "r1"), pick(r, "app", "app", "gate"), pick(r, "", "", "i1"), pick(r, "db", "y"), r.Int64N(60) * second, state, from,
		})
	}
	for i := range r.IntN(20) {
		a.judged = append(a.judged, judgement{pick(r, "", "r1"), "app", pick(r, "", "s1", "s2", "s9"), r.Int64N(60) * second, uint64(i), int64(r.IntN(3)) - 1})
	}
	return a
}

// eachActivity runs a check over files of many sizes.
func eachActivity(t *testing.T, check func(t *testing.T, a *activity, path string)) {
	r := seedtest.Rand(t)
	for i := range 16 {
		a := randomActivity(r, []int{0, 1, 2, 5, 20, 60, 150, 300}[i%8])
		check(t, a, a.file(t, r))
	}
}

// TestActivityDoesNotDependOnOrder writes the same rows in two orders, each
// row twice.
func TestActivityDoesNotDependOnOrder(t *testing.T) {
	r := seedtest.Rand(t)
	for range 5 {
		a := randomActivity(r, 200)
		one, other := a.file(t, r), a.file(t, r)
		for _, view := range activityViews {
			require.ElementsMatch(t, readView(t, one, view), readView(t, other, view), view)
		}
	}
}

// TestActivityAgreesInBothEngines reads every view through the sqlite3 shell,
// which trusts the schema as little as our driver does.
func TestActivityAgreesInBothEngines(t *testing.T) {
	program, err := shell.LookPath("sqlite3")
	require.NoError(t, err, "the sqlite3 shell is part of this test: apt-get install sqlite3")
	r := seedtest.Rand(t)
	a := randomActivity(r, 600)
	a.windows = append(a.windows, window(10, 30))
	a.circuits = append(a.circuits, circuitSighting{"r1", "app", "", "db", second, "open", ""})
	a.judged = append(a.judged, judgement{"r1", "app", "s1", 0, 100, 1})
	path := a.file(t, r)
	for _, view := range activityViews {
		var stderr bytes.Buffer
		command := shell.CommandContext(t.Context(), program, "-readonly", "-json", "-cmd", "PRAGMA trusted_schema = 0", path, "SELECT * FROM "+view)
		command.Stderr = &stderr
		out, err := command.Output()
		require.NoError(t, err, "%s: %s", view, stderr.String())
		var theirs []map[string]any
		decoder := json.NewDecoder(bytes.NewReader(out))
		decoder.UseNumber()
		require.NoError(t, decoder.Decode(&theirs), view)
		ours := readView(t, path, view)
		require.NotEmpty(t, ours)
		require.Len(t, theirs, len(ours))
		print := func(value any) string {
			switch value := value.(type) {
			case json.Number: // the shell prints 15 digits
				if n, err := value.Int64(); err == nil {
					return fmt.Sprint(n)
				}
				f, err := value.Float64()
				require.NoError(t, err)
				return fmt.Sprintf("%.12g", f)
			case float64:
				return fmt.Sprintf("%.12g", value)
			default:
				return fmt.Sprint(value)
			}
		}
		var left, right []string
		for i := range ours {
			mine, its := "", ""
			for _, column := range slices.Sorted(maps.Keys(ours[i])) {
				mine += column + "=" + print(ours[i][column]) + " "
				its += column + "=" + print(theirs[i][column]) + " "
			}
			left, right = append(left, mine), append(right, its)
		}
		require.ElementsMatch(t, left, right, view)
	}
}

// TestEmptyFileHasNoActivity: no row, and no error.
func TestEmptyFileHasNoActivity(t *testing.T) {
	path := (&activity{}).file(t, seedtest.Rand(t))
	for _, view := range activityViews {
		if view != "productivity_weights" {
			require.Empty(t, readView(t, path, view), view)
		}
	}
}
