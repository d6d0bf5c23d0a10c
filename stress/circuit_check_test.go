package stress_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/check"
	"github.com/spanbucket/spanbucketexporter/fakellm"
	"github.com/spanbucket/spanbucketexporter/storage"
	"github.com/spanbucket/spanbucketexporter/stress"
)

// TestARunWithoutTripsIsKnownToHaveNone: the circuit is seen closed, which is no
// change of its state, so that a threshold of no trips holds.
func TestARunWithoutTripsIsKnownToHaveNone(t *testing.T) {
	w := newWorld(t, fakellm.Config{})
	saw := w.load(t, stress.Config{Profile: stress.Profile{Users: 5, SpawnRate: 1000}, MaxRequests: 30}).Tally().Counts()
	require.Empty(t, saw.Transitions)
	require.Empty(t, counts(t, w.close(t), `SELECT to_state, count(*) FROM circuits GROUP BY 1`))
	r, err := storage.OpenReader(t.Context(), w.path)
	require.NoError(t, err)
	defer r.Close()
	q := analysis.Query{Now: time.Now(), IncludeOpen: true}
	rule, err := check.NewRule("circuit_trips", "0")
	require.NoError(t, err)
	require.NoError(t, r.View(t.Context(), func(tx *sql.Tx) error {
		answer, err := analysis.AskCircuits(t.Context(), tx, analysis.CircuitsQuery{Query: q})
		require.NoError(t, err)
		require.Empty(t, answer.Transitions)
		require.Len(t, answer.Rows, 1)
		seen := answer.Rows[0]
		require.Equal(t, "closed", seen.State)
		require.False(t, seen.StillOpen)
		require.Zero(t, seen.Trips+seen.Reopened+seen.Probes+seen.Closed+seen.Rejected)
		require.Zero(t, *seen.OpenS)
		report, err := check.Run(t.Context(), tx, check.Options{Query: q, Rules: []check.Rule{rule}})
		require.NoError(t, err)
		require.Len(t, report.Results, 1)
		require.Equal(t, check.Pass, report.Results[0].Status)
		return nil
	}))
}
