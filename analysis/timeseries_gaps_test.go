package analysis_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

// twoRuns are requests of a run from second 3 to 127 with a silence from 40 to
// 109, and of another from 60 to 69; each takes half a second.
func twoRuns() (all []aggregator.Observation) {
	for _, o := range filetest.Traffic(2_000) {
		at := seconds(&o)
		o.Rejected, o.Series.Category = aggregator.NotRejected, aggregator.CategoryLLM
		switch {
		case at >= 3 && at < 40 || at >= 110 && at < 128:
			o.Series.Run = "long"
		case at >= 60 && at < 70:
			o.Series.Run = "short"
		default:
			continue
		}
		o.EndUnixNano = o.StartUnixNano + int64(500*time.Millisecond)
		o.SetMeasure(aggregator.MeasureDuration, int64(500*time.Millisecond))
		all = append(all, o)
	}
	return all
}

func TestTimeseriesHasNoGaps(t *testing.T) {
	observations := twoRuns()
	now := filetest.Begin.Add(time.Hour)
	path := makeFile(t, observations, now)
	type bucket struct {
		run             string
		start, requests int64
		partial         bool
	}
	for _, c := range []struct {
		name     string
		width    int64
		from, to int64 // seconds since Begin; both 0: all
	}{
		{"seconds", 1, 0, 0}, {"tens", 10, 0, 0}, {"the widest", 3600, 0, 0}, {"cut", 10, 25, 115}, {"whole buckets", 10, 20, 120}, {"in a silence", 10, 80, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := analysis.Query{Now: now, Width: c.width}
			from, to := int64(0), int64(1<<40)
			if c.to > 0 {
				q.From, q.To = filetest.Begin.Add(time.Duration(c.from)*time.Second), filetest.Begin.Add(time.Duration(c.to)*time.Second)
				from, to = aggregator.BucketStart(c.from, c.width), aggregator.BucketStart(c.to+c.width-1, c.width)
			}
			begins, ends := map[string]int64{}, map[string]int64{} // of the runs, ns since Begin
			for _, o := range slices.Backward(observations) {
				begins[o.Series.Run] = o.StartUnixNano - filetest.Begin.UnixNano()
				ends[o.Series.Run] = max(ends[o.Series.Run], o.EndUnixNano-filetest.Begin.UnixNano())
			}
			var want []bucket
			for _, run := range []string{"long", "short"} {
				spans := slices.DeleteFunc(slices.Clone(observations), func(o aggregator.Observation) bool {
					return o.Series.Run != run || seconds(&o) < from || seconds(&o) >= to
				})
				if len(spans) == 0 {
					continue
				}
				// Where spans start or end, there are data.
				first := aggregator.BucketStart(seconds(&spans[0]), c.width)
				end := (spans[len(spans)-1].EndUnixNano - filetest.Begin.UnixNano()) / 1e9
				last := min(aggregator.BucketStart(end, c.width), to-c.width)
				for start := first; start <= last; start += c.width {
					b := bucket{run: run, start: start}
					for i := range spans {
						if at := seconds(&spans[i]); at >= start && at < start+c.width {
							b.requests++
						}
					}
					b.partial = start < c.from || c.to > 0 && start+c.width > c.to
					b.partial = b.partial || begins[run] > start*1e9 || ends[run] < (start+c.width)*1e9
					want = append(want, b)
				}
			}
			slices.SortFunc(want, func(a, b bucket) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.run, b.run)) })
			got := []bucket{}
			for _, r := range ask(t, path, timeseries(q)).Rows {
				got = append(got, bucket{r.RunID, r.BucketStart - filetest.Begin.Unix(), r.Requests, r.Partial})
				if r.Requests == 0 && r.Completed == 0 {
					require.Nil(t, r.P50MS)
					require.Nil(t, r.ErrorRate)
					require.Nil(t, r.InputTokens)
				}
			}
			require.Equal(t, append([]bucket{}, want...), got)
		})
	}
}

// A silence that would be a hundred thousand rows is refused where its width was
// asked for, and folded into wide buckets where it was not.
func TestTimeseriesOfALongSilence(t *testing.T) {
	observations := twoRuns()
	const later = 23 * time.Hour
	for _, o := range twoRuns() {
		o.StartUnixNano, o.EndUnixNano = o.StartUnixNano+int64(later), o.EndUnixNano+int64(later)
		observations = append(observations, o)
	}
	now := filetest.Begin.Add(later + time.Hour)
	path := makeFile(t, observations, now)
	err := second(try(t, path, timeseries(analysis.Query{Now: now, Width: 1})))
	require.ErrorIs(t, err, analysis.ErrQuery)
	require.ErrorContains(t, err, "ask for wider ones or for a shorter interval")
	answer := ask(t, path, timeseries(analysis.Query{Now: now}))
	require.Equal(t, int64(3600), answer.WidthS)
	require.Len(t, answer.Rows, 2*24)
}
