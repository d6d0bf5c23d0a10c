package storage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// spanOfRun is a random span of a run that says something for every table.
func spanOfRun(rng *rand.Rand, run string) aggregator.Request {
	r := randomRequest(rng)
	r.Rejected, r.Series.Run, r.Window = aggregator.NotRejected, run, nil
	at := r.StartUnixNano
	switch rng.IntN(6) {
	case 0:
		r.Circuits = []aggregator.CircuitState{{Circuit: "payments", AtUnixNano: at, State: aggregator.CircuitOpen}}
	case 1:
		r.TestCase = aggregator.TestCase{Name: "malformed_json", Passed: true}
		r.Evaluations = []aggregator.Evaluation{{AtUnixNano: at, Name: "helpful", Label: "yes", Verdict: aggregator.VerdictAccepted}}
	case 2:
		r.Window = &aggregator.FaultWindow{Run: run, Fault: "latency", StartUnixNano: at, EndUnixNano: at + 1e9}
	case 3:
		r.RunFacts = aggregator.RunFacts{Mode: "load", Name: "name of " + run, ConfigJSON: `{"users": 5}`}
	}
	return r
}

// fileOfRuns is a file with random spans of these runs.
func fileOfRuns(t *testing.T, rng *rand.Rand, runs ...string) Options {
	t.Helper()
	o := manySeries(testOptions(t))
	o.FaultWindows = []aggregator.FaultWindow{{Fault: "drill", StartUnixNano: 1, EndUnixNano: 2}}
	s := openStore(t, o)
	for range 4 {
		var spans []aggregator.Request
		for range 40 * len(runs) {
			spans = append(spans, spanOfRun(rng, runs[rng.IntN(len(runs))]))
		}
		require.NoError(t, s.Write(t.Context(), requestBatch(o, spans...)))
	}
	require.NoError(t, s.Close())
	return o
}

// tablesOfRuns is every table with rows that belong to a run: SQL that names it.
var tablesOfRuns = map[string]string{
	"series":             "run_id",
	"series_bucket":      "(SELECT run_id FROM series AS s WHERE s.series_id = x.series_id)",
	"series_histogram":   "(SELECT run_id FROM series AS s JOIN series_bucket AS b USING (series_id) WHERE b.id = x.bucket_id)",
	"headline_bucket":    "run_id",
	"headline_histogram": "(SELECT run_id FROM headline_bucket AS b WHERE b.id = x.bucket_id)",
	"slo_bucket":         "(SELECT run_id FROM headline_bucket AS b WHERE b.id = x.bucket_id)",
	"request":            "(SELECT run_id FROM series AS s WHERE s.series_id = x.series_id)",
	"evaluation":         "run_id",
	"chaos_result":       "run_id",
	"circuit_state":      "run_id",
	"fault_window":       "run_id",
	"run_category":       "run_id",
	"run":                "run_id",
}

// tablesOfNoRun have no rows that belong to a run.
var tablesOfNoRun = []string{"meta", "ledger", "notes", "request_profile", "request_stratum", "pruned", "merged_file", "fingerprint", "fingerprint_key", "dead_letter", "failed_batch", "slo"}

// rowsOf dumps every table, the rows of one run apart from the others. Rows
// without the one they refer to are of run "?".
func rowsOf(t *testing.T, path, run string) (own, others map[string][]string) {
	t.Helper()
	own, others = map[string][]string{}, map[string][]string{}
	for table, owner := range tablesOfRuns {
		columns := texts(t, path, "SELECT 'quote('||name||')' FROM pragma_table_info('"+table+"')")
		for _, line := range texts(t, path, "SELECT coalesce("+owner+", '?') || char(0) || "+
			strings.Join(columns, "||'|'||")+" FROM "+table+" AS x ORDER BY 1") {
			of, row, _ := strings.Cut(line, "\x00")
			if of == run {
				own[table] = append(own[table], row)
			} else {
				others[table] = append(others[table], of+": "+row)
			}
		}
	}
	return own, others
}

// TestEveryTableIsOfRunsOrNot: a table that is new must be thought of.
func TestEveryTableIsOfRunsOrNot(t *testing.T) {
	o := testOptions(t)
	require.NoError(t, openStore(t, o).Close())
	known := slices.Clone(tablesOfNoRun)
	for table := range tablesOfRuns {
		known = append(known, table)
		require.True(t, slices.ContainsFunc(purgeSteps, func(s purgeStep) bool { return s.table == table }), table)
	}
	require.ElementsMatch(t, texts(t, o.Path, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"), known)
}

// TestPurgeRemovesARunAndNothingElse.
func TestPurgeRemovesARunAndNothingElse(t *testing.T) {
	for _, run := range []string{"a", "it's", ""} {
		t.Run(run, func(t *testing.T) {
			o := fileOfRuns(t, seedtest.Rand(t), "a", "it's", "")
			own, others := rowsOf(t, o.Path, run)
			windows := own["fault_window"]
			for table := range tablesOfRuns {
				require.NotEmpty(t, own[table], table)
				require.NotEmpty(t, others[table], table)
			}
			spans := one[int64](t, o.Path, fmt.Sprintf("SELECT sum(spans) FROM run_category WHERE run_id = '%s'", strings.ReplaceAll(run, "'", "''")))
			ledger := ledgerOf(t, o.Path)

			purged, err := PurgeRun(t.Context(), o.Path, run, false)
			require.NoError(t, err)
			want := PurgedRun{
				Spans: spans, Series: int64(len(own["series"])), Buckets: int64(len(own["series_bucket"]) + len(own["headline_bucket"])),
				Requests: int64(len(own["request"])), Evaluations: int64(len(own["evaluation"])), ChaosResults: int64(len(own["chaos_result"])),
				CircuitStates: int64(len(own["circuit_state"])), FaultWindows: int64(len(windows)),
			}
			left, unchanged := rowsOf(t, o.Path, run)
			require.Equal(t, others, unchanged)
			if run == "" {
				// They belong to any run.
				require.Equal(t, map[string][]string{"fault_window": windows}, left)
				want.FaultWindows = 0
			} else {
				require.Empty(t, left)
			}
			require.Equal(t, want, purged)
			require.Equal(t, ledger, ledgerOf(t, o.Path))
			require.Equal(t, spans, one[int64](t, o.Path, "SELECT spans FROM notes WHERE reason = 'purged'"))
			require.Empty(t, texts(t, o.Path, "SELECT \"table\" FROM pragma_foreign_key_check"))
			require.Empty(t, problemsOf(t, o.Path))

			// The run can begin again.
			s := openStore(t, o)
			r := spanOfRun(seedtest.Rand(t), run)
			require.NoError(t, s.Write(t.Context(), requestBatch(o, r)))
			require.NoError(t, s.Close())
			require.Empty(t, problemsOf(t, o.Path))
		})
	}
}

// TestPurgeOfAllRuns leaves a file without data, not without history.
func TestPurgeOfAllRuns(t *testing.T) {
	runs := []string{"a", "b", ""}
	o := fileOfRuns(t, seedtest.Rand(t), runs...)
	require.Equal(t, "llm,embedding", one[string](t, o.Path, "SELECT value FROM meta WHERE key = 'headline_category'"))
	folded := ledgerOf(t, o.Path)["folded"]
	for _, run := range runs {
		_, err := PurgeRun(t.Context(), o.Path, run, false)
		require.NoError(t, err)
		require.Empty(t, problemsOf(t, o.Path))
	}
	require.Equal(t, folded, one[int64](t, o.Path, "SELECT spans FROM notes WHERE reason = 'purged'"))
	require.Equal(t, "client", one[string](t, o.Path, "SELECT value FROM meta WHERE key = 'headline_category'"))
	for _, relation := range []string{"timeseries", "latency", "bins", "requests", "runs", "sessions", "tools", "circuits", "evaluations"} {
		require.Zero(t, one[int64](t, o.Path, "SELECT count(*) FROM "+relation), relation)
	}
}

func TestPinnedRunsAreKept(t *testing.T) {
	o := testOptions(t)
	o.RunID, o.RunPinned = "keep", true
	s := openStore(t, o)
	require.NoError(t, s.Write(t.Context(), basedDelivery(s, o, 1, 2)))
	_, before := rowsOf(t, o.Path, "")
	_, err := PurgeRun(t.Context(), o.Path, "keep", false)
	require.ErrorIs(t, err, ErrPinned)
	_, after := rowsOf(t, o.Path, "")
	require.Equal(t, before, after)
	purged, err := PurgeRun(t.Context(), o.Path, "keep", true)
	require.NoError(t, err)
	require.EqualValues(t, 2, purged.Spans)
	require.Empty(t, spansByRun(t, o.Path))
}

func TestPurgeOfAnUnknownRunNamesOthers(t *testing.T) {
	o := testOptions(t)
	o.Limits.MaxRuns = 100
	s := openStore(t, o)
	var unknown *UnknownRunError
	_, err := PurgeRun(t.Context(), o.Path, "x", true)
	require.ErrorAs(t, err, &unknown)
	require.Empty(t, unknown.Known)
	for i := range 12 {
		r := request(byte(i), time.Duration(i)*time.Minute)
		r.Series.Run = fmt.Sprint("run-", i)
		require.NoError(t, s.Write(t.Context(), requestBatch(o, r)))
	}
	_, err = PurgeRun(t.Context(), o.Path, "x", true)
	require.EqualError(t, err, "purge run: "+o.Path+`: run "x": the file has no such run`)
	require.ErrorAs(t, err, &unknown)
	require.EqualValues(t, 12, unknown.Runs)
	require.Equal(t, []string{"run-11", "run-10", "run-9", "run-8", "run-7", "run-6", "run-5", "run-4", "run-3", "run-2"}, unknown.Known)
}

// TestPurgeOfTheOpenRun: it stays open, under its name.
func TestPurgeOfTheOpenRun(t *testing.T) {
	o := dedupOptions(t)
	s := openStore(t, o)
	_, err := OpenRun(t.Context(), o.Path, NewRun{ID: "a", Name: "n"})
	require.NoError(t, err)
	require.NoError(t, s.Write(t.Context(), basedDelivery(s, o, 1, 2)))
	purged, err := PurgeRun(t.Context(), o.Path, "a", false)
	require.NoError(t, err)
	require.True(t, purged.Open)
	require.EqualValues(t, 2, purged.Spans)
	require.Equal(t, map[string]string{"a": "0 0 0 0"}, spansByRun(t, o.Path))
	require.Empty(t, problemsOf(t, o.Path))
	// What was counted is not counted again: the fingerprints stay.
	require.NoError(t, s.Write(t.Context(), basedDelivery(s, o, 1, 2, 3)))
	require.Equal(t, map[string]string{"a": "1 1 1 1"}, spansByRun(t, o.Path))
	require.Equal(t, "n", one[string](t, o.Path, "SELECT name FROM runs"))
	require.NoError(t, s.Close())
	require.Empty(t, problemsOf(t, o.Path))
}

// TestRunsWhileTrafficFlows opens and purges runs beside callers that write:
// what was acknowledged is in one run, or was purged with one.
func TestRunsWhileTrafficFlows(t *testing.T) {
	rng := seedtest.Rand(t)
	o := manySeries(dedupOptions(t))
	o.Limits.MaxRuns = 1000
	s := openStore(t, o)
	traffic := flow(s, o, 4)
	var opened []string
	var purged int64
	var slowest time.Duration
	const verbs = 40
	for range verbs {
		began := time.Now()
		if rng.IntN(4) > 0 || len(opened) == 0 {
			run, err := OpenRun(t.Context(), o.Path, NewRun{ID: fmt.Sprint("run-", rng.IntN(12))})
			require.NoError(t, err)
			opened = append(opened, run.ID)
		} else {
			p, err := PurgeRun(t.Context(), o.Path, opened[rng.IntN(len(opened))], false)
			var unknown *UnknownRunError
			if !errors.As(err, &unknown) {
				require.NoError(t, err)
			}
			purged += p.Spans
		}
		slowest = max(slowest, time.Since(began))
	}
	acknowledged, err := traffic()
	require.NoError(t, err)
	require.NoError(t, s.Close())

	ledger := ledgerOf(t, o.Path)
	require.EqualValues(t, acknowledged, ledger["folded"])
	left := one[int64](t, o.Path, "SELECT coalesce(sum(spans), 0) FROM run_category")
	require.Equal(t, ledger["folded"], left+purged)
	require.Positive(t, purged)
	require.Equal(t, left, one[int64](t, o.Path, "SELECT count(*) FROM request"))
	require.Equal(t, left, one[int64](t, o.Path, "SELECT count(DISTINCT span_id) FROM request"), "each in one run")
	require.Equal(t, left, one[int64](t, o.Path, spansInBuckets))
	require.Zero(t, one[int64](t, o.Path, "SELECT count(*) FROM headline_bucket WHERE requests = 0 AND completed = 0"))
	_, rows := rowsOf(t, o.Path, "?")
	for table, lines := range rows {
		require.False(t, slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "?: ") }), table)
	}
	require.Empty(t, problemsOf(t, o.Path))
	t.Logf("%d verbs, the slowest in %v, beside %d spans: %d stayed, %d were purged", verbs, slowest, acknowledged, left, purged)
}

// flow lets callers write different spans, some of each batch a second time,
// until stop is called. It returns how many were acknowledged.
func flow(s *Store, o Options, callers int) (stop func() (acknowledged int, err error)) {
	const perBatch = 20
	ctx, cancel := context.WithCancel(context.Background())
	var writing sync.WaitGroup
	errs, written := make([]error, callers), make([]int, callers)
	for c := range callers {
		writing.Go(func() {
			for ctx.Err() == nil && errs[c] == nil {
				first := c<<20 + written[c]
				twice := min(written[c], perBatch/4)
				errs[c] = s.Write(context.Background(), basedDelivery(s, o, numbers(first-twice, first+perBatch)...))
				written[c] += perBatch
			}
		})
	}
	return func() (acknowledged int, err error) {
		cancel()
		writing.Wait()
		for _, n := range written {
			acknowledged += n
		}
		return acknowledged, errors.Join(errs...)
	}
}
