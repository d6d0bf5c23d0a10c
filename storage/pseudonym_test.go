package storage_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// pseudonymsOf are those of a new file.
func pseudonymsOf(t *testing.T, secret string) *storage.Pseudonyms {
	t.Helper()
	options := filetest.Options(filepath.Join(t.TempDir(), "file.db"), filetest.Begin.Add(time.Hour))
	options.DedupSecret = secret
	s, err := storage.Open(t.Context(), options)
	require.NoError(t, err)
	require.NoError(t, s.Close())
	r, err := storage.OpenReader(t.Context(), options.Path)
	require.NoError(t, err)
	defer func() { require.NoError(t, r.Close()) }()
	p, err := storage.ReadPseudonyms(t.Context(), r)
	require.NoError(t, err)
	again, err := storage.ReadPseudonyms(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, p, again)
	return p
}

// Pseudonyms are those of a secret: of one file, or of several with a common one.
func TestPseudonyms(t *testing.T) {
	const secret = "a secret of sixteen bytes and more"
	one, other := pseudonymsOf(t, ""), pseudonymsOf(t, "")
	common, too := pseudonymsOf(t, secret), pseudonymsOf(t, secret)
	require.Equal(t, common.Of("ann", 32), too.Of("ann", 32))
	seen := map[string]bool{}
	for _, p := range []*storage.Pseudonyms{one, other, common} {
		for _, text := range []string{"ann", "bob", ""} {
			said := p.Of(text, storage.MaxPseudonymDigits)
			require.Regexp(t, "^[0-9a-f]{64}$", said)
			require.False(t, seen[said], "%s: %s", text, said)
			require.Equal(t, said[:16], p.Of(text, 16))
			seen[said] = true
		}
	}
}
