package sampling

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// TraceHash is the number that decides whether the trace of a span is in the
// sample; see the documentation of the package. It is the same for all spans of
// a trace.
func TraceHash(o *aggregator.Observation) uint64 {
	switch {
	case o.TraceID != [16]byte{}:
		return hash(o.TraceID[:])
	case o.SpanID != [8]byte{}:
		return hash(o.SpanID[:])
	}
	var times [16]byte
	putTimes(times[:], o)
	return hash(times[:])
}

// SpanHash is the number by which a span is chosen among those for cause; see
// the documentation of the package.
func SpanHash(o *aggregator.Observation) uint64 {
	var text [16 + 8 + 16]byte
	copy(text[:16], o.TraceID[:])
	copy(text[16:24], o.SpanID[:])
	if o.TraceID != [16]byte{} && o.SpanID != [8]byte{} {
		return hash(text[:24])
	}
	putTimes(text[24:], o)
	return hash(text[:])
}

// putTimes writes start and end.
func putTimes(to []byte, o *aggregator.Observation) {
	binary.BigEndian.PutUint64(to, uint64(o.StartUnixNano))
	binary.BigEndian.PutUint64(to[8:], uint64(o.EndUnixNano))
}

func hash(text []byte) uint64 {
	sum := sha256.Sum256(text)
	return binary.BigEndian.Uint64(sum[:8])
}
