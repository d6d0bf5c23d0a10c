package main

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
)

// makeRuns is the command "makeruns FILE": it writes two runs of ten minutes, v1
// and v2, an hour apart. v2 is slower by 30 % and asks the slow model less
// often, so that without strata it would look faster; it also fails more often,
// and does half as much. A third run, short, has ten requests.
func makeRuns(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: makeruns FILE")
	}
	var all []aggregator.Observation
	random := rand.New(rand.NewPCG(6, 7))
	for i, r := range []struct {
		run                 string
		requests, perSecond int
		slowModel, failed   float64
		factor              float64
	}{{"v1", 6000, 10, 0.7, 0.01, 1}, {"v2", 3000, 5, 0.3, 0.05, 1.3}, {"short", 10, 1, 0.5, 0, 1}} {
		begin := filetest.Begin.Add(time.Duration(i)*time.Hour + 3*time.Second)
		for n := range r.requests {
			o := aggregator.Observation{AdjustedMicro: 1_000_000, Series: aggregator.Series{
				Run: r.run, Service: "gateway", Operation: "chat", Kind: aggregator.KindClient, Category: aggregator.CategoryLLM, Model: "small",
			}}
			latency := 300e6 * r.factor * math.Exp(0.3*random.NormFloat64())
			if random.Float64() < r.slowModel {
				o.Series.Model = "large"
				latency *= 4
			}
			if random.Float64() < r.failed {
				o.Series.Outcome, o.Series.ErrorType = aggregator.OutcomeServerError, "500"
			}
			o.StartUnixNano = begin.Add(time.Duration(n) * time.Second / time.Duration(r.perSecond)).UnixNano()
			o.EndUnixNano = o.StartUnixNano + int64(latency)
			o.SetMeasure(aggregator.MeasureDuration, int64(latency))
			o.Usage, o.OutputTokens = true, 100+random.Int64N(200)
			binary.BigEndian.PutUint64(o.TraceID[:], random.Uint64())
			binary.BigEndian.PutUint64(o.SpanID[:], random.Uint64())
			all = append(all, o)
		}
	}
	ts.Check(filetest.Make(filetest.Options(ts.MkAbs(args[0]), filetest.Begin.Add(4*time.Hour)), all))
}
