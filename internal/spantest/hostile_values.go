package spantest

import (
	"bytes"
	"math"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// numberAttributes are read as numbers, textAttributes as names, by what this
// project knows of spans.
var (
	numberAttributes = []string{
		"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.cache_read.input_tokens",
		"gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens",
		"gen_ai.usage.reasoning.output_tokens", "gen_ai.response.time_to_first_chunk", "http.response.status_code",
		"http.request.resend_count",
	}
	textAttributes = []string{
		"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model",
		"gen_ai.conversation.id", "gen_ai.tool.name", "gen_ai.agent.name", "error.type", "mcp.method.name",
		"http.request.method", "http.route", "rpc.service", "rpc.method", "db.system.name", "db.operation.name",
		"db.collection.name", "messaging.system", "chaos.run.id", "test.run.id", "k6.test_run_id",
		"cicd.pipeline.run.id",
	}
)

// numbers puts every bad number into every attribute that is one.
func (m *hostileMaker) numbers() {
	for _, c := range []struct {
		name string
		put  func(pcommon.Value)
	}{
		{"nan", func(v pcommon.Value) { v.SetDouble(math.NaN()) }},
		{"plus_infinity", func(v pcommon.Value) { v.SetDouble(math.Inf(1)) }},
		{"minus_infinity", func(v pcommon.Value) { v.SetDouble(math.Inf(-1)) }},
		{"greatest_double", func(v pcommon.Value) { v.SetDouble(math.MaxFloat64) }},
		{"least_double", func(v pcommon.Value) { v.SetDouble(math.SmallestNonzeroFloat64) }},
		{"minus_zero", func(v pcommon.Value) { v.SetDouble(math.Copysign(0, -1)) }},
		{"fraction", func(v pcommon.Value) { v.SetDouble(1.5) }},
		{"double_beyond_int64", func(v pcommon.Value) { v.SetDouble(1 << 63) }},
		{"minus_one", func(v pcommon.Value) { v.SetInt(-1) }},
		{"least_int64", func(v pcommon.Value) { v.SetInt(math.MinInt64) }},
		{"greatest_int64", func(v pcommon.Value) { v.SetInt(math.MaxInt64) }},
		{"greatest_uint64_text", func(v pcommon.Value) { v.SetStr("18446744073709551615") }},
		{"beyond_int64_text", func(v pcommon.Value) { v.SetStr("9223372036854775808") }},
		{"digits_text", func(v pcommon.Value) { v.SetStr("123") }},
		{"nan_text", func(v pcommon.Value) { v.SetStr("NaN") }},
		{"infinity_text", func(v pcommon.Value) { v.SetStr("+Inf") }},
		{"words_text", func(v pcommon.Value) { v.SetStr("a few") }},
		{"empty_text", func(v pcommon.Value) { v.SetStr("") }},
	} {
		m.add("number_"+c.name, func(span ptrace.Span) {
			for _, name := range numberAttributes {
				c.put(span.Attributes().PutEmpty(name))
			}
		})
	}
	// Each fits into an int64; their sum does not.
	m.batch("sums_beyond_int64", func(traces ptrace.Traces) {
		for range 3 {
			for _, name := range numberAttributes[:2] {
				m.span(traces).Attributes().PutInt(name, math.MaxInt64)
			}
		}
	})
	m.add("first_chunk_after_end", func(span ptrace.Span) {
		span.Attributes().PutDouble("gen_ai.response.time_to_first_chunk", 2)
	})
	m.add("one_output_token", func(span ptrace.Span) {
		span.Attributes().PutDouble("gen_ai.response.time_to_first_chunk", 0.5)
		span.Attributes().PutInt("gen_ai.usage.output_tokens", 1)
	})
}

// texts puts every bad text into everything that is text.
func (m *hostileMaker) texts() {
	for _, c := range []struct{ name, text string }{
		{"invalid_utf8", "caf\xe9 \xff\xfe\xc3"},
		{"cut_rune", "caf\xc3"},
		{"surrogate", "\xed\xa0\x80"},
		{"nul", "before\x00after"},
		{"only_nul", "\x00"},
		{"controls", "\x01\x1b[31m\r\n\t\x7f"},
		{"quotes", `'; DROP TABLE series; --"\`},
		{"json", `{"a":[1,2,{"b":null}]}`},
		{"direction_override", "\u202egnp.exe"},
		{"byte_order_mark", "\ufeffchat"},
		{"overflow_marker", "__overflow__"},
		{"spaces", "   "},
		{"noncharacter", "\uffff\U0010ffff"},
		{"257_bytes", strings.Repeat("x", 257)},
		{"rune_across_256_bytes", strings.Repeat("x", 255) + "é" + strings.Repeat("y", 50)},
	} {
		m.batch("text_"+c.name, func(traces ptrace.Traces) { fillTexts(m.span(traces), traces, c.text) })
	}
	m.add("span_name_10mb", func(s ptrace.Span) {
		s.Attributes().Clear() // otherwise the name is not read
		s.SetName(strings.Repeat("n", 10*megabyte))
	})
	m.add("attribute_10mb", func(s ptrace.Span) {
		s.Attributes().PutStr("gen_ai.input.messages", strings.Repeat("m", 10*megabyte))
	})
	m.add("model_10mb", func(s ptrace.Span) {
		s.Attributes().PutStr("gen_ai.response.model", strings.Repeat("m", 10*megabyte))
	})
	m.add("error_type_10mb_invalid_utf8", func(s ptrace.Span) {
		s.Attributes().PutStr("error.type", strings.Repeat("\xff", 10*megabyte))
	})
	m.add("attribute_name_10mb", func(s ptrace.Span) {
		s.Attributes().PutStr(strings.Repeat("k", 10*megabyte), "v")
	})
	m.batch("service_name_10mb", func(traces ptrace.Traces) {
		m.span(traces)
		traces.ResourceSpans().At(0).Resource().Attributes().PutStr("service.name", strings.Repeat("s", 10*megabyte))
	})
}

func fillTexts(span ptrace.Span, traces ptrace.Traces, text string) {
	resource := traces.ResourceSpans().At(0)
	resource.Resource().Attributes().PutStr("service.name", text)
	resource.Resource().Attributes().PutStr("service.instance.id", text)
	resource.ScopeSpans().At(0).Scope().SetName(text)
	span.SetName(text)
	span.Status().SetMessage(text)
	for _, name := range textAttributes {
		span.Attributes().PutStr(name, text)
	}
	span.Attributes().PutStr(text, text)
}

// types puts a value of every type into every attribute that is read.
func (m *hostileMaker) types() {
	for _, c := range []struct {
		name string
		put  func(pcommon.Value)
	}{
		{"empty", func(pcommon.Value) {}},
		{"text", func(v pcommon.Value) { v.SetStr("text") }},
		{"bool", func(v pcommon.Value) { v.SetBool(true) }},
		{"int", func(v pcommon.Value) { v.SetInt(7) }},
		{"double", func(v pcommon.Value) { v.SetDouble(7.25) }},
		{"bytes", func(v pcommon.Value) { v.SetEmptyBytes().FromRaw([]byte{0, 1, 0xff}) }},
		{"slice", func(v pcommon.Value) { v.SetEmptySlice().AppendEmpty().SetStr("a") }},
		{"empty_slice", func(v pcommon.Value) { v.SetEmptySlice() }},
		{"map", func(v pcommon.Value) { v.SetEmptyMap().PutStr("a", "b") }},
		{"empty_map", func(v pcommon.Value) { v.SetEmptyMap() }},
	} {
		m.batch("type_"+c.name, func(traces ptrace.Traces) {
			attributes := m.span(traces).Attributes()
			c.put(traces.ResourceSpans().At(0).Resource().Attributes().PutEmpty("service.name"))
			for _, name := range append(append([]string{}, textAttributes...), numberAttributes...) {
				c.put(attributes.PutEmpty(name))
			}
		})
	}
}

// duplicateKey makes attribute names equal that pdata would keep apart: only on
// the wire can a name stand twice.
func duplicateKey(traces ptrace.Traces, name, twin string) ptrace.Traces {
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(traces)
	if err != nil {
		panic(err) // cannot happen: marshalling fails for no batch
	}
	again, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(bytes.ReplaceAll(data, []byte(twin), []byte(name)))
	if err != nil {
		panic(err) // cannot happen: the names have one length
	}
	return again
}
