package aggregator_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

// call is a span of a chat that lasts so long; below 0, it has no usable duration.
func call(outcome aggregator.Outcome, length time.Duration) aggregator.Observation {
	o := aggregator.Observation{
		Series: aggregator.Series{
			Service: "app", Operation: "chat", Model: "m", Category: aggregator.CategoryLLM, Outcome: outcome,
		},
		StartUnixNano: 1_769_767_200e9, AdjustedMicro: 1e6,
	}
	if length >= 0 {
		o.EndUnixNano = o.StartUnixNano + int64(length)
		o.SetMeasure(aggregator.MeasureDuration, int64(length))
	}
	return o
}

func TestWhatCountsTowardsAnObjective(t *testing.T) {
	timed := aggregator.Objective{Name: "fast", Category: aggregator.CategoryLLM, LatencyNano: int64(2 * time.Second)}
	untimed := aggregator.Objective{Name: "works", Category: aggregator.CategoryLLM}
	narrowed := func(service, operation, model string) aggregator.Objective {
		return aggregator.Objective{Category: aggregator.CategoryLLM, Service: service, Operation: operation, Model: model}
	}
	rejected := call(aggregator.OutcomeSuccess, 0)
	rejected.Rejected = aggregator.RejectedStartInFuture
	for name, c := range map[string]struct {
		objective     aggregator.Objective
		span          aggregator.Observation
		counted, good bool
	}{
		"just as long":              {timed, call(aggregator.OutcomeSuccess, 2*time.Second), true, true},
		"a nanosecond more":         {timed, call(aggregator.OutcomeSuccess, 2*time.Second+1), true, false},
		"no time at all":            {timed, call(aggregator.OutcomeSuccess, 0), true, true},
		"no usable duration":        {timed, call(aggregator.OutcomeSuccess, -1), true, false},
		"no duration is needed":     {untimed, call(aggregator.OutcomeSuccess, -1), true, true},
		"slow, without a latency":   {untimed, call(aggregator.OutcomeSuccess, time.Hour), true, true},
		"failed":                    {timed, call(aggregator.OutcomeServerError, time.Second), true, false},
		"refused":                   {untimed, call(aggregator.OutcomeRateLimited, 0), true, false},
		"cancelled by its user":     {timed, call(aggregator.OutcomeCancelled, time.Second), false, false},
		"of another category":       {aggregator.Objective{Category: aggregator.CategoryTool}, call(aggregator.OutcomeSuccess, 0), false, false},
		"rejected":                  {untimed, rejected, false, false},
		"of the model":              {narrowed("", "", "m"), call(aggregator.OutcomeSuccess, 0), true, true},
		"of a model that begins so": {narrowed("", "", "m2"), call(aggregator.OutcomeSuccess, 0), false, false},
		"of all three":              {narrowed("app", "chat", "m"), call(aggregator.OutcomeSuccess, 0), true, true},
		"of another service":        {narrowed("other", "chat", "m"), call(aggregator.OutcomeSuccess, 0), false, false},
		"of another operation":      {narrowed("app", "embed", "m"), call(aggregator.OutcomeSuccess, 0), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			counted, good := c.objective.Counts(&c.span)
			require.Equal(t, [2]bool{c.counted, c.good}, [2]bool{counted, good})
			delta := aggregator.NewDelta(aggregator.Widths{Headline: 1, Series: 10}, c.objective)
			delta.Fold(&c.span)
			for i := range delta.HeadlineCells() {
				for id, n := range delta.ObjectiveCounts(&delta.HeadlineCells()[i]) {
					require.True(t, counted)
					require.Equal(t, c.objective.ID(), id)
					require.Equal(t, aggregator.ObjectiveCount{Good: map[bool]int64{true: 1}[good], Total: 1}, n)
					counted = false
				}
			}
			require.False(t, counted, "the delta does not count it")
		})
	}
}

// TestObjectiveID: all that decides what counts is part of it, and the share
// that is aimed at is not.
func TestObjectiveID(t *testing.T) {
	one := aggregator.Objective{Name: "a", Category: aggregator.CategoryLLM}
	same := one
	same.TargetNano = 5
	require.Equal(t, one.ID(), same.ID())
	require.EqualValues(t, 7931718935447548943, one.ID(), "stored in files")
	seen := map[aggregator.ObjectiveID]bool{one.ID(): true}
	for _, change := range []func(*aggregator.Objective){
		func(j *aggregator.Objective) { j.Name = "b" }, func(j *aggregator.Objective) { j.Category = aggregator.CategoryTool },
		func(j *aggregator.Objective) { j.Service = "x" }, func(j *aggregator.Objective) { j.Operation = "x" },
		func(j *aggregator.Objective) { j.Model = "x" }, func(j *aggregator.Objective) { j.LatencyNano = 1 },
	} {
		other := one
		change(&other)
		require.False(t, seen[other.ID()], other)
		seen[other.ID()] = true
	}
}

type cellOfObjective struct {
	aggregator.HeadlineKey
	id aggregator.ObjectiveID
}

func objectiveCounts(d *aggregator.Delta) map[cellOfObjective]aggregator.ObjectiveCount {
	all := map[cellOfObjective]aggregator.ObjectiveCount{}
	for i := range d.HeadlineCells() {
		c := &d.HeadlineCells()[i]
		for id, n := range d.ObjectiveCounts(c) {
			all[cellOfObjective{c.HeadlineKey, id}] = n
		}
	}
	return all
}

// TestObjectivesOfDeltasMerge: in any order and any parts, also after a Reset;
// and n times are n times as many.
func TestObjectivesOfDeltasMerge(t *testing.T) {
	rng := seedtest.Rand(t)
	objectives := []aggregator.Objective{
		{Name: "fast", Category: aggregator.CategoryLLM, LatencyNano: 500}, {Name: "m", Category: aggregator.CategoryLLM, Model: "m"},
		{Name: "tool", Category: aggregator.CategoryTool},
	}
	empty := func() *aggregator.Delta {
		return aggregator.NewDelta(aggregator.Widths{Headline: 1, Series: 10}, objectives...)
	}
	whole, parts := empty(), []*aggregator.Delta{empty(), empty(), empty()}
	for _, d := range parts {
		o := call(aggregator.OutcomeSuccess, 1)
		d.Fold(&o)
		d.Reset()
		require.Empty(t, objectiveCounts(d))
	}
	for range 500 {
		o := call(aggregator.Outcome(rng.IntN(int(aggregator.NumOutcomes))), time.Duration(rng.IntN(1000)))
		o.StartUnixNano += rng.Int64N(5e9)
		o.Series.Run, o.Series.Model = []string{"", "a"}[rng.IntN(2)], []string{"m", "n"}[rng.IntN(2)]
		o.Series.Category = []aggregator.Category{aggregator.CategoryLLM, aggregator.CategoryTool, aggregator.CategoryAgent}[rng.IntN(3)]
		whole.Fold(&o)
		parts[rng.IntN(3)].Fold(&o)
	}
	want := objectiveCounts(whole)
	require.NotEmpty(t, want)
	for _, order := range [][]int{{0, 1, 2}, {2, 0, 1}} {
		sum := empty()
		for _, i := range order {
			require.NoError(t, sum.Merge(parts[i]))
		}
		require.Equal(t, want, objectiveCounts(sum))
	}
	often, err := whole.Times(7)
	require.NoError(t, err)
	for key, n := range want {
		want[key] = aggregator.ObjectiveCount{Good: 7 * n.Good, Total: 7 * n.Total}
	}
	require.True(t, maps.Equal(want, objectiveCounts(often)))
	require.ErrorIs(t, whole.Merge(aggregator.NewDelta(aggregator.Widths{Headline: 1, Series: 10}, objectives[:2]...)), aggregator.ErrObjectives)
}

// TestCountingAllocatesNothing, once a delta has been used.
func TestCountingAllocatesNothing(t *testing.T) {
	objectives := make([]aggregator.Objective, 50)
	for i := range objectives {
		objectives[i] = aggregator.Objective{Name: string(rune('a' + i)), Category: aggregator.CategoryLLM, LatencyNano: int64(i + 1), Model: "m"}
	}
	d := aggregator.NewDelta(aggregator.Widths{Headline: 1, Series: 10}, objectives...)
	o := call(aggregator.OutcomeSuccess, 20)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for range 20 {
			d.Fold(&o)
		}
		d.Reset()
	}))
}

// BenchmarkFoldWithObjectives is what folding costs for each span.
func BenchmarkFoldWithObjectives(b *testing.B) {
	for _, n := range []int{0, 1, 10, 50} {
		b.Run(fmt.Sprint(n, " objectives"), func(b *testing.B) {
			objectives := make([]aggregator.Objective, n)
			for i := range objectives {
				objectives[i] = aggregator.Objective{Name: string(rune('a' + i)), Category: aggregator.CategoryLLM, LatencyNano: int64(i + 1)}
			}
			d := aggregator.NewDelta(aggregator.Widths{Headline: 1, Series: 10}, objectives...)
			o := call(aggregator.OutcomeSuccess, 20)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%1000 == 0 {
					d.Reset()
				}
				d.Fold(&o)
			}
		})
	}
}
