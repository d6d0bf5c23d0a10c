// Package query runs SQL that somebody else wrote on a file. The engine holds
// the guards, not a look at the text:
//
//   - the file is open for reading only, and nothing else can be opened beside it;
//   - an authorizer is asked while a statement is prepared, and lets through what
//     reads the relations of the file with functions of a list;
//   - limits bound the length of a value, of the statement and of what it becomes;
//   - the time, the rows, the bytes of the answer and the memory are bounded by
//     [Limits].
//
// # Functions
//
// Beside those of SQLite there are two for the column histogram of the relations
// histograms and timeseries_histograms:
//
//	histogram_merge(histogram)                          aggregate: all of them as one
//	histogram_percentile(histogram, p)                  nanoseconds
//	histogram_percentile(histogram, p, min_ns, max_ns)  nanoseconds
//
// p is a fraction, 0.99, or a name, 'p99'. The answer is an INTEGER, the
// nearest-rank value of the bins: the middle of the bin of rank ceil(p*n), within
// 1/128 of the true value. The text of a histogram does not hold the exact
// smallest and largest value; given min(min_ns) and max(max_ns), these are what
// the first and the last rank give, and no answer lies outside of them. NULL
// gives NULL, as does a histogram without values.
//
//	SELECT s.model, histogram_percentile(histogram_merge(h.histogram), 'p99', min(h.min_ns), max(h.max_ns)) / 1e6 AS p99_ms
//	FROM histograms AS h JOIN latency AS s USING (width_s, bucket_start, series_id)
//	WHERE h.width_s = 300 AND h.measure = 'duration' GROUP BY s.model
package query
