package storage

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// TestMergeKnowsAllOfAFile fails where a key of meta or a table has no rule of
// its own: say what becomes of it when files are joined.
func TestMergeKnowsAllOfAFile(t *testing.T) {
	o := testOptions(t)
	s := openStore(t, o)
	require.NoError(t, s.Write(t.Context(), batchOf(o, observation(0, 1))))
	require.NoError(t, s.Close())
	output := filepath.Join(t.TempDir(), "all.db")
	_, err := Merge(t.Context(), []string{o.Path}, MergeOptions{Output: output, WriterVersion: "v1"})
	require.NoError(t, err)
	keys := func(path string) []string {
		r, err := OpenReader(t.Context(), path)
		require.NoError(t, err)
		defer func() { require.NoError(t, r.Close()) }()
		values, err := metaValues(t.Context(), r)
		require.NoError(t, err)
		return slices.Sorted(maps.Keys(values))
	}
	require.Equal(t, keys(o.Path), keys(output))
	for _, key := range keys(o.Path) {
		require.Contains(t, mergeRules, key)
	}
	known := map[string]bool{
		"meta": true, "headline_bucket": true, "headline_histogram": true, "series_bucket": true, "series_histogram": true,
		"request": true, "fingerprint": true, "fingerprint_key": true, "pruned": true, "merged_file": true,
		"slo_bucket": true, "failed_batch": true, // attempts at what is in no file yet
	}
	for _, m := range mergedTables {
		known[m.name] = true
	}
	relations, err := EmbeddedRelations(t.Context())
	require.NoError(t, err)
	for _, r := range relations {
		if r.Kind == "table" {
			require.True(t, known[r.Name], r.Name)
		}
	}
}

// TestMergedTablesHaveAllColumns compares mergedTables with the schema.
func TestMergedTablesHaveAllColumns(t *testing.T) {
	relations, err := EmbeddedRelations(t.Context())
	require.NoError(t, err)
	for _, m := range append(slices.Clone(mergedTables), mergedPruned) {
		i := slices.IndexFunc(relations, func(r Relation) bool { return r.Name == m.name })
		require.GreaterOrEqual(t, i, 0, m.name)
		var columns []string
		for _, c := range relations[i].Columns {
			if c.Name != "id" {
				columns = append(columns, c.Name)
			}
		}
		require.ElementsMatch(t, columns, slices.Concat(m.key, m.columns), m.name)
	}
}

// TestMergeOfFilesThatSampleDifferently: a file that keeps no requests does not
// cost the other its own, and what has to go since one keeps fewer is counted.
func TestMergeOfFilesThatSampleDifferently(t *testing.T) {
	rng := seedtest.Rand(t)
	sampled := func(p *sampling.Policy) string {
		o := manySeries(testOptions(t))
		o.Sampling = p
		s := openStore(t, o)
		require.NoError(t, s.Write(t.Context(), requestBatch(o, outageSpans(rng, 400)...)))
		require.NoError(t, s.Close())
		return o.Path
	}
	few, more, none, every := thin(), thin(), &sampling.Policy{}, &sampling.Policy{RatioMicro: sampling.Whole}
	more.MaxForCause = 10
	paths := []string{sampled(few), sampled(more), sampled(none), sampled(every)}
	output := filepath.Join(t.TempDir(), "all.db")
	result, err := Merge(t.Context(), paths, MergeOptions{Output: output})
	require.NoError(t, err)
	require.Empty(t, verifyAll(t, output))
	const candidates, chosen = "SELECT sum(spans) FROM request_stratum", "SELECT max(rows) FROM request_stratum"
	require.Equal(t, one[int64](t, paths[0], candidates)+one[int64](t, paths[1], candidates), one[int64](t, output, candidates))
	require.EqualValues(t, 3, one[int64](t, output, chosen))
	require.Equal(t, "3", one[string](t, output, "SELECT value FROM meta WHERE key = 'requests_max_for_cause'"))
	left := slices.IndexFunc(result.LeftOut, func(l LeftOut) bool { return l.Why == LeftSampled })
	require.GreaterOrEqual(t, left, 0)
	for _, rows := range result.Rows {
		if rows.Relation == "request" {
			require.Equal(t, one[int64](t, output, "SELECT count(*) FROM request"), rows.Written)
			require.Equal(t, rows.Read-result.LeftOut[left].Rows, rows.Written)
		}
	}
}
