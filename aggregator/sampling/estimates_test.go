package sampling_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// load is traffic whose ids are yet to be drawn: each element is a trace.
type load [][]aggregator.Observation

// span returns a span of the subgroup or not, that failed or not.
func span(rng *rand.Rand, grouped bool, failing float64) aggregator.Observation {
	o := *ordinary()
	o.StartUnixNano += rng.Int64N(3 * 60 * second)
	duration := int64(second / 10 * (1 + rng.ExpFloat64()))
	if o.Series.Service = "other"; grouped {
		o.Series.Service = "group"
		duration *= 3
	}
	if rng.Float64() < failing {
		o.Series.Outcome = aggregator.OutcomeServerError
		duration *= 2
	}
	if rng.IntN(20) == 0 {
		duration += 5 * second
	}
	o.SetMeasure(aggregator.MeasureDuration, duration)
	return o
}

// traces returns so many traces of the same number of spans.
func traces(rng *rand.Rand, n, spans int, failing float64) (out load) {
	for range n {
		trace := make([]aggregator.Observation, spans)
		for i := range trace {
			trace[i] = span(rng, rng.IntN(3) == 0, failing)
		}
		out = append(out, trace)
	}
	return out
}

// figures are what is estimated.
type figures [6]float64

var figureNames = [...]string{"count", "failed", "sum of durations", "count of a group", "sum of a group", "mean of a group"}

// add adds a span that stands for so many. The last figure is how far the group
// is from its mean in all: 0 in truth.
func (f *figures) add(o *aggregator.Observation, weight, mean float64) {
	d, _ := o.Measure(aggregator.MeasureDuration)
	f[0] += weight
	if o.Series.Outcome != aggregator.OutcomeSuccess {
		f[1] += weight
	}
	f[2] += weight * float64(d)
	if o.Series.Service == "group" {
		f[3] += weight
		f[4] += weight * float64(d)
		f[5] += weight * (float64(d) - mean)
	}
}

// truth returns the figures of a load, and the mean of its group.
func (l load) truth() (f figures, mean float64) {
	for _, trace := range l {
		for i := range trace {
			f.add(&trace[i], 1, 0)
		}
	}
	mean = f[4] / f[3]
	f[5] = 0
	return f, mean
}

// estimate draws ids, samples and returns the figures of the rows, each weighted
// as told by weigh.
func (l load) estimate(rng *rand.Rand, p *sampling.Policy, mean float64, weigh func(float64) float64) (f figures) {
	strata := map[sampling.StratumKey]*sampling.Stratum[*aggregator.Observation]{}
	for _, trace := range l {
		var ids aggregator.Observation
		drawIDs(rng, &ids)
		for i := range trace {
			o := trace[i]
			o.TraceID = ids.TraceID
			binary.BigEndian.PutUint64(o.SpanID[:], rng.Uint64())
			switch v := p.Decide(&o); v {
			case sampling.Ordinary, sampling.ForCause:
				f.add(&o, weigh(float64(p.WeightMicro(v))/1e6), mean)
			case sampling.Candidate:
				key := sampling.StratumOf(&o)
				if strata[key] == nil {
					strata[key] = &sampling.Stratum[*aggregator.Observation]{}
				}
				strata[key].Offer(sampling.Key{Hash: sampling.SpanHash(&o)}, &o, p.MaxForCause)
			}
		}
	}
	for _, s := range strata {
		for m := range s.All {
			f.add(m.Value, weigh(s.Weight()), mean)
		}
	}
	return f
}

// deviations returns how many standard errors the mean of many estimates is
// from the truth.
func (l load) deviations(rng *rand.Rand, p *sampling.Policy, weigh func(float64) float64) (z figures) {
	const draws = 400
	truth, mean := l.truth()
	var sum, squares figures
	for range draws {
		for i, x := range l.estimate(rng, p, mean, weigh) {
			off := x - truth[i]
			sum[i] += off
			squares[i] += off * off
		}
	}
	for i := range z {
		off := sum[i] / draws
		if off == 0 {
			continue
		}
		variance := squares[i]/draws - off*off
		z[i] = off / math.Sqrt(max(variance, 1e-9)/draws)
	}
	return z
}

// TestEstimatesAreUnbiased: the mean of many estimates is the truth, but for
// what chance allows; where each row stands for itself alone it is not.
func TestEstimatesAreUnbiased(t *testing.T) {
	rng := seedtest.Rand(t)
	giant := traces(rng, 1, 600, 0.7)
	for i := range giant[0] {
		giant[0][i].StartUnixNano = noon + int64(i)*second/100 // within a minute
	}
	loads := map[string]load{
		"a span a trace":         traces(rng, 800, 1, 0.3),
		"several spans a trace":  traces(rng, 150, 6, 0.3),
		"one giant trace":        append(giant, traces(rng, 30, 1, 0)...),
		"hardly anything failed": traces(rng, 200, 3, 0.01),
		"mixed":                  append(append(traces(rng, 1, 300, 0.9), traces(rng, 100, 4, 0.2)...), traces(rng, 300, 1, 0.1)...),
	}
	policies := map[string]sampling.Policy{
		"a tenth":           {RatioMicro: 100_000, MaxForCause: 20},
		"a third, few more": {RatioMicro: 333_333, MaxForCause: 3},
		"a third, none":     {RatioMicro: 333_333},
	}
	weighted := func(weight float64) float64 { return weight }
	for name, l := range loads {
		for of, p := range policies {
			p.SlowNanos[aggregator.CategoryLLM] = 5 * second
			z := l.deviations(rng, &p, weighted)
			for i, z := range z {
				// Of 90 figures one in 250 runs is beyond that by chance.
				require.Less(t, math.Abs(z), 4.2, "%s of %s, %s", figureNames[i], name, of)
			}
			z = l.deviations(rng, &p, func(float64) float64 { return 1 })
			require.Greater(t, math.Abs(z[0]), 10.0, "unweighted, %s, %s", name, of)
			require.Greater(t, math.Abs(z[2]), 10.0, "unweighted, %s, %s", name, of)
		}
	}
}
