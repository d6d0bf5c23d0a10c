package storage

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// TestWhatSpansTellBesides is kept once, however often it is delivered.
func TestWhatSpansTellBesides(t *testing.T) {
	o := testOptions(t)
	o.Sampling = none
	s := openStore(t, o)
	at := anInstant.UnixNano()
	r := request(1, 0)
	r.Series.Run, r.Session, r.Details, r.Instance = "run-1", "s-1", everyDetail, "host\x00"
	r.Circuits = []aggregator.CircuitState{
		{Circuit: "pay", AtUnixNano: at, State: aggregator.CircuitOpen, From: aggregator.CircuitClosed},
		{Circuit: "pay", AtUnixNano: at + 5, State: aggregator.CircuitHalfOpen, From: "odd"},
		{Circuit: "pay", AtUnixNano: at, State: "odd"},
	}
	r.Evaluations = []aggregator.Evaluation{
		{AtUnixNano: at, Name: "helpful", Label: "yes", Score: 0.5, Scored: true, Verdict: aggregator.VerdictAccepted, Source: "human"},
		{AtUnixNano: at, Name: "helpful", Verdict: aggregator.VerdictRejected},
		{AtUnixNano: at, Score: math.NaN(), Scored: true},
	}
	r.Window = &aggregator.FaultWindow{Run: "any name", Fault: "latency", Target: "db", ExperimentID: "x", StartUnixNano: at, EndUnixNano: at + 9}
	backwards := request(2, 0)
	backwards.Details, backwards.Window = everyDetail, &aggregator.FaultWindow{StartUnixNano: 2, EndUnixNano: 1}
	for range 2 {
		require.NoError(t, s.Write(t.Context(), requestBatch(o, r, backwards)))
	}
	stamp := "1769767200000000000"
	require.Equal(t, []string{"run-1|app|host\uFFFD|pay|" + stamp + "|open|closed", "run-1|app|host\uFFFD|pay|1769767200000000005|half_open|"},
		texts(t, o.Path, "SELECT concat_ws('|', run_id, service, instance, circuit, at_ns, state, from_state) FROM circuit_state ORDER BY at_ns"))
	require.Equal(t, []string{
		stamp + "|0|run-1|app|s-1|''|NULL|NULL|NULL|NULL", stamp + "|1|run-1|app|s-1|'helpful'|NULL|NULL|0|NULL",
		stamp + "|2|run-1|app|s-1|'helpful'|'yes'|0.5|1|'human'",
	}, texts(t, o.Path, `SELECT concat_ws('|', at_ns, ordinal, run_id, service, session_id, quote(name), quote(label), quote(score),
		quote(accepted), quote(source)) FROM evaluation ORDER BY ordinal`))
	require.Equal(t, []string{"injector|run-1|latency|db|x|" + stamp + "|1769767200000000009"},
		texts(t, o.Path, "SELECT concat_ws('|', source, run_id, fault, target, experiment_id, start_ns, end_ns) FROM fault_window"))
}

// TestEveryInstanceHasItsOwnCircuits: sightings of the same state at the same
// instant are two.
func TestEveryInstanceHasItsOwnCircuits(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	var requests []aggregator.Request
	for i, instance := range []string{"", "a", "b", "b"} {
		r := request(byte(i), 0)
		r.Instance, r.Details = instance, everyDetail
		r.Circuits = []aggregator.CircuitState{{Circuit: "pay", AtUnixNano: 7, State: aggregator.CircuitOpen}}
		requests = append(requests, r)
	}
	require.NoError(t, s.Write(t.Context(), requestBatch(o, requests...)))
	require.Equal(t, []string{"", "a", "b"}, texts(t, o.Path, "SELECT instance FROM circuit_state ORDER BY 1"))
}

// TestOrderOfEventsDoesNotMatter: a second delivery with the same events in
// another order adds nothing, also where some are not stored.
func TestOrderOfEventsDoesNotMatter(t *testing.T) {
	for _, events := range []int{3, maxEventsPerSpan, maxEventsPerSpan + 1, 3 * maxEventsPerSpan} {
		o := testOptions(t)
		s := openStore(t, o)
		r := request(1, 0)
		r.Details = everyDetail
		for i := range events {
			at := int64(1 + i/2)
			r.Circuits = append(r.Circuits, aggregator.CircuitState{Circuit: fmt.Sprint(i), AtUnixNano: at, State: aggregator.CircuitOpen})
			r.Evaluations = append(r.Evaluations, aggregator.Evaluation{AtUnixNano: at, Name: "helpful", Score: float64(i % 2), Scored: true})
		}
		backwards := r
		backwards.Circuits, backwards.Evaluations = slices.Clone(r.Circuits), slices.Clone(r.Evaluations)
		slices.Reverse(backwards.Circuits)
		slices.Reverse(backwards.Evaluations)
		require.NoError(t, s.Write(t.Context(), requestBatch(o, r)))
		before := texts(t, o.Path, "SELECT concat_ws('|', at_ns, ordinal, score) FROM evaluation")
		require.NoError(t, s.Write(t.Context(), requestBatch(o, backwards)))
		stored := min(events, maxEventsPerSpan)
		require.Len(t, before, stored)
		require.Equal(t, before, texts(t, o.Path, "SELECT concat_ws('|', at_ns, ordinal, score) FROM evaluation"))
		require.EqualValues(t, stored, one[int64](t, o.Path, "SELECT count(*) FROM circuit_state"))
		require.Equal(t, "1", one[string](t, o.Path, "SELECT CAST(max(ordinal) AS TEXT) FROM evaluation"))
		noted := []string{}
		if events > maxEventsPerSpan {
			noted = []string{"2"}
		}
		require.Equal(t, noted, texts(t, o.Path, "SELECT spans FROM notes WHERE reason = 'too_many_events'"))
	}
}

// TestDocumentedEvents: the documentation says how many are stored.
func TestDocumentedEvents(t *testing.T) {
	text, err := os.ReadFile("../docs/dialects.md")
	require.NoError(t, err)
	require.Contains(t, string(text), fmt.Sprintf("| `too_many_events` | had more than %d circuit states or judgements; the rest is not stored |", maxEventsPerSpan))
}

// TestEventsInOneOrder: what tells two of an instant apart decides.
func TestEventsInOneOrder(t *testing.T) {
	ordered := []aggregator.Evaluation{
		{AtUnixNano: 1, Name: "b"}, {AtUnixNano: 2, Name: "a", Label: "z", Source: "z"},
		{AtUnixNano: 2, Name: "b"}, {AtUnixNano: 2, Name: "b", Source: "a"}, {AtUnixNano: 2, Name: "b", Verdict: aggregator.VerdictAccepted},
		{AtUnixNano: 2, Name: "b", Scored: true}, {AtUnixNano: 2, Name: "b", Scored: true, Score: 1}, {AtUnixNano: 2, Name: "b", Label: "a"},
	}
	for i := range ordered {
		for j := range ordered {
			require.Equal(t, cmp.Compare(i, j), compareEvaluations(ordered[i], ordered[j]), "%d and %d", i, j)
		}
	}
	states := []aggregator.CircuitState{
		{AtUnixNano: 1, Circuit: "b"}, {AtUnixNano: 2, Circuit: "a", State: "z"}, {AtUnixNano: 2, Circuit: "b", State: "a", From: "z"},
		{AtUnixNano: 2, Circuit: "b", State: "b"}, {AtUnixNano: 2, Circuit: "b", State: "b", From: "a"},
	}
	for i := range states {
		for j := range states {
			require.Equal(t, cmp.Compare(i, j), compareCircuits(states[i], states[j]), "%d and %d", i, j)
		}
	}
}

// TestWindowOfNoRunStaysSo, whatever run the span of the injector is in.
func TestWindowOfNoRunStaysSo(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	r := request(1, 0)
	r.Series.Run, r.Details = "run-1", everyDetail
	r.Window = &aggregator.FaultWindow{Fault: "latency", StartUnixNano: 1, EndUnixNano: 2}
	require.NoError(t, s.Write(t.Context(), requestBatch(o, r)))
	require.Equal(t, []string{"''"}, texts(t, o.Path, "SELECT quote(run_id) FROM fault_window"))
}

// TestOnlyObjectsAreConfigurations: the lowest text would win otherwise.
func TestOnlyObjectsAreConfigurations(t *testing.T) {
	for _, text := range []string{`[]`, `["a"]`, `5`, `"a"`, `null`, `{`} {
		o := testOptions(t)
		s := openStore(t, o)
		r := request(1, 0)
		r.Series.Run, r.RunFacts, r.Details = "run-1", aggregator.RunFacts{ConfigJSON: text, AttributesJSON: text}, everyDetail
		require.NoError(t, s.Write(t.Context(), requestBatch(o, r)))
		require.Equal(t, []string{"NULLNULL"}, texts(t, o.Path, "SELECT quote(config_json) || quote(attributes) FROM run"), text)
	}
}

// TestEvaluationsOfSpansWithoutIDs are never taken for each other.
func TestEvaluationsOfSpansWithoutIDs(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	r := request(1, 0)
	r.SpanID = [8]byte{}
	r.Evaluations = []aggregator.Evaluation{{AtUnixNano: 1, Name: "a"}, {AtUnixNano: 1, Name: "b"}}
	require.NoError(t, s.Write(t.Context(), requestBatch(o, r, r)))
	require.Equal(t, []string{"0 a", "1 b", "2 a", "3 b"}, texts(t, o.Path, "SELECT ordinal || ' ' || name FROM evaluation ORDER BY ordinal"))
}

// TestFactsOfARun: the lowest value wins in whatever order they come, and only
// JSON objects count as such.
func TestFactsOfARun(t *testing.T) {
	facts := []aggregator.RunFacts{
		{Name: "b", Mode: "load", ConfigJSON: `{"users": 5}`, AttributesJSON: `[1]`},
		{Name: "a", Preset: "p\x00", ConfigJSON: `{"users": 4`, AttributesJSON: `{}`},
		{Profile: "spike", ConfigJSON: `{"users": 4, "x": "` + strings.Repeat("y", maxFactsBytes) + `"}`},
		{Mode: "chaos", ConfigJSON: strings.Repeat("[", 2000), AttributesJSON: "\xff"},
		{Mode: "chaos", ConfigJSON: "{\"a\": \"\xff\"}"},
	}
	for _, batches := range []int{1, 5} {
		for first := range facts {
			o := testOptions(t)
			s := openStore(t, o)
			var requests []aggregator.Request
			for i := range facts {
				r := request(byte(i), 0)
				r.Series.Run, r.RunFacts, r.Details = "run-1", facts[(first+i)%len(facts)], everyDetail
				requests = append(requests, r, r)
			}
			for i := range batches {
				n := len(requests) / batches
				require.NoError(t, s.Write(t.Context(), requestBatch(o, requests[i*n:(i+1)*n]...)))
			}
			require.NoError(t, s.Close())
			require.Equal(t, []string{"a|chaos|spike|p\uFFFD|{\"users\": 5}|{}|0"}, texts(t, o.Path,
				"SELECT concat_ws('|', name, mode, profile, preset, config_json, attributes, pinned) FROM runs"))
		}
	}
}

// TestFactsOfNoRun: what is outside any run, or beyond the cap of runs, is not
// described by the spans that happen to be there.
func TestFactsOfNoRun(t *testing.T) {
	o := testOptions(t)
	o.Limits.MaxRuns = 1
	s := openStore(t, o)
	requests := []aggregator.Request{request(1, 0), request(2, 0)}
	for i := range requests {
		requests[i].RunFacts.Mode, requests[i].Details = "load", everyDetail
	}
	requests[1].Series.Run = "second"
	require.NoError(t, s.Write(t.Context(), requestBatch(o, requests...)))
	require.Equal(t, []string{"''NULL", "'__overflow__'NULL"}, texts(t, o.Path, "SELECT quote(run_id) || quote(mode) FROM runs ORDER BY run_id"))
}

func TestConfiguredRunIsPinned(t *testing.T) {
	o := testOptions(t)
	o.RunID, o.RunName, o.RunPinned = "mine", "nightly", true
	s := openStore(t, o)
	mine, other := request(1, 0), request(2, 0)
	mine.Series.Run, other.Series.Run = "mine", "other"
	require.NoError(t, s.Write(t.Context(), requestBatch(o, mine, other)))
	require.Equal(t, []string{"mine nightly 1", "other 0"}, texts(t, o.Path, "SELECT concat_ws(' ', run_id, name, pinned) FROM runs ORDER BY 1"))
}

func TestConfiguredWindowsFollowTheConfiguration(t *testing.T) {
	o := testOptions(t)
	windows := func() []string {
		return texts(t, o.Path, "SELECT concat_ws('|', source, run_id, fault, start_ns, end_ns) FROM fault_window ORDER BY 1")
	}
	o.FaultGap = 5 * time.Second
	o.FaultWindows = []aggregator.FaultWindow{{Fault: "latency\x00", StartUnixNano: 1, EndUnixNano: 2}, {Fault: "abort", StartUnixNano: 3, EndUnixNano: 3}}
	require.NoError(t, openStore(t, o).Close())
	require.Equal(t, []string{"config||abort|3|3", "config||latency\uFFFD|1|2"}, windows())
	_, err := ImportFaultWindows(t.Context(), o.Path, []aggregator.FaultWindow{{Fault: "abort", StartUnixNano: 3, EndUnixNano: 3}})
	require.NoError(t, err)
	o.FaultWindows = o.FaultWindows[:1]
	require.NoError(t, openStore(t, o).Close())
	require.Equal(t, []string{"config||latency\uFFFD|1|2", "import||abort|3|3"}, windows())
	require.Equal(t, "5000000000", one[string](t, o.Path, "SELECT value FROM meta WHERE key = 'fault_gap_ns'"))
	require.Equal(t, "1", one[string](t, o.Path, "SELECT value FROM meta WHERE key = 'keep_requests'"))
	o.FaultWindows = []aggregator.FaultWindow{{Fault: "abort", StartUnixNano: 3, EndUnixNano: 2}}
	_, err = Open(t.Context(), o)
	require.ErrorIs(t, err, errWindowOrder)
	require.Len(t, windows(), 2, "what was there stays")
}

// TestImportBesideAWriter: each waits for the other, and both are kept.
func TestImportBesideAWriter(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	require.NoError(t, s.Write(t.Context(), requestBatch(o, request(1, 0))))
	windows := []aggregator.FaultWindow{{Run: "r", Fault: "latency", StartUnixNano: 1, EndUnixNano: 2}, {Fault: "latency", StartUnixNano: 1, EndUnixNano: 2}}
	done := make(chan error, 1)
	go func() {
		var errs []error
		for i := range byte(50) {
			errs = append(errs, s.Write(context.Background(), requestBatch(o, request(1+i, 0))))
		}
		done <- errors.Join(errs...)
	}()
	added := 0
	for range 20 {
		n, err := ImportFaultWindows(t.Context(), o.Path, windows)
		require.NoError(t, err)
		added += n
	}
	require.NoError(t, <-done)
	require.Equal(t, 2, added, "what is there is not added again")
	require.NoError(t, s.Close())
	require.EqualValues(t, 2, one[int64](t, o.Path, "SELECT count(*) FROM fault_window WHERE source = 'import'"))
	require.EqualValues(t, 51, one[int64](t, o.Path, "SELECT count(*) FROM request"))
	require.EqualValues(t, 51, one[int64](t, o.Path, "SELECT spans FROM ledger WHERE reason = 'folded'"))
}

// TestImportOfMany does not keep a collector from writing, and more are refused.
func TestImportOfMany(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	windows := make([]aggregator.FaultWindow, MaxImportedWindows+1)
	for i := range windows {
		windows[i] = aggregator.FaultWindow{Fault: "latency", Target: fmt.Sprint(i % 7), StartUnixNano: int64(i), EndUnixNano: int64(i)}
	}
	_, err := ImportFaultWindows(t.Context(), o.Path, windows)
	require.ErrorContains(t, err, "100001 are too many, must be at most 100000")
	done := make(chan error, 1)
	go func() {
		n, err := ImportFaultWindows(t.Context(), o.Path, windows[1:])
		if err == nil && n != MaxImportedWindows {
			err = fmt.Errorf("%d windows are new", n)
		}
		done <- err
	}()
	for i, imported := 0, false; !imported; i++ {
		require.NoError(t, s.Write(t.Context(), requestBatch(o, request(byte(i), 0))))
		select {
		case err := <-done:
			require.NoError(t, err)
			imported = true
		default:
		}
	}
	n, err := ImportFaultWindows(t.Context(), o.Path, windows[:windowsPerInsert+2])
	require.NoError(t, err)
	require.Equal(t, 1, n, "the first one is new")
	require.EqualValues(t, len(windows), one[int64](t, o.Path, "SELECT count(*) FROM fault_window"))
}

func TestImportIsAllOrNothing(t *testing.T) {
	o := testOptions(t)
	require.NoError(t, openStore(t, o).Close())
	_, err := ImportFaultWindows(t.Context(), o.Path, []aggregator.FaultWindow{{Fault: "a", EndUnixNano: 1}, {Fault: "b", StartUnixNano: 2, EndUnixNano: 1}})
	require.ErrorIs(t, err, errWindowOrder)
	require.ErrorContains(t, err, `fault window 2 ("b")`)
	_, err = ImportFaultWindows(t.Context(), o.Path, []aggregator.FaultWindow{{Fault: "b", EndUnixNano: 1}, {Fault: "a", StartUnixNano: 2, EndUnixNano: 1}})
	require.ErrorContains(t, err, `fault window 2 ("a")`, "counted as they are given")
	require.Zero(t, one[int64](t, o.Path, "SELECT count(*) FROM fault_window"))
}

// TestImportRefusesFilesOfOthers and makes none.
func TestImportRefusesFilesOfOthers(t *testing.T) {
	for name, c := range map[string]struct {
		make func(path string)
		want error
	}{
		"missing": {func(string) {}, os.ErrNotExist},
		"empty":   {func(path string) { require.NoError(t, os.WriteFile(path, nil, 0o600)) }, ErrForeign},
		"foreign": {func(path string) { exec(t, path, "CREATE TABLE t (x)") }, ErrForeign},
		"newer": {func(path string) {
			exec(t, path, "PRAGMA application_id = 1399865963; PRAGMA user_version = 99; CREATE TABLE t (x)")
		}, ErrNewer},
		"older": {func(path string) {
			exec(t, path, "PRAGMA application_id = 1399865963; PRAGMA user_version = 1; CREATE TABLE t (x)")
		}, ErrOlder},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file.db")
			c.make(path)
			before, _ := os.ReadFile(path)
			_, err := ImportFaultWindows(t.Context(), path, []aggregator.FaultWindow{{Fault: "a"}})
			require.ErrorIs(t, err, c.want)
			after, _ := os.ReadFile(path)
			require.True(t, bytes.Equal(before, after), "the file was changed")
		})
	}
}
