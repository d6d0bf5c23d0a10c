package aggregator_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// content is everything a delta says, one line for each fact, sorted. Cells
// without a span are left out: a span that was rejected after all may leave
// one.
func content(d *aggregator.Delta) []string {
	var lines []string
	for i := range d.SeriesCells() {
		c := &d.SeriesCells()[i]
		s := d.Series()[c.Series]
		if s.ID != s.Series.ID() {
			lines = append(lines, fmt.Sprintf("series %+v has id %d", s.Series, s.ID))
		}
		lines = appendCell(lines, fmt.Sprintf("series %q bucket %d", s.Series, c.BucketStart), &c.Cell)
	}
	for i := range d.HeadlineCells() {
		c := &d.HeadlineCells()[i]
		lines = appendCell(lines, fmt.Sprintf("headline %q %v bucket %d", c.Run, c.Category, c.BucketStart), &c.Cell)
	}
	for _, r := range d.Runs() {
		lines = append(lines, fmt.Sprintf("run %q from %d to %d spans %d", r.ID, r.FirstUnixNano, r.LastUnixNano, r.Spans))
	}
	for reason := range aggregator.NumRejections {
		lines = append(lines, fmt.Sprintf("%v %d", reason, d.Rejected(reason)))
	}
	lines = append(lines, fmt.Sprintf("received %d of them folded %d", d.Received(), d.Folded()))
	for note, spans := range d.Notes {
		lines = append(lines, fmt.Sprintf("note %s %d", note, spans))
	}
	slices.Sort(lines)
	return lines
}

func appendCell(lines []string, name string, c *aggregator.Cell) []string {
	if c.Counters[aggregator.Requests] == 0 && c.Counters[aggregator.Completed] == 0 {
		return lines
	}
	lines = append(lines, fmt.Sprintf("%s counters %d", name, c.Counters))
	for m := range c.Measures {
		h := &c.Measures[m]
		if h.Count() > 0 {
			lines = append(lines, fmt.Sprintf("%s %v count %d sum %d min %d max %d %s",
				name, aggregator.Measure(m), h.Count(), h.Sum(), h.Min(), h.Max(), h.AppendText(nil)))
		}
		if err := h.Validate(); err != nil {
			lines = append(lines, fmt.Sprintf("%s %v is invalid: %v", name, aggregator.Measure(m), err))
		}
	}
	if s := &c.Slowest; s.Present() {
		lines = append(lines, fmt.Sprintf("%s slowest %d trace %x span %x", name, s.DurationNano, s.TraceID, s.SpanID))
	}
	return lines
}

func compare(t *testing.T, what string, got, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s differs (- want, + got):\n%s", what, excerpt(diff))
	}
}

func excerpt(text string) string {
	if lines := strings.SplitAfterN(text, "\n", 40); len(lines) == 40 {
		return strings.Join(lines[:39], "") + "…"
	}
	return text
}

func fold(t testing.TB, widths aggregator.Widths, observations []aggregator.Observation) *aggregator.Delta {
	t.Helper()
	d := aggregator.NewDelta(widths)
	foldInto(d, observations)
	return d
}

func foldInto(d *aggregator.Delta, observations []aggregator.Observation) {
	var o aggregator.Observation // one for all, as the reader of spans has it
	for i := range observations {
		o = observations[i]
		d.Fold(&o)
	}
}

func merge(t testing.TB, d, o *aggregator.Delta) {
	t.Helper()
	if !d.CanMerge(o) {
		t.Fatal("CanMerge says no")
	}
	if err := d.Merge(o); err != nil {
		t.Fatal(err)
	}
}

// heap returns the bytes in use.
func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
