package spanbucketexporter

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/internal/metadata"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/internal/spantest"
)

// TestHostileInputCostsOnlyItself puts every hostile batch between spans in
// order: those are folded, the hostile ones are folded or rejected under a
// name, and the ledger accounts for all.
func TestHostileInputCostsOnlyItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	e := newTracesExporter(testConfig(path), exportertest.NewNopSettings(metadata.Type))
	e.now = func() time.Time { return spantest.HostileStart }
	require.NoError(t, e.start(t.Context(), componenttest.NewNopHost()))
	r := seedtest.Rand(t)
	sent, inOrder := 0, 0
	for _, c := range spantest.Hostile(1) {
		good := traces(randomSpans(r, 5, spantest.HostileStart, time.Second))
		for i := range good.ResourceSpans().Len() {
			good.ResourceSpans().At(i).Resource().Attributes().PutStr("service.name", "in order")
		}
		inOrder += good.SpanCount()
		c.Traces.ResourceSpans().MoveAndAppendTo(good.ResourceSpans())
		sent += good.SpanCount()
		require.NoError(t, e.consume(t.Context(), good), c.Name)
	}
	require.NoError(t, e.shutdown(t.Context()))

	reader := openReader(t, path)
	ledger, total := map[string]int64{}, int64(0)
	for _, r := range query(t, reader, "SELECT reason, spans FROM ledger") {
		ledger[r["reason"].(string)] = r["spans"].(int64)
		if r["reason"] != "received" {
			total += r["spans"].(int64)
		}
	}
	require.EqualValues(t, sent, ledger["received"])
	require.EqualValues(t, sent, total)
	for _, reason := range []string{"no_start_time", "start_in_future"} {
		require.Positive(t, ledger[reason], reason)
	}
	noted := map[string]bool{}
	for _, r := range query(t, reader, "SELECT reason FROM notes") {
		noted[r["reason"].(string)] = true
	}
	for _, note := range []string{
		"end_before_start", "no_end_time", "duration_too_long", "zero_id", "no_service_name", "invalid_utf8", "nul_byte",
		"value_truncated", "invalid_attribute_type", "invalid_number", "invalid_trace_state",
	} {
		require.True(t, noted[note], "no span is noted as %s", note)
	}
	requireInOrder := query(t, reader, `SELECT sum(requests) AS n FROM latency WHERE width_s = 3600 AND service = 'in order'`)
	require.EqualValues(t, inOrder, requireInOrder[0]["n"])
	longest := query(t, reader, "SELECT max(length(CAST(service || operation || model || error_type AS BLOB))) AS n FROM series")
	require.LessOrEqual(t, longest[0]["n"].(int64), int64(4*256))
}

// FuzzTraces sends OTLP bytes through the decoder, the exporter and the file.
// Nothing may panic, be refused or go uncounted.
func FuzzTraces(f *testing.F) {
	marshaler := &ptrace.ProtoMarshaler{}
	for _, c := range spantest.Hostile(1) {
		if b, err := marshaler.MarshalTraces(c.Traces); err == nil && len(b) < 1<<16 {
			f.Add(b)
		}
	}
	e := newTracesExporter(testConfig(filepath.Join(f.TempDir(), "fuzz.db")), exportertest.NewNopSettings(metadata.Type))
	if err := e.start(f.Context(), componenttest.NewNopHost()); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := e.shutdown(context.Background()); err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		batch, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(b)
		if err != nil {
			return
		}
		if err := e.consume(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	})
}

// TestMillionNames floods one dimension: the live series stay at the cap, the
// totals stay exact and the file names the dimension that overflowed.
func TestMillionNames(t *testing.T) {
	const (
		maxSeries = 500
		perBatch  = 5000
		batches   = 200
	)
	path := filepath.Join(t.TempDir(), "spanbucket.db")
	config := testConfig(path, time.Minute)
	config.MaxSeries = maxSeries
	e := startExporter(t, config)
	start := time.Date(2026, 1, 30, 10, 0, 0, 0, time.UTC).UnixNano()
	before := heapInUse()
	for b := range batches {
		batch := ptrace.NewTraces()
		resource := batch.ResourceSpans().AppendEmpty()
		resource.Resource().Attributes().PutStr("service.name", "flood")
		out := resource.ScopeSpans().AppendEmpty().Spans()
		for i := range perBatch {
			n := b*perBatch + i
			span := out.AppendEmpty()
			span.SetName(fmt.Sprint("name ", n))
			span.SetTraceID([16]byte{1})
			span.SetSpanID([8]byte{1, byte(n >> 16), byte(n >> 8), byte(n)})
			span.SetStartTimestamp(pcommon.Timestamp(start))
			span.SetEndTimestamp(pcommon.Timestamp(start + int64(n)))
		}
		require.NoError(t, e.ConsumeTraces(t.Context(), batch))
	}
	require.Less(t, heapInUse()-before, int64(48<<20), "bytes that a million names leave behind")
	stopExporter(t, e)

	const total = perBatch * batches
	reader := openReader(t, path)
	require.Equal(t, []row{{"n": int64(maxSeries + 1)}}, query(t, reader, "SELECT count(*) AS n FROM series"))
	require.Equal(t, []row{{"n": int64(total), "sum": int64(total) * (total - 1) / 2}},
		query(t, reader, "SELECT sum(requests) AS n, sum(sum_latency_ns) AS sum FROM latency"))
	require.Equal(t, []row{{"n": int64(total - maxSeries)}},
		query(t, reader, "SELECT spans AS n FROM notes WHERE reason = 'dimension_dropped:operation'"))
	overflow := query(t, reader, "SELECT service, category, outcome, operation, requests FROM latency WHERE operation = '__overflow__'")
	require.Equal(t, []row{{
		"service": "flood", "category": "other", "outcome": "success", "operation": "__overflow__",
		"requests": int64(total - maxSeries),
	}}, overflow)
}

// TestLongNamesAreLetGo: what is remembered of a series must not hold on to the
// megabyte that was cut off its name.
func TestLongNamesAreLetGo(t *testing.T) {
	e := startExporter(t, testConfig(filepath.Join(t.TempDir(), "spanbucket.db"), time.Minute))
	defer stopExporter(t, e)
	before := heapInUse()
	for i := range 100 {
		batch := ptrace.NewTraces()
		resource := batch.ResourceSpans().AppendEmpty()
		resource.Resource().Attributes().PutStr("service.name", "flood")
		span := resource.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		span.SetName(fmt.Sprint(i, strings.Repeat("x", 1<<20)))
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		require.NoError(t, e.ConsumeTraces(t.Context(), batch))
	}
	require.Less(t, heapInUse()-before, int64(16<<20), "bytes that a hundred names of a megabyte leave behind")
}

// heapInUse returns the bytes of live objects.
func heapInUse() int64 {
	runtime.GC()
	runtime.GC() // the second empties what sync.Pool keeps for one cycle
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
