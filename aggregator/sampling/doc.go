// Package sampling decides which spans are kept as rows of their own, and how
// many spans each of those rows stands for.
//
// # Whole traces
//
// A trace is in the sample where
//
//	h mod 1000000 < ratio in millionths
//
// with h the first 8 bytes, as a big-endian number, of the SHA-256 of the trace
// id, 16 bytes. So everybody who knows the ratio draws the same traces, in any
// language, and the sample of a ratio holds that of every smaller one. A span
// without a trace id is drawn by its span id, 8 bytes; one that has neither by
// its start and its end, each 8 bytes, big-endian, in Unix nanoseconds, the end
// 0 where there is none that can be used.
//
//	printf '\001\002\003\004\005\006\007\010\011\012\013\014\015\016\017\020' | sha256sum
//	5dfbabeedf318bf33c0927c43d7630f51b82f351740301354fa3d7fc51f0132e
//
// h = 0x5dfbabeedf318bf3, h mod 1000000 = 805107: this trace is in the samples
// of ratios above 0.805107.
//
// # For cause
//
// Spans that failed, that a fault marks or that were slow are kept for cause:
// all of those in the sample, each standing for itself. The others are the
// candidates. Of them at most so many are kept of each minute, category and
// outcome, a stratum: those with the lowest first 8 bytes of the SHA-256 of
// trace id and span id, 24 bytes, followed, where one of these is missing, by
// start and end as above. Each stands for candidates/rows spans. Where none are
// to be kept there are no candidates, and a span of the sample that is for cause
// has the weight of an ordinary one.
//
// Both hashes look random whatever the ids are, and the second says nothing of
// the first. So the rows, weighted, estimate any sum over all spans without
// bias: an ordinary span has a row with the probability ratio and the weight
// 1/ratio, and the rows of a stratum are a random choice of its candidates. What
// was chosen depends neither on the order in which spans arrive nor on who saw
// them: the choices of two files make that of both.
package sampling
