package report_test

import (
	"bytes"
	"context"
	"database/sql"
	"io"
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
		require.Equal(t, total.Requests, pick.Errors.Requests)
		require.Equal(t, total.Errors, pick.Errors.Errors)
		require.Equal(t, total.Requests, pick.Diagnosis.Requests)
		require.Equal(t, total.Errors, pick.Diagnosis.Errors)
		require.Equal(t, total.Latency.Percentiles.Get("p95"), pick.Diagnosis.P95MS)
		require.Equal(t, total.Usage, pick.Usage.Total.Usage)
		require.Equal(t, *total.Latency.MaxMS, pick.Slow.Rows[0].LatencyMS)
		require.Equal(t, pick.Category == "", pick.Tools != nil, "of a run as a whole")
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

// shapes are files that lack something that others have.
func shapes(t *testing.T) map[string]string {
	t.Helper()
	make := func(change func(*storage.Options), observations []aggregator.Observation) string {
		o := filetest.Options(filepath.Join(t.TempDir(), "spanbucket.db"), settled)
		change(&o)
		filetest.Write(t, o, observations)
		return o.Path
	}
	none := func(*storage.Options) {}
	traffic := filetest.Traffic(600)
	equal := filetest.Traffic(300)
	outside := filetest.Traffic(300)
	for i := range equal {
		if equal[i].Rejected == aggregator.NotRejected {
			equal[i].SetMeasure(aggregator.MeasureDuration, 250e6)
		}
		outside[i].Series.Run = ""
	}
	return map[string]string{
		"headline only": make(func(o *storage.Options) {
			for i := range o.Widths {
				o.Widths[i].Detail = storage.DetailHeadline
			}
		}, traffic),
		"one width":      make(func(o *storage.Options) { o.Widths = []storage.Width{{Seconds: 3600}} }, traffic),
		"one span":       make(none, traffic[:1]),
		"one bucket":     make(none, traffic[:9]),
		"equal":          make(none, equal),
		"outside a run":  make(none, outside),
		"only rejected":  make(none, []aggregator.Observation{traffic[0], rejected(traffic[1])}[1:]),
		"nothing at all": make(none, nil),
	}
}

func rejected(o aggregator.Observation) aggregator.Observation {
	o.Rejected = aggregator.RejectedStartInFuture
	return o
}

// A report can be made of every file, in every form.
func TestEveryShapeOfFileHasAReport(t *testing.T) {
	for name, path := range shapes(t) {
		t.Run(name, func(t *testing.T) {
			made := assemble(t, path, analysis.Query{})
			for form, write := range map[string]func(io.Writer) error{
				"json": made.WriteJSON, "html": made.WriteHTML, "text": made.WriteText, "md": made.WriteMarkdown,
			} {
				var out bytes.Buffer
				require.NoError(t, write(&out), form)
				if form == "html" { // holds scripts of others
					continue
				}
				require.NotContains(t, out.String(), "NaN", form)
				require.NotContains(t, out.String(), "%!", form)
			}
			for _, pick := range made.Picks {
				require.NotEmpty(t, pick.Charts)
			}
		})
	}
}

// A width that would make too many buckets is refused, not drawn.
func TestWidthThatIsAskedForIsBounded(t *testing.T) {
	observations := filetest.Traffic(400)
	for i := range observations {
		later := int64(i) * int64(time.Minute)
		observations[i].StartUnixNano += later
		observations[i].EndUnixNano += later
	}
	path := makeFile(t, observations)
	view(t, path, func(ctx context.Context, tx *sql.Tx) error {
		_, err := report.Assemble(ctx, tx, report.Options{Query: analysis.Query{Now: settled, Width: 1}})
		require.ErrorIs(t, err, analysis.ErrQuery)
		require.ErrorContains(t, err, "width 1s: charts would have some")
		return nil
	})
	made := assemble(t, path, analysis.Query{Width: 10})
	require.Len(t, made.Picks[0].Charts, 1)
	require.EqualValues(t, 10, made.Picks[0].Charts[0].WidthS)
}

// A rate of a run is taken over the time of its requests, not over that of the
// file, nor of wide buckets or of other spans: as usage and stats take it.
func TestRatesOfARunAreOverItsTime(t *testing.T) {
	observations := filetest.Traffic(1_200) // two minutes, of which the run has the second
	for i := range observations {
		observations[i].Series.Run = map[bool]string{true: "first", false: "second"}[i < 600]
	}
	// The run goes on for a minute without requests.
	last := observations[len(observations)-1]
	last.StartUnixNano, last.EndUnixNano, last.Rejected = last.StartUnixNano+60e9, 0, aggregator.NotRejected
	last.SpanID, last.Series.Category = [8]byte{1}, aggregator.CategoryOther
	path := makeFile(t, append(observations, last))
	run := "second"
	var usage *analysis.UsageAnswer
	var totals *analysis.Totals
	view(t, path, func(ctx context.Context, tx *sql.Tx) (err error) {
		q := analysis.Query{Run: &run, Now: settled}
		if usage, err = analysis.AskUsage(ctx, tx, analysis.UsageQuery{Query: q, By: []string{"model"}}); err != nil {
			return err
		}
		totals, err = analysis.AskTotals(ctx, tx, q)
		return err
	})
	require.InDelta(t, 60, usage.Seconds, 1)
	picks := assemble(t, path, analysis.Query{}).Picks
	picks = append(picks, assemble(t, path, analysis.Query{Run: &run}).Picks...)
	found := 0
	for _, pick := range picks {
		if pick.RunID != nil && *pick.RunID == run && pick.Category == "" {
			found++
			require.Equal(t, usage.Seconds, pick.Usage.Seconds)
			require.Equal(t, usage.Total, pick.Usage.Total)
			require.Equal(t, totals.Headline, pick.Totals)
		}
	}
	require.Equal(t, 2, found)
}
