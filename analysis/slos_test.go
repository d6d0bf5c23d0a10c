package analysis_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

func slos(q analysis.Query) func(context.Context, *sql.Tx) (*analysis.SLOs, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.SLOs, error) { return analysis.AskSLOs(ctx, tx, q) }
}

// sloOracle counts from spans one by one those that start in [from, to).
func sloOracle(observations []aggregator.Observation, j *aggregator.Objective, run *string, from, to time.Time) (good, total int64) {
	for i := range observations {
		o := &observations[i]
		start := time.Unix(0, o.StartUnixNano)
		if o.Rejected != aggregator.NotRejected || run != nil && o.Series.Run != *run || o.Series.Category != j.Category ||
			o.Series.Outcome == aggregator.OutcomeCancelled || start.Before(from) || !start.Before(to) {
			continue
		}
		total++
		duration, timed := o.Measure(aggregator.MeasureDuration)
		if o.Series.Outcome == aggregator.OutcomeSuccess && (j.LatencyNano == 0 || timed && duration <= j.LatencyNano) {
			good++
		}
	}
	return good, total
}

// TestSLOsAgreeWithTheSpans: of the interval and of every window, by run too.
func TestSLOsAgreeWithTheSpans(t *testing.T) {
	traffic := filetest.Traffic(9000) // 15 minutes
	now := filetest.Begin.Add(time.Hour)
	path := makeFile(t, traffic, now)
	load := "load-1"
	for name, q := range map[string]analysis.Query{
		"all":              {Now: now},
		"one run":          {Now: now, Run: &load},
		"a part":           {Now: now, From: filetest.Begin.Add(61 * time.Second), To: filetest.Begin.Add(7*time.Minute + 3*time.Second)},
		"not settled":      {Now: filetest.Begin.Add(10 * time.Minute)},
		"what is open too": {Now: filetest.Begin.Add(10 * time.Minute), IncludeOpen: true},
	} {
		t.Run(name, func(t *testing.T) {
			answer := ask(t, path, slos(q))
			from, to := filetest.Begin, now
			if !q.From.IsZero() {
				from, to = q.From, q.To
			}
			if edge := q.Now.Add(-time.Minute); !q.IncludeOpen && edge.Before(to) {
				to = edge
			}
			objectives := filetest.Objectives()
			require.Len(t, answer.Rows, len(objectives))
			end, err := time.Parse(time.RFC3339, *answer.BurnEndUTC)
			require.NoError(t, err)
			for i := range objectives {
				j, s := &objectives[i], &answer.Rows[i]
				require.Equal(t, j.Name, s.Name)
				good, total := sloOracle(traffic, j, q.Run, from, to)
				require.Equal(t, [2]int64{good, total}, [2]int64{s.Good, s.Total}, s.Name)
				require.Positive(t, total)
				require.InDelta(t, float64(total-good)/float64(total)/(1-s.Objective), *s.BudgetSpent, 1e-9)
				require.Equal(t, float64(good) >= s.Objective*float64(total), *s.Met)
				for k, b := range s.Burn {
					good, total := sloOracle(traffic, j, q.Run, end.Add(-time.Duration(b.WindowS)*time.Second), end)
					require.Equal(t, [2]int64{good, total}, [2]int64{b.Good, b.Total}, b.Window)
					require.Equal(t, analysis.BurnWindows[k].Name, b.Window)
					require.InDelta(t, end.Sub(filetest.Begin).Seconds()/float64(b.WindowS), b.Covered, 1e-9, b.Window)
				}
			}
		})
	}
}

// burned is a file of an hour and a quarter, a call a second, of which so many of
// the last hour fail.
func burned(t *testing.T, failed int) string {
	t.Helper()
	var all []aggregator.Observation
	for i := range 4500 {
		start := filetest.Begin.Add(time.Duration(i) * time.Second).UnixNano()
		o := aggregator.Observation{
			Series:        aggregator.Series{Category: aggregator.CategoryTool},
			StartUnixNano: start, EndUnixNano: start + 1, AdjustedMicro: 1e6,
		}
		o.SetMeasure(aggregator.MeasureDuration, 1)
		if i >= 900 && i < 900+failed {
			o.Series.Outcome = aggregator.OutcomeServerError
		}
		all = append(all, o)
	}
	return makeFile(t, all, filetest.Begin.Add(2*time.Hour))
}

// TestBurnRatesAtTheirThresholds: at the threshold it is an alert, one request
// below it is none. The objective is 0.9, so that 1.0 and 6.0 can be reached.
func TestBurnRatesAtTheirThresholds(t *testing.T) {
	q := analysis.Query{Now: filetest.Begin.Add(2 * time.Hour)}
	for _, c := range []struct {
		failed int
		alert  any
	}{{0, nil}, {449, nil}, {450, "3d"}, {2699, "3d"}, {2700, "6h"}, {3600, "6h"}} {
		s := ask(t, burned(t, c.failed), slos(q)).Rows[1]
		require.Equal(t, "tools", s.Name)
		if c.alert == nil {
			require.Nil(t, s.Alert, c.failed)
		} else {
			require.NotNil(t, s.Alert, c.failed)
			require.Equal(t, c.alert, *s.Alert, c.failed)
		}
		require.InDelta(t, float64(c.failed)/3600/0.1, *s.Burn[0].Rate, 1e-12)
		require.EqualValues(t, 3600, s.Burn[0].Total)
		require.InDelta(t, 1, s.Burn[0].Covered, 0)
		require.InDelta(t, 4500.0/(6*3600), s.Burn[1].Covered, 1e-12)
	}
}

// TestSLOsOfFilesWithout: empty ones and those without objectives answer with no
// rows, or with no figures; those of an older schema know of none.
func TestSLOsOfFilesWithout(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	empty := ask(t, makeFile(t, nil, now), slos(analysis.Query{Now: now}))
	require.Len(t, empty.Rows, 2)
	require.False(t, empty.HasRequests())
	require.Nil(t, empty.BurnEndUTC)
	for _, s := range empty.Rows {
		require.Nil(t, s.GoodShare)
		require.Nil(t, s.Met)
		require.Nil(t, s.BudgetSpent)
		require.Nil(t, s.Alert)
		require.NotNil(t, s.Burn)
		require.Empty(t, s.Burn)
	}
	older := makeFile(t, filetest.Traffic(100), now)
	for _, statement := range []string{"DROP VIEW slos", "DROP TABLE slo_bucket", "DROP TABLE slo", "PRAGMA user_version = 5"} {
		execute(t, older, statement)
	}
	require.ErrorIs(t, second(try(t, older, slos(analysis.Query{Now: now}))), storage.ErrOlder)
	one := ask(t, makeFile(t, filetest.Traffic(1), now), slos(analysis.Query{Now: now, Categories: []aggregator.Category{aggregator.CategoryLLM}}))
	require.Len(t, one.Rows, 1)
}
