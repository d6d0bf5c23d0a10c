package spans

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/internal/spantest"
)

// everything configures what the golden spans do not need.
var everything = Options{
	Run: "configured", Dimensions: []Dimension{{Name: "gen_ai.response.model"}, {Name: "tier", Default: "free"}},
	Prices: []Price{{Model: "gpt-4o*", Input: 2_500_000, Output: 10_000_000}},
}

// singleSpans returns the golden spans and the hostile ones, each in a batch
// of its own.
func singleSpans(t *testing.T) (list []ptrace.Traces) {
	t.Helper()
	golden := goldenCases(t)
	for _, name := range slices.Sorted(maps.Keys(golden)) {
		list = append(list, split(golden[name])...)
	}
	for _, c := range spantest.Hostile(1) {
		if c.Traces.SpanCount() < 100 {
			list = append(list, split(c.Traces)...)
		}
	}
	return list
}

func split(batch ptrace.Traces) (list []ptrace.Traces) {
	for _, resourceSpans := range batch.ResourceSpans().All() {
		for _, scopeSpans := range resourceSpans.ScopeSpans().All() {
			for _, span := range scopeSpans.Spans().All() {
				alone := ptrace.NewTraces()
				resource := alone.ResourceSpans().AppendEmpty()
				resourceSpans.Resource().CopyTo(resource.Resource())
				scope := resource.ScopeSpans().AppendEmpty()
				scopeSpans.Scope().CopyTo(scope.Scope())
				span.CopyTo(scope.Spans().AppendEmpty())
				list = append(list, alone)
			}
		}
	}
	return list
}

// requestsOf returns copies of what the reader says of every span.
func requestsOf(r *Reader, batch ptrace.Traces) (list []aggregator.Request) {
	for request := range r.Requests(batch, goldenNow, nil) {
		own := *request
		own.Circuits = append([]aggregator.CircuitState(nil), own.Circuits...)
		own.Evaluations = append([]aggregator.Evaluation(nil), own.Evaluations...)
		list = append(list, own)
	}
	return list
}

// TestRequestsDoNotDependOnNeighbours: whatever spans come before it, and
// however often the batch is read, a span says what it says alone, to a reader
// that has read nothing else; and folding sees the same as a row.
func TestRequestsDoNotDependOnNeighbours(t *testing.T) {
	random, reader := seedtest.Rand(t), NewReader(everything)
	singles := singleSpans(t)
	var alone []aggregator.Request
	for _, batch := range singles {
		alone = append(alone, requestsOf(NewReader(everything), batch)...)
	}
	require.Len(t, alone, len(singles))
	for range 3 {
		all := ptrace.NewTraces()
		order := random.Perm(len(singles))
		for _, i := range order {
			batch := ptrace.NewTraces()
			singles[i].CopyTo(batch)
			batch.ResourceSpans().MoveAndAppendTo(all.ResourceSpans())
		}
		for range 2 {
			for n, got := range requestsOf(reader, all) {
				require.Equal(t, alone[order[n]], got, "span %d", order[n])
			}
			n := 0
			for got := range reader.Observations(all, goldenNow) {
				require.Equal(t, alone[order[n]].Observation, *got, "span %d", order[n])
				n++
			}
		}
	}
}

// TestFoldingAllocatesNothing of what ordinary traffic says, once its names
// have been seen.
func TestFoldingAllocatesNothing(t *testing.T) {
	const n = 2000
	for name, profile := range map[string]spantest.Profile{"dense": spantest.Dense, "wide": spantest.Wide} {
		reader, batch := NewReader(Options{Run: "r"}), spantest.New(1, profile).Batch(n, goldenNow, time.Second)
		perBatch := testing.AllocsPerRun(10, func() {
			for range reader.Observations(batch, goldenNow) {
				continue
			}
		})
		require.Less(t, perBatch/n, 0.05, name)
	}
}
