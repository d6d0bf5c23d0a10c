// Package spans reads OpenTelemetry spans: it walks a batch once and says of
// each span what the rest of the program needs to know, as an
// [aggregator.Observation] for folding and, where single rows are kept, as an
// [aggregator.Request].
//
// Which attribute a field is read from is one table, in sources.go, and what
// the words of each dialect mean is another, in vocabularies.go; the rules that
// decide category, outcome, usage and fault are in the files of these names.
// Everything is decided from one span and its resource, never by looking for
// parents or children: batches split traces.
//
// No content is read: prompts, completions, tool arguments and results are not
// in the table, except that messages are counted.
package spans
