package spanbucketexporter

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// collect stores spans in a new file, in random order and batches.
func collect(t *testing.T, r *rand.Rand, hosts []goldenHost) (path string) {
	t.Helper()
	path = newFile(t)
	collectInto(t, r, path, hosts)
	return path
}

func collectInto(t *testing.T, r *rand.Rand, path string, hosts []goldenHost) {
	t.Helper()
	config, err := configFromYAML(t, goldenConfig)
	require.NoError(t, err)
	config.Path = path
	e := startExporter(t, config)
	sendInPieces(t, e, r, slices.Clone(hosts), 2, 1)
	stopExporter(t, e)
}

// join merges files into a new one, which must be whole.
func join(t *testing.T, paths ...string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "all.db")
	result, err := storage.Merge(t.Context(), paths, storage.MergeOptions{Output: path})
	require.NoError(t, err)
	require.True(t, result.Comparable)
	require.Empty(t, result.LeftOut)
	for problem, err := range openReader(t, path).Verify(t.Context()) {
		require.NoError(t, err)
		require.Fail(t, problem.String())
	}
	return path
}

// TestMergeIsWhatOneCollectorWouldHaveWritten splits a world over several
// collectors and joins their files.
func TestMergeIsWhatOneCollectorWouldHaveWritten(t *testing.T) {
	r := seedtest.Rand(t)
	for round := range 3 {
		hosts := randomWorld(r, time.Date(2026, 1, 30, 12, 0, 0, 0, time.UTC))
		hosts = append(hosts, goldenHosts(t)...)
		parts := make([][]goldenHost, 2+round)
		for _, host := range hosts {
			at := r.IntN(len(parts))
			parts[at] = append(parts[at], host)
		}
		whole := collect(t, r, hosts)
		want := content(t, whole)
		var paths []string
		for _, part := range parts {
			paths = append(paths, collect(t, r, part))
		}
		all := join(t, paths...)
		requireSameTexts(t, want, content(t, all), fmt.Sprintf("%d files", len(paths)))
		requireSameTexts(t, window(t, whole), window(t, all), "the deduplication window")

		reversed := slices.Clone(paths)
		slices.Reverse(reversed)
		requireSameTexts(t, want, content(t, join(t, reversed...)), "in the other order")

		nested := paths[len(paths)-1]
		for i := len(paths) - 2; i >= 0; i-- {
			nested = join(t, paths[i], nested)
		}
		requireSameTexts(t, want, content(t, nested), "one after the other")
		requireSameTexts(t, want, content(t, join(t, collect(t, r, nil), whole)), "with an empty file")
	}
}

// TestCollectorGoesOnWithAMergedFile lets a collector write the last part of
// the spans to a file that was joined.
func TestCollectorGoesOnWithAMergedFile(t *testing.T) {
	r := seedtest.Rand(t)
	hosts := randomWorld(r, time.Date(2026, 1, 30, 12, 0, 0, 0, time.UTC))
	r.Shuffle(len(hosts), func(i, k int) { hosts[i], hosts[k] = hosts[k], hosts[i] })
	third := len(hosts) / 3
	all := join(t, collect(t, r, hosts[:third]), collect(t, r, hosts[third:2*third]))
	collectInto(t, r, all, hosts[2*third:])
	requireSameTexts(t, content(t, collect(t, r, hosts)), content(t, all), "went on")
	// What any of the files knew is delivered again.
	before := content(t, all)
	collectInto(t, r, all, hosts[:third])
	duplicates := query(t, openReader(t, all), "SELECT spans FROM ledger WHERE reason = 'duplicate'")
	require.Equal(t, []row{{"spans": int64(third)}}, duplicates)
	requireSameTexts(t, withoutLedger(before), withoutLedger(content(t, all)), "delivered again")
}

func withoutLedger(content []string) (rest []string) {
	for _, line := range content {
		if len(line) < 7 || line[:7] != "ledger " {
			rest = append(rest, line)
		}
	}
	return rest
}

// window returns the fingerprints that a file remembers.
func window(t *testing.T, path string) (all []string) {
	t.Helper()
	for _, r := range query(t, openReader(t, path), "SELECT fingerprints FROM fingerprint") {
		content, _ := r["fingerprints"].([]byte)
		for one := range slices.Chunk(content, 8) {
			all = append(all, fmt.Sprintf("%x", one))
		}
	}
	return all
}
