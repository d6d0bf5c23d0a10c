package aggregator_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// TestSeriesIDIsStable pins identifiers that are in files and that collectors
// agree on without talking. They were computed apart from this program, as the
// first 63 bits of SHA-256 over length-prefixed values.
func TestSeriesIDIsStable(t *testing.T) {
	tests := []struct {
		series aggregator.Series
		id     aggregator.SeriesID
	}{
		{aggregator.Series{}, 7647793522812112446},
		{aggregator.Series{
			Run: "run-1", Service: "llm-gateway", Operation: "chat", Kind: aggregator.KindClient,
			Category: aggregator.CategoryLLM, Provider: "openai", Model: "gpt-4o-2024-11-20",
			Outcome: aggregator.OutcomeRateLimited, ErrorType: "429", Fault: "latency",
			Dimensions: `{"user.tier":"gold"}`,
		}, 2251378255095289373},
		{aggregator.Series{
			Service: "café", Operation: "execute_tool", Kind: aggregator.KindInternal,
			Category: aggregator.CategoryTool, Tool: "web_search", Agent: "planner",
			Outcome: aggregator.OutcomeOtherError, ErrorType: "ToolException",
		}, 7839086824816593788},
	}
	for _, test := range tests {
		if got := test.series.ID(); got != test.id {
			t.Errorf("ID of %+v is %d, want %d", test.series, got, test.id)
		}
	}
}

// texts are the free-text values of a series, in the order of its fields.
func texts(s *aggregator.Series) []*string {
	return []*string{
		&s.Run, &s.Service, &s.Operation, &s.Provider, &s.Model, &s.Tool, &s.Agent, &s.ErrorType, &s.Fault, &s.Dimensions,
	}
}

// TestSeriesIDTellsAllFieldsApart: one value in another field, or cut
// elsewhere, is another series; also where values look like length prefixes.
func TestSeriesIDTellsAllFieldsApart(t *testing.T) {
	seen := map[aggregator.SeriesID]aggregator.Series{}
	add := func(s aggregator.Series) {
		t.Helper()
		id := s.ID()
		if id < 0 {
			t.Errorf("ID %d of %+v is negative", id, s)
		}
		if other, ok := seen[id]; ok && other != s {
			t.Errorf("ID %d of both %+v and %+v", id, other, s)
		}
		if again := s; again.ID() != id {
			t.Errorf("ID %d of %+v is another time %d", id, s, again.ID())
		}
		seen[id] = s
	}
	add(aggregator.Series{})
	values := []string{
		"a", "b", "ab", "\x00", "\x00\x00\x00\x01a", "\x00\x00\x00\x00", "a\x00\x00\x00\x01b", "__overflow__", "client",
		"success", strings.Repeat("a", 256), strings.Repeat("a", 255),
	}
	for i := range texts(&aggregator.Series{}) {
		for _, value := range values {
			var s aggregator.Series
			*texts(&s)[i] = value
			add(s)
			for j := i + 1; j < len(texts(&s)); j++ {
				for _, next := range values[:8] {
					two := s
					*texts(&two)[j] = next
					add(two)
				}
			}
		}
	}
	for kind := range aggregator.NumKinds {
		add(aggregator.Series{Kind: kind})
	}
	for category := range aggregator.NumCategories {
		add(aggregator.Series{Category: category})
	}
	for outcome := range aggregator.NumOutcomes {
		add(aggregator.Series{Outcome: outcome})
	}
	random := seedtest.Rand(t)
	for range 20_000 {
		add(randomSeries(random, values[:7]))
	}
	t.Logf("%d series", len(seen))
}

func randomSeries(random *rand.Rand, values []string) aggregator.Series {
	s := aggregator.Series{
		Kind:     aggregator.Kind(random.IntN(int(aggregator.NumKinds))),
		Category: aggregator.Category(random.IntN(int(aggregator.NumCategories))),
		Outcome:  aggregator.Outcome(random.IntN(int(aggregator.NumOutcomes))),
	}
	for _, text := range texts(&s) {
		if random.IntN(3) > 0 {
			*text = values[random.IntN(len(values))]
		}
	}
	return s
}

// TestOverflowedKeepsWhatTheDesignSays: service, category and outcome, and the
// run.
func TestOverflowedKeepsWhatTheDesignSays(t *testing.T) {
	random := seedtest.Rand(t)
	const o = aggregator.Overflow
	for range 1000 {
		s := randomSeries(random, []string{"x", "y", o})
		want := aggregator.Series{
			Run: s.Run, Service: s.Service, Category: s.Category, Outcome: s.Outcome,
			Operation: o, Provider: o, Model: o, Tool: o, Agent: o, ErrorType: o, Fault: o,
		}
		got := s.Overflowed()
		if got != want {
			t.Fatalf("%+v overflows into %+v, want %+v", s, got, want)
		}
		if twice := got.Overflowed(); twice != got {
			t.Fatalf("%+v overflows into %+v: twice is not once", got, twice)
		}
	}
}

// TestClean: every free-text value is cleaned, and the notes say all that was
// done; Dimensions is left alone, since it must stay whole JSON.
func TestClean(t *testing.T) {
	long := strings.Repeat("x", 300)
	for i := range texts(&aggregator.Series{}) {
		for value, note := range map[string]aggregator.Note{
			"fine": 0, "a\x00b": aggregator.NoteNULByte, "a\xffb": aggregator.NoteInvalidUTF8,
			long: aggregator.NoteValueTruncated,
		} {
			var s aggregator.Series
			*texts(&s)[i] = value
			dirty := s
			got := s.Clean()
			want, _ := aggregator.CleanText(value)
			if texts(&s)[i] == &s.Dimensions {
				want, note = value, 0
			}
			if got != note || *texts(&s)[i] != want {
				t.Errorf("Clean of %+v: notes %b, want %b; %+v", dirty, got, note, s)
			}
		}
	}
	s := aggregator.Series{Service: "\x00", Model: "\xff", Tool: long}
	if got, want := s.Clean(), aggregator.NoteNULByte|aggregator.NoteInvalidUTF8|aggregator.NoteValueTruncated; got != want {
		t.Errorf("notes %b, want %b", got, want)
	}
	if s.Clean() != 0 {
		t.Error("a clean series was cleaned again")
	}
}

// TestNamesAreStable pins the names that are in files.
func TestNamesAreStable(t *testing.T) {
	check(t, "categories", aggregator.NumCategories, aggregator.ParseCategory, []string{
		"other", "llm", "embedding", "retrieval", "tool", "agent", "workflow", "fault", "server", "client", "database", "messaging",
	})
	check(t, "outcomes", aggregator.NumOutcomes, aggregator.ParseOutcome, []string{
		"success", "rate_limited", "capacity_error", "server_error", "client_error", "connection_error", "malformed",
		"cancelled", "circuit_open", "other_error",
	})
	check(t, "kinds", aggregator.NumKinds, aggregator.ParseKind, []string{
		"unspecified", "internal", "server", "client", "producer", "consumer",
	})
	check(t, "measures", aggregator.NumMeasures, aggregator.ParseMeasure, []string{
		"duration", "net_duration", "time_to_first_token", "time_per_output_token",
	})
}

type named interface {
	~uint8
	String() string
}

func check[E named](t *testing.T, what string, count E, parse func(string) (E, bool), want []string) {
	t.Helper()
	var got []string
	for e := range count {
		got = append(got, e.String())
		if back, ok := parse(e.String()); !ok || back != e {
			t.Errorf("%s: %q is read as %d, %v; want %d", what, e.String(), back, ok, e)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s are %q, want %q", what, got, want)
	}
	for _, unknown := range []string{"", "SUCCESS", "llm ", "unknown", aggregator.Overflow} {
		if e, ok := parse(unknown); ok {
			t.Errorf("%s: %q is read as %v", what, unknown, e)
		}
	}
}
