// Package stress is the traffic of people and agents who use a language model:
// real HTTP calls to an API of OpenAI's dialect, told as OpenTelemetry spans by
// the current conventions for generative AI.
//
// The load is closed (so many users, who wait for an answer, think, and ask
// again) or open (so many requests a second, whatever becomes of the others;
// latency counts from when a request was due). Clients behave like real ones:
// they try again after a pause that grows and shrinks with refusals, open a
// circuit breaker where a provider fails, hold sessions of several turns, and
// let agents call tools.
//
// What the client saw is counted exactly ([Tally]), and the spans carry the same
// instants, so that a file can be compared with it.
package stress
