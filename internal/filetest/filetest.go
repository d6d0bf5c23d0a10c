// Package filetest writes small files with known content for tests: fixed
// observations, a fixed clock, and what to expect of them.
package filetest

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// Begin is when the first observation of Traffic starts.
var Begin = time.Date(2026, 1, 30, 10, 0, 0, 0, time.UTC)

// Widths are the default ones of the exporter.
func Widths() []storage.Width {
	const day = 24 * time.Hour
	return []storage.Width{
		{Seconds: 1, Retention: day, Detail: storage.DetailHeadline},
		{Seconds: 10, Retention: 3 * day},
		{Seconds: 300, Retention: 90 * day},
		{Seconds: 3600, Retention: 730 * day},
	}
}

// Objectives are two that most of Traffic counts towards.
func Objectives() []aggregator.Objective {
	return []aggregator.Objective{
		{Name: "chat", Category: aggregator.CategoryLLM, LatencyNano: int64(2 * time.Second), TargetNano: 990_000_000},
		{Name: "tools", Category: aggregator.CategoryTool, TargetNano: 900_000_000},
	}
}

// Options are those of a file at path whose clock stands at now.
func Options(path string, now time.Time) storage.Options {
	return storage.Options{
		Path: path, Widths: Widths(), Objectives: Objectives(), SettleAfter: time.Minute,
		Limits: aggregator.Limits{
			MaxSeries: 1000, MaxRuns: 100, MaxOverflowSeries: 100,
			Dimensions: []aggregator.DimensionLimit{{Name: "user.tier", MaxValues: 10}},
		},
		// Nobody cuts the power during a test.
		Synchronous: storage.SynchronousNormal, WriterVersion: "v0.0.0-test", Now: func() time.Time { return now },
	}
}

// Write writes observations to a file, and fails the test where it cannot.
func Write(t testing.TB, o storage.Options, observations []aggregator.Observation) {
	t.Helper()
	if err := Make(o, observations); err != nil {
		t.Fatal(err)
	}
}

// Make writes observations to a file, a batch at a time, and closes it.
func Make(o storage.Options, observations []aggregator.Observation) error {
	return makeFile(o, observations, func([]aggregator.Observation) iter.Seq[*aggregator.Request] { return nil })
}

// MakeWithRequests is Make, and keeps every span as a request too.
func MakeWithRequests(o storage.Options, observations []aggregator.Observation) error {
	return makeFile(o, observations, requests)
}

func makeFile(
	o storage.Options, observations []aggregator.Observation, requests func([]aggregator.Observation) iter.Seq[*aggregator.Request],
) (err error) {
	s, err := storage.Open(context.Background(), o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for batch := range slices.Chunk(observations, 1000) {
		delta := aggregator.NewDelta(storage.FinestWidths(o.Widths), o.Objectives...)
		for i := range batch {
			delta.Fold(&batch[i])
		}
		err := s.Write(context.Background(), storage.Batch{Delta: delta, Requests: wanted(requests(batch)),
			Observations: func(yield func(*aggregator.Observation) bool) {
				for i := range batch {
					if !yield(&batch[i]) {
						return
					}
				}
			}})
		if err != nil {
			return err
		}
	}
	return nil
}

// wanted lets the writer choose among requests; nil where there are none.
func wanted(all iter.Seq[*aggregator.Request]) func(func(span int) bool) iter.Seq[*aggregator.Request] {
	if all == nil {
		return nil
	}
	return func(wanted func(span int) bool) iter.Seq[*aggregator.Request] {
		return func(yield func(*aggregator.Request) bool) {
			i := -1
			for r := range all {
				if i++; wanted(i) && !yield(r) {
					return
				}
			}
		}
	}
}

// requests are observations of Traffic in full.
func requests(batch []aggregator.Observation) iter.Seq[*aggregator.Request] {
	return func(yield func(*aggregator.Request) bool) {
		for i := range batch {
			r := aggregator.Request{Observation: batch[i]}
			duration, _ := r.Measure(aggregator.MeasureDuration)
			net, faulty := r.Measure(aggregator.MeasureNetDuration)
			for fact, known := range map[aggregator.Fact]bool{
				aggregator.FactInputTokens: r.Usage, aggregator.FactOutputTokens: r.OutputTokens > 0,
				aggregator.FactResends: r.Resends > 0, aggregator.FactInjectedDelay: faulty,
			} {
				if known {
					r.Known |= fact
				}
			}
			if faulty {
				r.InjectedDelayNano = duration - net
			}
			if !yield(&r) {
				return
			}
		}
	}
}

// call is a kind of request in Traffic.
type call struct {
	series    aggregator.Series
	median    float64 // milliseconds
	streaming bool
	priced    bool
}

var calls = []call{
	{aggregator.Series{Service: "gateway", Operation: "chat", Kind: aggregator.KindClient, Category: aggregator.CategoryLLM, Provider: "openai", Model: "gpt-4o"}, 900, true, true},
	{aggregator.Series{Service: "gateway", Operation: "chat", Kind: aggregator.KindClient, Category: aggregator.CategoryLLM, Provider: "anthropic", Model: "claude-sonnet-4-5"}, 2400, true, true},
	{aggregator.Series{Service: "gateway", Operation: "chat", Kind: aggregator.KindClient, Category: aggregator.CategoryLLM, Provider: "=cmd|calc", Model: "models/\u202eelpmis\x1b[31m"}, 40, false, false},
	{aggregator.Series{Service: "search", Operation: "embeddings", Kind: aggregator.KindClient, Category: aggregator.CategoryEmbedding, Provider: "openai", Model: "text-embedding-3-small"}, 120, false, true},
	{aggregator.Series{Service: "agent", Operation: "execute_tool", Kind: aggregator.KindInternal, Category: aggregator.CategoryTool, Tool: "web_search", Agent: "researcher"}, 350, false, false},
	{aggregator.Series{Service: "gateway", Operation: "POST /v1/chat", Kind: aggregator.KindServer, Category: aggregator.CategoryServer}, 1500, false, false},
}

var failures = []struct {
	outcome   aggregator.Outcome
	errorType string
}{
	{aggregator.OutcomeRateLimited, "429"}, {aggregator.OutcomeServerError, "500"},
	{aggregator.OutcomeConnectionError, "ConnectionResetError"}, {aggregator.OutcomeCancelled, "cancelled"},
}

// Traffic returns n observations, one every 100 ms from Begin on: two runs and
// spans outside any, failures, an injected delay in the second minute of every
// five, a configured dimension, spans without a usable duration, and a few that
// are rejected.
func Traffic(n int) []aggregator.Observation {
	rng := rand.New(rand.NewPCG(1, 2))
	out := make([]aggregator.Observation, n)
	for i := range out {
		start := Begin.Add(time.Duration(i) * 100 * time.Millisecond)
		out[i] = observe(rng, start, i)
	}
	return out
}

func observe(rng *rand.Rand, start time.Time, i int) aggregator.Observation {
	c := calls[rng.IntN(len(calls))]
	o := aggregator.Observation{Series: c.series, StartUnixNano: start.UnixNano(), AdjustedMicro: 1_000_000}
	o.Series.Run = []string{"load-1", "load-2", ""}[i*3/len(calls)%3]
	if rng.IntN(4) == 0 {
		o.Series.Dimensions = aggregator.DimensionsText(map[string]string{"user.tier": "gold"})
	}
	for k := range o.TraceID {
		o.TraceID[k] = byte(rng.Uint32())
	}
	for k := range o.SpanID {
		o.SpanID[k] = byte(rng.Uint32())
	}
	failed := rng.IntN(10) == 0
	if failed {
		f := failures[rng.IntN(len(failures))]
		o.Series.Outcome, o.Series.ErrorType = f.outcome, f.errorType
		o.Resends = rng.Int64N(3)
	}
	if i%997 == 996 {
		o.Rejected = aggregator.RejectedStartInFuture
		return o
	}
	if i%101 == 100 {
		o.Notes = aggregator.NoteEndBeforeStart
		return o
	}
	measure(rng, &o, &c, failed)
	return o
}

// measure gives the observation a duration and what goes with it.
func measure(rng *rand.Rand, o *aggregator.Observation, c *call, failed bool) {
	// Between half and four times the median, more often short than long.
	share := rng.Float64()
	net := int64(c.median * 1e6 * (0.5 + 3.5*share*share*share))
	duration := net
	if o.StartUnixNano/60e9%5 == 1 && c.series.Category == aggregator.CategoryLLM {
		o.Series.Fault = "latency"
		duration += 250e6
		o.SetMeasure(aggregator.MeasureNetDuration, net)
	}
	o.SetMeasure(aggregator.MeasureDuration, duration)
	o.EndUnixNano = o.StartUnixNano + duration
	if failed || c.series.Category != aggregator.CategoryLLM && c.series.Category != aggregator.CategoryEmbedding {
		return
	}
	o.Usage = true
	o.InputTokens = 100 + rng.Int64N(900)
	if c.priced {
		o.Priced, o.CostNanoUSD = true, o.InputTokens*2500
	}
	if c.streaming {
		o.OutputTokens = 2 + rng.Int64N(500)
		first := duration / 4
		o.SetMeasure(aggregator.MeasureTimeToFirstToken, first)
		o.SetMeasure(aggregator.MeasureTimePerOutputToken, (duration-first)/(o.OutputTokens-1))
	}
}
