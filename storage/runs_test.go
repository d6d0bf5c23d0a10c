package storage

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// basedDelivery is a delivery as an exporter makes it: its spans name no run,
// and are folded on the basis that the store knows, or anew on another one.
func basedDelivery(s *Store, o Options, numbers ...int) Batch {
	return onBasis(s.Basis(), o, numbers)
}

func onBasis(basis Basis, o Options, numbers []int) Batch {
	requests := make([]aggregator.Request, len(numbers))
	fingerprints := make([]uint64, len(numbers))
	for i, n := range numbers {
		requests[i], fingerprints[i] = spanOf(n), uint64(n)+1
		requests[i].Series.Run = basis.Run
	}
	b := requestBatch(o, requests...)
	b.Fingerprints, b.Basis = fingerprints, basis
	b.Refold = func(basis Basis) Batch { return onBasis(basis, o, numbers) }
	return b
}

// spansByRun returns how many spans each run has, by what each relation says.
func spansByRun(t *testing.T, path string) map[string]string {
	t.Helper()
	r, err := OpenReader(t.Context(), path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	const query = `SELECT run_id, concat_ws(' ',
			(SELECT coalesce(sum(spans), 0) FROM run_category AS c WHERE c.run_id = run.run_id),
			(SELECT coalesce(sum(requests_total), 0) FROM timeseries AS t WHERE t.run_id = run.run_id AND width_s = 60),
			(SELECT coalesce(sum(requests), 0) FROM latency AS l WHERE l.run_id = run.run_id AND width_s = 10),
			(SELECT count(*) FROM requests AS q WHERE q.run_id = run.run_id))
		FROM run`
	rows, err := r.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	found := map[string]string{}
	for rows.Next() {
		var run, counts string
		require.NoError(t, rows.Scan(&run, &counts))
		found[run] = counts
	}
	require.NoError(t, rows.Err())
	return found
}

// TestSpansBelongToTheRunThatIsOpen, whatever the writer remembers and the
// caller believed.
func TestSpansBelongToTheRunThatIsOpen(t *testing.T) {
	o := dedupOptions(t)
	o.RunID = "configured"
	s := openStore(t, o)
	write := func(numbers ...int) { require.NoError(t, s.Write(t.Context(), basedDelivery(s, o, numbers...))) }
	write(1)
	stale := basedDelivery(s, o, 2, 3)

	opened, err := OpenRun(t.Context(), o.Path, NewRun{ID: "a", Name: "the first"})
	require.NoError(t, err)
	require.Equal(t, "the first", *opened.Name)
	require.Nil(t, opened.Before)
	require.False(t, opened.Known)
	require.NoError(t, s.Write(t.Context(), stale), "folded before the run was opened, committed after it")
	write(4, 5)

	opened, err = OpenRun(t.Context(), o.Path, NewRun{ID: "b"})
	require.NoError(t, err)
	require.Nil(t, opened.Name)
	require.Equal(t, "a", *opened.Before)
	write(6)

	opened, err = OpenRun(t.Context(), o.Path, NewRun{ID: "a", Name: "another"})
	require.NoError(t, err)
	require.True(t, opened.Known)
	require.Equal(t, "another", *opened.Name, "of two names the lowest")
	write(7)

	id, err := EndRun(t.Context(), o.Path)
	require.NoError(t, err)
	require.Equal(t, "a", id)
	write(8)
	_, err = EndRun(t.Context(), o.Path)
	require.ErrorIs(t, err, ErrNoOpenRun)

	want := map[string]string{"configured": "2 2 2 2", "a": "5 5 5 5", "b": "1 1 1 1"}
	require.Equal(t, want, spansByRun(t, o.Path))
	_, err = OpenRun(t.Context(), o.Path, NewRun{ID: "b"})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	s = openStore(t, o)
	write(9)
	require.Equal(t, "2 2 2 2", spansByRun(t, o.Path)["b"], "a run stays open over a restart")
	require.NoError(t, s.Close())
	require.Empty(t, problemsOf(t, o.Path))
}

func TestDefaultRunIDs(t *testing.T) {
	o := testOptions(t)
	require.NoError(t, openStore(t, o).Close())
	at := time.Date(2026, 11, 21, 11, 15, 0, 0, time.FixedZone("CET", 3600))
	for _, want := range []string{"run-20261121T101500Z", "run-20261121T101500Z-2", "run-20261121T101500Z-3"} {
		opened, err := OpenRun(t.Context(), o.Path, NewRun{At: at})
		require.NoError(t, err)
		require.Equal(t, want, opened.ID)
		require.False(t, opened.Known)
		require.Equal(t, want, one[string](t, o.Path, "SELECT value FROM meta WHERE key = 'open_run'"))
	}
	require.Empty(t, problemsOf(t, o.Path))
}

// TestOpenRunRefuses and leaves the file as it was.
func TestOpenRunRefuses(t *testing.T) {
	o := testOptions(t)
	require.NoError(t, openStore(t, o).Close())
	before, err := os.ReadFile(o.Path)
	require.NoError(t, err)
	for _, test := range []struct {
		run  NewRun
		want string
	}{
		{NewRun{ID: "a\x00b"}, "open run: must be UTF-8 without NUL"},
		{NewRun{ID: "a\xff"}, "open run: must be UTF-8 without NUL"},
		{NewRun{ID: "a", Name: "\xff"}, "open run: must be UTF-8 without NUL"},
		{NewRun{ID: strings.Repeat("x", 257)}, "open run: must not be longer than 256 bytes, is 257"},
		{NewRun{ID: "a", Name: strings.Repeat("x", 257)}, "open run: must not be longer than 256 bytes, is 257"},
		{NewRun{ID: aggregator.Overflow}, "open run: must be another name: this one is for runs beyond the cap"},
	} {
		_, err := OpenRun(t.Context(), o.Path, test.run)
		require.EqualError(t, err, test.want)
	}
	require.EqualError(t, CheckRunID(""), "must not be empty")
	after, err := os.ReadFile(o.Path)
	require.NoError(t, err)
	require.Equal(t, before, after)

	_, err = OpenRun(t.Context(), o.Path, NewRun{ID: strings.Repeat("x", 256), Name: strings.Repeat("ü", 128)})
	require.NoError(t, err)
	execute(t, o.Path, fmt.Sprintf(`INSERT INTO run (run_id, version)
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT 'r' || i, 1 FROM n`, MaxRuns-1))
	_, err = OpenRun(t.Context(), o.Path, NewRun{ID: "one more"})
	require.ErrorIs(t, err, ErrTooManyRuns)
	_, err = OpenRun(t.Context(), o.Path, NewRun{ID: "r1"})
	require.NoError(t, err, "one that is there already")
}

// TestVerbsCountAsCommits: whoever asks for what changed since a version sees
// it, and what changed nothing left no trace.
func TestVerbsCountAsCommits(t *testing.T) {
	o := dedupOptions(t)
	s := openStore(t, o)
	require.NoError(t, s.Write(t.Context(), delivery(o, 1)))
	require.NoError(t, s.WriteLetters(t.Context(), []*Letter{letterOf(2)}))
	version := func() int64 {
		return one[int64](t, o.Path, "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'version'")
	}
	const ofRun = "SELECT version FROM run WHERE run_id = 'a'"
	for i, verb := range []func(context.Context, string) error{
		func(ctx context.Context, path string) error {
			_, err := OpenRun(ctx, path, NewRun{ID: "a"})
			return err
		},
		func(ctx context.Context, path string) error { _, err := RequestRetry(ctx, path, nil); return err },
		func(ctx context.Context, path string) error { _, err := PurgeRun(ctx, path, "a", false); return err },
		func(ctx context.Context, path string) error { _, err := EndRun(ctx, path); return err },
		func(ctx context.Context, path string) error {
			_, _, err := PurgeDeadLetters(ctx, path, nil)
			return err
		},
	} {
		before := version()
		require.NoError(t, verb(t.Context(), o.Path))
		require.Equal(t, before+1, version(), i)
		if i == 0 || i == 2 {
			require.Equal(t, before+1, one[int64](t, o.Path, ofRun), i)
		}
		require.NoError(t, s.Write(t.Context(), delivery(o, 10+i)))
		require.Equal(t, before+2, version(), "the writer goes on from there")
	}
	before := version()
	_, _, err := PurgeDeadLetters(t.Context(), o.Path, nil)
	require.NoError(t, err)
	due, err := RequestRetry(t.Context(), o.Path, nil)
	require.NoError(t, err)
	require.Zero(t, due)
	_, err = EndRun(t.Context(), o.Path)
	require.ErrorIs(t, err, ErrNoOpenRun)
	require.Equal(t, before, version())
	require.NoError(t, s.Close())
	require.Empty(t, problemsOf(t, o.Path))
}
