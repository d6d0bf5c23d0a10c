//go:generate make generate

// Package spanbucketexporter is an exporter for the OpenTelemetry Collector. It
// folds spans of LLM and chaos-test traffic into epoch-aligned time buckets
// (exact counts, exact averages, percentiles within 0.79 %) and keeps them in
// one SQLite file that any SQLite tool can read.
//
// ConsumeTraces returns nil once the spans are committed: with the defaults,
// the acknowledgement is the commit.
package spanbucketexporter
