package filetest

import (
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// Stretch is a time of steady LLM requests.
type Stretch struct {
	Seconds   int
	PerSecond int // requests, at even distances
	// Failed of every ten requests end in Outcome, with "error " and its name
	// as their error type.
	Failed   int
	Outcome  aggregator.Outcome
	Duration time.Duration // of each; 0 means 50 ms
	Fault    string        // that marks each
}

// Load returns the requests of stretches, one after the other from Begin on.
func Load(stretches ...Stretch) (all []aggregator.Observation) {
	begin := Begin
	for _, s := range stretches {
		for n := range s.Seconds * s.PerSecond {
			all = append(all, s.request(begin.Add(time.Duration(n)*time.Second/time.Duration(s.PerSecond)), n))
		}
		begin = begin.Add(time.Duration(s.Seconds) * time.Second)
	}
	return all
}

func (s *Stretch) request(start time.Time, n int) (o aggregator.Observation) {
	duration := s.Duration
	if duration == 0 {
		duration = 50 * time.Millisecond
	}
	o.StartUnixNano = start.UnixNano()
	o.EndUnixNano = start.Add(duration).UnixNano()
	o.Series.Category, o.Series.Fault = aggregator.CategoryLLM, s.Fault
	if n%10 < s.Failed {
		o.Series.Outcome = s.Outcome
		o.Series.ErrorType = "error " + s.Outcome.String()
	}
	o.SetMeasure(aggregator.MeasureDuration, int64(duration))
	return o
}
