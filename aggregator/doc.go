// Package aggregator folds observations into time buckets.
//
// An [Observation] is what one span says. A [Delta] is what one batch of them
// adds: cells by bucket and series, and by bucket, run and category. Deltas
// merge: the operation is commutative and associative and the empty Delta is
// its identity, so the result does not depend on how spans were batched, in
// which order they came or how many collectors saw them.
//
// # Buckets
//
// A bucket is the half-open interval [start, start+width) of span start time,
// in whole seconds since 1970-01-01T00:00:00Z, with
// start = floor(seconds/width)*width. A Delta folds into the finest widths
// only; as every width is a multiple of the one before, a cell of the finest
// width lies in exactly one bucket of each wider one.
//
// The package knows no clock, no pdata and no SQL. Nothing in it is safe for
// concurrent use, except that a Delta that is no longer changed may be read by
// several goroutines.
package aggregator
