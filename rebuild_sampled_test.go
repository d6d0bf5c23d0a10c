package spanbucketexporter

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// TestRebuildEstimatesWhatWasSampled: of a file that keeps a third of the traces
// and few spans for cause, all rules hold after an estimate, and its sums are
// those of all spans but for what chance allows.
func TestRebuildEstimatesWhatWasSampled(t *testing.T) {
	r := seedtest.Rand(t)
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	config := testConfig(path)
	config.Requests.SamplingRatio, config.Requests.MaxForCause = 0.3, 5
	sendHard(t, r, config, withoutHuge(hardSpans(r, time.Date(2026, 1, 30, 23, 50, 0, 0, time.UTC), 12, 900)))
	sums := func() row {
		return query(t, openReader(t, path), `SELECT sum(requests) AS requests, sum(success) AS success, sum(latency_count) AS latency_count,
			sum(server_error) AS server_error, sum(completed) AS completed, sum(output_tokens) AS output_tokens FROM headline_bucket WHERE width_s = 1`)[0]
	}
	truth := sums()
	_, err := storage.Rebuild(t.Context(), storage.RebuildOptions{Path: path})
	var incomplete *storage.IncompleteError
	require.ErrorAs(t, err, &incomplete)
	done := rebuildFile(t, storage.RebuildOptions{Path: path, Estimate: true})
	require.Positive(t, done.Changed())
	requireVerified(t, path)
	for name, value := range sums() {
		want := float64(truth[name].(int64))
		require.InDelta(t, want, float64(value.(int64)), 0.2*want, name)
	}
}
