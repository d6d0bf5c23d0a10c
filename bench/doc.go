// Command bench measures what one span costs, side by side with
// spanmetricsconnector, the peer that also folds spans into latency
// distributions, and with two floors below which no exporter can get. It is a
// module of its own, so that the peer's dependencies stay out of the
// exporter's.
//
//	go run .                      # everything; about six minutes, most of it growth
//	go run . -quick               # a smoke test of a few seconds
//	go run . -growth 0 -rows fold # one row and the rows it is compared with
//	go run . -rows answers        # only what questions about a day take
//
// # What makes it fair
//
//   - Every row gets the same spans: the k-th batch of a row has the content of
//     the k-th batch of any other, from internal/spantest with the printed
//     seed. A batch has 8192 spans of about 15 attributes; a third of the spans
//     stream. One batch covers one second, so the traffic is that of a busy
//     collector.
//   - No batch is a repetition: ids, times and durations are new each time
//     (spantest.Template). Spans that were seen before would be dropped by an
//     exporter that knows duplicates, which is cheaper than folding them, and
//     durations seen before would need no new histogram bins.
//   - Making the batch is not measured, except in the rows with several
//     callers, where each caller stamps its own batch between two calls; what
//     that costs is a row of its own.
//   - All rows run in one process, one after another within a round, in an
//     order that rotates from round to round: a slow minute of the machine
//     hits all. Ratios are taken within a round; printed are their median and
//     range. Garbage is collected before each measurement, which then pays for
//     its own garbage only; the batches kept for all rows are few.
//   - Components live through all rounds and are warm before the first.
//   - Callers are goroutines that send the next batch when the one before was
//     answered. Cost with several callers is wall time by spans: the inverse
//     of the throughput.
//
// Where the two differ, the peer has it easier. It keeps one histogram per
// series, of at most 160 buckets, for ever; the exporter keeps up to three, of
// unlimited resolution within its error, for each of two bucket widths, besides
// sums of tokens, the slowest span and a headline, and stores them durably
// before it answers. The peer's sending of its metrics (every 60 s by default)
// is left out. Resources are merged by service for both, so that both have the
// same number of series: by default the peer keeps a set for each process.
//
// The growth rows send one bucket ten million spans and compare what a span
// costs then with what it cost around the ten thousandth. All their spans are
// generated, none stamped: what grows is the number of bins in use, and
// repeated durations would hide it.
//
// # Answers
//
// The rows of answers write a file of one day and ask the command line about
// it, as a person would: the time is that of the whole process, from its start
// to its end, and the memory the most that it had at once. The system has the
// file in its cache, as it has just been written.
//
// # Results
//
// The table goes to the standard output and into results/, with the machine
// and the versions. The lines that follow it there are in the format of Go
// benchmarks, one per round: benchstat compares two such files of one machine.
// Never compare across machines.
package main
