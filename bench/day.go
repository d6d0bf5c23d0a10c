package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"math/rand/v2"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
	"github.com/spanbucket/spanbucketexporter/storage"
)

// day is a file that answers are asked of: so long a time at ten seconds, with
// 50 series in every bucket, and rows of requests: a hundredth of all, up to a
// hundred of every minute and outcome that failed, and all that a fault touched.
// It is written by storage's own writer, but from observations, as reading spans
// is not what is measured.
type day struct {
	start time.Time
	over  time.Duration
	// spans of each series in each bucket of ten seconds.
	spans int
}

const (
	daySeries      = 50
	dayBucket      = 10 * time.Second
	dayBatch       = 5 * time.Minute
	faultEvery     = 3 * time.Hour
	faultFor       = 10 * time.Minute
	dayErrorSeries = 5 // every so many series one is of errors
)

var dayFailures = []struct {
	outcome aggregator.Outcome
	name    string
	code    int64
}{
	{aggregator.OutcomeRateLimited, "429", 429}, {aggregator.OutcomeServerError, "500", 500},
	{aggregator.OutcomeCapacityError, "529", 529}, {aggregator.OutcomeConnectionError, "ECONNRESET", 0},
	{aggregator.OutcomeMalformed, "invalid_json", 200},
}

func (d day) options(path string) storage.Options {
	end := d.start.Add(d.over)
	o := storage.Options{
		Path: path, SettleAfter: time.Minute, FaultGap: 5 * time.Second, PruneInterval: -1,
		Widths: []storage.Width{
			{Seconds: 1, Detail: storage.DetailHeadline}, {Seconds: 10}, {Seconds: 300}, {Seconds: 3600},
		},
		Limits:      aggregator.Limits{MaxSeries: 1000, MaxRuns: 100, MaxOverflowSeries: 100},
		Synchronous: storage.SynchronousNormal, WriterVersion: "bench", Now: func() time.Time { return end },
	}
	policy := sampling.Default()
	policy.RatioMicro = sampling.Whole / 100
	o.Sampling = &policy
	for at := faultEvery; at < d.over; at += faultEvery {
		o.FaultWindows = append(o.FaultWindows, aggregator.FaultWindow{
			Fault: "latency", StartUnixNano: d.start.Add(at).UnixNano(), EndUnixNano: d.start.Add(at + faultFor).UnixNano(),
		})
	}
	return o
}

// series is the k-th of a bucket; faulty while a fault window is open.
func (d day) series(k int, faulty bool) aggregator.Series {
	s := aggregator.Series{
		Run: "day", Service: fmt.Sprintf("gateway-%d", k%2), Operation: "chat", Kind: aggregator.KindClient,
		Category: aggregator.CategoryLLM, Provider: "openai", Model: fmt.Sprintf("model-%d", k/2%5), Agent: fmt.Sprintf("agent-%d", k/10),
	}
	if k%dayErrorSeries == 0 {
		f := dayFailures[k/dayErrorSeries%len(dayFailures)]
		s.Outcome, s.ErrorType = f.outcome, f.name
	}
	if faulty && k%10 == 3 {
		s.Fault = "latency"
	}
	return s
}

// write writes the file.
func (d day) write(ctx context.Context, path string, seed uint64, talk io.Writer) (err error) {
	o := d.options(path)
	store, err := storage.Open(ctx, o)
	if err != nil {
		return fmt.Errorf("write a day: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	rng := rand.New(rand.NewPCG(seed, 3))
	delta := aggregator.NewDelta(storage.FinestWidths(o.Widths))
	for at := time.Duration(0); at < d.over; at += dayBatch {
		if at%(6*time.Hour) == 0 {
			fmt.Fprintf(talk, "answers: writing %s of %s\n", at, d.over)
		}
		delta.Reset()
		batch := d.observe(rng, at)
		for i := range batch {
			delta.Fold(&batch[i])
		}
		err := store.Write(ctx, storage.Batch{Delta: delta, Requests: inFull(batch),
			Observations: func(yield func(*aggregator.Observation) bool) {
				for i := range batch {
					if !yield(&batch[i]) {
						return
					}
				}
			}})
		if err != nil {
			return fmt.Errorf("write a day: %w", err)
		}
	}
	return nil
}

// observe returns what happened in a batch that begins at an offset.
func (d day) observe(rng *rand.Rand, at time.Duration) []aggregator.Observation {
	var all []aggregator.Observation
	for bucket := at; bucket < at+dayBatch && bucket < d.over; bucket += dayBucket {
		faulty := bucket >= faultEvery && bucket%faultEvery < faultFor
		start := d.start.Add(bucket).UnixNano()
		for k := range daySeries {
			series := d.series(k, faulty)
			for i := range d.spans {
				o := aggregator.Observation{Series: series, AdjustedMicro: 1_000_000}
				o.StartUnixNano = start + int64(dayBucket)*int64(i)/int64(d.spans) + int64(k)
				binary.LittleEndian.PutUint64(o.TraceID[:], rng.Uint64())
				binary.LittleEndian.PutUint64(o.TraceID[8:], rng.Uint64())
				binary.LittleEndian.PutUint64(o.SpanID[:], rng.Uint64())
				net := int64(0.8e9 * math.Exp(0.6*rng.NormFloat64()))
				duration := net
				if series.Fault != "" {
					duration += 500e6
					o.SetMeasure(aggregator.MeasureNetDuration, net)
				}
				o.SetMeasure(aggregator.MeasureDuration, duration)
				o.EndUnixNano = o.StartUnixNano + duration
				if series.Outcome == aggregator.OutcomeSuccess {
					o.Usage, o.InputTokens, o.OutputTokens = true, 100+rng.Int64N(1000), 10+rng.Int64N(300)
					o.Priced, o.CostNanoUSD = true, 2500*o.InputTokens+10_000*o.OutputTokens
				}
				all = append(all, o)
			}
		}
	}
	return all
}

// inFull returns observations as requests.
func inFull(batch []aggregator.Observation) func(func(int) bool) iter.Seq[*aggregator.Request] {
	return func(wanted func(span int) bool) iter.Seq[*aggregator.Request] {
		return func(yield func(*aggregator.Request) bool) {
			for i := range batch {
				if !wanted(i) {
					continue
				}
				r := aggregator.Request{Observation: batch[i], Endpoint: "/v1/chat/completions", SpanName: "chat"}
				for _, f := range dayFailures {
					if f.name == r.Series.ErrorType && f.code != 0 {
						r.StatusCode, r.Known = f.code, aggregator.FactStatusCode
					}
				}
				if !yield(&r) {
					return
				}
			}
		}
	}
}
