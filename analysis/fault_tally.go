package analysis

import (
	"maps"
	"slices"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
)

// micro is what one span counts in a tally: rows that are a sample stand for
// fractions.
const micro = 1_000_000

// spread is a distribution whose values have weights, in millionths.
type spread struct {
	bins     map[histogram.Bin]int64
	weight   int64
	sum      float64 // of value * weight / 1e6, nanoseconds
	min, max int64
	reduced  bool // something was taken out: min and max may lie outside
}

func (s *spread) extend(low, high int64) {
	if s.bins == nil {
		s.bins = map[histogram.Bin]int64{}
		s.min, s.max = low, high
	}
	s.min, s.max = min(s.min, low), max(s.max, high)
}

// addHistogram adds all values times times, which is 1 or -1.
func (s *spread) addHistogram(h *histogram.Histogram, times int64) {
	if h.Count() == 0 {
		return
	}
	s.extend(h.Min(), h.Max())
	for _, b := range h.Bins() {
		s.bins[b.Bin] += times * b.Count * micro
	}
	s.weight += times * h.Count() * micro
	s.reduced = s.reduced || times < 0
	s.sum += float64(times) * float64(h.Sum())
}

// add adds a value; a negative weight takes it out again.
func (s *spread) add(value, weight int64) {
	s.extend(value, value)
	s.bins[histogram.BinOf(value)] += weight
	s.weight += weight
	s.reduced = s.reduced || weight < 0
	s.sum += float64(value) * float64(weight) / micro
}

// join adds another spread.
func (s *spread) join(o *spread) {
	if o.bins == nil {
		return
	}
	s.extend(o.min, o.max)
	for bin, weight := range o.bins {
		s.bins[bin] += weight
	}
	s.weight += o.weight
	s.reduced = s.reduced || o.reduced
	s.sum += o.sum
}

// percentile is the value of nearest rank, within 0.79 %; the first and the last
// rank are exact, unless something was taken out.
func (s *spread) percentile(percent int64) int64 { return s.percentiles(percent)[0] }

// percentiles returns several, which must ascend.
func (s *spread) percentiles(percents ...int64) (values []int64) {
	used := slices.Sorted(maps.Keys(s.bins))
	next, upto := 0, int64(0)
	for _, percent := range percents {
		for next < len(used) && (upto <= 0 || upto*100 < s.weight*percent) {
			upto += s.bins[used[next]]
			next++
		}
		value := s.max
		if next > 0 {
			value = min(max(used[next-1].Mid(), s.min), s.max)
		}
		if rank := (s.weight*percent + 100*micro - 1) / (100 * micro); s.weight%micro == 0 && !s.reduced {
			switch rank {
			case 1:
				value = s.min
			case s.weight / micro:
				value = s.max
			}
		}
		values = append(values, value)
	}
	return values
}

func (s *spread) measure() ImpactMeasure {
	if s.weight <= 0 {
		return ImpactMeasure{}
	}
	m := ImpactMeasure{Count: float64(s.weight) / micro}
	avg := s.sum / 1e6 / m.Count
	m.AvgMS = &avg
	for i, v := range s.percentiles(50, 95, 99) {
		value := milliseconds(v)
		*[]**float64{&m.P50MS, &m.P95MS, &m.P99MS}[i] = &value
	}
	return m
}

// tally adds up requests: whole buckets and single rows. Counts are in
// millionths.
type tally struct {
	covered                    int64 // nanoseconds
	requests, failed, injected int64
	keptOut                    int64 // started within, but ended too late
	duration, ttft             spread
	net                        spread // duration without the injected delay
	netUnknown, estimated      bool
	usage, priced              int64
	input, output, cost        float64 // tokens, and nano US dollars
}

func (t *tally) addCell(c *aggregator.Cell) {
	n := &c.Counters
	t.requests += n[aggregator.Requests] * micro
	t.failed += (n[aggregator.Requests] - n[aggregator.OutcomeCounter(aggregator.OutcomeSuccess)]) * micro
	t.injected += n[aggregator.Injected] * micro
	t.duration.addHistogram(&c.Measures[aggregator.MeasureDuration], 1)
	t.net.addHistogram(&c.Measures[aggregator.MeasureDuration], 1) // until a delay is taken off
	t.ttft.addHistogram(&c.Measures[aggregator.MeasureTimeToFirstToken], 1)
	t.usage += n[aggregator.UsageCount] * micro
	t.input += float64(n[aggregator.InputTokens])
	t.output += float64(n[aggregator.OutputTokens])
	t.priced += n[aggregator.PricedCount] * micro
	t.cost += float64(n[aggregator.CostNanoUSD])
}

// impactRow is a request that is looked at by itself.
type impactRow struct {
	start, duration, delay, ttft int64 // ns; -1: not known
	weight                       int64 // millionths
	failed, marked               bool
	input, output, cost          int64 // -1: not said
}

// end is when the request ended: where it began, if it has no usable duration.
func (r *impactRow) end() int64 { return r.start + max(r.duration, 0) }

func (t *tally) addRow(r *impactRow) {
	t.requests += r.weight
	if r.failed {
		t.failed += r.weight
	}
	if r.marked {
		t.injected += r.weight
	}
	if r.duration >= 0 {
		t.duration.add(r.duration, r.weight)
		t.addNet(r)
	}
	if r.ttft >= 0 {
		t.ttft.add(r.ttft, r.weight)
	}
	if r.input >= 0 || r.output >= 0 {
		t.usage += r.weight
		t.input += float64(max(r.input, 0)) * float64(r.weight) / micro
		t.output += float64(max(r.output, 0)) * float64(r.weight) / micro
	}
	if r.cost >= 0 {
		t.priced += r.weight
		t.cost += float64(r.cost) * float64(r.weight) / micro
	}
}

// addNet adds what a request took without its delay. Of a delay longer than the
// request it is not known what is left.
func (t *tally) addNet(r *impactRow) {
	if delay := max(r.delay, 0); delay <= r.duration {
		t.net.add(r.duration-delay, r.weight)
	}
}

// takeDelay takes its delay off a request that a whole bucket has counted.
func (t *tally) takeDelay(r *impactRow) {
	if r.delay > 0 && r.duration >= 0 {
		t.net.add(r.duration, -r.weight)
		t.addNet(r)
	}
}

// phase turns the tally into figures.
func (t *tally) phase(from, to int64) ImpactPhase {
	p := ImpactPhase{FromNS: from, ToNS: to, CoveredS: float64(t.covered) / 1e9, Estimated: t.estimated}
	if t.covered <= 0 {
		return p
	}
	of := func(n int64) *float64 {
		v := float64(n) / micro
		return &v
	}
	p.Requests, p.Errors, p.Injected = of(t.requests), of(t.failed), of(t.injected)
	if t.covered >= int64(time.Second) {
		rate := (*p.Requests + float64(t.keptOut)/micro) / p.CoveredS
		p.RequestsPerS = &rate
	}
	p.SuccessShare, p.ErrorRate = share(t.requests-t.failed, t.requests), share(t.failed, t.requests)
	p.Latency, p.TTFT = t.duration.measure(), t.ttft.measure()
	if !t.netUnknown {
		p.NetLatency = t.net.measure()
	}
	if t.usage > 0 {
		input, output := t.input, t.output
		p.InputTokens, p.OutputTokens = &input, &output
	}
	if t.priced > 0 {
		cost := t.cost / 1e9
		p.CostUSD = &cost
	}
	return p
}
