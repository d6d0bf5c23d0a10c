package analysis

import (
	"fmt"
	"math"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis/resampling"
)

// minValues is how many values a percentile takes for an interval with an upper
// end, ceil(3/(1-p)): of fewer it is not unlikely (p^n > 5 %) that all lie below
// the true percentile, so that nothing says how high it is. Metrics without are
// no percentiles.
var minValues = map[int]int64{metricP50: 6, metricP95: 60, metricP99: 300, metricTTFT: 60}

// minErrors is how many requests must have failed on both sides together. That
// one side has all of fewer is not unlikely where nothing has changed:
// 2 · 2^-5 > 5 %.
const minErrors = 6

// binError is how far a change of percentiles may be off, as a logarithm: both
// sides by 1/128.
const binError = 2.0 / 128

// metric puts one figure of both sides together.
func (c *Comparison) metric(m int, tables [2]*comparedTable, sides [2]*comparedFigures) ComparedMetric {
	out := ComparedMetric{Name: MetricNames[m], LowerIsBetter: m != metricRPS && m != metricTokens}
	out.BaselineCount, out.CandidateCount = tables[0].count(m), tables[1].count(m)
	if out.BaselineCount > 0 && !math.IsNaN(sides[0].figures[m]) {
		out.Baseline = &sides[0].figures[m]
	}
	if out.CandidateCount > 0 && !math.IsNaN(sides[1].figures[m]) {
		out.Candidate = &sides[1].figures[m]
	}
	filled := min(tables[0].filled(m), tables[1].filled(m))
	switch {
	case out.Baseline == nil || out.Candidate == nil:
		out.Verdict, out.Why = VerdictTooLittle, "no values on one side"
		if out.Baseline == nil && out.Candidate == nil {
			out.Why = "no values"
		}
		return out
	case *out.Baseline > 0:
		change := *out.Candidate / *out.Baseline - 1
		out.Change = &change
	case *out.Candidate == 0:
		out.Change = new(float64)
	}
	replicates := differences(sides[0].replicates[m], sides[1].replicates[m])
	switch {
	case filled < MinComparedBuckets:
		out.Verdict, out.Why = VerdictTooLittle, fmt.Sprintf("%d buckets with values; %d are needed", filled, MinComparedBuckets)
	case m == metricErrors && tables[0].errors()+tables[1].errors() < minErrors:
		out.Verdict, out.Why = VerdictNoEvidence, fmt.Sprintf("fewer than %d failed requests", minErrors)
	case *out.Baseline == 0 && *out.Candidate == 0:
		out.Verdict = VerdictNoEvidence
	case len(replicates) < c.Replicates*9/10:
		out.Verdict, out.Why = VerdictTooLittle, "too few values, or most of them 0"
	default:
		c.judge(m, &out, replicates)
	}
	return out
}

// differences returns candidate - baseline of every pair that both have.
func differences(baseline, candidate []float64) (all []float64) {
	for k := range min(len(baseline), len(candidate)) {
		if v := candidate[k] - baseline[k]; !math.IsNaN(v) {
			all = append(all, v)
		}
	}
	return all
}

// judge fills in the interval and the verdict.
func (c *Comparison) judge(m int, out *ComparedMetric, replicates []float64) {
	low, high := resampling.Interval(replicates)
	need, percentile := minValues[m]
	if percentile && out.Change != nil {
		estimate := math.Log1p(*out.Change)
		low, high = min(low, estimate-binError), max(high, estimate+binError)
	}
	if out.Change != nil {
		// Resampling knows no more decimals.
		l, h := math.Round(math.Expm1(low)*1e6)/1e6, math.Round(math.Expm1(high)*1e6)/1e6
		out.Low, out.High = &l, &h
	}
	if out.BaselineCount < need || out.CandidateCount < need {
		if out.BaselineCount < need {
			out.Low = nil
		}
		if out.CandidateCount < need {
			out.High = nil
		}
		out.Verdict = VerdictTooLittle
		out.Why = fmt.Sprintf("of fewer than %d values it has no upper bound", need)
		return
	}
	large := out.Change == nil || math.Abs(*out.Change) >= c.MinChange
	switch {
	case !large, low <= 0 && high >= 0:
		out.Verdict = VerdictNoEvidence
	case (high < 0) == out.LowerIsBetter:
		out.Verdict = VerdictBetter
	default:
		out.Verdict = VerdictWorse
	}
}

// count returns how many values a metric comes from.
func (t *comparedTable) count(metric int) (n int64) {
	for stratum := range t.totals {
		total := &t.totals[stratum]
		if t.weights[stratum] == 0 && metric != metricRPS {
			continue
		}
		switch metric {
		case metricTTFT:
			n += total.Measures[aggregator.MeasureTimeToFirstToken].Count()
		case metricErrors, metricRPS:
			n += total.Counters[aggregator.Requests]
		case metricCost:
			n += total.Counters[aggregator.PricedCount]
		case metricTokens:
			n += total.Counters[aggregator.UsageCount]
		default:
			n += total.Measures[aggregator.MeasureDuration].Count()
		}
	}
	return n
}

// errors returns how many requests of the strata failed.
func (t *comparedTable) errors() (n int64) {
	for stratum, w := range t.weights {
		if w > 0 {
			n += t.totals[stratum].errors
		}
	}
	return n
}

// filled returns how many buckets have a value of a metric. To a rate, a bucket
// without requests is one.
func (t *comparedTable) filled(metric int) (n int) {
	column := map[int]int{metricTTFT: columnTTFT, metricErrors: columnRequests, metricCost: columnPriced,
		metricP50: columnLatency, metricP95: columnLatency, metricP99: columnLatency, metricAvg: columnLatency}
	at, ok := column[metric]
	if !ok {
		return t.buckets
	}
	for bucket := range t.buckets {
		for stratum, w := range t.weights {
			if w > 0 && t.counts.Value(bucket, stratum*t.stride+at) > 0 {
				n++
				break
			}
		}
	}
	return n
}
