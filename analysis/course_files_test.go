package analysis_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// A file without details by series has a course, bursts and anomalies; what it
// cannot say is which types of errors there were.
func TestBehaviourOfAFileWithTheHeadlineOnly(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	options := filetest.Options(filepath.Join(t.TempDir(), "file.db"), now)
	options.Widths = []storage.Width{{Seconds: 1, Detail: storage.DetailHeadline}, {Seconds: 60, Detail: storage.DetailHeadline}}
	observations := filetest.Load(filetest.Stretch{Seconds: 60, PerSecond: 50},
		filetest.Stretch{Seconds: 10, PerSecond: 50, Failed: 6, Outcome: refusedOutcome}, filetest.Stretch{Seconds: 60, PerSecond: 50})
	filetest.Write(t, options, observations)
	q := analysis.Query{Now: now}
	checkCourse(t, ask(t, options.Path, course(analysis.CourseQuery{Query: q, MaxBuckets: 200})), observations, 0, 1<<40,
		func(*aggregator.Observation) bool { return true })
	found := ask(t, options.Path, bursts(analysis.BurstsQuery{Query: q}))
	require.Equal(t, 1, found.Count)
	require.NotNil(t, found.Rows[0].Before.P95MS)
	require.Equal(t, []anomaly{{analysis.AnomalyErrorCluster, 60, 70, false}, {analysis.AnomalyThroughputCliff, 60, 70, false}},
		seen(ask(t, options.Path, anomalies(analysis.AnomaliesQuery{Query: q}))))
	answer := ask(t, options.Path, diagnosis(q))
	require.EqualValues(t, 300, answer.Errors)
	require.Len(t, answer.TopErrors, 1)
	require.Equal(t, refusedOutcome.String(), answer.TopErrors[0].Outcome)
	require.EqualValues(t, 300, answer.TopErrors[0].Count)
	require.Empty(t, answer.TopErrors[0].ErrorType)
	require.Contains(t, answer.Text, "1 burst")
}

// Where the seconds are gone, answers come from what is left, to the edges of
// wider buckets.
func TestBehaviourAfterPruning(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	observations := filetest.Load(filetest.Stretch{Seconds: 60, PerSecond: 50}, filetest.Stretch{Seconds: 95},
		filetest.Stretch{Seconds: 65, PerSecond: 50}, filetest.Stretch{Seconds: 60, PerSecond: 50, Failed: 5, Outcome: refusedOutcome})
	path := makeFile(t, observations, now)
	prune(t, path, 1, filetest.Begin.Add(200*time.Second))
	execute(t, path, "INSERT INTO pruned (relation, width_s, rows, complete_from) VALUES ('buckets', 1, 100, ?)",
		filetest.Begin.Add(200*time.Second).Unix())
	q := analysis.Query{Now: now}
	whole := ask(t, path, course(analysis.CourseQuery{Query: q, MaxBuckets: 400}))
	require.EqualValues(t, 10, whole.WidthS, "seconds do not reach back to the beginning")
	checkCourse(t, whole, observations, 0, 1<<40, func(*aggregator.Observation) bool { return true })
	late := analysis.Query{Now: now, From: filetest.Begin.Add(200 * time.Second)}
	require.EqualValues(t, 1, ask(t, path, course(analysis.CourseQuery{Query: late})).WidthS)
	require.Contains(t, seen(ask(t, path, anomalies(analysis.AnomaliesQuery{Query: q}))), anomaly{analysis.AnomalySilence, 60, 150, false})
	found := ask(t, path, bursts(analysis.BurstsQuery{Query: q}))
	require.Equal(t, 1, found.StillOpen)
	require.EqualValues(t, 220, found.Rows[0].Start-filetest.Begin.Unix())
	// The widest buckets cannot tell much, but what they tell is true.
	q.Width = 3600
	hour := ask(t, path, diagnosis(q))
	require.EqualValues(t, len(observations), hour.Requests)
	require.Equal(t, 0, ask(t, path, bursts(analysis.BurstsQuery{Query: q})).Count)
}

// What has not settled is left out everywhere, and a burst that goes on there
// is active.
func TestBehaviourWhileTrafficGoesOn(t *testing.T) {
	observations := filetest.Load(filetest.Stretch{Seconds: 120, PerSecond: 30},
		filetest.Stretch{Seconds: 60, PerSecond: 30, Failed: 6, Outcome: refusedOutcome}, filetest.Stretch{Seconds: 60, PerSecond: 30})
	now := filetest.Begin.Add(210 * time.Second) // settled up to 150 s
	path := makeFile(t, observations, now)
	settled := analysis.Query{Now: now}
	answer := ask(t, path, course(analysis.CourseQuery{Query: settled, MaxBuckets: 1000}))
	checkCourse(t, answer, observations, 0, 150, func(*aggregator.Observation) bool { return true })
	require.Len(t, answer.Rows, 150)
	require.False(t, answer.Rows[149].Partial, "it is whole: the data go on")
	require.Equal(t, 1, ask(t, path, bursts(analysis.BurstsQuery{Query: settled})).StillOpen)
	require.Equal(t, analysis.StatusWarning, ask(t, path, diagnosis(settled)).Status)
	settled.IncludeOpen = true
	open := ask(t, path, course(analysis.CourseQuery{Query: settled, MaxBuckets: 1000}))
	require.True(t, open.Rows[149].Settled)
	require.False(t, open.Rows[150].Settled)
	require.Equal(t, 0, ask(t, path, bursts(analysis.BurstsQuery{Query: settled})).StillOpen)
}
