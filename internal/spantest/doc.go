// Package spantest makes traffic for tests and benchmarks: spans as LLM
// gateways and chaos tests produce them, and hostile ones that nobody should
// produce.
//
// Everything is drawn from a seed: the same seed, profile and sequence of calls
// give the same spans, byte for byte, on one architecture (the last bit of an
// exponential may differ between two). Nothing reads a clock.
//
// Traffic keeps its shape at any size. A service calls some models, runs some
// tools and answers some routes; each of these is a shape with a duration of
// its own (log-normal) and its own few ways to fail. A shape with one outcome
// is a series, so the number of series is set by the [Profile] and not by the
// number of spans. One to eight spans share a trace and a conversation, and
// spans are grouped by resource and scope and ordered by their end, as batches
// from SDKs are.
package spantest
