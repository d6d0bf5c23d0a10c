package analysis_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// windowsOfRelation reads fault windows as any SQLite tool would.
func windowsOfRelation(ctx context.Context, tx *sql.Tx) (all []analysis.FaultWindow, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT window_id, run_id, fault, target, start_utc, end_utc, start_ns, end_ns, source,
		experiment_id, requests FROM fault_windows ORDER BY start_ns, end_ns, window_id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var w analysis.FaultWindow
		if err := rows.Scan(&w.WindowID, &w.RunID, &w.Fault, &w.Target, &w.StartUTC, &w.EndUTC, &w.StartNS, &w.EndNS, &w.Source,
			&w.ExperimentID, &w.Requests); err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	for i := range all {
		if err := countMarked(ctx, tx, &all[i]); err != nil {
			return nil, err
		}
	}
	return all, rows.Err()
}

// countMarked counts the marked spans of a window one by one: those with its own
// mark that start in it, else, where no span has this mark, those with any.
func countMarked(ctx context.Context, tx *sql.Tx, w *analysis.FaultWindow) error {
	const marked = " FROM request AS r JOIN series AS s USING (series_id) LEFT JOIN request_profile AS p USING (profile_id) WHERE r.marked = 1 "
	where, args := "AND r.start_ns >= ?1 AND r.start_ns < ?2 AND (?3 = '' AND ?4 <> 'requests' OR s.run_id = ?3)",
		[]any{w.StartNS, max(w.EndNS, w.StartNS+1), w.RunID, w.Source, w.Fault}
	var named bool
	if err := tx.QueryRowContext(ctx, "SELECT count(*) > 0"+marked+"AND s.fault = ?", w.Fault).Scan(&named); err != nil {
		return err
	}
	if named {
		where += " AND s.fault = ?5"
	}
	if w.Source == "requests" {
		args[1] = w.EndNS + 1
		args = append(args, w.Target, w.ExperimentID)
		where += " AND p.target IS ?6 AND p.experiment_id IS ?7"
	}
	rows, err := tx.QueryContext(ctx, "SELECT s.category, CASE WHEN r.kept & 4 THEN 1000000 ELSE coalesce(r.weight_micro, 1000000) END"+marked+where, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var micro int64
	w.MarkedCategories = []string{}
	for rows.Next() {
		var category string
		var weight int64
		if err := rows.Scan(&category, &weight); err != nil {
			return err
		}
		micro += weight
		w.MarkedCategories = append(w.MarkedCategories, category)
	}
	slices.Sort(w.MarkedCategories)
	w.MarkedCategories = slices.Compact(w.MarkedCategories)
	spans := (micro + 500_000) / 1_000_000
	w.MarkedSpans = &spans
	return rows.Err()
}

// The answer is the relation, whatever is marked and said.
func TestFaultWindowsAreThoseOfTheRelation(t *testing.T) {
	rng := seedtest.Rand(t)
	names := []string{"latency", "abort", "a/b%c", "unmarked"}
	runs := []string{"", "load-1", "load/2%"}
	several := false
	for round := range 12 {
		observations := filetest.Traffic(400)
		for i := range observations {
			o := &observations[i]
			o.StartUnixNano += rng.Int64N(20e9)
			if d := duration(o); d >= 0 {
				o.EndUnixNano = o.StartUnixNano + d
			}
			o.Series.Run = runs[rng.IntN(len(runs))]
			if o.Series.Fault = ""; rng.IntN(3) == 0 {
				o.Series.Fault = names[rng.IntN(3)]
			}
		}
		policy := everyRequest
		if round%3 == 2 {
			policy = sampling.Policy{RatioMicro: sampling.Whole / 3}
		}
		now := filetest.Begin.Add(time.Hour)
		path := fileWith(t, observations, now, policy, statusOf)
		execute(t, path, "UPDATE meta SET value = ? WHERE key = 'fault_gap_ns'", rng.Int64N(6)*1e9/2)
		// Marks of single requests come from what spans say besides; here of some.
		execute(t, path, "UPDATE request SET marked = CASE WHEN id % 5 < ? THEN 1 END, kept = kept | CASE WHEN id % 7 < 3 THEN 4 ELSE 0 END", rng.IntN(6))
		execute(t, path, "UPDATE request_profile SET target = NULLIF('t' || abs(profile_id % 3), 't0'), experiment_id = NULLIF('x/' || abs(profile_id % 2), 'x/0')")
		for i := range 15 {
			start := filetest.Begin.UnixNano() + rng.Int64N(60e9)
			execute(t, path, "INSERT OR IGNORE INTO fault_window VALUES (?, ?, ?, ?, '', ?, ?)", []string{"injector", "config", "import"}[i%3],
				runs[rng.IntN(len(runs))], names[rng.IntN(len(names))], fmt.Sprint(i%2), start, start+rng.Int64N(3)*rng.Int64N(20e9))
		}
		want := ask(t, path, windowsOfRelation)
		got := ask(t, path, analysis.AskFaultWindows)
		require.Equal(t, want, got.Rows, "round %d", round)
		several = several || slices.ContainsFunc(want, func(w analysis.FaultWindow) bool {
			return w.Source == "requests" && w.Requests > 1 && w.Target != nil && w.ExperimentID != nil
		})
	}
	require.True(t, several, "no window of several requests")
	require.Empty(t, ask(t, makeFile(t, []aggregator.Observation{}, filetest.Begin), analysis.AskFaultWindows).Rows)
}
