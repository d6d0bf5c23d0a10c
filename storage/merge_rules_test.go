package storage

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
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
		"failed_batch": true, // attempts at what is in no file yet
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
