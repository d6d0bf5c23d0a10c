package spantest

import (
	"bytes"
	"fmt"
	"math"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

var epoch = time.Date(2026, 1, 30, 10, 0, 0, 0, time.UTC)

func marshal(t *testing.T, traces ptrace.Traces) []byte {
	t.Helper()
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(traces)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func eachSpan(traces ptrace.Traces, yield func(resource pcommon.Map, span ptrace.Span)) {
	for _, resource := range traces.ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, span := range scope.Spans().All() {
				yield(resource.Resource().Attributes(), span)
			}
		}
	}
}

func TestBatchIsDeterministic(t *testing.T) {
	batches := func(seed uint64) []byte {
		g := New(seed, Wide)
		return append(marshal(t, g.Batch(500, epoch, time.Minute)), marshal(t, g.Batch(77, epoch, time.Second))...)
	}
	if !bytes.Equal(batches(7), batches(7)) {
		t.Error("two runs with one seed differ")
	}
	if bytes.Equal(batches(7), batches(8)) {
		t.Error("two seeds gave the same spans")
	}
}

// seriesOf names the series of a span as an aggregator may see it.
func seriesOf(resource pcommon.Map, span ptrace.Span) string {
	get := func(key string) string {
		v, ok := span.Attributes().Get(key)
		if !ok {
			return ""
		}
		return v.AsString()
	}
	service, _ := resource.Get("service.name")
	return fmt.Sprintf("%q", []string{
		service.AsString(), span.Name(), span.Kind().String(), span.Status().Code().String(),
		get("gen_ai.provider.name"), get("gen_ai.response.model"), get("gen_ai.tool.name"), get("gen_ai.agent.name"),
		get("http.route"), get("http.response.status_code"), get("error.type"),
	})
}

func TestProfiles(t *testing.T) {
	tests := []struct {
		profile        Profile
		least, most    int // series in a batch of 8192
		groups, scopes int // at least
	}{
		{Dense, 45, 55, 8, 20},
		{Wide, 900, 1050, 40, 100},
		{Profile{Series: 200, Services: 5}, 90, 205, 20, 40},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.profile.Name, test.profile.Series), func(t *testing.T) {
			const n = 8192
			batch := New(1, test.profile).Batch(n, epoch, 10*time.Second)
			series := map[string]int{}
			var attributes, streaming, failed int
			eachSpan(batch, func(resource pcommon.Map, span ptrace.Span) {
				series[seriesOf(resource, span)]++
				attributes += span.Attributes().Len()
				if _, ok := span.Attributes().Get("gen_ai.response.time_to_first_chunk"); ok {
					streaming++
				}
				if v, ok := span.Attributes().Get("http.response.status_code"); span.Status().Code() == ptrace.StatusCodeError || ok && v.Int() >= 400 {
					failed++
				}
			})
			t.Logf("%d series", len(series))
			if len(series) < test.least || len(series) > test.most {
				t.Errorf("%d series, want %d…%d", len(series), test.least, test.most)
			}
			within(t, "attributes a span", float64(attributes)/n, 14, 16)
			within(t, "share of streaming spans", float64(streaming)/n, 0.30, 0.37)
			within(t, "share of failed spans", float64(failed)/n, 0.20, 0.33)
			scopes := 0
			for _, resource := range batch.ResourceSpans().All() {
				scopes += resource.ScopeSpans().Len()
			}
			within(t, "resources", float64(batch.ResourceSpans().Len()), float64(test.groups), 1000)
			within(t, "scopes", float64(scopes), float64(test.scopes), 1000)
		})
	}
}

func within(t *testing.T, what string, got, least, most float64) {
	t.Helper()
	t.Logf("%s: %.3g", what, got)
	if math.IsNaN(got) || got < least || got > most {
		t.Errorf("%s: %.3g, want %.3g…%.3g", what, got, least, most)
	}
}

func TestProfileSharesCanBeNone(t *testing.T) {
	batch := New(1, Profile{FailureShare: -1, StreamingShare: -1}).Batch(1000, epoch, time.Minute)
	eachSpan(batch, func(_ pcommon.Map, span ptrace.Span) {
		if _, ok := span.Attributes().Get("gen_ai.response.time_to_first_chunk"); ok {
			t.Error("a span streams")
		}
		if span.Status().Code() != ptrace.StatusCodeUnset {
			t.Error("a span failed")
		}
	})
}

func TestSampledShare(t *testing.T) {
	p := Dense
	p.SampledShare = 0.5
	states := map[string]int{}
	eachSpan(New(1, p).Batch(1000, epoch, time.Minute), func(_ pcommon.Map, span ptrace.Span) {
		states[span.TraceState().AsRaw()]++
	})
	for _, state := range []string{"", "ot=th:8", "ot=th:c"} {
		if states[state] < 150 {
			t.Errorf("%d spans with trace state %q", states[state], state)
		}
	}
}

func TestSpansAreWellFormed(t *testing.T) {
	const over = 3 * time.Second
	batch := New(3, Wide).Batch(5000, epoch, over)
	if got := batch.SpanCount(); got != 5000 {
		t.Fatalf("%d spans", got)
	}
	checkIDs(t, batch)
	traces := map[pcommon.TraceID]int{}
	var last time.Time
	eachSpan(batch, func(_ pcommon.Map, span ptrace.Span) {
		traces[span.TraceID()]++
		start, end := span.StartTimestamp().AsTime(), span.EndTimestamp().AsTime()
		if start.Before(epoch) || !start.Before(epoch.Add(over)) {
			t.Errorf("start %v outside the window", start)
		}
		if start.After(last) {
			last = start
		}
		if !end.After(start) || end.Sub(start) > time.Hour {
			t.Errorf("duration %v", end.Sub(start))
		}
		if first, ok := span.Attributes().Get("gen_ai.response.time_to_first_chunk"); ok {
			if first.Double() <= 0 || first.Double() >= end.Sub(start).Seconds() {
				t.Errorf("first chunk after %g s of %v", first.Double(), end.Sub(start))
			}
		}
	})
	if last.Before(epoch.Add(over * 9 / 10)) {
		t.Errorf("the last span starts at %v: the window is not filled", last)
	}
	if len(traces) < 5000/8 || len(traces) > 5000/2 {
		t.Errorf("%d traces", len(traces))
	}
}

// checkIDs checks that span ids are unique and parents are in their trace.
func checkIDs(t *testing.T, batch ptrace.Traces) {
	t.Helper()
	traceOf := map[pcommon.SpanID]pcommon.TraceID{}
	eachSpan(batch, func(_ pcommon.Map, span ptrace.Span) {
		if _, ok := traceOf[span.SpanID()]; ok || span.SpanID().IsEmpty() || span.TraceID().IsEmpty() {
			t.Errorf("span id %v of trace %v is empty or taken", span.SpanID(), span.TraceID())
		}
		traceOf[span.SpanID()] = span.TraceID()
	})
	eachSpan(batch, func(_ pcommon.Map, span ptrace.Span) {
		if parent := span.ParentSpanID(); !parent.IsEmpty() && traceOf[parent] != span.TraceID() {
			t.Errorf("parent %v is not in the trace of its child", parent)
		}
	})
}

func TestEmptyBatch(t *testing.T) {
	if n := New(1, Dense).Batch(0, epoch, 0).SpanCount(); n != 0 {
		t.Errorf("%d spans", n)
	}
	if n := New(1, Dense).Batch(3, epoch, 0).SpanCount(); n != 3 {
		t.Errorf("%d spans, want 3 at one instant", n)
	}
}

var sink ptrace.Traces

func BenchmarkBatch(b *testing.B) {
	for _, profile := range []Profile{Dense, Wide} {
		b.Run(profile.Name, func(b *testing.B) {
			const n = 8192
			g := New(1, profile)
			for b.Loop() {
				sink = g.Batch(n, epoch, time.Second)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/span")
		})
	}
}
