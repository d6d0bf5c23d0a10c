package spans_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/dedup"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/internal/spantest"
	"github.com/spanbucket/spanbucketexporter/spans"
)

func identities(batch ptrace.Traces) (list []dedup.Identity) {
	for id := range spans.Identities(batch) {
		list = append(list, *id)
	}
	return list
}

// TestIdentitiesAreInOrder: the n-th identity is that of the n-th observation,
// whatever is empty in between and whatever is rejected.
func TestIdentitiesAreInOrder(t *testing.T) {
	random := seedtest.Rand(t)
	reader := spans.NewReader(options)
	rejected := 0
	for range 50 {
		batch := scattered(random, 1+random.IntN(40))
		numberSpans(batch)
		list, i := identities(batch), 0
		for o := range reader.Observations(batch, now) {
			id := list[i]
			require.Equal(t, aggregator.Observation{TraceID: id.TraceID, SpanID: id.SpanID},
				aggregator.Observation{TraceID: o.TraceID, SpanID: o.SpanID}, "span %d", i)
			if o.Rejected != aggregator.NotRejected {
				rejected++
			} else {
				require.Equal(t, uint64(o.StartUnixNano), id.StartUnixNano)
			}
			i++
		}
		require.Equal(t, len(list), i)
		require.Equal(t, batch.SpanCount(), i)
	}
	require.Greater(t, rejected, 50)
}

// TestIdentityIsWhatTheSpanStates: nothing of it is corrected.
func TestIdentityIsWhatTheSpanStates(t *testing.T) {
	batch, span := spanOf(nil, nil)
	span.SetKind(-3)
	span.SetStartTimestamp(1<<64 - 1)
	span.SetEndTimestamp(5)
	require.Equal(t, []dedup.Identity{{
		TraceID: [16]byte{15: 1}, SpanID: [8]byte{7: 2}, Kind: -3, StartUnixNano: 1<<64 - 1, EndUnixNano: 5,
	}}, identities(batch))
}

func TestIdentitiesCanBeLeft(t *testing.T) {
	batch := scattered(seedtest.Rand(t), 30)
	n := 0
	for range spans.Identities(batch) {
		if n++; n == 7 {
			break
		}
	}
	require.Equal(t, 7, n)
	require.Len(t, identities(batch), 30)
}

func TestIdentitiesAllocateNothingPerSpan(t *testing.T) {
	batch := spantest.New(1, spantest.Wide).Batch(1_000, now, time.Second)
	require.LessOrEqual(t, testing.AllocsPerRun(20, func() {
		for id := range spans.Identities(batch) {
			_ = id
		}
	}), 20.0)
}

// BenchmarkIdentities walks a batch, without and with fingerprints.
func BenchmarkIdentities(b *testing.B) {
	const spansPerBatch = 8192
	batch := spantest.New(1, spantest.Wide).Batch(spansPerBatch, now, time.Second)
	key := dedup.KeyFromSecret("")
	for name, use := range map[string]func(*dedup.Identity) uint64{
		"walk":         func(id *dedup.Identity) uint64 { return id.StartUnixNano },
		"fingerprints": key.Fingerprint,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var sum uint64
			for b.Loop() {
				for id := range spans.Identities(batch) {
					sum += use(id)
				}
			}
			require.NotZero(b, sum)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*spansPerBatch), "ns/span")
		})
	}
}
