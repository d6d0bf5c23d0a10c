package spans

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
	"github.com/spanbucket/spanbucketexporter/internal/spantest"
)

// redactingReaders read with the default tables, and with everything
// configured.
func redactingReaders() map[string]*Reader {
	return map[string]*Reader{
		"default": NewReader(Options{}),
		"configured": NewReader(Options{
			Run:        "configured",
			Dimensions: []Dimension{{Name: "tenant"}, {Name: "http.route"}, {Name: "error", Default: "no"}, {Name: "url.path"}},
			Outcomes:   map[string]aggregator.Outcome{"quota": aggregator.OutcomeRateLimited},
			Fields: map[string][]string{
				"operation": {"my.operation", "gen_ai.operation.name"}, "model": {"my.model", "gen_ai.request.model"},
				"input_tokens": {"my.tokens", "gen_ai.usage.input_tokens"}, "finish_reason": {"my.finish"}, "fault": {"my.fault"},
				"session_id": {"my.session"}, "time_to_first_token": {"my.ttft_ms"},
			},
			Prices: []Price{{Model: "*", Input: 1_000_000, Output: 2_000_000}},
		}),
	}
}

func marshalled(t testing.TB, batch ptrace.Traces) []byte {
	t.Helper()
	data, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(batch)
	require.NoError(t, err)
	return data
}

// redacted returns the redacted batch, which must not change when it is
// redacted again.
func redacted(t testing.TB, r *Reader, batch ptrace.Traces) ptrace.Traces {
	t.Helper()
	once := r.Redact(batch)
	require.Equal(t, marshalled(t, once), marshalled(t, r.Redact(once)), "redacted twice")
	return once
}

// requireSameReading compares all that is read of two batches.
func requireSameReading(t testing.TB, r *Reader, want, got ptrace.Traces) {
	t.Helper()
	require.Equal(t, want.ResourceSpans().Len(), got.ResourceSpans().Len())
	expected, actual := requestsOf(r, want), requestsOf(r, got)
	require.Len(t, actual, len(expected))
	for i := range expected {
		require.Equal(t, expected[i], actual[i], "span %d, %q", i, expected[i].SpanName)
	}
	var observations []aggregator.Observation
	for o := range r.Observations(want, goldenNow) {
		observations = append(observations, *o)
	}
	i := 0
	for o := range r.Observations(got, goldenNow) {
		require.Equal(t, observations[i], *o, "observation %d", i)
		i++
	}
	require.Equal(t, len(observations), i)
}

// TestRedactedDialectsReadTheSame: nothing that any dialect says is lost.
func TestRedactedDialectsReadTheSame(t *testing.T) {
	for options, r := range redactingReaders() {
		for name, batch := range goldenCases(t) {
			t.Run(options+"/"+name, func(t *testing.T) {
				batch.MarkReadOnly() // panics on a write
				requireSameReading(t, r, batch, redacted(t, r, batch))
			})
		}
	}
}

// allNames are all attributes that a reader knows, some that it reads in
// another way, and some that it does not.
func allNames(r *Reader) (names []string) {
	for _, table := range []*attributeTable{r.full.span, r.full.resource, r.full.claudeCode} {
		for _, place := range table.names.places {
			names = append(names, place.name)
		}
	}
	for range 3 { // more often
		names = append(names, "http.response.status_code", "error.type", "gen_ai.operation.name", "gen_ai.request.model",
			"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.input.messages", "url.full", "chaos.fault.type")
	}
	for i := range 3 {
		names = append(names, annotationNames(i)...)
	}
	names = append(names, runAttributes...)
	names = append(names, "llm.input_messages.0.message.content", "llm.input_messages.1.message.role", "gen_ai.prompt.07.content",
		"gen_ai.prompt.x.content", "llm.prompts.3.user", "evaluations.1.evaluation.annotator_kind", "annotations.7.annotation.explanation",
		"exception.type", "exception.message", "finish_reason", evaluationName, evaluationLabel, evaluationScore,
		"circuit_breaker.to_state", "circuit_breaker.from_state", "event.name", "unknown", "content", "")
	slices.Sort(names)
	return slices.Compact(names)
}

// allTexts are words that mean something in some attribute, and some that mean
// nothing.
func allTexts() []string {
	return []string{
		"", "a text", "17", "-1", "1.5", "1e3", "NaN", "inf", "0x1p-2", "1e999", "99999999999999999999", strings.Repeat("0", 90) + "7",
		strings.Repeat("0", 90) + ".5", "true", "false", "TRUE", "none", "0", "injector", "action", "ERROR", "latency",
		"503", "429", "timeout", "quota", "DeadlineExceeded", "java.net.SocketTimeoutException", "OK", "14", "200", "-32603", "UF,URX", "DI", " FI ,xx",
		"NR", "/v1/chat/completions", "https://u:p@h.example/openai/deployments/dep-1/chat/completions?api-version=1#x",
		"/openai/deployments/dep:predict/other", "/openai/deployments//embeddings", "https://example.com", "?", "/v1beta/models/g:generateContent",
		"api.example.com", "me@example.com", "/orders/{id}", "GET", "[]", "[1,2,{\"a\":[3]}]", `[{"role":"user"},{"role":"user"}]`, "[cut", ` ["stop", "length"]`,
		`["stop"]`, `["a b c!"]`, "end_turn", "tool-calls", "not a word, surely", "accept", "REJECTED", "auto", `["accept"]`, "config",
		"closed", "half-open", "OPEN", "chat", "Chat", "completion customers", "generation", "GENERATION", "llm", "agent", "tool", "execute_tool",
		"claude-3", "gpt-4o", "openai.chat", "azure", "az.ai.openai", `"2026-01-30T10:00:01.5Z"`, "2026-01-30T10:00:01+02:00", "9999-12-31T23:59:59-05:00",
		"0000-01-01T00:00:00+05:00", `{"input": 5, "output": 7, "total": 12, "secret": 3}`, `{"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 2}, "x": "y"}`,
		`{"a": 0.1, "b": 0.2, "c": 0.3}`, `{"total": 0.25, "a": 1}`, `{"a": 1e308, "b": 1e308}`, `{"a": -1e308, "b": -1e308}`, "{}", "null", `{"input": -1}`,
		`{"input": "5"}`, `{"name": {"x": 1}}`, "a\x00b", "a\xffb", "é", strings.Repeat("x", 256), "pass", "thumbs_down", "human",
		"fault.injected", "exception", "gen_ai.choice", "circuit_breaker.opened", "gen_ai.evaluation.result",
	}
}

// longTexts are longer than what is stored.
var longTexts = []string{
	strings.Repeat("x", 257), strings.Repeat("é", 300), strings.Repeat("\xff", 300), strings.Repeat("a\x00", 200),
	"/openai/deployments/" + strings.Repeat("d", 300) + "/chat/completions", "timeout." + strings.Repeat("y", 400),
}

type redactWorld struct {
	random *rand.Rand
	names  []string
	texts  []string
}

func pickOf[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func (w *redactWorld) putAny(v pcommon.Value) {
	r := w.random
	switch r.IntN(14) {
	case 0:
		v.SetInt(pickOf(r, []int64{0, 1, 3, 200, 429, 503, -1, 1 << 41}))
	case 1:
		v.SetDouble(pickOf(r, []float64{0, 0.25, 3, 429, -1, 1e300}))
	case 2:
		v.SetBool(r.IntN(2) == 0)
	case 3:
		v.SetEmptyBytes().FromRaw([]byte(pickOf(r, w.texts)))
	case 4, 5:
		for slice := v.SetEmptySlice(); r.IntN(3) > 0; {
			w.putAny(slice.AppendEmpty())
		}
	case 6:
		w.putAny(v.SetEmptyMap().PutEmpty(pickOf(r, w.names)))
	case 7: // nothing
	default:
		v.SetStr(pickOf(r, w.texts))
	}
}

func (w *redactWorld) putSome(to pcommon.Map, atMost int) {
	for range w.random.IntN(atMost + 1) {
		w.putAny(to.PutEmpty(pickOf(w.random, w.names)))
	}
}

var redactStates = []string{"", "", "", "ot=th:8", "a=b,ot=th:c;rv:d29d6a7215ced0", "ot=th:zz", "ot=rv:d29d6a7215ced0", "b=dot=1", "ot=\xff", "vendor=x"}

// span makes a span that says much.
func (w *redactWorld) span(span ptrace.Span) {
	r := w.random
	span.SetName(pickOf(r, append(slices.Sorted(maps.Keys(claudeCodeSpans)), "chat gpt", "InjectPodDeleteFaultInServerMode", "method", "")))
	span.SetKind(ptrace.SpanKind(r.IntN(8) - 1))
	span.Status().SetCode(ptrace.StatusCode(r.IntN(4)))
	span.Status().SetMessage("a message")
	span.SetTraceID(pcommon.TraceID{byte(r.IntN(3))})
	span.SetSpanID(pcommon.SpanID{byte(r.IntN(3))})
	span.SetParentSpanID(pcommon.SpanID{byte(r.IntN(3))})
	span.TraceState().FromRaw(pickOf(r, redactStates))
	span.SetStartTimestamp(pcommon.NewTimestampFromTime(goldenNow.Add(-24 * time.Hour)))
	span.SetEndTimestamp(span.StartTimestamp() + pcommon.Timestamp(r.Uint64N(5e9)))
	if r.IntN(9) == 0 {
		span.SetEndTimestamp(pcommon.Timestamp(r.Uint64()))
	}
	w.putSome(span.Attributes(), 25)
	for range r.IntN(4) {
		event := span.Events().AppendEmpty()
		event.SetName(pickOf(r, append(slices.Sorted(maps.Keys(eventNames)), "log", "")))
		event.SetTimestamp(span.StartTimestamp() + pcommon.Timestamp(r.Uint64N(5e9)))
		w.putSome(event.Attributes(), 8)
	}
	w.putSome(span.Links().AppendEmpty().Attributes(), 2)
}

func (w *redactWorld) batch(n int) ptrace.Traces {
	batch := ptrace.NewTraces()
	for n > 0 {
		resource := batch.ResourceSpans().AppendEmpty()
		resource.SetSchemaUrl("a schema")
		w.putSome(resource.Resource().Attributes(), 8)
		for range w.random.IntN(3) {
			scope := resource.ScopeSpans().AppendEmpty()
			scope.Scope().SetName(pickOf(w.random, []string{"", "http", "chaostracing.x", "litmuschaos.io/y", "chaostoolkit"}))
			w.putSome(scope.Scope().Attributes(), 2)
			for range 1 + w.random.IntN(5) {
				w.span(scope.Spans().AppendEmpty())
				n--
			}
		}
	}
	return batch
}

// TestRedactedSpansReadTheSame: whatever is said, in any attribute and of any
// type, is read as before, to the last note.
func TestRedactedSpansReadTheSame(t *testing.T) {
	for options, r := range redactingReaders() {
		t.Run(options, func(t *testing.T) {
			w := redactWorld{seedtest.Rand(t), allNames(r), allTexts()}
			for range 150 {
				batch := w.batch(30)
				requireSameReading(t, r, batch, redacted(t, r, batch))
			}
		})
	}
}

// TestTheReadingNotices is the control: losing any attribute that is read is
// found by what the tests above compare.
func TestTheReadingNotices(t *testing.T) {
	r := NewReader(Options{})
	w := redactWorld{seedtest.Rand(t), allNames(r), allTexts()}
	noticed := map[string]bool{}
	for range 1_500 {
		batch := w.batch(1)
		want := requestsOf(r, batch)
		for name := range namesOf(batch) {
			if noticed[name] {
				continue
			}
			if less := r.Redact(batch); remove(less, name) {
				noticed[name] = !assert.ObjectsAreEqual(want, requestsOf(r, less))
			}
		}
	}
	require.Greater(t, len(noticed), 250)
	missed := slices.DeleteFunc(slices.Sorted(maps.Keys(noticed)), func(name string) bool { return noticed[name] })
	require.Less(t, len(missed), len(noticed)/6, "%v", missed)
}

// namesOf returns the attributes of resources and spans.
func namesOf(batch ptrace.Traces) map[string]bool {
	names := map[string]bool{}
	for _, resourceSpans := range batch.ResourceSpans().All() {
		for name := range resourceSpans.Resource().Attributes().All() {
			names[name] = true
		}
		for _, scopeSpans := range resourceSpans.ScopeSpans().All() {
			for _, span := range scopeSpans.Spans().All() {
				for name := range span.Attributes().All() {
					names[name] = true
				}
			}
		}
	}
	return names
}

// remove takes an attribute from resources and spans, and tells whether there
// was one.
func remove(batch ptrace.Traces, name string) (removed bool) {
	for _, resourceSpans := range batch.ResourceSpans().All() {
		removed = resourceSpans.Resource().Attributes().Remove(name) || removed
		for _, scopeSpans := range resourceSpans.ScopeSpans().All() {
			for _, span := range scopeSpans.Spans().All() {
				removed = span.Attributes().Remove(name) || removed
			}
		}
	}
	return removed
}

// stored returns a request as it is stored, without what a text that is too
// long can change.
func stored(request aggregator.Request, long bool) aggregator.Request {
	clean := func(texts ...*string) {
		for _, text := range texts {
			*text, _ = aggregator.CleanText(*text)
		}
	}
	s := &request.Series
	s.Clean()
	clean(&request.Instance, &request.SpanName, &request.ResponseModel, &request.Deployment, &request.Endpoint, &request.Phase,
		&request.FinishReason, &request.ToolCallID, &request.DecisionSource, &request.ExperimentID, &request.Target, &request.Circuit,
		&request.RunFacts.Name, &request.RunFacts.Mode, &request.RunFacts.Profile, &request.RunFacts.Preset, &request.Session)
	for i := range request.Circuits {
		clean(&request.Circuits[i].Circuit)
	}
	for i := range request.Evaluations {
		clean(&request.Evaluations[i].Name, &request.Evaluations[i].Label, &request.Evaluations[i].Source)
	}
	if window := request.Window; window != nil {
		clean(&window.Fault, &window.Target, &window.ExperimentID, &window.Run)
	}
	if long {
		// Joined, made lower, a URL because of the hash, or decided by the
		// whole length.
		s.Operation, s.Provider, s.Dimensions, request.Instance, request.Endpoint, request.Deployment, request.Circuit = "", "", "", "", "", "", ""
		for i := range request.Circuits {
			request.Circuits[i].Circuit = ""
		}
		for i := range request.Evaluations {
			request.Evaluations[i].Source = ""
		}
		s.Outcome, request.CostNanoUSD, request.Priced, request.Notes = 0, 0, false, 0
		if request.Window != nil {
			request.Window.Fault = ""
		}
	}
	return request
}

// TestLongTextsAreReadAsTheyAreStored: what is stored of a text that is too
// long is in the letter, and nothing else of the span changes.
func TestLongTextsAreReadAsTheyAreStored(t *testing.T) {
	for options, r := range redactingReaders() {
		t.Run(options, func(t *testing.T) {
			w := redactWorld{seedtest.Rand(t), allNames(r), append(allTexts(), longTexts...)}
			for range 150 {
				batch := w.batch(30)
				less := redacted(t, r, batch)
				want, got := requestsOf(r, batch), requestsOf(r, less)
				for i := range want {
					require.Equal(t, stored(want[i], true), stored(got[i], true), "span %d", i)
				}
			}
		})
	}
}

// TestWhatRedactionChanges shows each exception of Redact at work: one that
// does not differ any more is none.
func TestWhatRedactionChanges(t *testing.T) {
	r := NewReader(Options{Prices: []Price{{Model: "*", Input: 1_000_000}}})
	long := strings.Repeat("x", 300)
	numbered := attributes{}
	for i := range maxNumbered + 5 {
		numbered["gen_ai.prompt."+strconv.Itoa(i)+".content"] = "a text"
	}
	for name, c := range map[string]struct {
		span  attributes
		shown func(aggregator.Request) any
		want  [2]any // before, after
	}{
		"a long text is cut already": {
			attributes{"gen_ai.tool.name": long}, func(q aggregator.Request) any { return q.Series.Clean() }, [2]any{aggregator.NoteValueTruncated, aggregator.Note(0)},
		},
		"joined texts are cut by themselves": {
			attributes{"http.request.method": "GET", "http.route": long}, func(q aggregator.Request) any { return stored(q, false).Series.Operation },
			[2]any{cleaned("GET " + long), cleaned("GET " + cleaned(long))},
		},
		"a cut name may have a price": {
			attributes{"gen_ai.operation.name": "chat", "gen_ai.request.model": long, "gen_ai.usage.input_tokens": 5},
			func(q aggregator.Request) any { return q.Priced }, [2]any{false, true},
		},
		"a cut route looks like a URL": {
			attributes{"http.route": long, "server.address": "api"}, func(q aggregator.Request) any { return q.Endpoint }, [2]any{long, "api"},
		},
		"many numbered messages": {
			numbered, func(q aggregator.Request) any { return q.MessageCount }, [2]any{int64(maxNumbered + 5), int64(maxNumbered)},
		},
		"a description that is not stored": {
			attributes{"chaos.run.id": "r", "chaos.config": strings.Repeat("x", maxConfigBytes+1)},
			func(q aggregator.Request) any { return len(q.RunFacts.ConfigJSON) }, [2]any{maxConfigBytes + 1, 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			batch, _ := spanWith(t, attributes{"service.name": "shop"}, c.span)
			require.Equal(t, c.want[0], c.shown(requestsOf(r, batch)[0]))
			require.Equal(t, c.want[1], c.shown(requestsOf(r, redacted(t, r, batch))[0]))
		})
	}
}

func cleaned(text string) string {
	text, _ = aggregator.CleanText(text)
	return text
}

// TestHostileSpansAreRedacted: also attributes that stand twice, where the
// usable one stays, and bytes that are no text.
func TestHostileSpansAreRedacted(t *testing.T) {
	for options, r := range redactingReaders() {
		for _, c := range spantest.Hostile(1) {
			less := redacted(t, r, c.Traces)
			want, got := requestsOf(r, c.Traces), requestsOf(r, less)
			require.Len(t, got, len(want), c.Name)
			for i := range want {
				require.Equal(t, stored(want[i], true), stored(got[i], true), "%s: %s, span %d", options, c.Name, i)
			}
		}
	}
}

// TestDeepValuesAreNotWalkedInto: a stack has an end.
func TestDeepValuesAreNotWalkedInto(t *testing.T) {
	batch, span := spanWith(t, nil, nil)
	for _, name := range []string{"gen_ai.input.messages", "gen_ai.response.finish_reasons", "unknown", "error.type"} {
		value := span.Attributes().PutEmpty(name)
		for range 2_000_000 {
			value = value.SetEmptySlice().AppendEmpty()
		}
		value.SetStr("content")
	}
	less := NewReader(Options{}).Redact(batch)
	require.Less(t, len(marshalled(t, less)), 200)
	require.Equal(t, int64(1), requestsOf(NewReader(Options{}), less)[0].MessageCount)
}

// TestEveryUsageNumberIsKept compares the names with those that the reader asks
// for, which stand in its code.
func TestEveryUsageNumberIsKept(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "usage.go", nil, 0)
	require.NoError(t, err)
	asked := map[string]bool{}
	for _, declaration := range file.Decls {
		if f, ok := declaration.(*ast.FuncDecl); ok && f.Name.Name == "readUsageDetails" {
			ast.Inspect(f, func(n ast.Node) bool {
				if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					name, err := strconv.Unquote(literal.Value)
					require.NoError(t, err)
					asked[name] = true
				}
				return true
			})
		}
	}
	require.ElementsMatch(t, usageNames, slices.Collect(maps.Keys(asked)))
}

// TestShownTexts says what is left of some texts.
func TestShownTexts(t *testing.T) {
	for _, c := range []struct {
		field field
		text  string
		want  string
	}{
		{fieldInputTokens, "12", "12"}, {fieldInputTokens, "a secret", "?"}, {fieldErrorFlag, "true", "true"}, {fieldErrorFlag, "a secret", "?"},
		{fieldUsageDetails, `{"input": 5, "secret": 6}`, `{"input":5}`}, {fieldCostDetails, `{"secret": 2, "other": 3}`, `{"total":5}`},
		{fieldFinishReason, `["stop", "secret"]`, "stop"}, {fieldFinishReason, "Dear Sir, a secret", "?"},
		{fieldMessages, `[{"role": "user", "content": "secret"}, 1]`, "[0,0]"}, {fieldMessages, "secret", "?"}, {fieldMessages, "[]", "[]"},
		{fieldURL, "https://me:secret@example.com/secret/v1/messages?secret#secret", "/v1/messages"}, {fieldURL, "/secret", "?"},
		{fieldURL, "/openai/deployments/dep/embeddings?secret", "/openai/deployments/dep/embeddings"},
		{fieldServerAddress, "https://secret", "?"}, {fieldServerAddress, "api.example.com", "api.example.com"},
		{fieldFaultHeaderAbort, "secret", "?"}, {fieldFaultHeaderAbort, "none", "none"}, {fieldChaosToolkit, "secret", "?"},
		{fieldFirstTokenTime, `"2026-01-30T12:00:00+02:00"`, "2026-01-30T10:00:00Z"}, {fieldFirstTokenTime, "secret", "?"},
		{fieldResponseFlags, "secret, UF", "UF"}, {fieldDecision, "secret, surely", "?"}, {fieldCircuitState, "Half-Open", "half_open"},
	} {
		require.Equal(t, c.want, shownOf[c.field].text(c.text), "%s of %s", c.text, fieldMeanings[c.field])
	}
}

// TestShownTextsSayTheSame: what stands for a text is not empty, short, and
// stands for itself.
func TestShownTextsSayTheSame(t *testing.T) {
	for _, text := range append(allTexts(), longTexts...) {
		for f, s := range shownOf {
			if s.text == nil || text == "" {
				continue
			}
			shown := s.text(text)
			label := fmt.Sprintf("%.80q of %s", text, fieldMeanings[f])
			require.NotEmpty(t, shown, label)
			require.Equal(t, shown, s.text(shown), label)
			if field(f) != fieldRunConfig {
				require.LessOrEqual(t, len(shown), max(len(text)+40, 600), label)
			}
		}
	}
}

// BenchmarkRedact redacts batches; time is per span.
func BenchmarkRedact(b *testing.B) {
	const spansPerBatch = 1_000
	batch := spantest.New(1, spantest.Wide).Batch(spansPerBatch, goldenNow, time.Second)
	r := NewReader(Options{})
	for b.Loop() {
		r.Redact(batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*spansPerBatch), "ns/span")
}

// FuzzRedact: whatever a receiver can decode is redacted without a panic, to
// as many spans that are folded or rejected as before, once and for all.
func FuzzRedact(f *testing.F) {
	readers := redactingReaders()
	r := readers["configured"]
	w := redactWorld{rand.New(rand.NewPCG(1, 1)), allNames(r), append(allTexts(), longTexts...)}
	for range 20 {
		f.Add(marshalled(f, w.batch(2)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		batch, err := UnmarshalLetter(data)
		if err != nil {
			return
		}
		for _, r := range readers {
			less := redacted(t, r, batch)
			want, got := requestsOf(r, batch), requestsOf(r, less)
			require.Len(t, got, len(want))
			for i := range want {
				require.Equal(t, want[i].Rejected, got[i].Rejected)
				require.Equal(t, want[i].Series.Category, got[i].Series.Category)
				require.Equal(t, [2]any{want[i].TraceID, want[i].SpanID}, [2]any{got[i].TraceID, got[i].SpanID})
			}
		}
	})
}

// TestRedactionWithoutSessions leaves nothing that names a session or a tool
// call, wherever it stands.
func TestRedactionWithoutSessions(t *testing.T) {
	for name, c := range map[string]struct{ resource, span attributes }{
		"a conversation":           {attributes{"service.name": "shop"}, attributes{"gen_ai.conversation.id": "secret"}},
		"a session of the process": {attributes{"session.id": "secret"}, attributes{"gen_ai.operation.name": "chat"}},
		"a tool call":              {attributes{"service.name": "shop"}, attributes{"gen_ai.tool.call.id": "secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			batch, _ := spanWith(t, c.resource, c.span)
			for drop, want := range map[bool]bool{false: true, true: false} {
				payload, err := MarshalLetter(NewReader(Options{DropSessions: drop}).Redact(batch))
				require.NoError(t, err)
				require.Equal(t, want, strings.Contains(string(payload), "secret"), "dropped: %v", drop)
			}
		})
	}
}
