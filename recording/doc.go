// Package recording reads OTLP spans that were written to files, and folds them
// into a spanbucket file without a collector.
//
// It knows the formats of the collector's file exporter: JSON, one message a
// line; protobuf, each message after its length as four bytes, big-endian; and
// both compressed with zstd, either message by message or as a whole. Besides,
// files with a single message, and any of these in gzip. What a file is it tells
// by its first bytes:
// https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/fileexporter
package recording
