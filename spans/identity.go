package spans

import (
	"iter"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator/dedup"
)

// Identities returns what identifies each span of the batch, in the order of
// Reader.Observations; also of those that are not folded. An identity is valid
// until the next one is asked for.
func Identities(batch ptrace.Traces) iter.Seq[*dedup.Identity] {
	return func(yield func(*dedup.Identity) bool) {
		var id dedup.Identity
		for _, resourceSpans := range batch.ResourceSpans().All() {
			for _, scopeSpans := range resourceSpans.ScopeSpans().All() {
				for _, span := range scopeSpans.Spans().All() {
					id = dedup.Identity{
						TraceID: span.TraceID(), SpanID: span.SpanID(), Kind: int32(span.Kind()),
						StartUnixNano: uint64(span.StartTimestamp()), EndUnixNano: uint64(span.EndTimestamp()),
					}
					if !yield(&id) {
						return
					}
				}
			}
		}
	}
}
