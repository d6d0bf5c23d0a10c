package analysis_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/analysis"
	"github.com/spanbucket/spanbucketexporter/internal/filetest"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// plainBurst is a burst as a person would find it with pen and paper.
type plainBurst struct {
	start, end, recovery          int64 // seconds; recovery -1: still active
	requests, limited, overloaded int64
}

// plainBursts goes through the spans bucket by bucket.
func plainBursts(observations []aggregator.Observation, width int64) (found []plainBurst) {
	type bucket struct{ requests, limited, overloaded int64 }
	buckets := map[int64]bucket{}
	var last int64
	for i := range observations {
		if !isRequest(&observations[i]) {
			continue
		}
		at := seconds(&observations[i]) / width * width
		b := buckets[at]
		b.requests++
		switch observations[i].Series.Outcome {
		case aggregator.OutcomeRateLimited:
			b.limited++
		case aggregator.OutcomeCapacityError:
			b.overloaded++
		}
		buckets[at] = b
		last = max(last, at)
	}
	var now *plainBurst
	var hot int64
	end := func(recovery int64) {
		if now.recovery = recovery; now.limited+now.overloaded >= 3 {
			found = append(found, *now)
		}
		now = nil
	}
	for at := int64(0); at <= last; at += width {
		b := buckets[at]
		if b.requests == 0 {
			continue
		}
		refused := float64(b.limited+b.overloaded) / float64(b.requests)
		if now != nil && refused < 0.1 {
			end(at - hot)
			continue
		}
		if now == nil {
			if refused <= 0.3 {
				continue
			}
			now = &plainBurst{start: at}
		}
		if refused > 0.3 {
			hot = at + width
		}
		now.end = at + width
		now.requests, now.limited, now.overloaded = now.requests+b.requests, now.limited+b.limited, now.overloaded+b.overloaded
	}
	if now != nil {
		end(-1)
	}
	return found
}

// Random traffic, of several runs and categories that count together.
func TestBurstsAgainstOracle(t *testing.T) {
	rng := seedtest.Rand(t)
	now := filetest.Begin.Add(4 * time.Hour)
	for range 6 {
		var stretches []filetest.Stretch
		for range 4 + rng.IntN(8) {
			stretches = append(stretches, filetest.Stretch{
				Seconds: rng.IntN(40), PerSecond: 1 + rng.IntN(20), Failed: max(0, rng.IntN(14)-5),
				Outcome: []aggregator.Outcome{aggregator.OutcomeRateLimited, aggregator.OutcomeCapacityError, aggregator.OutcomeServerError}[rng.IntN(3)],
			}, filetest.Stretch{Seconds: rng.IntN(3) * rng.IntN(30)})
		}
		observations := filetest.Load(stretches...)
		for i := range observations {
			s := &observations[i].Series
			s.Run = []string{"", "a", "b"}[rng.IntN(3)]
			s.Category = []aggregator.Category{aggregator.CategoryLLM, aggregator.CategoryEmbedding, aggregator.CategoryTool}[rng.IntN(3)]
		}
		path := makeFile(t, observations, now)
		for _, width := range []int64{1, 10} {
			answer := ask(t, path, bursts(analysis.BurstsQuery{Query: analysis.Query{Now: now, Width: width}}))
			var got []plainBurst
			for _, b := range answer.Rows {
				recovery := int64(-1)
				if b.RecoveryS != nil {
					recovery = *b.RecoveryS
				}
				got = append(got, plainBurst{b.Start - filetest.Begin.Unix(), b.End - filetest.Begin.Unix(), recovery, b.Requests, b.RateLimited, b.CapacityErrors})
			}
			require.Equal(t, plainBursts(observations, width), got, "width %d: %+v", width, stretches)
		}
	}
}
