package analysis_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// keepWriting commits batch after batch to a file until the context ends.
func keepWriting(ctx context.Context, s *storage.Store, widths []storage.Width) error {
	traffic := filetest.Traffic(1_200) // two minutes, again and again
	for i := 0; ctx.Err() == nil; i++ {
		batch := traffic[i*40%len(traffic):][:40]
		delta := aggregator.NewDelta(storage.FinestWidths(widths))
		for k := range batch {
			delta.Fold(&batch[k])
		}
		err := s.Write(ctx, storage.Batch{Delta: delta, Observations: func(yield func(*aggregator.Observation) bool) {
			for k := range batch {
				if !yield(&batch[k]) {
					return
				}
			}
		}})
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return nil
}

// snapshot is what the answers of one transaction have in common.
type snapshot struct {
	requests, errors, latencies int64
}

// readSnapshot asks every question that counts the requests of the headline,
// and holds their totals against each other.
func readSnapshot(t *testing.T, tx *sql.Tx, q analysis.Query) snapshot {
	t.Helper()
	ctx := t.Context()
	overview, err := analysis.AskOverview(ctx, tx, q)
	require.NoError(t, err)
	if overview.Total == nil {
		return snapshot{}
	}
	want := snapshot{overview.Total.Requests, overview.Total.Errors, overview.Total.Latency.Count}
	var folded, all int64
	for _, c := range overview.Ledger {
		if c.Reason == "folded" {
			folded = c.Spans
		}
	}
	for i := range overview.Rows {
		all += overview.Rows[i].Requests
	}
	require.Equal(t, folded, all, "the ledger and the categories")

	var got snapshot
	course, err := analysis.AskCourse(ctx, tx, analysis.CourseQuery{Query: q})
	require.NoError(t, err)
	for i := range course.Rows {
		p := &course.Rows[i]
		require.Equal(t, p.Requests, p.Outcomes.Requests())
		got.requests += p.Requests
		got.errors += p.Requests - p.Outcomes.Success()
		got.latencies += p.Latency.Count
	}
	require.Equal(t, want, got, "course")

	got = snapshot{}
	latency, err := analysis.AskLatency(ctx, tx, analysis.LatencyQuery{Query: q, By: []string{"model", "outcome"}})
	require.NoError(t, err)
	for i := range latency.Rows {
		got.requests += latency.Rows[i].Requests
		got.errors += latency.Rows[i].Errors
		got.latencies += latency.Rows[i].Latency.Count
	}
	require.Equal(t, want, got, "latency")

	failed, err := analysis.AskErrors(ctx, tx, q)
	require.NoError(t, err)
	for _, rows := range [][]analysis.ErrorRow{failed.ByOutcome, failed.ByType} {
		sum := int64(0)
		for i := range rows {
			sum += rows[i].Errors
		}
		require.Equal(t, want.errors, sum, "errors")
	}
	behaviour, err := analysis.AskBehaviour(ctx, tx, analysis.FaultImpactQuery{Query: q})
	require.NoError(t, err)
	require.Equal(t, want, snapshot{behaviour.Diagnosis.Requests, behaviour.Diagnosis.Errors, want.latencies}, "diagnosis")
	require.Equal(t, want.requests, behaviour.Bursts.Requests, "bursts")
	require.Equal(t, want.requests, behaviour.Anomalies.Requests, "anomalies")
	return want
}

// While a writer commits, each answer is that of one instant: totals are the
// sums of their parts, and all answers of a transaction agree.
func TestAnswersAreOfOneInstant(t *testing.T) {
	// Each transaction answers five questions. On a busy machine many of them may
	// read before the writer commits again: they go on until the file has changed
	// often enough.
	reads, states := 200, 50
	if testing.Short() {
		reads, states = 20, 5
	}
	const longest = 5 * time.Minute // a writer that does not get on
	options := filetest.Options(filepath.Join(t.TempDir(), "file.db"), filetest.Begin.Add(2*time.Minute))
	store, err := storage.Open(t.Context(), options)
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	var failure error
	writer.Go(func() { failure = keepWriting(ctx, store, options.Widths) })
	defer func() {
		stop()
		writer.Wait()
		require.NoError(t, failure)
	}()
	r, err := storage.OpenReader(t.Context(), options.Path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	q := analysis.Query{Now: filetest.Begin.Add(time.Hour)}
	seen := map[snapshot]bool{}
	begun := time.Now()
	for n := 0; n < reads || len(seen) <= states; n++ {
		require.Less(t, time.Since(begun), longest, "the file has changed %d times only, in %d reads", len(seen), n)
		require.NoError(t, r.View(t.Context(), func(tx *sql.Tx) error {
			seen[readSnapshot(t, tx, q)] = true
			return nil
		}))
	}
}
