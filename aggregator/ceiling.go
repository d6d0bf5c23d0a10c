package aggregator

import "math"

// Ceiling is at least what any of the cells that went into it add up to. The
// zero value is the ceiling of no cells.
type Ceiling struct {
	counters [NumCounters]int64
	counts   [NumMeasures]int64
	sums     [NumMeasures]int64
	// exceeded: all cells together are more than an int64 holds, some may be.
	exceeded bool
}

func (t *Ceiling) add(c *Cell) {
	for i, n := range c.Counters {
		t.raise(&t.counters[i], n)
	}
	for m := range c.Measures {
		t.raise(&t.counts[m], c.Measures[m].Count())
		t.raise(&t.sums[m], c.Measures[m].Sum())
	}
}

func (t *Ceiling) raise(sum *int64, by int64) {
	if *sum > math.MaxInt64-by {
		t.exceeded = true
		return
	}
	*sum += by
}

// HasRoom tells whether every sum of the cell stays within an int64, whichever
// of the cells of the ceiling are added to it. Late, which whoever commits
// counts, is covered by Requests: it is never more.
func (c *Cell) HasRoom(t *Ceiling) bool {
	if t.exceeded {
		return false
	}
	for i := range c.Counters {
		if c.Counters[i] > math.MaxInt64-t.counters[i] {
			return false
		}
	}
	for m := range c.Measures {
		h := &c.Measures[m]
		if h.Count() > math.MaxInt64-t.counts[m] || h.Sum() > math.MaxInt64-t.sums[m] {
			return false
		}
	}
	return true
}

// Ceilings returns the ceiling of the headline cells and that of the cells by
// series.
func (d *Delta) Ceilings() (headline, series Ceiling) {
	for i := range d.headline {
		headline.add(&d.headline[i].Cell)
	}
	for i := range d.cells {
		series.add(&d.cells[i].Cell)
	}
	return headline, series
}
