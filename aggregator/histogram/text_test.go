package histogram_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// TestTextIsStable pins what is in files.
func TestTextIsStable(t *testing.T) {
	tests := []struct {
		values []int64
		text   string
	}{
		{nil, `{}`},
		{[]int64{0}, `{"0":1}`},
		{[]int64{127, 128, 129, 130}, `{"127":1,"128":2,"129":1}`},
		{[]int64{1_000_000_000, 1, 1_000_000_000, 9, 10}, `{"1":1,"9":1,"10":1,"1591":2}`},
		{[]int64{math.MaxInt64}, `{"3711":1}`},
	}
	for _, test := range tests {
		h := recorded(t, test.values)
		if got := string(h.AppendText(nil)); got != test.text {
			t.Errorf("text of %d is %s, want %s", test.values, got, test.text)
		}
		if got := string(h.AppendText([]byte("before"))); got != "before"+test.text {
			t.Errorf("appended text is %s", got)
		}
		expect(t, parsed(t, h), test.values)
	}
}

// TestTextIsCanonical: equal histograms have equal text, however they came
// about, and it is JSON that any tool reads as the bins.
func TestTextIsCanonical(t *testing.T) {
	random := seedtest.Rand(t)
	for range 50 {
		values := draw(random, 1+random.IntN(3000))
		want := string(recorded(t, values).AppendText(nil))
		for _, constructor := range constructors {
			if got := string(constructor.build(t, values).AppendText(nil)); got != want {
				t.Fatalf("%s: text\n%s\nwant\n%s", constructor.name, got, want)
			}
		}
		var decoded map[histogram.Bin]int64
		if err := json.Unmarshal([]byte(want), &decoded); err != nil {
			t.Fatal(err)
		}
		bins := recorded(t, values).Bins()
		if len(decoded) != len(bins) {
			t.Errorf("JSON has %d members, want %d", len(decoded), len(bins))
		}
		for _, b := range bins {
			if decoded[b.Bin] != b.Count {
				t.Errorf("JSON says %d of bin %d, want %d", decoded[b.Bin], b.Bin, b.Count)
			}
		}
	}
}

// TestParseRefusesText: there is one text for each histogram, and nothing else
// is one. The figures fit the text that each one resembles.
func TestParseRefusesText(t *testing.T) {
	one, two := histogram.Stats{Count: 1, Sum: 5, Min: 5, Max: 5}, histogram.Stats{Count: 2, Sum: 11, Min: 5, Max: 6}
	none := histogram.Stats{}
	tests := []struct {
		name, text string
		stats      histogram.Stats
	}{
		{"nothing", ``, none},
		{"one brace", `{`, none},
		{"closing brace", `}`, none},
		{"null", `null`, none},
		{"array", `[]`, none},
		{"array in braces", `{[]}`, none},
		{"text after", `{"5":1}{}`, one},
		{"brace after", `{"5":1}}`, one},
		{"new line after", "{\"5\":1}\n", one},
		{"space before", ` {"5":1}`, one},
		{"space inside", `{"5": 1}`, one},
		{"space in nothing", `{ }`, none},
		{"comma alone", `{,}`, none},
		{"comma before", `{,"5":1}`, one},
		{"comma after", `{"5":1,}`, one},
		{"two commas", `{"5":1,,"6":1}`, two},
		{"no comma", `{"5":1"6":1}`, two},
		{"semicolon for comma", `{"5":1;"6":1}`, two},
		{"space for comma", `{"5":1 "6":1}`, two},
		{"no colon", `{"5"1}`, one},
		{"no count", `{"5":}`, one},
		{"no bin", `{"":1}`, histogram.Stats{Count: 1}},
		{"no quotes", `{5:1}`, one},
		{"one quote", `{"5:1}`, one},
		{"single quotes", `{'5':1}`, one},
		{"quoted count", `{"5":"1"}`, one},
		{"leading zero of bin", `{"05":1}`, one},
		{"leading zero of count", `{"5":01}`, one},
		{"zeros", `{"00":1}`, histogram.Stats{Count: 1}},
		{"plus", `{"5":+1}`, one},
		{"minus", `{"5":-1}`, one},
		{"minus bin", `{"-5":1}`, one},
		{"fraction", `{"5":1.0}`, one},
		{"exponent", `{"5":1e0}`, one},
		{"hexadecimal", `{"0x5":1}`, one},
		{"other digits", `{"٥":1}`, one},
		{"escape", `{"\u0035":1}`, one},
		{"NUL", "{\"5\":1\x00}", one},
		{"invalid UTF-8", "{\"5\xff\":1}", one},
		{"zero count", `{"5":0}`, none},
		{"zero count beside another", `{"4":0,"5":1}`, one},
		{"bins descend", `{"6":1,"5":1}`, two},
		{"bin twice", `{"5":1,"5":1}`, histogram.Stats{Count: 2, Sum: 10, Min: 5, Max: 5}},
		{"bin 3712", `{"3712":1}`, histogram.Stats{Count: 1, Sum: math.MaxInt64, Min: math.MaxInt64, Max: math.MaxInt64}},
		{"bin beyond 16 bits", `{"65541":1}`, one},
		{"bin beyond 64 bits", `{"18446744073709551621":1}`, one},
		{"count beyond 63 bits", `{"5":9223372036854775808}`, one},
		{"count beyond 64 bits", `{"5":18446744073709551617}`, one},
		{"counts beyond 63 bits together", `{"0":9223372036854775807,"1":1}`, histogram.Stats{Count: math.MinInt64, Sum: 1, Max: 1}},
		{"longer than there are bins", `{` + strings.Repeat(`"5":1,`, 100_000) + `"5":1}`, one},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if h, err := histogram.Parse(test.text, test.stats); err == nil {
				t.Errorf("Parse took it as %s", content(&h))
			} else if !strings.HasPrefix(err.Error(), "parse histogram: ") {
				t.Errorf("error %q does not say what failed", err)
			}
		})
	}
}

// TestParseRefusesCorruption takes a histogram that is right and changes one
// figure or one bin.
func TestParseRefusesCorruption(t *testing.T) {
	// 5, 5, 1000, 200000: bins 5, 317 (1000 … 1007) and 801 (198656 … 200703),
	// so that a sum of these bins is at least 201010 and at most 201017.
	const text = `{"5":2,"317":1,"801":1}`
	good := histogram.Stats{Count: 4, Sum: 201010, Min: 5, Max: 200000}
	if _, err := histogram.Parse(text, good); err != nil {
		t.Fatalf("the histogram that is to be spoilt: %v", err)
	}
	with := func(change func(*histogram.Stats)) histogram.Stats {
		s := good
		change(&s)
		return s
	}
	tests := []struct {
		name, text string
		stats      histogram.Stats
	}{
		{"count is one less", text, with(func(s *histogram.Stats) { s.Count-- })},
		{"count is one more", text, with(func(s *histogram.Stats) { s.Count++ })},
		{"count is 0", text, with(func(s *histogram.Stats) { s.Count = 0 })},
		{"count is negative", text, with(func(s *histogram.Stats) { s.Count = -4 })},
		{"sum is less than the bins allow", text, with(func(s *histogram.Stats) { s.Sum = 201009 })},
		{"sum is more than the bins allow", text, with(func(s *histogram.Stats) { s.Sum = 201018 })},
		{"sum is 0", text, with(func(s *histogram.Stats) { s.Sum = 0 })},
		{"sum is negative", text, with(func(s *histogram.Stats) { s.Sum = -201010 })},
		{"sum is the largest", text, with(func(s *histogram.Stats) { s.Sum = math.MaxInt64 })},
		{"min is one less", text, with(func(s *histogram.Stats) { s.Min-- })},
		{"min is one more", text, with(func(s *histogram.Stats) { s.Min++ })},
		{"min is negative", text, with(func(s *histogram.Stats) { s.Min = -5 })},
		{"min is max", text, with(func(s *histogram.Stats) { s.Min = s.Max })},
		{"max is below its bin", text, with(func(s *histogram.Stats) { s.Max = 198655 })},
		{"max is above its bin", text, with(func(s *histogram.Stats) { s.Max = 200704 })},
		{"max is lower, and the sum no longer fits", text, with(func(s *histogram.Stats) { s.Max = 199992 })},
		{"max is higher, and the sum no longer fits", text, with(func(s *histogram.Stats) { s.Max = 200001 })},
		{"max is above its bin, and the sum would fit", `{"5":2,"801":2}`, histogram.Stats{Count: 4, Sum: 10 + 199000 + 200704, Min: 5, Max: 200704}},
		{"max is below its bin, and the sum would fit", `{"5":2,"801":2}`, histogram.Stats{Count: 4, Sum: 10 + 198655 + 198655, Min: 5, Max: 198655}},
		{"max is min", text, with(func(s *histogram.Stats) { s.Max = s.Min })},
		{"first bin lost", `{"317":1,"801":1}`, good},
		{"middle bin lost", `{"5":2,"801":1}`, good},
		{"last bin lost", `{"5":2,"317":1}`, good},
		{"all bins lost", `{}`, good},
		{"bin added before", `{"4":1,"5":2,"317":1,"801":1}`, good},
		{"bin added after", `{"5":2,"317":1,"801":1,"802":1}`, good},
		{"count of a bin is one less", `{"5":1,"317":1,"801":1}`, good},
		{"count of a bin is one more", `{"5":2,"317":2,"801":1}`, good},
		{"first bin moved down", `{"4":2,"317":1,"801":1}`, good},
		{"first bin moved up", `{"6":2,"317":1,"801":1}`, good},
		{"middle bin moved down", `{"5":2,"316":1,"801":1}`, good},
		{"middle bin moved up", `{"5":2,"318":1,"801":1}`, good},
		{"last bin moved down", `{"5":2,"317":1,"800":1}`, good},
		{"last bin moved up", `{"5":2,"317":1,"802":1}`, good},
		{"a value moved from one bin to another", `{"5":1,"317":2,"801":1}`, good},
		{"two values, sum is one less", `{"317":2}`, histogram.Stats{Count: 2, Sum: 2002, Min: 1000, Max: 1003}},
		{"two values, sum is one more", `{"317":2}`, histogram.Stats{Count: 2, Sum: 2004, Min: 1000, Max: 1003}},
		{"sum wrapped by addition", `{"3709":1,"3710":1,"3711":1}`, histogram.Stats{Count: 3, Sum: 122 << 56, Min: 125 << 56, Max: 127 << 56}},
		{"sum wrapped by multiplication", `{"64":288230376151711745}`, histogram.Stats{Count: 1<<58 + 1, Sum: 64, Min: 64, Max: 64}},
		{"empty with a sum", `{}`, histogram.Stats{Sum: 1}},
		{"empty with a maximum", `{}`, histogram.Stats{Max: 1}},
		{"empty with a minimum", `{}`, histogram.Stats{Min: 1}},
		{"empty with both", `{}`, histogram.Stats{Min: 1, Max: 1}},
		{"one value with two ends", `{"317":1}`, histogram.Stats{Count: 1, Sum: 1000, Min: 1000, Max: 1001}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := histogram.Parse(test.text, test.stats); err == nil {
				t.Error("Parse took it")
			}
		})
	}
}

// TestEveryChangeOfExactFiguresIsCaught: below 128 the bins are the values, so
// no single figure or count can change unnoticed.
func TestEveryChangeOfExactFiguresIsCaught(t *testing.T) {
	random := seedtest.Rand(t)
	for range 300 {
		values := make([]int64, 1+random.IntN(30))
		for i := range values {
			values[i] = random.Int64N(128)
		}
		h := recorded(t, values)
		for _, by := range []int64{-1, 1, -1 << 40, 1 << 40} {
			for _, s := range []histogram.Stats{
				{Count: h.Count() + by, Sum: h.Sum(), Min: h.Min(), Max: h.Max()},
				{Count: h.Count(), Sum: h.Sum() + by, Min: h.Min(), Max: h.Max()},
				{Count: h.Count(), Sum: h.Sum(), Min: h.Min() + by, Max: h.Max()},
				{Count: h.Count(), Sum: h.Sum(), Min: h.Min(), Max: h.Max() + by},
			} {
				if _, err := histogram.Parse(string(h.AppendText(nil)), s); err == nil {
					t.Fatalf("%s taken with figures %+v, right are %+v", h.AppendText(nil), s, stats(h))
				}
			}
		}
	}
}

// TestParseTakesTheExtremes: bounds of the sum are computed beyond 64 bits.
func TestParseTakesTheExtremes(t *testing.T) {
	tests := []struct {
		text  string
		stats histogram.Stats
	}{
		{`{"0":9223372036854775807}`, histogram.Stats{Count: math.MaxInt64}},
		{`{"0":9223372036854775806,"3711":1}`, histogram.Stats{Count: math.MaxInt64, Sum: math.MaxInt64, Max: math.MaxInt64}},
		{`{"1":9223372036854775807}`, histogram.Stats{Count: math.MaxInt64, Sum: math.MaxInt64, Min: 1, Max: 1}},
		{`{"3711":1}`, histogram.Stats{Count: 1, Sum: math.MaxInt64, Min: math.MaxInt64, Max: math.MaxInt64}},
	}
	for _, test := range tests {
		h, err := histogram.Parse(test.text, test.stats)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
		} else if got := string(h.AppendText(nil)); got != test.text {
			t.Errorf("%s became %s", test.text, got)
		}
	}
	// The sum of these would need 126 bits.
	s := histogram.Stats{Count: math.MaxInt64, Sum: math.MaxInt64, Min: math.MaxInt64, Max: math.MaxInt64}
	if _, err := histogram.Parse(`{"3711":9223372036854775807}`, s); err == nil {
		t.Error("a sum that is too small by 63 bits was taken")
	}
}

func TestParseErrorNamesBothFigures(t *testing.T) {
	_, err := histogram.Parse(`{"5":2}`, histogram.Stats{Count: 3, Sum: 15, Min: 5, Max: 5})
	if want := "parse histogram: bins add up to 2, count is 3"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	_, err = histogram.Parse(`{"0":9223372036854775807,"1":1}`, histogram.Stats{})
	if !errors.Is(err, histogram.ErrOverflow) {
		t.Errorf("error %v, want one that is %v", err, histogram.ErrOverflow)
	}
}
