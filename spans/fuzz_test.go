package spans_test

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/internal/spantest"
	"github.com/spanbucket/spanbucketexporter/spans"
)

// FuzzOTLP: bytes that a receiver can decode are read without a panic, folded
// or rejected one by one, and read again the same.
func FuzzOTLP(f *testing.F) {
	marshaler := &ptrace.ProtoMarshaler{}
	for _, c := range spantest.Hostile(1) {
		if data, err := marshaler.MarshalTraces(c.Traces); err == nil && len(data) < 1<<12 {
			f.Add(data)
		}
	}
	for seed := range uint64(3) {
		data, err := marshaler.MarshalTraces(spantest.New(seed, spantest.Wide).Batch(3, now, time.Second))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	reader := spans.NewReader(options)
	f.Fuzz(func(t *testing.T, data []byte) {
		batch, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(data)
		if err != nil {
			return
		}
		fold(t, reader, batch)
		again := read(reader, batch)
		for i, o := range read(reader, batch) {
			if o != again[i] {
				t.Fatalf("span %d is read as %+v, then as %+v", i, again[i], o)
			}
		}
	})
}
