package analysis_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// Errors of an interval are those of just that interval, wherever its ends cut
// buckets, if every request is kept; so they are the errors that the headline
// counts by the second.
func TestErrorsOfAnIntervalAreExact(t *testing.T) {
	observations := filetest.Traffic(9_000)
	now := filetest.Begin.Add(time.Hour)
	path := fileWith(t, observations, now, everyRequest, statusOf)
	random := seedtest.Rand(t)
	intervals := [][2]int64{{13, 17}, {10, 17}, {13, 20}, {13, 20 + 1}, {19, 21}, {0, 900}, {-50, 7}, {893, 2000}, {299, 601}}
	for range 10 {
		from := random.Int64N(890)
		intervals = append(intervals, [2]int64{from, from + 1 + random.Int64N(400)})
	}
	for _, of := range intervals {
		q := analysis.Query{Now: now, From: filetest.Begin.Add(time.Duration(of[0]) * time.Second), To: filetest.Begin.Add(time.Duration(of[1]) * time.Second)}
		all := pick(observations, isRequest, inBuckets(of[0], of[1]))
		wrong := pick(observations, isRequest, failed, inBuckets(of[0], of[1]))
		answer, parts := ask(t, path, askErrors(q)), ask(t, path, window(q))
		require.False(t, answer.Moved, of)
		require.Equal(t, []int64{int64(len(all)), int64(len(wrong))}, []int64{answer.Requests, answer.Errors}, of)
		require.Equal(t, []int64{parts.Inside.Requests, parts.Inside.Errors}, []int64{answer.Requests, answer.Errors}, of)
		if len(wrong) > 0 {
			checkErrorRows(t, answer.ByOutcome, wrong, len(all), func(o *aggregator.Observation) string { return o.Series.Outcome.String() }, true, 1)
			checkStatusCodes(t, &answer.StatusCodes, wrong, true)
		}
		require.False(t, parts.ErrorTypes.Widened, of)
		checkErrorTypes(t, parts, pick(observations, isRequest, failed))
	}
}

// Where a row of a cut bucket is missing, the interval is moved, as without rows.
func TestCutBucketsWithoutAllRows(t *testing.T) {
	observations := filetest.Traffic(3_000)
	now := filetest.Begin.Add(time.Hour)
	path := fileWith(t, observations, now, everyRequest, statusOf)
	q := analysis.Query{Now: now, From: filetest.Begin.Add(33 * time.Second), To: filetest.Begin.Add(67 * time.Second)}
	require.False(t, ask(t, path, askErrors(q)).Moved)
	execute(t, path, "DELETE FROM request WHERE id = (SELECT r.id FROM request AS r JOIN series AS s USING (series_id) WHERE s.category = 'llm' AND r.start_ns >= ? LIMIT 1)",
		filetest.Begin.Add(60*time.Second).UnixNano())
	answer := ask(t, path, askErrors(q))
	require.True(t, answer.Moved)
	require.Equal(t, int64(len(pick(observations, isRequest, inBuckets(30, 70)))), answer.Requests)
	execute(t, path, "DELETE FROM request WHERE start_ns < ?", filetest.Begin.Add(50*time.Second).UnixNano())
	answer = ask(t, path, askErrors(q))
	require.True(t, answer.Moved, "no row at all is left of a bucket")
	require.Equal(t, int64(len(pick(observations, isRequest, inBuckets(30, 70)))), answer.Requests)
}
