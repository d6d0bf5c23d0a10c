// Package spans reads OpenTelemetry spans: it walks a batch once and says of
// each span what the rest of the program needs to know, as an
// [aggregator.Observation].
//
// Which attribute a field is read from is one table, in fields.go; the rules
// that decide operation, category and outcome are in the files of these names.
// Everything is decided from one span and its resource, never by looking for
// parents or children: batches split traces.
//
// No content is read: prompts, completions, tool arguments and results are not
// in the table.
package spans
