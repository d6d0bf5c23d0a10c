package histogram_test

import (
	"math"
	"testing"

	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// TestBinsAgreeWithTheHistogram: the bins alone give the bin and the rank of the
// value that the whole histogram gives, and merge to the same text.
func TestBinsAgreeWithTheHistogram(t *testing.T) {
	random := seedtest.Rand(t)
	for range 200 {
		var whole histogram.Histogram
		var merged histogram.Bins
		for range 1 + random.IntN(4) {
			var part histogram.Histogram
			for range random.IntN(300) {
				if err := part.Record(random.Int64() >> (1 + random.UintN(62))); err != nil {
					continue // the sum is full
				}
			}
			if whole.Merge(&part) != nil {
				continue
			}
			bins, err := histogram.ParseBins(string(part.AppendText(nil)))
			if err != nil {
				t.Fatal(err)
			}
			if err := merged.Merge(bins); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := string(merged.AppendText(nil)), string(whole.AppendText(nil)); got != want {
			t.Fatalf("merged %s, want %s", got, want)
		}
		if merged.Count() != whole.Count() {
			t.Fatalf("%d values, want %d", merged.Count(), whole.Count())
		}
		r := histogram.Ratio{Num: random.Uint32N(1001), Den: 1000}
		want, some := whole.Percentile(r)
		bin, rank, ok := merged.Percentile(r)
		if ok != some {
			t.Fatalf("percentile of %d values: %v", whole.Count(), ok)
		}
		if ok && (bin != histogram.BinOf(want) || rank < 1 || rank > whole.Count()) {
			t.Fatalf("%d/%d of %d values: bin %d of rank %d, want that of %d", r.Num, r.Den, whole.Count(), bin, rank, want)
		}
	}
}

func TestParseBinsRefuses(t *testing.T) {
	for _, text := range []string{"", "{", `{"5":0}`, `{"5":-1}`, `{"6":1,"5":1}`, `{"5":1,"5":1}`, `{"3712":1}`, `{"5":1} `, `{"5":9223372036854775807,"6":1}`} {
		if bins, err := histogram.ParseBins(text); err == nil {
			t.Errorf("%q became %v", text, bins)
		}
	}
	full, err := histogram.ParseBins(`{"5":9223372036854775807}`)
	if err != nil {
		t.Fatal(err)
	}
	if err := full.Merge(histogram.Bins{{Bin: 5, Count: 1}}); err == nil || full.Count() != math.MaxInt64 {
		t.Errorf("error %v, %d values", err, full.Count())
	}
}
