package storage

import (
	"fmt"
	"strconv"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
)

// rowSum is what rows are compared by: counters, and for each measure its
// figures and a fingerprint of its bins. Sums add up like the rows do.
type rowSum struct {
	// cell holds the counters and the slowest span; its histograms stay empty.
	cell     aggregator.Cell
	measures [aggregator.NumMeasures]measureSum
	// tainted: a row in it breaks a rule of its own; badKey: a rule about its
	// key.
	tainted, badKey bool
	// faultsUnknown: a series beyond the cap is in it, which has no fault.
	faultsUnknown bool
}

type measureSum struct {
	count, sum, min, max int64
	// bins is the sum of count*weight(bin), modulo 2^64: histograms with equal
	// bins have equal ones, and others differ but for a chance of 2^-64. It is
	// what makes memory independent of the number of bins.
	bins uint64
}

// weight returns a fixed pseudo-random number for each bin (SplitMix64).
func weight(bin histogram.Bin) uint64 {
	x := (uint64(bin) + 1) * 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (s *rowSum) add(o *rowSum) {
	s.tainted = s.tainted || o.tainted
	s.faultsUnknown = s.faultsUnknown || o.faultsUnknown
	if err := s.cell.Add(&o.cell); err != nil {
		s.tainted = true // no row of the writer's can be the sum of these
	}
	for i := range s.measures {
		s.measures[i].add(&o.measures[i])
	}
}

func (m *measureSum) add(o *measureSum) {
	if o.count == 0 {
		return
	}
	if m.count == 0 || o.min < m.min {
		m.min = o.min
	}
	m.max = max(m.max, o.max)
	m.count += o.count
	m.sum += o.sum
	m.bins += o.bins
}

// rowName names a row by its key.
func (r *rawRow) rowName() string {
	name := fmt.Sprintf("width_s=%d bucket_start=%d ", r.width, r.start)
	if r.table == headlineTable {
		return name + fmt.Sprintf("run_id=%q category=%q", r.run, r.category)
	}
	return name + fmt.Sprintf("series_id=%d", r.series)
}

// rowCheck checks one row by itself.
type rowCheck struct {
	*verifier
	row *rawRow
	sum rowSum
	err error
}

// problem reports a problem of the row, which is tainted from then on.
func (c *rowCheck) problem(column, rule, stored, expected string) {
	c.sum.tainted = true
	if c.err == nil {
		c.err = c.report(Problem{c.row.table.name, c.row.rowName(), column, rule, stored, expected})
	}
}

// checkRow checks a row by itself and returns what it adds to others.
func (v *verifier) checkRow(r *rawRow) (rowSum, error) {
	c := &rowCheck{verifier: v, row: r}
	c.sum.cell.Counters = r.counters
	c.checkKey()
	c.checkCounters()
	if !r.histograms.Valid {
		c.problem("", ruleMissing, "none", "one in "+r.table.histograms)
	} else {
		for _, m := range r.table.measures {
			c.checkMeasure(m)
		}
	}
	c.checkSlowest()
	return c.sum, c.err
}

func (c *rowCheck) checkKey() {
	r := c.row
	if r.start%r.width != 0 {
		c.problem("bucket_start", ruleAligned, fmt.Sprint(r.start), fmt.Sprint(aggregator.BucketStart(r.start, r.width)))
	}
	if r.version < 1 || r.version > c.meta.Version {
		c.problem("version", ruleVersion, fmt.Sprint(r.version), fmt.Sprintf("1 to %d", c.meta.Version))
	}
	if r.table != headlineTable {
		// checkReferences reports a series that does not exist.
		c.sum.badKey = c.series[r.series] == nil
		c.sum.tainted = c.sum.tainted || c.sum.badKey
		return
	}
	if !c.runs[r.run] {
		c.sum.badKey = true
		c.problem("run_id", ruleRun, strconv.Quote(r.run), "a run")
	}
	if _, ok := aggregator.ParseCategory(r.category); !ok {
		c.sum.badKey = true
		c.problem("category", ruleKnown, r.category, "a category")
	}
}

// atMostRequests are the counters that count spans of the row.
var atMostRequests = []aggregator.Counter{
	aggregator.Late, aggregator.UsageCount, aggregator.PricedCount, aggregator.Injected,
}

func (c *rowCheck) checkCounters() {
	n := &c.row.counters
	requests := n[aggregator.Requests]
	for i, value := range n[:c.row.table.counters] {
		if value < 0 {
			c.problem(counterColumns[i], rulePositive, fmt.Sprint(value), "0 or more")
			return
		}
	}
	if c.row.table == headlineTable {
		var outcomes int64
		for o := range aggregator.NumOutcomes {
			outcomes += n[aggregator.OutcomeCounter(o)]
		}
		if outcomes != requests {
			c.problem("requests", ruleOutcomes, fmt.Sprint(requests), fmt.Sprint(outcomes))
			return
		}
	}
	for _, counter := range atMostRequests {
		if int(counter) < c.row.table.counters && n[counter] > requests {
			c.problem(counterColumns[counter], ruleCounter, fmt.Sprint(n[counter]), fmt.Sprintf("0 to %d", requests))
		}
	}
	for _, m := range c.row.table.measures {
		if count := c.row.figures[m.measure][0].Int64; count < 0 || count > requests {
			c.problem(m.figures+"_count", ruleCounter, fmt.Sprint(count), fmt.Sprintf("0 to %d", requests))
		}
	}
}

func (c *rowCheck) checkMeasure(m measureColumn) {
	figures := &c.row.figures[m.measure]
	text := c.row.texts[m.measure]
	columns := m.figureColumns()
	stats := c.row.stats(m.measure)
	for i, f := range figures[2:] {
		if f.Valid != (stats.Count > 0) {
			c.problem(columns[i+2], ruleEmpty, nullText(f), map[bool]string{true: "a value", false: "NULL"}[stats.Count > 0])
			return
		}
	}
	if text.Valid != (stats.Count > 0) {
		c.problem(m.measure.String(), ruleEmpty, strconv.Quote(text.String), fmt.Sprintf("a histogram of %d values", stats.Count))
		return
	}
	if stats.Count == 0 {
		if stats.Sum != 0 {
			c.problem(columns[1], ruleHistogram, fmt.Sprint(stats.Sum), "0")
		}
		return
	}
	h, err := histogram.Parse(text.String, stats)
	if err != nil {
		c.problem(m.measure.String(), ruleHistogram,
			fmt.Sprintf("count %d, sum %d, min %d, max %d", stats.Count, stats.Sum, stats.Min, stats.Max), err.Error())
		return
	}
	c.checkPercentiles(m, &h)
	sum := &c.sum.measures[m.measure]
	*sum = measureSum{count: stats.Count, sum: stats.Sum, min: stats.Min, max: stats.Max}
	for _, b := range h.Bins() {
		sum.bins += uint64(b.Count) * weight(b.Bin)
	}
}

// checkPercentiles checks the stored percentiles of a histogram that is sound.
func (c *rowCheck) checkPercentiles(m measureColumn, h *histogram.Histogram) {
	columns := m.figureColumns()
	figures := &c.row.figures[m.measure]
	ascending := [...]int64{h.Min(), figures[4].Int64, figures[5].Int64, figures[6].Int64, figures[7].Int64, h.Max()}
	for i := 1; i < len(ascending); i++ {
		if ascending[i] < ascending[i-1] {
			name := append(append([]string{columns[2]}, columns[4:]...), columns[3])
			c.problem(name[i], ruleOrder, fmt.Sprint(ascending[i]), fmt.Sprintf("%s = %d or more", name[i-1], ascending[i-1]))
			return
		}
	}
	var expected [4]int64
	h.Percentiles(storedPercentiles, expected[:])
	for i, want := range expected {
		if got := figures[4+i].Int64; got != want {
			c.problem(columns[4+i], rulePercentile, fmt.Sprint(got), fmt.Sprint(want))
		}
	}
}

func (c *rowCheck) checkSlowest() {
	r := c.row
	present := r.figures[aggregator.MeasureDuration][0].Int64 > 0
	want := map[bool][2]int{true: {16, 8}, false: {0, 0}}[present]
	if len(r.traceID) != want[0] || len(r.spanID) != want[1] {
		c.problem("slowest_trace_id", ruleSlowest, fmt.Sprintf("%d and %d bytes", len(r.traceID), len(r.spanID)),
			fmt.Sprintf("%d and %d bytes", want[0], want[1]))
		return
	}
	if present {
		longest := r.figures[aggregator.MeasureDuration][3].Int64
		c.sum.cell.Slowest = aggregator.NewSlowest(longest, [16]byte(r.traceID), [8]byte(r.spanID))
	}
}
