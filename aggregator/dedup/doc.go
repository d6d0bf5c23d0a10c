// Package dedup knows a span again that comes a second time.
//
// A [Key] makes a fingerprint of what identifies a span, and a [Window] is the
// set of the fingerprints that are remembered. How long they are, and where
// they are kept, others decide: this package knows no clock and no file.
//
// Fingerprints are keyed because whoever sends spans chooses their ids: with a
// public hash, a sender could make spans that pass for those of another.
package dedup
