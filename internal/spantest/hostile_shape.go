package spantest

import (
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// shapes has what is wrong with how a batch is built.
func (m *hostileMaker) shapes() {
	m.batch("empty_traces", func(ptrace.Traces) {})
	m.batch("empty_resource_spans", func(traces ptrace.Traces) { traces.ResourceSpans().AppendEmpty() })
	m.batch("empty_scope_spans", func(traces ptrace.Traces) {
		traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty()
	})
	m.add("map_of_1000_levels", func(s ptrace.Span) {
		nest(s.Attributes().PutEmpty("deep"), 1000)
		nest(s.Attributes().PutEmpty("gen_ai.response.model"), 1000)
	})
	m.add("attributes_10000", func(s ptrace.Span) {
		for i := range 10_000 {
			s.Attributes().PutInt("attribute."+strconv.Itoa(i), int64(i))
		}
	})
	m.add("events_and_links_10000", func(s ptrace.Span) {
		for range 10_000 {
			s.Events().AppendEmpty().SetName("token")
			s.Links().AppendEmpty().SetTraceID(s.TraceID())
		}
	})
	m.batch("resources_1000_with_a_span_each", func(traces ptrace.Traces) {
		for range 1000 {
			m.span(traces)
		}
	})
	m.batch("span_names_1000", func(traces ptrace.Traces) {
		for i := range 1000 {
			span := m.span(traces)
			span.Attributes().Clear()
			span.SetName("GET /users/" + strconv.Itoa(i))
		}
	})
	m.duplicateKeys()
}

func nest(v pcommon.Value, levels int) {
	for range levels {
		v = v.SetEmptyMap().PutEmpty("k")
	}
	v.SetStr("bottom")
}

func (m *hostileMaker) duplicateKeys() {
	const model, twin = "gen_ai.response.model", "gen_ai.response.mode?"
	m.add("attribute_twice", func(s ptrace.Span) { s.Attributes().PutStr(twin, "another-model") })
	m.twice(model, twin)
	m.add("attribute_twice_of_two_types", func(s ptrace.Span) { s.Attributes().PutInt(twin, 5) })
	m.twice(model, twin)
	m.batch("service_name_twice", func(traces ptrace.Traces) {
		m.span(traces)
		traces.ResourceSpans().At(0).Resource().Attributes().PutStr("service.nam?", "another-service")
	})
	m.twice("service.name", "service.nam?")
}

// twice renames twin to name in the latest batch.
func (m *hostileMaker) twice(name, twin string) {
	latest := &m.cases[len(m.cases)-1]
	latest.Traces = duplicateKey(latest.Traces, name, twin)
}

// traceStates has sampling thresholds, right and wrong.
func (m *hostileMaker) traceStates() {
	for _, c := range []struct{ name, state string }{
		{"valid_sampled_1_of_2", "ot=th:8"},
		{"valid_sampled_1_of_4", "ot=th:c"},
		{"valid_sampled_all", "ot=th:0"},
		{"valid_sampled_1_of_2_among_others", "congo=t61rcWkgMzE,ot=rv:d29d6a7215ced0;th:8;x:y,rojo=00f067aa0ba902b7"},
		{"valid_sampled_1_of_2_to_56", "ot=th:ffffffffffffff"},
		{"sampled_not_hex", "ot=th:zz"},
		{"sampled_upper_case", "ot=th:C"},
		{"sampled_empty", "ot=th:"},
		{"sampled_too_long", "ot=th:fffffffffffffff"},
		{"sampled_twice", "ot=th:8;th:c"},
		{"sampled_no_value", "ot=th"},
		{"trace_state_no_key", "=,;=;"},
		{"trace_state_commas", ",,,,"},
		{"trace_state_invalid_utf8", "ot=th:\xff\x00"},
		{"trace_state_1mb", "ot=th:" + strings.Repeat("f", megabyte)},
		{"trace_state_100000_members", strings.Repeat("a=b,", 100_000) + "ot=th:8"},
	} {
		m.add(c.name, func(s ptrace.Span) { s.TraceState().FromRaw(c.state) })
	}
}
