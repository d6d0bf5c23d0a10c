package analysis_test

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// TestChaosResults: those of the interval and of the run, in the order of their
// start, each once.
func TestChaosResults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tests.db")
	s, err := storage.Open(t.Context(), filetest.Options(path, filetest.Begin.Add(time.Hour)))
	require.NoError(t, err)
	spans := filetest.Traffic(6)
	delta := aggregator.NewDelta(storage.FinestWidths(filetest.Options(path, filetest.Begin).Widths))
	var requests []aggregator.Request
	for i := range spans {
		spans[i].Series.Run = []string{"a", "b"}[i%2]
		spans[i].StartUnixNano = filetest.Begin.Add(time.Duration(5-i) * time.Second).UnixNano()
		spans[i].EndUnixNano = spans[i].StartUnixNano + int64(time.Millisecond)
		delta.Fold(&spans[i])
		r := aggregator.Request{Observation: spans[i]}
		if i > 0 { // the first is no test
			r.TestCase = aggregator.TestCase{Name: fmt.Sprint("test ", i), Passed: i < 4, Expected: "400", Actual: []string{"", "400"}[i%2]}
		}
		requests = append(requests, r)
	}
	require.NoError(t, s.Write(context.Background(), storage.Batch{Delta: delta, Requests: func(wanted func(int) bool) iter.Seq[*aggregator.Request] {
		return func(yield func(*aggregator.Request) bool) {
			for i := range requests {
				if wanted(i) && !yield(&requests[i]) {
					return
				}
			}
		}
	}, Observations: func(yield func(*aggregator.Observation) bool) {
		for i := range spans {
			if !yield(&spans[i]) {
				return
			}
		}
	}}))
	require.NoError(t, s.Close())

	ask := func(q analysis.Query) (names []string, answer *analysis.ChaosResults) {
		q.Now = filetest.Begin.Add(time.Hour)
		r, err := storage.OpenReader(t.Context(), path)
		require.NoError(t, err)
		defer r.Close()
		require.NoError(t, r.View(t.Context(), func(tx *sql.Tx) (err error) {
			answer, err = analysis.AskChaosResults(t.Context(), tx, q)
			return err
		}))
		for _, c := range answer.Rows {
			names = append(names, c.Name)
		}
		require.EqualValues(t, len(answer.Rows), answer.Passed+answer.Failed)
		return names, answer
	}
	names, answer := ask(analysis.Query{})
	require.Equal(t, []string{"test 5", "test 4", "test 3", "test 2", "test 1"}, names)
	require.EqualValues(t, 3, answer.Passed)
	require.Equal(t, "400", *answer.Rows[0].Actual)
	require.Nil(t, answer.Rows[1].Actual)
	run := "b"
	names, _ = ask(analysis.Query{Run: &run})
	require.Equal(t, []string{"test 5", "test 3", "test 1"}, names)
	names, _ = ask(analysis.Query{From: filetest.Begin.Add(time.Second), To: filetest.Begin.Add(3 * time.Second)})
	require.Equal(t, []string{"test 4", "test 3"}, names)
}
