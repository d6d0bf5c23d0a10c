package report_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/report"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// settled is a time at which all traffic of the tests has settled.
var settled = filetest.Begin.Add(48 * time.Hour)

// makeFile writes a file with observations.
func makeFile(t *testing.T, observations []aggregator.Observation) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	filetest.Write(t, filetest.Options(path, settled), observations)
	return path
}

// view calls read with a transaction of the file.
func view(t *testing.T, path string, read func(context.Context, *sql.Tx) error) {
	t.Helper()
	reader, err := storage.OpenReader(t.Context(), path)
	require.NoError(t, err)
	defer func() { require.NoError(t, reader.Close()) }()
	require.NoError(t, reader.View(t.Context(), func(tx *sql.Tx) error { return read(t.Context(), tx) }))
}

// assemble makes a report of the file.
func assemble(t *testing.T, path string, q analysis.Query) (made *report.Report) {
	t.Helper()
	if q.Now.IsZero() {
		q.Now = settled
	}
	view(t, path, func(ctx context.Context, tx *sql.Tx) (err error) {
		made, err = report.Assemble(ctx, tx, report.Options{Query: q})
		return err
	})
	return made
}

// Every chart and every table of a pick sums up to its totals.
func TestPartsOfAPickSumUpToItsTotals(t *testing.T) {
	made := assemble(t, makeFile(t, filetest.Traffic(5_000)), analysis.Query{})
	require.NotEmpty(t, made.Picks)
	for _, pick := range made.Picks {
		total := pick.Totals
		require.NotNil(t, total)
		require.NotEmpty(t, pick.Charts)
		for _, chart := range pick.Charts {
			var requests, injected, latencies int64
			for name, counts := range chart.Outcomes {
				require.Len(t, counts, chart.Buckets, name)
				for _, n := range counts {
					requests += n
				}
			}
			for _, n := range chart.Injected {
				injected += n
			}
			for _, cell := range chart.Heat.Cells {
				latencies += cell[2]
				require.Less(t, cell[0], int64(chart.Buckets))
			}
			require.Equal(t, total.Requests, requests)
			require.Equal(t, total.Injected, injected)
			require.Equal(t, total.Latency.Count, latencies)
			require.Len(t, chart.P50MS, chart.Buckets)
			require.Len(t, chart.CostUSD, chart.Buckets)
		}
		for _, table := range pick.Tables {
			var requests, errors int64
			for _, row := range table.Rows {
				requests, errors = requests+row.Requests, errors+row.Errors
			}
			require.Equal(t, total.Requests, requests, table.By)
			require.Equal(t, total.Errors, errors, table.By)
		}
	}
}

// A file without data has a report without picks; every list is there.
func TestReportOfAnEmptyFile(t *testing.T) {
	made := assemble(t, makeFile(t, nil), analysis.Query{})
	require.Empty(t, made.Picks)
	text, err := made.JSON()
	require.NoError(t, err)
	require.NotContains(t, string(text), `s":null`)
}

// The clock does not show in a report once everything has settled.
func TestReportDoesNotTellTheTime(t *testing.T) {
	path := makeFile(t, filetest.Traffic(1_000))
	now, err := assemble(t, path, analysis.Query{}).JSON()
	require.NoError(t, err)
	later, err := assemble(t, path, analysis.Query{Now: settled.Add(1000 * time.Hour)}).JSON()
	require.NoError(t, err)
	require.Equal(t, string(now), string(later))
	require.NotContains(t, string(now), filepath.Dir(path))
}

// The report of a finished run does not change once its last span has settled,
// though wide buckets that it ends in go on for long.
func TestReportOfAFinishedRunStays(t *testing.T) {
	observations := filetest.Traffic(313)
	for i := range observations {
		later := int64(i) * int64(9_900*time.Millisecond) // one every 10 s, for 52 minutes
		observations[i].StartUnixNano += later
		observations[i].EndUnixNano += later
	}
	path := makeFile(t, observations)
	end := filetest.Begin.Add(52*time.Minute + 10*time.Second)
	var first string
	for _, after := range []time.Duration{70 * time.Second, 3 * time.Minute, 6 * time.Minute, 2 * time.Hour, 300 * time.Hour} {
		text, err := assemble(t, path, analysis.Query{Now: end.Add(after)}).JSON()
		require.NoError(t, err)
		if first == "" {
			first = string(text)
		}
		require.Equal(t, first, string(text), "%s after the last span", after)
	}
}
