package storage

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// chats are spans as instrumentations of LLM calls send them: of a few series,
// in the order in which they end.
func chats(rng *rand.Rand, n int, from time.Duration) []aggregator.Request {
	out := make([]aggregator.Request, n)
	for i := range out {
		duration := time.Duration(2e8 + rng.ExpFloat64()*1e9)
		r := aggregator.Request{Observation: observation(from+time.Duration(i)*time.Millisecond-duration, duration)}
		r.Series.Kind, r.Series.Provider = aggregator.KindClient, "openai"
		r.Series.Model = fmt.Sprintf("model-%d", rng.IntN(20))
		binary.BigEndian.PutUint64(r.TraceID[:], rng.Uint64())
		binary.BigEndian.PutUint64(r.SpanID[:], rng.Uint64())
		binary.BigEndian.PutUint64(r.ParentSpanID[:], rng.Uint64())
		r.SetMeasure(aggregator.MeasureTimeToFirstToken, int64(duration)/4)
		r.Usage, r.InputTokens, r.OutputTokens = true, rng.Int64N(4000), rng.Int64N(900)
		r.Priced, r.CostNanoUSD = true, r.InputTokens*2500+r.OutputTokens*10_000
		r.Known = aggregator.FactInputTokens | aggregator.FactOutputTokens
		r.Session, r.Details = fmt.Sprintf("session-%08x", rng.Uint32N(500)), everyDetail
		r.SpanName, r.ResponseModel, r.FinishReason = "chat "+r.Series.Model, r.Series.Model+"-2026-01-01", "stop"
		r.Instance, r.Endpoint = fmt.Sprintf("pod-%d", rng.IntN(5)), "api.openai.com"
		out[i] = r
	}
	return out
}

// BenchmarkWrite says what a span costs in the writer, without and with a row
// of its own, and how many bytes that row takes.
func BenchmarkWrite(b *testing.B) {
	for _, rows := range []bool{false, true} {
		b.Run(fmt.Sprintf("rows=%v", rows), func(b *testing.B) {
			const spansPerBatch = 4096
			o := manySeries(Options{
				Path: filepath.Join(b.TempDir(), "bench.db"), SettleAfter: time.Minute,
				Widths: []Width{{Seconds: 1, Detail: DetailHeadline}, {Seconds: 10}, {Seconds: 300}, {Seconds: 3600}},
				Now:    func() time.Time { return anInstant },
			})
			s, err := Open(b.Context(), o)
			require.NoError(b, err)
			rng := rand.New(rand.NewPCG(1, 2))
			spans := 0
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				batch := requestBatch(o, chats(rng, spansPerBatch, time.Duration(spans)*time.Millisecond)...)
				if !rows {
					batch.Requests = nil
				}
				b.StartTimer()
				require.NoError(b, s.Write(b.Context(), batch))
				spans += spansPerBatch
			}
			b.StopTimer()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(spans), "ns/span")
			require.NoError(b, s.Close())
			b.ReportMetric(float64(sizeOf(o.Path))/float64(spans), "B/span")
		})
	}
}
