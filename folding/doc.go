// Package folding brings OTLP batches into a file: it reads the spans, folds
// them, and waits for their commit. The exporter does so with what it receives,
// and spanbucket import with what was recorded.
//
// It knows what becomes of spans that cannot be stored (dead letters), and which
// settings spans are read and stored with. It has no goroutine of its own.
package folding
