package histogram_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
)

// FuzzParse: no text makes it panic, and what it takes is valid, writes itself
// the same and behaves as a histogram.
func FuzzParse(f *testing.F) {
	for _, values := range [][]int64{nil, {0}, {5, 5, 1000, 200000}, {math.MaxInt64}, {127, 128, 129}} {
		var h histogram.Histogram
		for _, v := range values {
			if err := h.Record(v); err != nil {
				f.Fatal(err)
			}
		}
		f.Add(string(h.AppendText(nil)), h.Count(), h.Sum(), h.Min(), h.Max())
	}
	f.Add(`{"0":9223372036854775807}`, int64(math.MaxInt64), int64(0), int64(0), int64(0))
	f.Add(`{"5":1,}`, int64(1), int64(5), int64(5), int64(5))
	f.Fuzz(func(t *testing.T, text string, count, sum, lowest, highest int64) {
		figures := histogram.Stats{Count: count, Sum: sum, Min: lowest, Max: highest}
		checkAgainstJSON(t, text)
		h, err := histogram.Parse(text, figures)
		if err != nil {
			return
		}
		if got := string(h.AppendText(nil)); got != text {
			t.Errorf("%q became %q", text, got)
		}
		if stats(&h) != figures {
			t.Errorf("figures %+v became %+v", figures, stats(&h))
		}
		if err := h.Validate(); err != nil {
			t.Error(err)
		}
		out := make([]int64, len(ratios))
		if h.Percentiles(ratios, out) != (count > 0) {
			t.Errorf("percentiles of %d values", count)
		}
		for _, v := range out {
			if v < lowest || v > highest {
				t.Errorf("percentile %d outside %d … %d", v, lowest, highest)
			}
		}
		before := fmt.Sprint(content(&h))
		var sumOf histogram.Histogram
		if err := sumOf.Merge(&h); err != nil {
			t.Error(err)
		}
		if after := content(&sumOf); after != before {
			t.Errorf("nothing + %s = %s", before, after)
		}
		if err := sumOf.Merge(&h); err == nil {
			if err := sumOf.Validate(); err != nil {
				t.Errorf("twice %s: %v", before, err)
			}
		} else if after := content(&sumOf); after != before {
			t.Errorf("a refused merge changed %s to %s", before, after)
		}
	})
}

// checkAgainstJSON lets encoding/json read the text: Parse takes it with
// figures that fit if and only if it is the one text of these bins.
func checkAgainstJSON(t *testing.T, text string) {
	var counts map[string]int64
	if json.Unmarshal([]byte(text), &counts) != nil || len(counts) == 0 {
		return
	}
	bins := map[histogram.Bin]int64{}
	for name, count := range counts {
		bin, err := strconv.ParseUint(name, 10, 16)
		if err != nil || bin > uint64(histogram.MaxBin) || count <= 0 || count > 1<<20 {
			return
		}
		bins[histogram.Bin(bin)] += count
	}
	var figures histogram.Stats
	var members []string
	for _, b := range slices.Sorted(maps.Keys(bins)) {
		if figures.Count == 0 {
			figures.Min = b.Lower()
		}
		figures.Max = b.Lower()
		figures.Count += bins[b]
		if b.Lower() > (math.MaxInt64-figures.Sum)/bins[b] {
			return
		}
		figures.Sum += b.Lower() * bins[b]
		members = append(members, fmt.Sprintf("%q:%d", strconv.Itoa(int(b)), bins[b]))
	}
	canonical := "{"+strings.Join(members, ",")+"}" == text
	if _, err := histogram.Parse(text, figures); (err == nil) != canonical {
		t.Errorf("%q with figures %+v: error %v, canonical is %v", text, figures, err, canonical)
	}
}
