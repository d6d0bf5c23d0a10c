// Package fakellm is a language model's HTTP API that answers with nonsense,
// and with faults at stated rates. It speaks OpenAI's dialect: chat completions,
// plain and streaming, embeddings, a list of models, and the paths that Azure
// gives these.
//
// Which requests fail is drawn from a seed: at most one fault for each request
// ([Preset]). The fault is marked on the span that the request's context
// carries, so that a collector sees it, and counted ([Server.Truth]), so that a
// test can compare what was injected with what a file says.
package fakellm
