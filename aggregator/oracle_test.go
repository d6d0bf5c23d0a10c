package aggregator_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
)

// oracle recomputes what a delta must say from all observations at once, with
// plain maps and sorted slices, by the words of the design.
type oracle struct {
	widths   aggregator.Widths
	cells    map[string]*tally
	runs     map[string]*aggregator.RunSpan
	rejected map[aggregator.Rejection]int64
	notes    [32]int64
	received int64
}

// tally is one cell: all values, and all spans that may be the slowest.
type tally struct {
	counters [aggregator.NumCounters]int64
	values   [aggregator.NumMeasures][]int64
	timed    []timedSpan
}

type timedSpan struct {
	duration int64
	trace    [16]byte
	span     [8]byte
}

func newOracle(widths aggregator.Widths, observations []aggregator.Observation) *oracle {
	m := &oracle{
		widths: widths, cells: map[string]*tally{}, runs: map[string]*aggregator.RunSpan{},
		rejected: map[aggregator.Rejection]int64{},
	}
	for i := range observations {
		m.add(&observations[i])
	}
	return m
}

// floor is the start of the bucket of an instant in nanoseconds: big.Int.Div
// rounds down for a positive divisor.
func floor(unixNano, width int64) int64 {
	n, w := big.NewInt(unixNano), big.NewInt(width)
	n.Div(n, big.NewInt(1_000_000_000))
	return n.Mul(n.Div(n, w), w).Int64()
}

func (m *oracle) cell(name string) *tally {
	if m.cells[name] == nil {
		m.cells[name] = &tally{}
	}
	return m.cells[name]
}

func (m *oracle) add(o *aggregator.Observation) {
	m.received++
	m.rejected[o.Rejected]++
	if o.Rejected != aggregator.NotRejected {
		return
	}
	s, notes := o.Series, o.Notes
	for _, text := range texts(&s)[:9] { // all but the dimensions
		clean, changed := aggregator.CleanText(*text)
		*text, notes = clean, notes|changed
	}
	for bit := range m.notes {
		if notes>>bit&1 == 1 {
			m.notes[bit]++
		}
	}
	if m.widths.Series > 0 {
		m.cell(fmt.Sprintf("series %q bucket %d", s, floor(o.StartUnixNano, m.widths.Series))).observe(o, true)
	}
	headline := func(unixNano int64) *tally {
		return m.cell(fmt.Sprintf("headline %q %v bucket %d", s.Run, s.Category, floor(unixNano, m.widths.Headline)))
	}
	headline(o.StartUnixNano).observe(o, false)
	headline(o.StartUnixNano).counters[aggregator.OutcomeCounter(s.Outcome)]++
	if s.Fault != "" {
		headline(o.StartUnixNano).counters[aggregator.Injected]++
	}
	run := m.runs[s.Run]
	if run == nil {
		run = &aggregator.RunSpan{ID: s.Run, FirstUnixNano: o.StartUnixNano, LastUnixNano: o.StartUnixNano}
		m.runs[s.Run] = run
	}
	run.Spans[s.Category]++
	run.FirstUnixNano = min(run.FirstUnixNano, o.StartUnixNano)
	run.LastUnixNano = max(run.LastUnixNano, o.StartUnixNano)
	if _, usable := o.Measure(aggregator.MeasureDuration); usable {
		headline(o.EndUnixNano).counters[aggregator.Completed]++
		run.LastUnixNano = max(run.LastUnixNano, o.EndUnixNano)
	}
}

// observe adds a span; a headline cell measures two of the measures only.
func (c *tally) observe(o *aggregator.Observation, everyMeasure bool) {
	add := func(counter aggregator.Counter, by int64) { c.counters[counter] += by }
	add(aggregator.Requests, 1)
	add(aggregator.AdjustedMicro, o.AdjustedMicro)
	add(aggregator.Resends, o.Resends)
	if o.Usage {
		add(aggregator.UsageCount, 1)
		add(aggregator.InputTokens, o.InputTokens)
		add(aggregator.OutputTokens, o.OutputTokens)
		add(aggregator.CacheReadTokens, o.CacheReadTokens)
		add(aggregator.CacheWriteTokens, o.CacheWriteTokens)
		add(aggregator.ReasoningTokens, o.ReasoningTokens)
	}
	if o.Priced {
		add(aggregator.PricedCount, 1)
		add(aggregator.CostNanoUSD, o.CostNanoUSD)
	}
	for m := range aggregator.NumMeasures {
		kept := everyMeasure || m == aggregator.MeasureDuration || m == aggregator.MeasureTimeToFirstToken
		if v, present := o.Measure(m); present && kept {
			c.values[m] = append(c.values[m], v)
			if m == aggregator.MeasureDuration {
				c.timed = append(c.timed, timedSpan{v, o.TraceID, o.SpanID})
			}
		}
	}
}

// content writes what content writes of a delta.
func (m *oracle) content() []string {
	var lines []string
	for name, c := range m.cells {
		lines = append(lines, fmt.Sprintf("%s counters %d", name, c.counters))
		for measure, values := range c.values {
			if len(values) == 0 {
				continue
			}
			bins := map[histogram.Bin]int64{}
			var sum int64
			for _, v := range values {
				bins[histogram.BinOf(v)]++
				sum += v
			}
			var members []string
			for _, b := range slices.Sorted(maps.Keys(bins)) {
				members = append(members, fmt.Sprintf(`"%d":%d`, b, bins[b]))
			}
			lines = append(lines, fmt.Sprintf("%s %v count %d sum %d min %d max %d {%s}", name, aggregator.Measure(measure),
				len(values), sum, slices.Min(values), slices.Max(values), strings.Join(members, ",")))
		}
		if len(c.timed) > 0 {
			slowest := slices.MinFunc(c.timed, slower)
			lines = append(lines, fmt.Sprintf("%s slowest %d trace %x span %x", name, slowest.duration, slowest.trace, slowest.span))
		}
	}
	for _, r := range m.runs {
		lines = append(lines, fmt.Sprintf("run %q from %d to %d spans %d", r.ID, r.FirstUnixNano, r.LastUnixNano, r.Spans))
	}
	for reason := range aggregator.NumRejections {
		lines = append(lines, fmt.Sprintf("%v %d", reason, m.rejected[reason]))
	}
	lines = append(lines, fmt.Sprintf("received %d of them folded %d", m.received, m.rejected[aggregator.NotRejected]))
	for bit, name := range []string{
		"end_before_start", "no_end_time", "duration_too_long", "zero_id", "no_service_name", "invalid_utf8", "nul_byte",
		"value_truncated", "invalid_attribute_type", "invalid_number", "invalid_trace_state",
	} {
		if m.notes[bit] > 0 {
			lines = append(lines, fmt.Sprintf("note %s %d", name, m.notes[bit]))
		}
	}
	slices.Sort(lines)
	return lines
}

// slower puts the longest first, then the lower trace id, then the lower span
// id.
func slower(a, b timedSpan) int {
	switch {
	case a.duration != b.duration:
		return int(min(max(b.duration-a.duration, -1), 1))
	case a.trace != b.trace:
		return bytes.Compare(a.trace[:], b.trace[:])
	default:
		return bytes.Compare(a.span[:], b.span[:])
	}
}

// checkPercentiles compares those of every cell with the sorted values.
func (m *oracle) checkPercentiles(t *testing.T, d *aggregator.Delta) {
	t.Helper()
	check := func(name string, c *aggregator.Cell) {
		for measure := range c.Measures {
			values := slices.Clone(m.cells[name].values[measure])
			slices.Sort(values)
			for _, p := range []histogram.Ratio{{Num: 0, Den: 1}, histogram.P50, histogram.P90, histogram.P95, histogram.P99, {Num: 1, Den: 1}} {
				got, ok := c.Measures[measure].Percentile(p)
				if ok != (len(values) > 0) {
					t.Fatalf("%s %v: percentile %v of %d values", name, aggregator.Measure(measure), ok, len(values))
				}
				if !ok {
					continue
				}
				rank := max(1, (len(values)*int(p.Num)+int(p.Den)-1)/int(p.Den))
				want := values[rank-1]
				if off := max(got-want, want-got); off > want/128 || got < values[0] || got > values[len(values)-1] {
					t.Fatalf("%s %v: percentile %v is %d, want %d", name, aggregator.Measure(measure), p, got, want)
				}
			}
		}
	}
	for i := range d.SeriesCells() {
		c := &d.SeriesCells()[i]
		check(fmt.Sprintf("series %q bucket %d", d.Series()[c.Series].Series, c.BucketStart), &c.Cell)
	}
	for i := range d.HeadlineCells() {
		c := &d.HeadlineCells()[i]
		check(fmt.Sprintf("headline %q %v bucket %d", c.Run, c.Category, c.BucketStart), &c.Cell)
	}
}

// traffic draws observations: few series, so that they share cells, some
// written in two ways that clean to one; times across midnight; ties.
type traffic struct {
	random *rand.Rand
	series []aggregator.Series
}

func newTraffic(random *rand.Rand) *traffic {
	values := []string{"", "a", "b", "a\x00b", "a\uFFFDb", "a\xffb", strings.Repeat("long", 90), "__overflow__"}
	t := &traffic{random: random}
	for range 1 + random.IntN(40) {
		s := randomSeries(random, values)
		s.Category %= 4
		s.Run = []string{"", "r1", "r\x002", "r\uFFFD2"}[random.IntN(4)]
		s.Dimensions = []string{"", `{"tier":"gold"}`, `{"tier":"\u0000"}`}[random.IntN(3)]
		t.series = append(t.series, s)
	}
	return t
}

// midnight of leap day, 2024-02-29T00:00:00Z, in Unix seconds.
const midnight = 1_709_164_800

func (t *traffic) draw(n int) []aggregator.Observation {
	list := make([]aggregator.Observation, n)
	for i := range list {
		t.fill(&list[i])
	}
	return list
}

func (t *traffic) fill(o *aggregator.Observation) {
	r := t.random
	o.Series = t.series[r.IntN(len(t.series))]
	o.StartUnixNano = midnight*1e9 + r.Int64N(40e9) - 20e9
	if r.IntN(10) == 0 {
		o.StartUnixNano = []int64{1, 1e9, midnight * 1e9, midnight*1e9 - 1, -1, -1e9, -5e9 - 1}[r.IntN(7)]
	}
	o.TraceID[r.IntN(16)], o.SpanID[r.IntN(8)] = byte(r.IntN(3)), byte(r.IntN(3))
	o.AdjustedMicro = []int64{1_000_000, 2_000_000, 1_333_333}[r.IntN(3)]
	o.Resends = r.Int64N(3)
	few := r.Uint32()
	few &= r.Uint32()
	o.Notes = aggregator.Note(few) & (aggregator.NoteInvalidTraceState<<1 - 1)
	if r.IntN(5) > 0 {
		duration := []int64{0, 5, 1e9, 20e9, r.Int64N(30e9)}[r.IntN(5)]
		o.EndUnixNano = o.StartUnixNano + duration
		o.SetMeasure(aggregator.MeasureDuration, duration)
	}
	for m := aggregator.MeasureNetDuration; m < aggregator.NumMeasures; m++ {
		if r.IntN(3) == 0 {
			o.SetMeasure(m, r.Int64N(1<<40)>>r.UintN(40))
		}
	}
	if o.Usage = r.IntN(2) == 0; o.Usage {
		o.InputTokens, o.OutputTokens = r.Int64N(10_000), r.Int64N(1000)
		o.CacheReadTokens, o.CacheWriteTokens, o.ReasoningTokens = r.Int64N(100), r.Int64N(100), r.Int64N(100)
	}
	if o.Priced = r.IntN(3) == 0; o.Priced {
		o.CostNanoUSD = r.Int64N(1e9)
	}
	if r.IntN(12) == 0 {
		o.Rejected = aggregator.Rejection(1 + r.IntN(int(aggregator.NumRejections)-1))
	}
}
