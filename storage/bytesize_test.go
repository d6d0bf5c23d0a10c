package storage

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

func TestSizesInWords(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "10GiB": 10 << 30, "500MiB": 500 << 20, "2GB": 2e9, "1.5 GiB": 3 << 29, "64 kB": 64_000,
		" 1TiB ": 1 << 40, "12B": 12, "3mib": 3 << 20,
	} {
		have, err := ParseBytes(text)
		require.NoError(t, err, text)
		require.Equal(t, want, have, text)
	}
	for _, text := range []string{"", "GiB", "ten", "-1", "1e3", "0x10", "1.5", "1GiBB", "10 G", "9e99", "1/2GiB", "99999999TiB", "1.2.3MB"} {
		_, err := ParseBytes(text)
		require.Error(t, err, text)
	}
	random := seedtest.Rand(t)
	for range 1000 {
		n := random.Int64() >> random.IntN(63)
		have, err := ParseBytes(BytesText(n))
		require.NoError(t, err)
		require.Equal(t, n, have)
	}
}
