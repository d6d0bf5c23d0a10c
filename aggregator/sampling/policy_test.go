package sampling_test

import (
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

const (
	second = 1_000_000_000
	noon   = 1_700_000_000 * second
)

// ordinary returns a span like any other, of one second.
func ordinary() *aggregator.Observation {
	o := &aggregator.Observation{
		TraceID: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, SpanID: [8]byte{17, 18, 19, 20, 21, 22, 23, 24},
		StartUnixNano: noon, EndUnixNano: noon + second, Series: aggregator.Series{Category: aggregator.CategoryLLM},
	}
	o.SetMeasure(aggregator.MeasureDuration, second)
	return o
}

// drawIDs gives a span ids of its own.
func drawIDs(rng *rand.Rand, o *aggregator.Observation) {
	binary.BigEndian.PutUint64(o.TraceID[:], rng.Uint64())
	binary.BigEndian.PutUint64(o.TraceID[8:], rng.Uint64())
	binary.BigEndian.PutUint64(o.SpanID[:], rng.Uint64())
}

// TestHashes pins numbers that others compute too: the first 8 bytes of what
// sha256sum prints for the bytes of the ids, and of the times where one is
// missing.
func TestHashes(t *testing.T) {
	for _, c := range []struct {
		name        string
		change      func(*aggregator.Observation)
		trace, span uint64
	}{
		{"both ids", func(*aggregator.Observation) {}, 0x5dfbabeedf318bf3, 0x91a306446e73d07e},
		{"no trace id", func(o *aggregator.Observation) { o.TraceID = [16]byte{} }, 0xccad45ac0b2662a9, 0x82361df37e575fbc},
		{"no span id", func(o *aggregator.Observation) { o.SpanID = [8]byte{} }, 0x5dfbabeedf318bf3, 0xa4f32d0a87b144a8},
		{"no id", func(o *aggregator.Observation) { o.TraceID, o.SpanID = [16]byte{}, [8]byte{} }, 0xcdf92d5960e15912, 0x586192a54f218e52},
	} {
		o := ordinary()
		c.change(o)
		require.Equal(t, c.trace, sampling.TraceHash(o), c.name)
		require.Equal(t, c.span, sampling.SpanHash(o), c.name)
	}
}

func TestRatios(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1e6, "0.0": 0, "1.000000": 1e6, "0.5": 500_000, "0.000001": 1, "0.999999": 999_999, "0.05": 50_000, "00.1": 100_000,
	} {
		got, err := sampling.ParseRatio(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", ".", ".5", "1.000001", "1.1", "2", "-0.1", "-0", "+1", "0.0000001", "1e-3", "NaN", "Inf", "0,5", "0.-5", "99999999999999999999", "0x1", "1_0"} {
		_, err := sampling.ParseRatio(text)
		require.EqualError(t, err, "must be from 0 to 1, with at most 6 decimals", text)
	}
}

func TestWeights(t *testing.T) {
	for micro, want := range map[int64]int64{
		0: 1e6, 1: 1e12, 3: 333_333_333_333, 7: 142_857_142_857, 50_000: 20e6, 300_000: 3_333_333, 600_000: 1_666_667, 999_999: 1_000_001, 1e6: 1e6,
	} {
		p := sampling.Policy{RatioMicro: micro, MaxForCause: 1}
		require.Equal(t, want, p.WeightMicro(sampling.Ordinary), micro)
		require.EqualValues(t, 1e6, p.WeightMicro(sampling.ForCause), micro)
		p.MaxForCause = 0
		require.Equal(t, want, p.WeightMicro(sampling.Ordinary), micro)
		require.Equal(t, want, p.WeightMicro(sampling.ForCause), "the others for cause have no rows")
	}
}

// TestVerdicts are those of one trace whose hash is 805107 mod 1000000, at
// ratios around it.
func TestVerdicts(t *testing.T) {
	const slow = 30 * second
	failed := func(o *aggregator.Observation) { o.Series.Outcome = aggregator.OutcomeCancelled }
	type verdicts [4]sampling.Verdict // at ratio 0, just below, just above, 1
	none, some := verdicts{0, 0, sampling.Ordinary, sampling.Ordinary},
		verdicts{sampling.Candidate, sampling.Candidate, sampling.ForCause, sampling.ForCause}
	for _, c := range []struct {
		name   string
		change func(*aggregator.Observation)
		want   verdicts
	}{
		{"ordinary", func(*aggregator.Observation) {}, none},
		{"failed", failed, some},
		{"fault", func(o *aggregator.Observation) { o.Series.Fault = "latency" }, some},
		{"slow", func(o *aggregator.Observation) { o.SetMeasure(aggregator.MeasureDuration, slow) }, some},
		{"nearly slow", func(o *aggregator.Observation) { o.SetMeasure(aggregator.MeasureDuration, slow-1) }, none},
		{"slow in a category without a threshold", func(o *aggregator.Observation) {
			o.SetMeasure(aggregator.MeasureDuration, slow)
			o.Series.Category = aggregator.CategoryTool
		}, none},
		{"rejected", func(o *aggregator.Observation) { o.Rejected = aggregator.RejectedNoStartTime }, verdicts{}},
	} {
		o := ordinary()
		c.change(o)
		for i, ratio := range []int64{0, 805_107, 805_108, 1e6} {
			p := sampling.Policy{RatioMicro: ratio, MaxForCause: 1}
			p.SlowNanos[aggregator.CategoryLLM] = slow
			require.Equal(t, c.want[i], p.Decide(o), "%s at %d", c.name, ratio)
		}
	}
	o := ordinary()
	failed(o)
	require.Equal(t, sampling.NotKept, (&sampling.Policy{RatioMicro: 805_107}).Decide(o), "no more are kept for cause")
	require.Equal(t, sampling.ForCause, (&sampling.Policy{RatioMicro: 805_108}).Decide(o), "but whole traces are")
}

// TestSamplesAreNested: all spans of a trace are in a sample or none, and every
// larger ratio has those of the smaller ones. The shares are the ratios.
func TestSamplesAreNested(t *testing.T) {
	rng := seedtest.Rand(t)
	ratios := []int64{0, 1, 1000, 10_000, 100_000, 300_000, 700_000, 999_999, 1_000_000}
	kept := make([]float64, len(ratios))
	const traces = 20_000
	for range traces {
		o := ordinary()
		drawIDs(rng, o)
		before := false
		for i, ratio := range ratios {
			p := sampling.Policy{RatioMicro: ratio}
			in := p.Decide(o) == sampling.Ordinary
			require.True(t, in || !before, "%x at %d", o.TraceID, ratio)
			before = in
			other := *o
			other.SpanID[0]++
			other.StartUnixNano += second
			require.Equal(t, in, p.Decide(&other) == sampling.Ordinary, "another span of the trace")
			if in {
				kept[i]++
			}
		}
	}
	for i, ratio := range ratios {
		share := float64(ratio) / 1e6
		// Four standard deviations of a share of so many traces.
		require.InDelta(t, share, kept[i]/traces, 4*0.5/141.4, "%v", share)
	}
	require.Zero(t, kept[0])
	require.EqualValues(t, traces, kept[len(kept)-1])
}

func TestPoliciesAreWrittenByNames(t *testing.T) {
	for want, text := range map[sampling.Policy]string{
		{}: `{"ratio_micro":0,"slow_ns":{},"max_for_cause":0}`,
		{RatioMicro: 5, MaxForCause: 7, SlowNanos: [aggregator.NumCategories]int64{aggregator.CategoryLLM: 9}}: `{"ratio_micro":5,"slow_ns":{"llm":9},"max_for_cause":7}`,
	} {
		written, err := json.Marshal(&want)
		require.NoError(t, err)
		require.JSONEq(t, text, string(written))
		got := sampling.Default()
		require.NoError(t, json.Unmarshal(written, &got))
		require.Equal(t, want, got)
	}
	var p sampling.Policy
	require.ErrorContains(t, json.Unmarshal([]byte(`{"slow_ns":{"chat":1}}`), &p), `unknown category "chat"`)
	require.Error(t, json.Unmarshal([]byte(`[]`), &p))
}

func TestStrataOfSpans(t *testing.T) {
	o := ordinary()
	o.Series.Outcome = aggregator.OutcomeServerError
	for start, minute := range map[int64]int64{
		0: 0, 1: 0, 60*second - 1: 0, 60 * second: 60, -1: -60, -60 * second: -60, noon: 1_699_999_980,
	} {
		o.StartUnixNano = start
		require.Equal(t, sampling.StratumKey{MinuteS: minute, Category: aggregator.CategoryLLM, Outcome: aggregator.OutcomeServerError},
			sampling.StratumOf(o), start)
	}
}

func BenchmarkDecide(b *testing.B) {
	o := ordinary()
	for name, ratio := range map[string]int64{"none": 0, "hundredth": 10_000, "all": 1e6} {
		b.Run(name, func(b *testing.B) {
			p := sampling.Policy{RatioMicro: ratio, MaxForCause: 100}
			for b.Loop() {
				o.TraceID[3]++
				p.Decide(o)
			}
		})
	}
}
