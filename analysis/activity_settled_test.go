package analysis_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// Sessions, tools and circuits are answered about up to the second from which on
// spans may still come, as the rest is; what was left out is said.
func TestActivityThatHasNotSettledIsLeftOut(t *testing.T) {
	r := seedtest.Rand(t)
	for range 5 {
		told, broken := randomActivity(r), randomCircuits(r)
		path := fileOf(t, asItIs, told.spans, broken.spans)
		starts := startsOf(t, path)
		for range 8 {
			edge := storyStart.Add(time.Duration(r.IntN(130)-5) * time.Second)
			run := oneOf(r, nil, new(string), &told.run)
			q := analysis.Query{Run: run, Now: edge.Add(time.Minute + time.Duration(r.IntN(1000))*time.Millisecond)}
			cut := analysis.Query{Run: run, To: edge, IncludeOpen: true}
			var after int64
			for start, spans := range starts[orAll(run)] {
				if start >= edge.UnixNano() {
					after += spans
				}
			}
			check := func(open, said analysis.Open, from, to *string) {
				require.Equal(t, after, open.Requests, "spans left out at %s", edge)
				require.Equal(t, after > 0, open.Buckets > 0)
				require.False(t, open.Included)
				require.Equal(t, analysis.Open{Included: true}, said)
				if from != nil && after > 0 {
					require.Equal(t, edge.Format(time.RFC3339), *to)
				}
			}
			s, wantS := ask(t, path, sessions(analysis.SessionsQuery{Query: q})), ask(t, path, sessions(analysis.SessionsQuery{Query: cut}))
			require.Equal(t, wantS.Rows, s.Rows)
			require.Equal(t, wantS.Total, s.Total)
			check(s.Open, wantS.Open, s.FromUTC, s.ToUTC)
			l, wantL := ask(t, path, tools(q)), ask(t, path, tools(cut))
			require.Equal(t, wantL.Rows, l.Rows)
			check(l.Open, wantL.Open, l.FromUTC, l.ToUTC)
			c, wantC := ask(t, path, circuits(analysis.CircuitsQuery{Query: q})), ask(t, path, circuits(analysis.CircuitsQuery{Query: cut}))
			require.Equal(t, wantC.Rows, c.Rows)
			require.Equal(t, wantC.Transitions, c.Transitions)
			check(c.Open, wantC.Open, c.FromUTC, c.ToUTC)
		}
	}
}

// orAll names a run, or all of them.
func orAll(run *string) string {
	if run == nil {
		return "all"
	}
	return "run " + *run
}

// startsOf counts the spans of a file by start, Unix nanoseconds, of every run and
// of all.
func startsOf(t *testing.T, path string) map[string]map[int64]int64 {
	t.Helper()
	all := map[string]map[int64]int64{"all": {}}
	const query = "SELECT s.run_id AS run, r.start_ns AS at, count(*) AS n FROM request AS r JOIN series AS s USING (series_id) GROUP BY 1, 2"
	for _, row := range view(t, path, query) {
		run := "run " + row["run"].(string)
		if all[run] == nil {
			all[run] = map[int64]int64{}
		}
		all[run][row["at"].(int64)] += row["n"].(int64)
		all["all"][row["at"].(int64)] += row["n"].(int64)
	}
	return all
}
