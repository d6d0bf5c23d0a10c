package spans

import "go.opentelemetry.io/collector/pdata/ptrace"

// Part returns a copy of the spans from one position up to, not including,
// another one, in the order of Reader.Observations, with the resources and
// scopes that they lie in. Changing one leaves the other as it is. Positions
// outside the batch have no spans: what is left of the range is returned.
func Part(batch ptrace.Traces, from, to int) ptrace.Traces {
	part := ptrace.NewTraces()
	at := 0 // position of the next span
	for _, resourceSpans := range batch.ResourceSpans().All() {
		var resource ptrace.ResourceSpans
		begun := false // the resource has spans of the part
		for _, scopeSpans := range resourceSpans.ScopeSpans().All() {
			list := scopeSpans.Spans()
			first, end := max(from-at, 0), min(to-at, list.Len())
			at += list.Len()
			if first >= end {
				continue
			}
			if !begun {
				resource, begun = part.ResourceSpans().AppendEmpty(), true
				resourceSpans.Resource().CopyTo(resource.Resource())
				resource.SetSchemaUrl(resourceSpans.SchemaUrl())
			}
			scope := resource.ScopeSpans().AppendEmpty()
			scopeSpans.Scope().CopyTo(scope.Scope())
			scope.SetSchemaUrl(scopeSpans.SchemaUrl())
			scope.Spans().EnsureCapacity(end - first)
			for i := first; i < end; i++ {
				list.At(i).CopyTo(scope.Spans().AppendEmpty())
			}
		}
	}
	return part
}
