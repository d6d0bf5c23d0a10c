package spans_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/spantest"
	"github.com/spanbucket/spanbucketexporter/spans"
)

var widths = aggregator.Widths{Headline: 1, Series: 10}

// options configure everything there is.
var options = spans.Options{
	Run: "configured",
	Dimensions: []spans.Dimension{
		{Name: "gen_ai.response.model"}, {Name: "service.name"}, {Name: "error.type", Default: "none"},
	},
	Outcomes: map[string]aggregator.Outcome{"quota": aggregator.OutcomeRateLimited},
}

// fold returns the delta of a batch, and checks what holds of every batch:
// nothing is lost, and everything can be stored.
func fold(t *testing.T, r *spans.Reader, batch ptrace.Traces) *aggregator.Delta {
	t.Helper()
	d := aggregator.NewDelta(widths)
	for o := range r.Observations(batch, now) {
		d.Fold(o)
	}
	var rejected, inSeries, inHeadline int64
	for reason := aggregator.NotRejected + 1; reason < aggregator.NumRejections; reason++ {
		rejected += d.Rejected(reason)
	}
	if got := int64(batch.SpanCount()); d.Received() != got || d.Folded()+rejected != got {
		t.Fatalf("%d spans: received %d, folded %d, rejected %d", got, d.Received(), d.Folded(), rejected)
	}
	for i := range d.SeriesCells() {
		inSeries += d.SeriesCells()[i].Counters[aggregator.Requests]
		checkCell(t, &d.SeriesCells()[i].Cell)
	}
	for i := range d.HeadlineCells() {
		inHeadline += d.HeadlineCells()[i].Counters[aggregator.Requests]
		checkCell(t, &d.HeadlineCells()[i].Cell)
	}
	if inSeries != d.Folded() || inHeadline != d.Folded() {
		t.Fatalf("folded %d, %d in series, %d in the headline", d.Folded(), inSeries, inHeadline)
	}
	for _, s := range d.Series() {
		for _, text := range []string{s.Run, s.Service, s.Operation, s.Provider, s.Model, s.Tool, s.Agent, s.ErrorType, s.Fault} {
			if !utf8.ValidString(text) || strings.Contains(text, "\x00") || len(text) > aggregator.MaxValueBytes {
				t.Fatalf("series holds %q", text)
			}
		}
		if s.Dimensions != "" && !json.Valid([]byte(s.Dimensions)) || !utf8.ValidString(s.Dimensions) {
			t.Fatalf("dimensions %q", s.Dimensions)
		}
	}
	return d
}

func checkCell(t *testing.T, c *aggregator.Cell) {
	t.Helper()
	for i, n := range c.Counters {
		if n < 0 {
			t.Fatalf("counter %d is %d", i, n)
		}
	}
	for m := range c.Measures {
		if err := c.Measures[m].Validate(); err != nil {
			t.Fatal(err)
		}
		if n := c.Measures[m].Count(); n > c.Counters[aggregator.Requests] {
			t.Fatalf("%v of %d spans, there are %d", aggregator.Measure(m), n, c.Counters[aggregator.Requests])
		}
	}
}

// hostileCosts says, for what spantest calls hostile, how it is counted: as
// rejected, or as folded with notes. What is not here must be folded, and may
// be noted.
var hostileCosts = map[string]struct {
	rejected string
	notes    []string
}{
	"end_before_start":             {"", []string{"end_before_start"}},
	"end_equals_start":             {"", nil},
	"zero_start":                   {"no_start_time", nil},
	"zero_end":                     {"", []string{"no_end_time"}},
	"zero_start_and_end":           {"no_start_time", nil},
	"start_far_in_future":          {"start_in_future", nil},
	"start_greatest_int64":         {"start_in_future", nil},
	"start_beyond_int64":           {"start_in_future", nil},
	"start_greatest_uint64":        {"start_in_future", nil},
	"end_beyond_int64":             {"", []string{"duration_too_long"}},
	"end_greatest_uint64":          {"", []string{"duration_too_long"}},
	"difference_wraps":             {"start_in_future", nil},
	"valid_duration_of_24h":        {"", nil},
	"duration_over_24h":            {"", []string{"duration_too_long"}},
	"duration_of_years":            {"", []string{"duration_too_long"}},
	"number_nan":                   {"", []string{"invalid_number"}},
	"number_plus_infinity":         {"", []string{"invalid_number"}},
	"number_minus_infinity":        {"", []string{"invalid_number"}},
	"number_greatest_double":       {"", []string{"invalid_number"}},
	"number_minus_zero":            {"", nil},
	"number_minus_one":             {"", []string{"invalid_number"}},
	"number_least_int64":           {"", []string{"invalid_number"}},
	"number_greatest_int64":        {"", []string{"invalid_number"}},
	"number_digits_text":           {"", nil},
	"number_words_text":            {"", []string{"invalid_number"}},
	"sums_beyond_int64":            {"", []string{"invalid_number"}},
	"text_invalid_utf8":            {"", []string{"invalid_utf8"}},
	"text_cut_rune":                {"", []string{"invalid_utf8"}},
	"text_surrogate":               {"", []string{"invalid_utf8"}},
	"text_nul":                     {"", []string{"nul_byte"}},
	"text_only_nul":                {"", []string{"nul_byte"}},
	"text_257_bytes":               {"", []string{"value_truncated"}},
	"text_rune_across_256_bytes":   {"", []string{"value_truncated"}},
	"text_overflow_marker":         {"", nil},
	"span_name_10mb":               {"", []string{"value_truncated"}},
	"attribute_10mb":               {"", nil},
	"model_10mb":                   {"", []string{"value_truncated"}},
	"error_type_10mb_invalid_utf8": {"", []string{"invalid_utf8", "value_truncated"}},
	"attribute_name_10mb":          {"", nil},
	"service_name_10mb":            {"", []string{"value_truncated"}},
	"zero_trace_id":                {"", []string{"zero_id"}},
	"zero_span_id":                 {"", []string{"zero_id"}},
	"zero_ids_twice":               {"", []string{"zero_id"}},
	"same_span_twice":              {"", nil},
	"kind_out_of_range":            {"", nil},
	"status_out_of_range":          {"", nil},
	"no_resource":                  {"", []string{"no_service_name"}},
	"no_service_name":              {"", []string{"no_service_name"}},
	"empty_service_name":           {"", []string{"no_service_name"}},
	"span_of_nothing":              {"no_start_time", nil},
	"map_of_1000_levels":           {"", []string{"invalid_attribute_type"}},
	"type_bytes":                   {"", []string{"invalid_attribute_type", "no_service_name"}},
	"type_slice":                   {"", []string{"invalid_attribute_type", "no_service_name"}},
	"type_map":                     {"", []string{"invalid_attribute_type", "no_service_name"}},
	"sampled_not_hex":              {"", []string{"invalid_trace_state"}},
	"sampled_empty":                {"", []string{"invalid_trace_state"}},
	"trace_state_1mb":              {"", []string{"invalid_trace_state"}},
	"valid_sampled_1_of_2":         {"", nil},
	"valid_sampled_1_of_4":         {"", nil},
	"valid_sampled_all":            {"", nil},
	// 2^56 in millionths exceeds an int64.
	"valid_sampled_1_of_2_to_56": {"overflow", nil},
}

// TestHostileSpansAreNamed: each hostile batch is folded or rejected span by
// span, under the reason it deserves, and nothing panics.
func TestHostileSpansAreNamed(t *testing.T) {
	reader := spans.NewReader(options)
	seen := map[string]bool{}
	for _, c := range spantest.Hostile(1) {
		t.Run(c.Name, func(t *testing.T) {
			seen[c.Name] = true
			d := fold(t, reader, c.Traces)
			want, known := hostileCosts[c.Name]
			if !known {
				if d.Folded() != d.Received() {
					t.Errorf("%d of %d spans are folded", d.Folded(), d.Received())
				}
				return
			}
			for reason := range aggregator.NumRejections {
				expected := int64(0)
				if reason.String() == want.rejected || want.rejected == "" && reason == aggregator.NotRejected {
					expected = d.Received()
				}
				if got := d.Rejected(reason); got != expected {
					t.Errorf("%d spans are %v, want %d", got, reason, expected)
				}
			}
			var notes []string
			for note, n := range d.Notes {
				notes = append(notes, note)
				if n > d.Folded() {
					t.Errorf("note %s of %d spans, %d are folded", note, n, d.Folded())
				}
			}
			slices.Sort(notes)
			if !slices.Equal(notes, want.notes) {
				t.Errorf("notes %q, want %q", notes, want.notes)
			}
		})
	}
	for name := range hostileCosts {
		if !seen[name] {
			t.Errorf("no case %s: the table is out of date", name)
		}
	}
}

// TestNeighboursDoNotMatter: what is said of a span does not depend on the
// spans and resources before it, whatever those are.
func TestNeighboursDoNotMatter(t *testing.T) {
	reader := spans.NewReader(options)
	all := ptrace.NewTraces()
	var want []aggregator.Observation
	add := func(batch ptrace.Traces) {
		for _, resourceSpans := range batch.ResourceSpans().All() {
			for _, scopeSpans := range resourceSpans.ScopeSpans().All() {
				for _, span := range scopeSpans.Spans().All() {
					alone := ptrace.NewTraces()
					r := alone.ResourceSpans().AppendEmpty()
					resourceSpans.Resource().CopyTo(r.Resource())
					span.CopyTo(r.ScopeSpans().AppendEmpty().Spans().AppendEmpty())
					want = append(want, read(spans.NewReader(options), alone)...)
				}
			}
		}
		for _, resourceSpans := range batch.ResourceSpans().All() {
			resourceSpans.CopyTo(all.ResourceSpans().AppendEmpty())
		}
	}
	for i, c := range spantest.Hostile(2) {
		if size := c.Traces.SpanCount(); size < 100 {
			add(c.Traces)
			add(spantest.New(uint64(i), spantest.Wide).Batch(10, now, time.Second))
		}
	}
	got := read(reader, all)
	if len(got) != len(want) {
		t.Fatalf("%d observations of %d spans", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("span %d is read as\n%.2000v\nand alone as\n%.2000v", i, got[i], want[i])
		}
	}
	for i, o := range read(reader, all) {
		if o != want[i] {
			t.Fatalf("span %d is read differently by a reader that read it before", i)
		}
	}
}

// TestAttributesThatStandTwice count as their first value, of either type.
func TestAttributesThatStandTwice(t *testing.T) {
	for _, c := range spantest.Hostile(1) {
		if !strings.Contains(c.Name, "_twice") {
			continue
		}
		for _, o := range read(spans.NewReader(options), c.Traces) {
			// The response model is one of the dimensions.
			if !strings.Contains(o.Series.Dimensions, `"gen_ai.response.model":"gpt-4o-2024-11-20"`) {
				t.Errorf("%s: dimensions %s", c.Name, o.Series.Dimensions)
			}
			if c.Name == "service_name_twice" && o.Series.Service != "hostile" {
				t.Errorf("%s: service %q", c.Name, o.Series.Service)
			}
		}
	}
}

// TestContentIsNeverRead: prompts, completions, arguments, statements and raw
// paths are in no observation.
func TestContentIsNeverRead(t *testing.T) {
	const secret = "canary-7f3a"
	batch, span := spanOf(attributes{
		"service.name": "shop", "process.command_line": secret, "host.name": secret, "process.command_args": []any{secret},
	}, attributes{"gen_ai.operation.name": "chat"})
	for _, name := range []string{
		"gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.definitions",
		"gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "gen_ai.prompt", "gen_ai.completion", "db.query.text",
		"db.statement", "url.full", "url.path", "url.query", "http.target", "http.url", "exception.message",
		"exception.stacktrace", "llm.prompts.0.content", "input.value", "output.value", "gen_ai.prompt.0.content",
	} {
		span.Attributes().PutStr(name, secret)
	}
	span.Status().SetMessage(secret)
	event := span.Events().AppendEmpty()
	event.SetName(secret)
	event.Attributes().PutStr("gen_ai.event.content", secret)
	span.Links().AppendEmpty().Attributes().PutStr("link", secret)
	batch.ResourceSpans().At(0).ScopeSpans().At(0).Scope().SetName(secret)
	batch.ResourceSpans().At(0).ScopeSpans().At(0).Scope().Attributes().PutStr("scope", secret)
	o := readOneWith(t, options, batch)
	s := o.Series
	for _, text := range []string{
		s.Run, s.Service, s.Operation, s.Provider, s.Model, s.Tool, s.Agent, s.ErrorType, s.Fault, s.Dimensions, o.Session,
	} {
		if strings.Contains(text, secret) {
			t.Errorf("the observation holds %q", text)
		}
	}
}

// TestUnreadAttributesOfAnyType are neither read nor noted.
func TestUnreadAttributesOfAnyType(t *testing.T) {
	batch, span := spanOf(attributes{"service.name": "shop"}, nil)
	a := span.Attributes()
	a.PutEmptyMap("unknown.map").PutStr("a", "\xff")
	a.PutEmptySlice("unknown.slice").AppendEmpty().SetDouble(0)
	a.PutEmptyBytes("unknown.bytes").FromRaw([]byte{0})
	a.PutStr("unknown.text", "\x00\xff"+strings.Repeat("x", 1000))
	a.PutStr("", "no name")
	a.PutStr("\xff\x00", "no good name")
	if o := readOne(t, batch); o.Notes != 0 {
		t.Errorf("notes %b", o.Notes)
	}
	a.PutEmpty("gen_ai.request.model")
	if o := readOne(t, batch); o.Notes != 0 || o.Series.Model != "" {
		t.Errorf("an attribute without value: notes %b, model %q", o.Notes, o.Series.Model)
	}
}
