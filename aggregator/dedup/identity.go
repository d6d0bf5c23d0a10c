package dedup

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/dchest/siphash"
)

// Identity is what makes a span itself: spans that agree in all of it count as
// one span that came twice. The kind is part of it because Zipkin gives both
// sides of a call one id, and the times so that spans whose ids are used again
// stay apart.
type Identity struct {
	TraceID [16]byte
	SpanID  [8]byte
	// Kind is the kind as the span states it, known or not.
	Kind int32
	// The times are those that the span states, usable or not.
	StartUnixNano, EndUnixNano uint64
}

// identityBytes is the length of an Identity as it is hashed.
const identityBytes = 16 + 8 + 4 + 8 + 8

// Key is the secret of the fingerprints: those made with different keys have
// nothing to do with each other.
type Key [16]byte

// secretPrefix keeps keys apart from other hashes of the same secret.
const secretPrefix = "spanbucket fingerprint key\x00"

// KeyFromSecret returns the key that stands for a secret. It is the same in
// every version: fingerprints in files depend on it.
func KeyFromSecret(secret string) Key {
	sum := sha256.Sum256([]byte(secretPrefix + secret))
	return Key(sum[:len(Key{})])
}

// Fingerprint returns the 64 bits that stand for a span, 0 for a span whose
// trace id or span id is all zero: such spans cannot be told apart. Two spans
// that differ have the same one with a probability of 2^-64. It is the same in
// every version and on every machine.
func (k *Key) Fingerprint(id *Identity) uint64 {
	if id.TraceID == [16]byte{} || id.SpanID == [8]byte{} {
		return 0
	}
	var b [identityBytes]byte
	copy(b[:16], id.TraceID[:])
	copy(b[16:24], id.SpanID[:])
	binary.LittleEndian.PutUint32(b[24:], uint32(id.Kind))
	binary.LittleEndian.PutUint64(b[28:], id.StartUnixNano)
	binary.LittleEndian.PutUint64(b[36:], id.EndUnixNano)
	return max(1, siphash.Hash(binary.LittleEndian.Uint64(k[:8]), binary.LittleEndian.Uint64(k[8:]), b[:]))
}
