package spans_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/spans"
)

// TestRun: the names in their order, each level in turn: the span before its
// resource before the configuration.
func TestRun(t *testing.T) {
	const chaos, test, k6, cicd = "chaos.run.id", "test.run.id", "k6.test_run_id", "cicd.pipeline.run.id"
	tests := []struct {
		name           string
		span, resource attributes
		configured     string
		want           string
	}{
		{"none", nil, nil, "", ""},
		{"configured", nil, nil, "c", "c"},
		{"resource before configuration", nil, attributes{cicd: "r"}, "c", "r"},
		{"span before resource", attributes{cicd: "s"}, attributes{chaos: "r"}, "c", "s"},
		{"chaos first", attributes{chaos: "1", test: "2", k6: "3", cicd: "4"}, nil, "", "1"},
		{"then test", attributes{test: "2", k6: "3", cicd: "4"}, nil, "", "2"},
		{"then k6", attributes{k6: "3", cicd: "4"}, nil, "", "3"},
		{"then the pipeline", attributes{cicd: "4"}, nil, "", "4"},
		{"chaos first on the resource", nil, attributes{chaos: "1", test: "2", k6: "3", cicd: "4"}, "", "1"},
		{"a number", attributes{cicd: int64(17)}, nil, "", "17"},
		{"empty on the span", attributes{chaos: ""}, attributes{chaos: "r"}, "c", "r"},
		{"empty everywhere", attributes{chaos: ""}, attributes{chaos: ""}, "c", "c"},
		{"an array on the span", attributes{chaos: []any{"s"}}, attributes{chaos: "r"}, "c", "r"},
		{"never a process or an instance", nil, attributes{"service.instance.id": "i", "process.pid": int64(7), "host.name": "h"}, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			batch, _ := spanOf(test.resource, test.span)
			if got := readOneWith(t, spans.Options{Run: test.configured}, batch).Series.Run; got != test.want {
				t.Errorf("run %q, want %q", got, test.want)
			}
		})
	}
}

// TestService is that of the resource, or none, which is noted.
func TestService(t *testing.T) {
	const missing, invalid = aggregator.NoteNoServiceName, aggregator.NoteInvalidAttributeType
	for _, test := range []struct {
		name     string
		resource attributes
		want     string
		notes    aggregator.Note
	}{
		{"named", attributes{"service.name": "shop"}, "shop", 0},
		{"none", nil, "", missing},
		{"empty", attributes{"service.name": ""}, "", missing},
		{"no value", attributes{"service.name": nil}, "", missing},
		{"a number", attributes{"service.name": int64(7)}, "7", 0},
		{"an array", attributes{"service.name": []any{"shop"}}, "", missing | invalid},
		{"bytes", attributes{"service.name": []byte("shop")}, "", missing | invalid},
	} {
		batch, _ := spanOf(test.resource, attributes{"service.name": "not this"})
		got := readOne(t, batch)
		if got.Series.Service != test.want || got.Notes != test.notes {
			t.Errorf("%s: service %q, notes %b; want %q, %b", test.name, got.Series.Service, got.Notes, test.want, test.notes)
		}
	}
}

// TestNotesOfTheResourceHoldForEachOfItsSpans, and for no span of the next one.
func TestNotesOfTheResource(t *testing.T) {
	batch, _ := spanOf(attributes{"service.name": []any{}}, nil)
	batch.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).
		CopyTo(batch.ResourceSpans().At(0).ScopeSpans().AppendEmpty().Spans().AppendEmpty())
	good, _ := spanOf(attributes{"service.name": "shop"}, nil)
	good.ResourceSpans().MoveAndAppendTo(batch.ResourceSpans())
	want := []aggregator.Note{
		aggregator.NoteNoServiceName | invalidType, aggregator.NoteNoServiceName | invalidType, 0,
	}
	for i, o := range read(spans.NewReader(spans.Options{}), batch) {
		if o.Notes != want[i] {
			t.Errorf("span %d: notes %b, want %b", i, o.Notes, want[i])
		}
	}
}

// TestConfiguredDimensions: on the span, else on the resource, else the
// default; as one JSON object with ascending names.
func TestConfiguredDimensions(t *testing.T) {
	options := spans.Options{Dimensions: []spans.Dimension{
		{Name: "zone"}, {Name: "tier", Default: "free"}, {Name: "A"}, {Name: "gen_ai.request.model"},
	}}
	tests := []struct {
		name           string
		span, resource attributes
		want           string
		notes          aggregator.Note
	}{
		{"default", nil, nil, `{"tier":"free"}`, 0},
		{"span", attributes{"tier": "gold"}, nil, `{"tier":"gold"}`, 0},
		{"resource", nil, attributes{"tier": "gold"}, `{"tier":"gold"}`, 0},
		{"span before resource", attributes{"tier": "gold"}, attributes{"tier": "silver"}, `{"tier":"gold"}`, 0},
		{"ascending", attributes{"zone": "z", "tier": "t", "A": "a"}, nil, `{"A":"a","tier":"t","zone":"z"}`, 0},
		{"from both", attributes{"zone": "z"}, attributes{"A": "a"}, `{"A":"a","tier":"free","zone":"z"}`, 0},
		{"also a field", attributes{"gen_ai.request.model": "m"}, nil, `{"gen_ai.request.model":"m","tier":"free"}`, 0},
		{"empty is missing", attributes{"tier": "", "zone": ""}, nil, `{"tier":"free"}`, 0},
		{"number, truth", attributes{"tier": int64(-3), "zone": 1.5, "A": true}, nil, `{"A":"true","tier":"-3","zone":"1.5"}`, 0},
		{"array on the span", attributes{"tier": []any{"x"}}, attributes{"tier": "gold"}, `{"tier":"gold"}`, invalidType},
		{"map on both", attributes{"tier": map[string]any{}}, attributes{"tier": map[string]any{}}, `{"tier":"free"}`, invalidType},
		{"quotes", attributes{"tier": `a"b\c` + "\n"}, nil, `{"tier":"a\"b\\c\n"}`, 0},
		{"JSON in a value", attributes{"tier": `","zone":"forged`}, nil, `{"tier":"\",\"zone\":\"forged"}`, 0},
		{"NUL", attributes{"tier": "a\x00b"}, nil, "{\"tier\":\"a\uFFFDb\"}", aggregator.NoteNULByte},
		{"invalid UTF-8", attributes{"tier": "a\xffb"}, nil, "{\"tier\":\"a\uFFFDb\"}", aggregator.NoteInvalidUTF8},
		{"other alphabets", attributes{"tier": "金"}, nil, `{"tier":"金"}`, 0},
		{"a name inside another", attributes{"tiers": "x", "tie": "y", "Tier": "z"}, nil, `{"tier":"free"}`, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			resource := attributes{"service.name": "shop"}
			for name, value := range test.resource {
				resource[name] = value
			}
			batch, _ := spanOf(resource, test.span)
			got := readOneWith(t, options, batch)
			if got.Series.Dimensions != test.want || got.Notes != test.notes {
				t.Errorf("dimensions %s, notes %b; want %s, %b", got.Series.Dimensions, got.Notes, test.want, test.notes)
			}
		})
	}
	batch, _ := spanOf(nil, attributes{"tier": "gold"})
	if got := readOne(t, batch).Series.Dimensions; got != "" {
		t.Errorf("dimensions %s without configured ones", got)
	}
	if got := readOneWith(t, spans.Options{Dimensions: []spans.Dimension{{Name: "zone"}}}, batch).Series.Dimensions; got != "" {
		t.Errorf("dimensions %s of a span that has none of them", got)
	}
}

// TestManyDimensions: as many as can be configured are read, from long names
// and to long values.
func TestManyDimensions(t *testing.T) {
	var options spans.Options
	span, want := attributes{}, map[string]string{}
	for i := range spans.MaxDimensions {
		name, value := fmt.Sprintf("dimension.%s.%d", strings.Repeat("n", i), i), strings.Repeat("v", 100*i)+"!"
		options.Dimensions = append(options.Dimensions, spans.Dimension{Name: name})
		span[name] = value
		want[name], _ = aggregator.CleanText(value)
	}
	for i := range 200 {
		span[fmt.Sprint("noise.", i)] = "x"
	}
	batch, _ := spanOf(nil, span)
	got := readOneWith(t, options, batch)
	var values map[string]string
	if err := json.Unmarshal([]byte(got.Series.Dimensions), &values); err != nil {
		t.Fatalf("%s: %v", got.Series.Dimensions, err)
	}
	if len(values) != spans.MaxDimensions {
		t.Errorf("%d dimensions", len(values))
	}
	for name, value := range want {
		if values[name] != value {
			t.Errorf("%s is %q, want %q", name, values[name], value)
		}
	}
	if got.Notes&aggregator.NoteValueTruncated == 0 {
		t.Error("cut values are not noted")
	}
}
