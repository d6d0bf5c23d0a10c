package aggregator_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
	"github.com/spanbucket/spanbucketexporter/internal/seedtest"
)

var widthPairs = []aggregator.Widths{
	{Headline: 1, Series: 10}, {Headline: 7, Series: 7}, {Headline: 60, Series: 300}, {Headline: 300, Series: 86_400},
	{Headline: 86_400, Series: 86_400}, {Headline: 100_000, Series: 100_000}, {Headline: 1, Series: 0}, {Headline: 10, Series: 1},
}

func eachWidths(t *testing.T, test func(t *testing.T, widths aggregator.Widths, random *rand.Rand)) {
	for _, widths := range widthPairs {
		t.Run(fmt.Sprintf("%d s and %d s", widths.Headline, widths.Series), func(t *testing.T) {
			test(t, widths, seedtest.Rand(t))
		})
	}
}

// TestFoldEqualsRecomputation: a delta says what plain maps over all
// observations say.
func TestFoldEqualsRecomputation(t *testing.T) {
	eachWidths(t, func(t *testing.T, widths aggregator.Widths, random *rand.Rand) {
		for _, n := range []int{0, 1, 2, 17, 300, 3000} {
			observations := newTraffic(random).draw(n)
			want := newOracle(widths, observations)
			got := fold(t, widths, observations)
			compare(t, fmt.Sprint(n, " observations"), content(got), want.content())
			if !t.Failed() {
				want.checkPercentiles(t, got)
			}
		}
	})
}

// TestOrderAndBatchingDoNotMatter: shuffled, cut into batches and merged in any
// tree, observations give one content; the merged ones are left as they were.
func TestOrderAndBatchingDoNotMatter(t *testing.T) {
	eachWidths(t, func(t *testing.T, widths aggregator.Widths, random *rand.Rand) {
		for range 8 {
			observations := newTraffic(random).draw(1 + random.IntN(1500))
			want := newOracle(widths, observations).content()
			random.Shuffle(len(observations), func(i, j int) {
				observations[i], observations[j] = observations[j], observations[i]
			})
			deltas := batches(t, random, widths, observations)
			for len(deltas) > 1 {
				i := random.IntN(len(deltas) - 1)
				j := i + 1 + random.IntN(len(deltas)-i-1)
				if random.IntN(2) == 0 {
					deltas[i], deltas[j] = deltas[j], deltas[i]
				}
				before := content(deltas[j])
				merge(t, deltas[i], deltas[j])
				compare(t, "the merged one", content(deltas[j]), before)
				deltas = slices.Delete(deltas, j, j+1)
			}
			compare(t, "the result", content(deltas[0]), want)
			if t.Failed() {
				return
			}
		}
	})
}

// batches folds observations into several deltas: new ones, reset ones, and
// ones that have merged an empty one.
func batches(t *testing.T, random *rand.Rand, widths aggregator.Widths, observations []aggregator.Observation) []*aggregator.Delta {
	deltas := []*aggregator.Delta{aggregator.NewDelta(widths)}
	for rest := observations; len(rest) > 0; {
		n := 1 + random.IntN(len(rest))
		d := aggregator.NewDelta(widths)
		if random.IntN(2) == 0 {
			foldInto(d, newTraffic(random).draw(random.IntN(300)))
			foldInto(d, rest[:n])
			d.Reset()
		}
		foldInto(d, rest[:n])
		if random.IntN(4) == 0 {
			merge(t, d, aggregator.NewDelta(widths))
		}
		deltas = append(deltas, d)
		rest = rest[n:]
	}
	return deltas
}

func TestEmptyDeltaIsTheIdentity(t *testing.T) {
	eachWidths(t, func(t *testing.T, widths aggregator.Widths, random *rand.Rand) {
		observations := newTraffic(random).draw(500)
		want := content(fold(t, widths, observations))
		left := aggregator.NewDelta(widths)
		merge(t, left, fold(t, widths, observations))
		compare(t, "nothing + a", content(left), want)
		right := fold(t, widths, observations)
		merge(t, right, aggregator.NewDelta(widths))
		compare(t, "a + nothing", content(right), want)
		merge(t, right, right)
		compare(t, "a + a", content(right), newOracle(widths, slices.Concat(observations, observations)).content())
	})
}

// TestResetIsFresh: a delta that was reset, again and again, says only what it
// was given since, and shares nothing with what was merged out of it.
func TestResetIsFresh(t *testing.T) {
	eachWidths(t, func(t *testing.T, widths aggregator.Widths, random *rand.Rand) {
		d, total := aggregator.NewDelta(widths), aggregator.NewDelta(widths)
		var all []aggregator.Observation
		for range 30 {
			observations := newTraffic(random).draw(random.IntN(200))
			foldInto(d, observations)
			compare(t, "the batch", content(d), newOracle(widths, observations).content())
			merge(t, total, d)
			all = append(all, observations...)
			d.Reset()
			compare(t, "after Reset", content(d), newOracle(widths, nil).content())
		}
		compare(t, "the total", content(total), newOracle(widths, all).content())
		if d.Widths() != widths {
			t.Errorf("Widths %+v, want %+v", d.Widths(), widths)
		}
	})
}

func TestMergeRefusesOtherWidths(t *testing.T) {
	observations := newTraffic(seedtest.Rand(t)).draw(100)
	d := fold(t, widthPairs[0], observations)
	before := content(d)
	for _, widths := range widthPairs[1:] {
		if err := d.Merge(fold(t, widths, observations)); !errors.Is(err, aggregator.ErrWidths) {
			t.Errorf("merging %+v into %+v: %v", widths, widthPairs[0], err)
		}
	}
	compare(t, "the receiver", content(d), before)
}

// TestOutcomesAreAPartition: in every cell of the headline the ten outcomes add
// up to the requests, and over all cells requests are the folded spans.
func TestOutcomesAreAPartition(t *testing.T) {
	eachWidths(t, func(t *testing.T, widths aggregator.Widths, random *rand.Rand) {
		d := fold(t, widths, newTraffic(random).draw(2000))
		var headline, series int64
		for i := range d.HeadlineCells() {
			c := &d.HeadlineCells()[i]
			var outcomes int64
			for o := range aggregator.NumOutcomes {
				outcomes += c.Counters[aggregator.OutcomeCounter(o)]
			}
			if requests := c.Counters[aggregator.Requests]; outcomes != requests {
				t.Errorf("%+v: outcomes add up to %d, requests are %d", c.HeadlineKey, outcomes, requests)
			}
			headline += c.Counters[aggregator.Requests]
		}
		for i := range d.SeriesCells() {
			series += d.SeriesCells()[i].Counters[aggregator.Requests]
		}
		if headline != d.Folded() || widths.Series > 0 && series != d.Folded() {
			t.Errorf("%d spans in the headline, %d in series, %d folded", headline, series, d.Folded())
		}
		var rejected int64
		for reason := aggregator.NotRejected + 1; reason < aggregator.NumRejections; reason++ {
			rejected += d.Rejected(reason)
		}
		if d.Received() != 2000 || d.Received() != d.Folded()+rejected {
			t.Errorf("received %d, folded %d, rejected %d", d.Received(), d.Folded(), rejected)
		}
	})
}

// plain is an observation without anything in it, of one series.
func plain() aggregator.Observation {
	return aggregator.Observation{StartUnixNano: midnight * 1e9, AdjustedMicro: 1_000_000}
}

// overflows name every sum of a cell and an observation that adds v to it.
var overflows = []struct {
	name string
	add  func(o *aggregator.Observation, v int64)
}{
	{"adjusted count", func(o *aggregator.Observation, v int64) { o.AdjustedMicro = v }},
	{"resends", func(o *aggregator.Observation, v int64) { o.Resends = v }},
	{"input tokens", func(o *aggregator.Observation, v int64) { o.Usage, o.InputTokens = true, v }},
	{"output tokens", func(o *aggregator.Observation, v int64) { o.Usage, o.OutputTokens = true, v }},
	{"cache read tokens", func(o *aggregator.Observation, v int64) { o.Usage, o.CacheReadTokens = true, v }},
	{"cache write tokens", func(o *aggregator.Observation, v int64) { o.Usage, o.CacheWriteTokens = true, v }},
	{"reasoning tokens", func(o *aggregator.Observation, v int64) { o.Usage, o.ReasoningTokens = true, v }},
	{"cost", func(o *aggregator.Observation, v int64) { o.Priced, o.CostNanoUSD = true, v }},
	{"duration", func(o *aggregator.Observation, v int64) { o.SetMeasure(aggregator.MeasureDuration, v) }},
	{"net duration", func(o *aggregator.Observation, v int64) { o.SetMeasure(aggregator.MeasureNetDuration, v) }},
	{"time to first token", func(o *aggregator.Observation, v int64) { o.SetMeasure(aggregator.MeasureTimeToFirstToken, v) }},
	{"time per output token", func(o *aggregator.Observation, v int64) { o.SetMeasure(aggregator.MeasureTimePerOutputToken, v) }},
}

// shareOnly moves a plain observation to where it shares with other plain ones
// the cell of the series only, or that of the headline only, or both, with
// widths of 1 s for the headline and 10 s for series.
func shareOnly(where string, o *aggregator.Observation) {
	switch where {
	case "series":
		o.StartUnixNano += 2e9
	case "headline":
		o.Series.Model = "another"
	}
	o.EndUnixNano = o.StartUnixNano
}

// TestOverflowRejectsOneSpan: the span that a sum has no room for is counted as
// rejected and changes nothing else, whether the sum is that of both its cells,
// only that of its series or only that of the headline; the next one that fits
// is folded.
func TestOverflowRejectsOneSpan(t *testing.T) {
	for _, test := range overflows {
		for _, where := range cellsWith(test.name) {
			t.Run(test.name+" of "+where, func(t *testing.T) {
				full, over, fits := plain(), plain(), plain()
				test.add(&full, math.MaxInt64-10)
				test.add(&over, 11)
				test.add(&fits, 10)
				full.EndUnixNano = full.StartUnixNano
				shareOnly(where, &over)
				shareOnly(where, &fits)
				over.Notes = aggregator.NoteZeroID
				if test.name != "adjusted count" {
					full.AdjustedMicro, over.AdjustedMicro, fits.AdjustedMicro = 1, 1, 1
				}

				widths := aggregator.Widths{Headline: 1, Series: 10}
				want := newOracle(widths, []aggregator.Observation{full})
				want.received++
				want.rejected[aggregator.RejectedOverflow]++
				d := fold(t, widths, []aggregator.Observation{full, over})
				compare(t, "after the overflow", content(d), want.content())

				want = newOracle(widths, []aggregator.Observation{full, fits})
				want.received++
				want.rejected[aggregator.RejectedOverflow]++
				d.Fold(&fits)
				compare(t, "after the one that fits", content(d), want.content())
			})
		}
	}
}

// cellsWith returns which cells can overflow by a sum; the headline has two of
// the measures only.
func cellsWith(sum string) []string {
	switch sum {
	case "net duration", "time per output token":
		return []string{"both", "series"}
	}
	return []string{"both", "series", "headline"}
}

// TestMergeRefusesOverflow: a delta that does not fit is refused whole.
func TestMergeRefusesOverflow(t *testing.T) {
	for _, test := range overflows {
		for _, where := range cellsWith(test.name) {
			t.Run(test.name+" of "+where, func(t *testing.T) {
				observations := newTraffic(seedtest.Rand(t)).draw(50)
				full, over := plain(), plain()
				test.add(&full, math.MaxInt64-10)
				test.add(&over, 11)
				shareOnly(where, &over)
				d := fold(t, widthPairs[0], []aggregator.Observation{full})
				o := fold(t, widthPairs[0], append(observations, over))
				before, beforeO := content(d), content(o)
				if d.CanMerge(o) {
					t.Error("CanMerge says it can")
				}
				if err := d.Merge(o); !errors.Is(err, histogram.ErrOverflow) {
					t.Errorf("error %v, want %v", err, histogram.ErrOverflow)
				}
				compare(t, "the receiver", content(d), before)
				compare(t, "the argument", content(o), beforeO)
			})
		}
	}
}

// TestADeltaCanBeReadBySeveral: merging only reads its argument, and after
// Settle nothing that reads changes anything. The race detector makes this a
// test.
func TestADeltaCanBeReadBySeveral(t *testing.T) {
	observations := newTraffic(seedtest.Rand(t)).draw(3000)
	shared := fold(t, widthPairs[0], observations)
	want := newOracle(widthPairs[0], observations).content()
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			d := aggregator.NewDelta(widthPairs[0])
			if err := d.Merge(shared); err != nil {
				t.Error(err)
			}
			compare(t, "the merged one", content(d), want)
		})
	}
	wait.Wait()
	shared.Settle()
	for range 4 {
		wait.Go(func() { compare(t, "the shared one", content(shared), want) })
	}
	wait.Wait()
}
