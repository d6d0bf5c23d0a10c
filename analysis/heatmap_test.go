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
)

func heatmap(q analysis.CourseQuery) func(context.Context, *sql.Tx) (*analysis.Heatmap, error) {
	return func(ctx context.Context, tx *sql.Tx) (*analysis.Heatmap, error) {
		_, heat, err := analysis.AskCourseAndHeatmap(ctx, tx, q)
		return heat, err
	}
}

// Every span with a duration is in the cell of its bucket and of the band that
// its duration lies in: counted here from the spans themselves.
func TestHeatmapCountsEverySpanOnce(t *testing.T) {
	observations := filetest.Traffic(3_000)
	now := filetest.Begin.Add(time.Hour)
	path := makeFile(t, observations, now)
	for _, width := range []int64{1, 10, 300} {
		a := ask(t, path, heatmap(analysis.CourseQuery{Query: analysis.Query{Now: now, Width: width, Categories: []aggregator.Category{aggregator.CategoryLLM}}}))
		require.Equal(t, width, a.WidthS)
		require.Greater(t, len(a.BandsMS), maxBands/2)
		require.LessOrEqual(t, len(a.BandsMS)-1, maxBands)
		require.IsIncreasing(t, a.BandsMS)
		want := map[[2]int64]int64{}
		for i := range observations {
			o := &observations[i]
			duration, usable := o.Measure(aggregator.MeasureDuration)
			if o.Series.Category != aggregator.CategoryLLM || !usable {
				continue
			}
			band := 0
			for float64(duration)/1e6 >= a.BandsMS[band+1] {
				band++
			}
			require.GreaterOrEqual(t, float64(duration)/1e6, a.BandsMS[band])
			start := aggregator.BucketStart(o.StartUnixNano/1e9, width)
			want[[2]int64{(start - a.Start) / width, int64(band)}]++
		}
		got := map[[2]int64]int64{}
		for _, cell := range a.Cells {
			got[[2]int64{cell[0], cell[1]}] = cell[2]
			require.Less(t, cell[0], int64(a.Buckets))
		}
		require.Equal(t, want, got, "width %d", width)
		require.Len(t, a.Cells, len(got))
	}
}

// maxBands is the bound that the documentation gives.
const maxBands = 40

func TestHeatmapOfNothing(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	a := ask(t, makeFile(t, nil, now), heatmap(analysis.CourseQuery{Query: analysis.Query{Now: now}}))
	require.Empty(t, a.Cells)
	require.NotNil(t, a.Cells)
	require.NotNil(t, a.BandsMS)
	require.Zero(t, a.Buckets)
}

// Equal latencies need one band only; so does a single span.
func TestHeatmapOfEqualLatencies(t *testing.T) {
	observations := filetest.Traffic(500)
	for i := range observations {
		observations[i].SetMeasure(aggregator.MeasureDuration, 250_000_000)
	}
	now := filetest.Begin.Add(time.Hour)
	for name, spans := range map[string][]aggregator.Observation{"many": observations, "one": observations[:1]} {
		t.Run(name, func(t *testing.T) {
			a := ask(t, makeFile(t, spans, now), heatmap(analysis.CourseQuery{Query: analysis.Query{Now: now, Categories: []aggregator.Category{spans[0].Series.Category}}}))
			require.Len(t, a.BandsMS, 2)
			require.LessOrEqual(t, a.BandsMS[0], 250.0)
			require.Greater(t, a.BandsMS[1], 250.0)
		})
	}
}
