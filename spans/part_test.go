package spans_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/dedup"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/spans"
)

// scattered returns n random spans in resources and scopes of random sizes,
// some of them empty.
func scattered(random *rand.Rand, n int) ptrace.Traces {
	batch := ptrace.NewTraces()
	var resource ptrace.ResourceSpans
	var scope ptrace.ScopeSpans
	from := anySpans(random, n)
	for _, r := range from.ResourceSpans().All() {
		for _, span := range r.ScopeSpans().At(0).Spans().All() {
			for batch.ResourceSpans().Len() == 0 || random.IntN(5) == 0 {
				resource = batch.ResourceSpans().AppendEmpty()
				r.Resource().CopyTo(resource.Resource())
				resource.SetSchemaUrl(pick(random, anyText))
				for range random.IntN(2) {
					resource.ScopeSpans().AppendEmpty()
				}
			}
			for resource.ScopeSpans().Len() == 0 || random.IntN(5) == 0 {
				scope = resource.ScopeSpans().AppendEmpty()
				scope.Scope().SetName(pick(random, []string{"", "chaosmesh", "http"}))
				scope.SetSchemaUrl(pick(random, anyText))
			}
			span.CopyTo(resource.ScopeSpans().At(resource.ScopeSpans().Len() - 1).Spans().AppendEmpty())
		}
	}
	return batch
}

// numberSpans gives every span an id of its own.
func numberSpans(batch ptrace.Traces) {
	n := uint16(0)
	for _, resourceSpans := range batch.ResourceSpans().All() {
		for _, scopeSpans := range resourceSpans.ScopeSpans().All() {
			for _, span := range scopeSpans.Spans().All() {
				n++
				span.SetTraceID(pcommon.TraceID{1, 14: byte(n >> 8), 15: byte(n)})
				span.SetSpanID(pcommon.SpanID{2, 6: byte(n >> 8), 7: byte(n)})
			}
		}
	}
}

func readRequests(r *spans.Reader, batch ptrace.Traces) (list []aggregator.Request) {
	for request := range r.Requests(batch, now, nil) {
		list = append(list, *request)
	}
	return list
}

// TestPartsReadAsTheWhole: cut anywhere, the parts one after the other say what
// the batch says.
func TestPartsReadAsTheWhole(t *testing.T) {
	random := seedtest.Rand(t)
	reader := spans.NewReader(options)
	for range 50 {
		batch := scattered(random, 1+random.IntN(60))
		numberSpans(batch)
		var parts []aggregator.Request
		var ids []dedup.Identity
		for from := 0; from < batch.SpanCount(); {
			to := min(from+random.IntN(12), batch.SpanCount())
			part := spans.Part(batch, from, to)
			require.Equal(t, to-from, part.SpanCount())
			parts = append(parts, readRequests(reader, part)...)
			ids = append(ids, identities(part)...)
			from = to
		}
		require.Equal(t, identities(batch), ids)
		require.Equal(t, readRequests(reader, batch), parts)
	}
}

// TestPartIsACopy: it has all that the spans have, and changing it leaves the
// batch as it was.
func TestPartIsACopy(t *testing.T) {
	random := seedtest.Rand(t)
	batch := scattered(random, 20)
	before := marshal(t, batch)
	part := spans.Part(batch, 0, 20)
	part.ResourceSpans().RemoveIf(func(r ptrace.ResourceSpans) bool {
		r.Resource().Attributes().PutStr("changed", "x")
		r.ScopeSpans().RemoveIf(func(ptrace.ScopeSpans) bool { return true })
		return true
	})
	require.Equal(t, before, marshal(t, batch))

	// What is empty is left out; the rest is the same to the last byte.
	batch.ResourceSpans().RemoveIf(func(r ptrace.ResourceSpans) bool {
		r.ScopeSpans().RemoveIf(func(s ptrace.ScopeSpans) bool { return s.Spans().Len() == 0 })
		return r.ScopeSpans().Len() == 0
	})
	require.Equal(t, marshal(t, batch), marshal(t, spans.Part(batch, 0, 20)))
}

func TestPartOfNothing(t *testing.T) {
	batch := scattered(seedtest.Rand(t), 10)
	for _, c := range []struct{ from, to, want int }{
		{0, 0, 0}, {10, 10, 0}, {5, 3, 0}, {-4, 3, 3}, {8, 40, 2}, {10, 20, 0}, {-3, -1, 0}, {math.MinInt32, math.MaxInt32, 10},
	} {
		part := spans.Part(batch, c.from, c.to)
		require.Equal(t, c.want, part.SpanCount(), "from %d to %d", c.from, c.to)
		if c.want == 0 {
			require.Zero(t, part.ResourceSpans().Len(), "from %d to %d", c.from, c.to)
		}
	}
}

func marshal(t testing.TB, batch ptrace.Traces) []byte {
	t.Helper()
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(batch)
	require.NoError(t, err)
	return data
}

// TestOnlyWantedSpansAreRead, and what is read does not depend on the others:
// those of a resource or scope of which the first spans are not wanted.
func TestOnlyWantedSpansAreRead(t *testing.T) {
	rng := seedtest.Rand(t)
	reader := spans.NewReader(options)
	for range 100 {
		batch := scattered(rng, 1+rng.IntN(60))
		all := readRequests(reader, batch)
		chance := rng.IntN(5)
		wanted := make([]bool, len(all))
		for i := range wanted {
			wanted[i] = rng.IntN(4) < chance
		}
		asked, read := 0, 0
		for r := range reader.Requests(batch, now, func(span int) bool {
			require.Equal(t, asked, span, "once, in order")
			asked++
			return wanted[span]
		}) {
			require.True(t, wanted[asked-1])
			require.Equal(t, all[asked-1], *r)
			read++
		}
		require.Equal(t, len(all), asked)
		n := 0
		for _, w := range wanted {
			if w {
				n++
			}
		}
		require.Equal(t, n, read)
	}
}
