// Package histogram keeps a distribution of non-negative integers in
// log-linear bins, together with its exact count, sum, minimum and maximum.
//
// # Bins
//
// Values below 128 have a bin each. Above that every octave [2^k, 2^(k+1)) is
// cut into 64 bins of equal width:
//
//	value   0   1   …  127 | 128 130 132 … 254 | 256 260 … 508 | 512 520 …
//	bin     0   1   …  127 | 128 129 130 … 191 | 192 193 … 255 | 256 257 …
//	width   1   1   …    1 |   2   2   2 …   2 |   4   4 …   4 |   8   8 …
//
// A bin covers the closed interval [Lower, Upper]; its width is at most 1/64
// of its lower end. The value given for a bin is its middle, clamped to the
// exact minimum and maximum of the histogram, so a percentile differs from the
// true nearest-rank value by at most 1/128 (0.79 %) of it, is never below the
// minimum and never above the maximum.
//
// The arithmetic is integer arithmetic (shift and mask), so the same two lines
// give the same bins in Go and in SQL.
//
// # Laws
//
// Merging adds counts and is therefore exact, commutative and associative; the
// zero Histogram is its identity. A histogram merged from parts equals the one
// that recorded every value itself.
package histogram
