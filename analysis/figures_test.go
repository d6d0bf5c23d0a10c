package analysis

import (
	"encoding/json"
	"testing"

	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
)

func TestParsePercentile(t *testing.T) {
	for text, want := range map[string]histogram.Ratio{
		"p50": {Num: 50, Den: 100}, "p99.9": {Num: 999, Den: 1000}, "p99.99999": {Num: 9999999, Den: 10000000},
		"p100": {Num: 100, Den: 100}, "p0.1": {Num: 1, Den: 1000}, "p07": {Num: 7, Den: 100},
	} {
		got, err := ParsePercentile(text)
		if err != nil || got.Ratio != want || got.Name != text {
			t.Errorf("ParsePercentile(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "p", "50", "p0", "p0.0", "p101", "p100.1", "p-5", "p+5", "p5.", "p.5.5", "p99.999999", "pNaN", "p5e1", "P50", "p 50", "p.", "p99999999999999999999"} {
		if got, err := ParsePercentile(text); err == nil {
			t.Errorf("ParsePercentile(%q) = %v, want an error", text, got)
		}
	}
}

func TestValuesMarshalInOrder(t *testing.T) {
	text, err := json.Marshal(Values{{"p99", 1.5}, {"p50", 0.25}})
	if want := `{"p99":1.5,"p50":0.25}`; err != nil || string(text) != want {
		t.Errorf("got %s, %v, want %s", text, err, want)
	}
	if text, err := json.Marshal(Values(nil)); err != nil || string(text) != "{}" {
		t.Errorf("got %s, %v, want {}", text, err)
	}
}
