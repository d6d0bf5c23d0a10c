package analysis_test

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// told is a run to be made: a request every gap from begin (seconds since
// filetest.Begin) on.
type told struct {
	run     string
	begin   int64
	gap     time.Duration
	n       int
	models  []string // in turn
	latency func(*rand.Rand, string) float64
	failed  float64
}

func (r told) observations(random *rand.Rand) []aggregator.Observation {
	all := make([]aggregator.Observation, r.n)
	for i := range all {
		o := &all[i]
		o.AdjustedMicro = 1_000_000
		o.Series = aggregator.Series{Run: r.run, Service: "s", Operation: "chat", Kind: aggregator.KindClient,
			Category: aggregator.CategoryLLM, Model: r.models[random.IntN(len(r.models))]}
		latency := int64(r.latency(random, o.Series.Model) * 1e6)
		o.StartUnixNano = filetest.Begin.UnixNano() + r.begin*1e9 + int64(i)*int64(r.gap)
		o.EndUnixNano = o.StartUnixNano + latency
		o.SetMeasure(aggregator.MeasureDuration, latency)
		if random.Float64() < r.failed {
			o.Series.Outcome, o.Series.ErrorType = aggregator.OutcomeServerError, "500"
		}
		binary.BigEndian.PutUint64(o.TraceID[:], random.Uint64())
		binary.BigEndian.PutUint64(o.SpanID[:], random.Uint64()|1)
	}
	return all
}

func around(median float64) func(*rand.Rand, string) float64 {
	return func(random *rand.Rand, _ string) float64 { return median * math.Exp(0.3*random.NormFloat64()) }
}

// compared makes a file of two runs and compares them.
func compared(t *testing.T, q analysis.ComparisonQuery, runs ...told) (*analysis.Comparison, []aggregator.Observation) {
	t.Helper()
	random := seedtest.Rand(t)
	var all []aggregator.Observation
	for _, r := range runs {
		all = append(all, r.observations(random)...)
	}
	now := filetest.Begin.Add(24 * time.Hour)
	path := makeFile(t, all, now)
	baseline, candidate := runs[0].run, runs[len(runs)-1].run
	q.Baseline, q.Candidate = analysis.Query{Now: now, Run: &baseline}, analysis.Query{Now: now, Run: &candidate}
	return ask(t, path, compare(q)), all
}

// Percentiles of strata are those of the mixture with common weights: here by
// sorting every span with the weight that its model gives it.
func TestComparisonOfStrataAgainstOracle(t *testing.T) {
	byModel := func(random *rand.Rand, model string) float64 {
		return map[string]float64{"a": 100, "b": 1000, "c": 40}[model] * math.Exp(0.3*random.NormFloat64())
	}
	answer, all := compared(t, analysis.ComparisonQuery{Warmup: 25 * time.Second},
		told{run: "v1", begin: 3, gap: 100 * time.Millisecond, n: 6000, models: []string{"a", "a", "a", "b"}, latency: byModel, failed: 0.1},
		told{run: "v2", begin: 5007, gap: 50 * time.Millisecond, n: 9000, models: []string{"a", "b", "b", "c"}, latency: byModel, failed: 0.1},
	)
	require.Equal(t, "2026-01-30T10:00:40Z", *answer.Baseline.FromUTC, "a bucket in part, then the warm-up rounded up")
	require.Equal(t, "2026-01-30T11:24:00Z", *answer.Candidate.FromUTC)
	require.Equal(t, "2026-01-30T11:30:50Z", *answer.Candidate.ToUTC, "the last full bucket of the shorter run")
	const length = 410
	require.Equal(t, int64(length), answer.DurationS)
	require.Equal(t, "2026-01-30T10:07:30Z", *answer.Baseline.ToUTC)
	type value struct{ ms, weight float64 }
	counts := [2]map[string]float64{{}, {}}
	inside := func(o *aggregator.Observation, side int) bool {
		from := []int64{40, 5040}[side]
		return o.Series.Run == []string{"v1", "v2"}[side] && seconds(o) >= from && seconds(o) < from+length
	}
	for i := range all {
		for side := range 2 {
			if inside(&all[i], side) {
				counts[side][all[i].Series.Model]++
			}
		}
	}
	weight := func(model string) float64 {
		b, c := counts[0][model], counts[1][model]
		return b * c / (b + c)
	}
	total := weight("a") + weight("b")
	require.Equal(t, []string{"a"}, answer.Strata[0].Values)
	require.InEpsilon(t, weight("a")/total, answer.Strata[0].Weight, 1e-12)
	require.Equal(t, analysis.ComparedStratum{Values: []string{"c"}, CandidateRequests: int64(counts[1]["c"])}, answer.Strata[2])
	require.Contains(t, answer.Notes[1], "only in the candidate: 1 of the strata by model")
	for side := range 2 {
		var values []value
		average, failed, requests := 0.0, 0.0, 0.0
		for i := range all {
			o := &all[i]
			if !inside(o, side) {
				continue
			}
			requests++
			if o.Series.Model == "c" {
				continue
			}
			latency, _ := o.Measure(aggregator.MeasureDuration)
			w := weight(o.Series.Model) / total / counts[side][o.Series.Model]
			values = append(values, value{float64(latency) / 1e6, w})
			average += w * float64(latency) / 1e6
			if o.Series.Outcome != aggregator.OutcomeSuccess {
				failed += w
			}
		}
		slices.SortFunc(values, func(a, b value) int {
			if a.ms < b.ms {
				return -1
			}
			return 1
		})
		percentile := func(p float64) float64 {
			seen := 0.0
			for _, v := range values {
				if seen += v.weight; seen >= p-1e-9 {
					return v.ms
				}
			}
			return math.NaN()
		}
		get := func(name string) float64 {
			return *[]*float64{answer.Metric(name).Baseline, answer.Metric(name).Candidate}[side]
		}
		for name, p := range map[string]float64{"p50_latency_ms": 0.5, "p95_latency_ms": 0.95, "p99_latency_ms": 0.99} {
			require.InEpsilon(t, percentile(p), get(name), 1.0/128, name)
		}
		require.InEpsilon(t, average, get("avg_latency_ms"), 1e-9)
		require.InEpsilon(t, failed, get("error_rate"), 1e-9)
		require.InEpsilon(t, requests/float64(length), get("requests_per_s"), 1e-12)
	}
	for _, m := range answer.Metrics[:4] {
		require.Equal(t, analysis.VerdictNoEvidence, m.Verdict, "another mix is no change: %s %v", m.Name, m.Change)
	}
	require.Nil(t, answer.Metric("p95_ttft_ms").Baseline)
	require.Nil(t, answer.Metric("output_tokens_per_s").Baseline, "no tokens are not 0 tokens")
}

// 250 values have a p95 and no upper bound of p99.
func TestComparisonOfFewValues(t *testing.T) {
	answer, _ := compared(t, analysis.ComparisonQuery{},
		told{run: "v1", gap: time.Second, n: 2000, models: []string{"a"}, latency: around(100)},
		told{run: "v2", begin: 4000, gap: 8 * time.Second, n: 250, models: []string{"a"}, latency: around(200)},
	)
	p95, p99 := answer.Metric("p95_latency_ms"), answer.Metric("p99_latency_ms")
	require.Equal(t, analysis.VerdictWorse, p95.Verdict)
	require.NotNil(t, p95.High)
	require.Equal(t, analysis.VerdictTooLittle, p99.Verdict)
	require.NotNil(t, p99.Low)
	require.Nil(t, p99.High)
	require.Equal(t, "of fewer than 300 values it has no upper bound", p99.Why)
	require.Equal(t, analysis.VerdictNoEvidence, answer.Metric("error_rate").Verdict)
	require.Equal(t, "fewer than 6 failed requests", answer.Metric("error_rate").Why)
}

// From no failures to some there is no relative change, but a verdict.
func TestComparisonFromNothing(t *testing.T) {
	answer, _ := compared(t, analysis.ComparisonQuery{},
		told{run: "v1", gap: time.Second, n: 1000, models: []string{"a"}, latency: around(100)},
		told{run: "v2", begin: 4000, gap: time.Second, n: 1000, models: []string{"a"}, latency: around(100), failed: 0.2},
	)
	m := answer.Metric("error_rate")
	require.Zero(t, *m.Baseline)
	require.Nil(t, m.Change)
	require.Nil(t, m.Low)
	require.Equal(t, analysis.VerdictWorse, m.Verdict)
}

// Runs of different models have nothing in common; as a whole they can be
// compared.
func TestComparisonOfDifferentModels(t *testing.T) {
	runs := []told{
		{run: "v1", gap: time.Second, n: 1000, models: []string{"a"}, latency: around(100)},
		{run: "v2", begin: 4000, gap: time.Second, n: 1000, models: []string{"b"}, latency: around(200)},
	}
	answer, _ := compared(t, analysis.ComparisonQuery{}, runs...)
	require.Equal(t, analysis.VerdictTooLittle, answer.Metric("p95_latency_ms").Verdict)
	require.Equal(t, "no values", answer.Metric("p95_latency_ms").Why)
	require.Equal(t, analysis.VerdictNoEvidence, answer.Metric("requests_per_s").Verdict)
	require.Len(t, answer.Notes, 3)
	answer, _ = compared(t, analysis.ComparisonQuery{By: []string{}}, runs...)
	require.Equal(t, analysis.VerdictWorse, answer.Metric("p95_latency_ms").Verdict)
	require.Equal(t, []string{}, answer.By)
}

// Equal latencies have an interval as wide as the bins, no wider.
func TestComparisonOfEqualLatencies(t *testing.T) {
	same := func(*rand.Rand, string) float64 { return 250 }
	answer, _ := compared(t, analysis.ComparisonQuery{},
		told{run: "v1", gap: time.Second, n: 1000, models: []string{"a"}, latency: same},
		told{run: "v2", begin: 4000, gap: time.Second, n: 1000, models: []string{"a"}, latency: same},
	)
	for _, m := range answer.Metrics[:3] {
		require.Equal(t, 250.0, *m.Baseline)
		require.Zero(t, *m.Change)
		require.InDelta(t, -1.0/64, *m.Low, 1e-3)
		require.InDelta(t, 1.0/64, *m.High, 1e-3)
		require.Equal(t, analysis.VerdictNoEvidence, m.Verdict)
	}
}

// Other seeds give other intervals, about the same; equal ones equal answers.
func TestComparisonSeeds(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	path := makeFile(t, filetest.Traffic(9_000), now)
	v1, v2 := "load-1", "load-2"
	query := func(seed uint64) analysis.ComparisonQuery {
		return analysis.ComparisonQuery{Baseline: analysis.Query{Now: now, Run: &v1}, Candidate: analysis.Query{Now: now, Run: &v2}, Seed: seed}
	}
	one, other := ask(t, path, compare(query(0))), ask(t, path, compare(query(2)))
	require.Equal(t, one, ask(t, path, compare(query(analysis.DefaultSeed))))
	require.Equal(t, uint64(analysis.DefaultSeed), one.Seed)
	a, b := one.Metric("p95_latency_ms"), other.Metric("p95_latency_ms")
	require.Equal(t, *a.Change, *b.Change)
	require.NotEqual(t, *a.Low, *b.Low)
	require.InDelta(t, *a.Low, *b.Low, 0.05)
}

func TestComparisonsOfNothing(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	one := filetest.Traffic(1)
	one[0].Series.Category = aggregator.CategoryLLM
	for name, observations := range map[string][]aggregator.Observation{"empty file": nil, "one span": one} {
		path := makeFile(t, observations, now)
		for _, q := range []analysis.Query{
			{Now: now}, {Now: now, IncludeOpen: true}, {Now: now, From: time.Unix(0, 0), To: now},
			{Now: now, From: time.Date(1700, 1, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC), IncludeOpen: true},
			{Now: now, From: now}, {Now: now, To: filetest.Begin},
		} {
			answer := ask(t, path, compare(analysis.ComparisonQuery{Baseline: q, Candidate: analysis.Query{Now: now}, Warmup: time.Hour}))
			require.Len(t, answer.Metrics, len(analysis.MetricNames), name)
			for _, m := range answer.Metrics {
				require.NotContains(t, []analysis.Verdict{analysis.VerdictBetter, analysis.VerdictWorse}, m.Verdict, "%s: %s", name, m.Name)
			}
		}
	}
}

func TestComparisonsThatCannotBeAsked(t *testing.T) {
	now := filetest.Begin.Add(time.Hour)
	path := makeFile(t, filetest.Traffic(100), now)
	nobody := "nobody"
	for name, q := range map[string]analysis.ComparisonQuery{
		"baseline":  {Baseline: analysis.Query{Run: &nobody}},
		"candidate": {Candidate: analysis.Query{Run: &nobody}},
		"width":     {Baseline: analysis.Query{Width: 7}},
		"detail":    {Baseline: analysis.Query{Width: 1}},
		"dimension": {By: []string{"colour"}},
		"warm-up":   {Warmup: -time.Second},
		"long":      {Warmup: 48 * time.Hour},
		"negative":  {MinChange: -0.1},
		"NaN":       {MinChange: math.NaN()},
		"infinite":  {MinChange: math.Inf(1)},
	} {
		_, err := try(t, path, compare(q))
		require.True(t, errors.Is(err, analysis.ErrQuery), "%s: %v", name, err)
	}
}

// Where fine buckets are gone, wider ones are compared; on both sides the same.
func TestComparisonAfterPruning(t *testing.T) {
	random := seedtest.Rand(t)
	var all []aggregator.Observation
	for _, r := range []told{
		{run: "v1", gap: 10 * time.Second, n: 1440, models: []string{"a"}, latency: around(100)},
		{run: "v2", begin: 100_000, gap: 10 * time.Second, n: 1440, models: []string{"a"}, latency: around(100)},
	} {
		all = append(all, r.observations(random)...)
	}
	now := filetest.Begin.Add(48 * time.Hour)
	path := makeFile(t, all, now)
	v1, v2 := "v1", "v2"
	q := analysis.ComparisonQuery{Baseline: analysis.Query{Now: now, Run: &v1}, Candidate: analysis.Query{Now: now, Run: &v2}}
	before := ask(t, path, compare(q))
	require.Equal(t, []int64{20, 719}, []int64{before.WidthS, before.Buckets}, "four hours of 10 s are merged by twos")
	execute(t, path, "INSERT INTO pruned (relation, width_s, complete_from, rows) VALUES ('buckets', 10, ?, 1)", filetest.Begin.Unix()+50_000)
	after := ask(t, path, compare(q))
	require.Equal(t, []int64{300, 46}, []int64{after.WidthS, after.Buckets})
	require.Equal(t, int64(300), after.Candidate.Segments[0].WidthS)
}
