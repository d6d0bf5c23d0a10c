package aggregator_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// restarted builds the registry that a collector has after a restart: from what
// the file knows, in any order.
func restarted(random *rand.Rand, limits aggregator.Limits, series []aggregator.NamedSeries, runs []string) *aggregator.Registry {
	r := aggregator.NewRegistry(limits)
	for _, i := range random.Perm(len(runs)) {
		r.AddRun(runs[i])
	}
	for _, i := range random.Perm(len(series)) {
		r.AddSeries(series[i])
		if random.IntN(4) == 0 {
			r.AddSeries(series[i]) // telling it twice changes nothing
		}
	}
	return r
}

// TestRegistryKeepsItsLimits: whatever comes in whatever order, with restarts
// in between, no limit is passed, nothing that was admitted is refused later,
// and a restart changes no decision.
func TestRegistryKeepsItsLimits(t *testing.T) {
	random := seedtest.Rand(t)
	values := []string{"", "a", "b", "c", overflow}
	for round := range 60 {
		limits := aggregator.Limits{
			MaxSeries: random.IntN(40), MaxRuns: 1 + random.IntN(3), MaxOverflowSeries: random.IntN(8),
			Dimensions: []aggregator.DimensionLimit{{Name: "tier", MaxValues: 1 + random.IntN(3)}},
		}
		r := aggregator.NewRegistry(limits)
		kept := map[aggregator.Series]bool{}
		var series []aggregator.NamedSeries
		var runs []string
		tiers, live := map[string]bool{}, map[aggregator.SeriesID]bool{}
		for range 400 {
			s := randomSeries(random, values)
			s.Run = fmt.Sprint("r", random.IntN(5))
			s.Category, s.Outcome, s.Kind = s.Category%2, s.Outcome%2, 0
			s.Dimensions = ""
			if random.IntN(2) == 0 {
				s.Dimensions = aggregator.DimensionsText(map[string]string{"tier": fmt.Sprint(random.IntN(6))})
			}
			if run, isNew := r.ResolveRun(s.Run); isNew {
				runs = append(runs, run)
			}
			before := r.LiveSeries()
			got := resolve(t, r, s)
			if kept[got.Series] == got.New {
				t.Fatalf("round %d: %+v was kept before: %v, new: %v", round, got.Series, kept[got.Series], got.New)
			}
			if got.New {
				series = append(series, got.NamedSeries)
			}
			if kept[got.Series] = true; r.LiveSeries() > before {
				live[got.ID] = true
			}
			if got.Dimensions != "" && got.Dimensions != `{"tier":"__overflow__"}` {
				tiers[got.Dimensions] = true
			}
			if random.IntN(100) == 0 {
				r = restarted(random, limits, series, runs)
			}
		}
		if r.LiveSeries() > limits.MaxSeries || r.LiveSeries() != len(live) {
			t.Errorf("round %d: %d live series, %d were admitted, %d are allowed", round, r.LiveSeries(), len(live), limits.MaxSeries)
		}
		if len(tiers) > limits.Dimensions[0].MaxValues {
			t.Errorf("round %d: %d values of the dimension, %d are allowed", round, len(tiers), limits.Dimensions[0].MaxValues)
		}
		if len(runs) > limits.MaxRuns+1 {
			t.Errorf("round %d: %d runs, %d are allowed", round, len(runs), limits.MaxRuns)
		}
		// Beyond the limit only one overflow series for each run, category and outcome.
		if most := limits.MaxSeries + limits.MaxOverflowSeries + (limits.MaxRuns+1)*2*2; len(series) > most {
			t.Errorf("round %d: %d series are kept, at most %d should be", round, len(series), most)
		}
		if t.Failed() {
			return
		}
	}
}

// TestDistinctNames: hundreds of thousands of names through deltas and the
// registry leave the cap, every span and little memory behind.
func TestDistinctNames(t *testing.T) {
	const names, batch, most = 200_000, 8192, 1000
	limits := aggregator.Limits{MaxSeries: most, MaxRuns: 10, MaxOverflowSeries: 100}
	r := aggregator.NewRegistry(limits)
	d := aggregator.NewDelta(aggregator.Widths{Headline: 1, Series: 10})
	counts := map[aggregator.SeriesID]int64{}
	dropped := map[string]int64{}
	var total int64
	before := heap()
	for i := range names {
		o := plain()
		o.Series.Service, o.Series.Operation = "shop", fmt.Sprintf("GET /users/%d/%0200d", i, i)
		o.SetMeasure(aggregator.MeasureDuration, int64(i))
		o.EndUnixNano = o.StartUnixNano + int64(i)
		d.Fold(&o)
		if i%batch < batch-1 && i < names-1 {
			continue
		}
		for c := range d.SeriesCells() {
			cell := &d.SeriesCells()[c]
			got := r.Resolve(d.Series()[cell.Series])
			counts[got.ID] += cell.Counters[aggregator.Requests]
			dropped[got.Dropped] += cell.Counters[aggregator.Requests]
			if live := r.LiveSeries(); live > most {
				t.Fatalf("%d live series", live)
			}
		}
		total += d.Folded()
		d.Reset()
	}
	var sum int64
	for _, n := range counts {
		sum += n
	}
	if total != names || sum != names {
		t.Errorf("%d spans folded, %d in series, want %d", total, sum, names)
	}
	if r.LiveSeries() != most || len(counts) != most+1 {
		t.Errorf("%d live series, %d kept, want %d and one for the rest", r.LiveSeries(), len(counts), most)
	}
	if dropped["operation"] != names-most || dropped[""] != most {
		t.Errorf("dropped: %v", dropped)
	}
	// A batch, which is kept for reuse, is about 20 MB of cells; all names are 45 MB of text alone.
	grown := heap() - before
	t.Logf("%d KiB stay in use", grown>>10)
	if grown > 40<<20 {
		t.Errorf("%d bytes stay in use", grown)
	}
	if r.LiveSeries() != most || d.Received() != 0 {
		t.Error("registry and delta must stay alive until here")
	}
}
