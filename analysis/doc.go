// Package analysis answers questions about a file. Each question is a function
// over a read transaction ([storage.Reader.View]) and returns a typed result;
// nothing here prints.
//
// # Which buckets an answer reads
//
// An answer covers a half-open interval [From, To) of span start time. It is
// read from the widest buckets that tile the interval: wide ones in the middle,
// narrower ones towards the ends, which is exact, since a wide bucket is the
// merge of the narrower ones in it. An end that lies inside a bucket of the
// finest width that is still kept there is moved outwards to its edge; the
// answer says which interval it covers.
//
// Answers leave out buckets that have not settled, unless Query.IncludeOpen,
// and say how many they left out.
//
// # Figures
//
// Counts and sums are exact. Averages are sum/count. Percentiles come from
// merged histograms, never from other percentiles: nearest rank, within 0.79 %,
// never outside [min, max]. What does not exist is nil, never 0.
package analysis
