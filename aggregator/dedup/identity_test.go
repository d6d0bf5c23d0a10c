package dedup_test

import (
	"encoding/hex"
	"reflect"
	"strconv"
	"testing"

	"github.com/dchest/siphash"
	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator/dedup"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// ordinary returns the identity of a span like any other.
func ordinary() dedup.Identity {
	return dedup.Identity{
		TraceID: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, SpanID: [8]byte{1, 2, 3, 4, 5, 6, 7, 8},
		Kind: 3, StartUnixNano: 1_700_000_000_000_000_000, EndUnixNano: 1_700_000_001_000_000_000,
	}
}

// TestFingerprintsAreStable pins numbers that are in files.
func TestFingerprintsAreStable(t *testing.T) {
	key := dedup.KeyFromSecret("fleet")
	require.Equal(t, "1ace061811b70179867b007d303fbd42", hex.EncodeToString(key[:]))
	id := ordinary()
	require.Equal(t, uint64(0x60ed2a3761ada6e1), key.Fingerprint(&id))
	empty := dedup.KeyFromSecret("")
	require.NotEqual(t, dedup.Key{}, empty)
	require.NotEqual(t, key, empty)
}

// TestTheHashIsSipHash holds the library to the vector of the paper's
// appendix A.
func TestTheHashIsSipHash(t *testing.T) {
	message := make([]byte, 15)
	for i := range message {
		message[i] = byte(i)
	}
	require.Equal(t, uint64(0xa129ca6149be45e5), siphash.Hash(0x0706050403020100, 0x0f0e0d0c0b0a0908, message))
}

// TestSpansWithoutIDsHaveNoFingerprint: they cannot be told apart.
func TestSpansWithoutIDsHaveNoFingerprint(t *testing.T) {
	key := dedup.KeyFromSecret("fleet")
	for name, change := range map[string]func(*dedup.Identity){
		"no trace id": func(id *dedup.Identity) { id.TraceID = [16]byte{} },
		"no span id":  func(id *dedup.Identity) { id.SpanID = [8]byte{} },
		"neither":     func(id *dedup.Identity) { *id = dedup.Identity{Kind: 1} },
	} {
		id := ordinary()
		change(&id)
		require.Zero(t, key.Fingerprint(&id), name)
	}
	for name, change := range map[string]func(*dedup.Identity){
		"nearly no trace id": func(id *dedup.Identity) { id.TraceID = [16]byte{15: 1} },
		"nearly no span id":  func(id *dedup.Identity) { id.SpanID = [8]byte{7: 1} },
		"no times, no kind":  func(id *dedup.Identity) { id.StartUnixNano, id.EndUnixNano, id.Kind = 0, 0, 0 },
	} {
		id := ordinary()
		change(&id)
		require.NotZero(t, key.Fingerprint(&id), name)
	}
}

// TestEveryBitCounts flips each bit of an identity and of the key: all
// fingerprints differ.
func TestEveryBitCounts(t *testing.T) {
	r := seedtest.Rand(t)
	for range 20 {
		id, key := ordinary(), dedup.KeyFromSecret(strconv.Itoa(r.Int()))
		for i := range id.TraceID {
			id.TraceID[i] = byte(r.Uint32())
		}
		id.Kind, id.StartUnixNano, id.EndUnixNano = int32(r.Uint32()), r.Uint64(), r.Uint64()
		seen := map[uint64]string{key.Fingerprint(&id): "nothing flipped"}
		note := func(what string, fingerprint uint64) {
			other, known := seen[fingerprint]
			require.False(t, known, "%s and %s", what, other)
			seen[fingerprint] = what
		}
		for i := range 8 * len(id.TraceID) {
			changed := id
			changed.TraceID[i/8] ^= 1 << (i % 8)
			note("trace id "+strconv.Itoa(i), key.Fingerprint(&changed))
		}
		for i := range 64 {
			changed := id
			changed.SpanID[i/8] ^= 1 << (i % 8)
			note("span id "+strconv.Itoa(i), key.Fingerprint(&changed))
			changed = id
			changed.StartUnixNano ^= 1 << i
			note("start "+strconv.Itoa(i), key.Fingerprint(&changed))
			changed = id
			changed.EndUnixNano ^= 1 << i
			note("end "+strconv.Itoa(i), key.Fingerprint(&changed))
		}
		for i := range 32 {
			changed := id
			changed.Kind ^= 1 << i
			note("kind "+strconv.Itoa(i), key.Fingerprint(&changed))
		}
		for i := range 8 * len(key) {
			changed := key
			changed[i/8] ^= 1 << (i % 8)
			note("key "+strconv.Itoa(i), changed.Fingerprint(&id))
		}
	}
	require.Equal(t, 5, reflect.TypeFor[dedup.Identity]().NumField(), "a new field is hashed, too, and flipped above")
}

func TestFingerprintAllocatesNothing(t *testing.T) {
	key, id := dedup.KeyFromSecret("fleet"), ordinary()
	require.Zero(t, testing.AllocsPerRun(100, func() { key.Fingerprint(&id) }))
}

func BenchmarkFingerprint(b *testing.B) {
	key, id := dedup.KeyFromSecret("fleet"), ordinary()
	b.ReportAllocs()
	var sum uint64
	for b.Loop() {
		id.StartUnixNano++
		sum += key.Fingerprint(&id)
	}
	require.NotZero(b, sum)
}
