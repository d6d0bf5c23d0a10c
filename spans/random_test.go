package spans_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/spans"
)

var (
	anyName = []string{
		"service.name", "chaos.run.id", "test.run.id", "k6.test_run_id", "cicd.pipeline.run.id", "gen_ai.operation.name",
		"gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model", "gen_ai.usage.input_tokens",
		"gen_ai.usage.output_tokens", "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_write.input_tokens",
		"gen_ai.usage.reasoning.output_tokens", "gen_ai.response.time_to_first_chunk", "gen_ai.conversation.id",
		"gen_ai.tool.name", "gen_ai.agent.name", "http.response.status_code", "error.type", "http.request.resend_count",
		"mcp.method.name", "http.request.method", "http.route", "rpc.service", "rpc.method", "db.system.name",
		"db.operation.name", "db.collection.name", "messaging.system", "unknown", "", "\xff",
	}
	anyText = []string{
		"", "chat", "embeddings", "execute_tool", "timeout", "429", "503", "malformed_json", "a\x00b", "a\xffb", "é", "quota",
		"__overflow__", "17", "1.5", "NaN", strings.Repeat("x", 256), strings.Repeat("é", 129), strings.Repeat("\xff", 300),
	}
	anyInt    = []int64{0, 1, 2, 100, 200, 404, 429, 499, 500, 529, 1 << 40, 1<<40 + 1, -1, math.MaxInt64, math.MinInt64}
	anyDouble = []float64{
		0, 0.25, 1, 200, 429, 1.5, -1, 86_400, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, 5e-324, 1 << 63,
	}
	anyTime  = []int64{0, 1, 1e9, 1_769_767_200e9, 1_769_767_201e9, 1_769_853_600e9, 1_769_853_601e9, math.MaxInt64, -1, math.MinInt64}
	anyState = []string{"", "", "", "ot=th:8", "ot=th:c", "ot=th:zz", "ot=rv:d29d6a7215ced0", "ot=th:ffffffffffffff", "a=b,ot=th:4", "ot=\xff"}
)

func pick[T any](random *rand.Rand, list []T) T { return list[random.IntN(len(list))] }

func putAny(random *rand.Rand, v pcommon.Value) {
	switch random.IntN(12) {
	case 0, 1, 2, 3, 4:
		v.SetStr(pick(random, anyText))
	case 5, 6:
		v.SetInt(pick(random, anyInt))
	case 7:
		v.SetDouble(pick(random, anyDouble))
	case 8:
		v.SetBool(random.IntN(2) == 0)
	case 9:
		v.SetEmptyBytes().FromRaw([]byte(pick(random, anyText)))
	case 10:
		putAny(random, v.SetEmptySlice().AppendEmpty())
	default:
		putAny(random, v.SetEmptyMap().PutEmpty(pick(random, anyName)))
	}
}

// anySpans returns a batch of spans that may say anything.
func anySpans(random *rand.Rand, n int) ptrace.Traces {
	batch := ptrace.NewTraces()
	var list ptrace.SpanSlice
	for i := range n {
		if i == 0 || random.IntN(4) == 0 {
			resourceSpans := batch.ResourceSpans().AppendEmpty()
			for range random.IntN(4) {
				putAny(random, resourceSpans.Resource().Attributes().PutEmpty(pick(random, anyName)))
			}
			list = resourceSpans.ScopeSpans().AppendEmpty().Spans()
		}
		span := list.AppendEmpty()
		span.SetName(pick(random, anyText))
		span.SetKind(ptrace.SpanKind(random.IntN(8) - 1))
		span.Status().SetCode(ptrace.StatusCode(random.IntN(4)))
		span.SetTraceID(pcommon.TraceID{byte(random.IntN(2))})
		span.SetSpanID(pcommon.SpanID{byte(random.IntN(2))})
		span.TraceState().FromRaw(pick(random, anyState))
		span.SetStartTimestamp(pcommon.Timestamp(1_769_767_200e9))
		if random.IntN(4) == 0 {
			span.SetStartTimestamp(pcommon.Timestamp(pick(random, anyTime)))
		}
		span.SetEndTimestamp(span.StartTimestamp() + pcommon.Timestamp(random.Uint64N(5e9)))
		if random.IntN(4) == 0 {
			span.SetEndTimestamp(pcommon.Timestamp(pick(random, anyTime)))
		}
		for range random.IntN(12) {
			putAny(random, span.Attributes().PutEmpty(pick(random, anyName)))
		}
	}
	return batch
}

// TestAnySpan: spans with any value in any attribute are folded or rejected one
// by one, hold only what can be stored and keep to the bounds of an
// observation.
func TestAnySpan(t *testing.T) {
	random := seedtest.Rand(t)
	reader := spans.NewReader(options)
	for range 300 {
		batch := anySpans(random, 1+random.IntN(200))
		fold(t, reader, batch)
		for i, o := range read(reader, batch) {
			if o.Rejected == aggregator.NotRejected {
				checkBounds(t, i, &o)
			}
		}
		if t.Failed() {
			return
		}
	}
}

func checkBounds(t *testing.T, i int, o *aggregator.Observation) {
	t.Helper()
	for _, tokens := range []int64{o.InputTokens, o.OutputTokens, o.CacheReadTokens, o.CacheWriteTokens, o.ReasoningTokens} {
		if tokens < 0 || tokens > 1<<40 || tokens > 0 && !o.Usage {
			t.Errorf("span %d: tokens %d, usage %v", i, tokens, o.Usage)
		}
	}
	leaf := o.Series.Category == aggregator.CategoryLLM || o.Series.Category == aggregator.CategoryEmbedding
	if o.Usage && !leaf || o.Priced && !o.Usage {
		t.Errorf("span %d of category %v: usage %v, priced %v", i, o.Series.Category, o.Usage, o.Priced)
	}
	if o.Resends < 0 || o.Resends > 1_000_000 || o.AdjustedMicro < 1_000_000 {
		t.Errorf("span %d: resends %d, adjusted count %d", i, o.Resends, o.AdjustedMicro)
	}
	const day = 24 * 3600 * 1_000_000_000
	for m := range aggregator.NumMeasures {
		if v, present := o.Measure(m); v < 0 || v > day || !present && v != 0 {
			t.Errorf("span %d: %v is %d, %v", i, m, v, present)
		}
	}
	if o.StartUnixNano <= 0 || o.EndUnixNano != 0 && o.EndUnixNano < o.StartUnixNano {
		t.Errorf("span %d: from %d to %d", i, o.StartUnixNano, o.EndUnixNano)
	}
	if o.Series.Kind >= aggregator.NumKinds || o.Series.Category >= aggregator.NumCategories || o.Series.Outcome >= aggregator.NumOutcomes {
		t.Errorf("span %d: %+v", i, o.Series)
	}
}

// TestAnySpanAlone: each of them says the same alone, read by a new reader, as
// among the others.
func TestAnySpanAlone(t *testing.T) {
	random := seedtest.Rand(t)
	reader := spans.NewReader(options)
	for range 20 {
		batch := anySpans(random, 100)
		got, i := read(reader, batch), 0
		for _, resourceSpans := range batch.ResourceSpans().All() {
			for _, span := range resourceSpans.ScopeSpans().At(0).Spans().All() {
				alone := ptrace.NewTraces()
				r := alone.ResourceSpans().AppendEmpty()
				resourceSpans.Resource().CopyTo(r.Resource())
				span.CopyTo(r.ScopeSpans().AppendEmpty().Spans().AppendEmpty())
				if want := read(spans.NewReader(options), alone)[0]; got[i] != want {
					t.Fatalf("span %d is read as\n%+v\nand alone as\n%+v", i, got[i], want)
				}
				i++
			}
		}
	}
}
