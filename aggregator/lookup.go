package aggregator

import "math"

// headMemo remembers where a headline cell is: nearly all spans of a batch
// start, and end, in a few buckets.
type headMemo struct {
	headlineBucket
	generation uint64
	index      int32
}

// headMemoSize is a power of two.
const headMemoSize = 64

// addSeries returns the index of a series, and makes it where it is new.
func (d *Delta) addSeries(s NamedSeries) int32 { return d.present(d.spellings.known.add(s)) }

// present returns the index of a known series, and makes it where it is new to
// the present contents.
func (d *Delta) present(i int32) int32 {
	k := &d.spellings.known.all[i]
	if k.generation != d.generation {
		k.generation, k.index = d.generation, int32(len(d.series))
		d.series = append(d.series, k.NamedSeries)
		d.firstCell = append(d.firstCell, -1)
	}
	return k.index
}

// SeriesOf returns the index into Series of the series that an observation was
// folded into, and what cleaning it changed; false for an observation that was
// not. It remembers what it looked for, so it must not be called while others
// read the delta.
func (d *Delta) SeriesOf(o *Observation) (series int32, cleaned Note, folded bool) {
	i := d.spellings.seek(&o.Series)
	if i < 0 {
		return 0, 0, false
	}
	s := &d.spellings.entries[i]
	return s.series, s.notes, s.generation == d.generation
}

// findSeries returns the index of a series that the delta holds.
func (d *Delta) findSeries(s *NamedSeries) (int32, bool) {
	i, ok := d.spellings.known.at[s.ID]
	if !ok {
		return 0, false
	}
	k := &d.spellings.known.all[i]
	return k.index, k.generation == d.generation && k.Series == s.Series
}

// cellIndex returns the index of a cell, and makes it where it is new. Most
// batches know most series in one bucket only.
func (d *Delta) cellIndex(key seriesBucket) int32 {
	i, ok := d.findCell(key)
	if ok {
		return i
	}
	i = int32(len(d.cells))
	d.cells = extend(d.cells)
	c := &d.cells[i]
	c.Series, c.BucketStart = key.series, key.bucketStart
	c.reset()
	if d.firstCell[key.series] < 0 {
		d.firstCell[key.series] = i
	} else {
		d.cellAt[key] = i
	}
	return i
}

func (d *Delta) findCell(key seriesBucket) (int32, bool) {
	if i := d.firstCell[key.series]; i < 0 || d.cells[i].BucketStart == key.bucketStart {
		return i, i >= 0
	}
	i, ok := d.cellAt[key]
	return i, ok
}

func (d *Delta) headlineCell(key headlineBucket) *HeadlineCell {
	memo := &d.headMemo[(uint64(key.bucketStart)/uint64(d.widths.Headline)+7*uint64(key.category))%headMemoSize]
	if memo.generation == d.generation && memo.headlineBucket == key {
		return &d.headline[memo.index]
	}
	i, ok := d.headAt[key]
	if !ok {
		i = int32(len(d.headline))
		d.headline = extend(d.headline)
		c := &d.headline[i]
		c.HeadlineKey = HeadlineKey{d.runs[key.run].ID, key.category, key.bucketStart}
		c.counts = -1
		c.reset()
		d.headAt[key] = i
	}
	*memo = headMemo{key, d.generation, i}
	return &d.headline[i]
}

// extend lengthens s by one element, reusing what a Reset left behind.
func extend[T any](s []T) []T {
	if len(s) < cap(s) {
		return s[:len(s)+1]
	}
	var zero T
	return append(s, zero)
}

// run returns the index of a run.
func (d *Delta) run(id string) int32 {
	if n := len(d.runs); n > 0 && d.runs[n-1].ID == id {
		return int32(n - 1)
	}
	i, ok := d.runAt[id]
	if !ok {
		i = int32(len(d.runs))
		d.runs = append(d.runs, RunSpan{ID: id, FirstUnixNano: math.MaxInt64, LastUnixNano: math.MinInt64})
		d.runAt[id] = i
	}
	return i
}

func (r *RunSpan) extend(first, last int64) {
	r.FirstUnixNano = min(r.FirstUnixNano, first)
	r.LastUnixNano = max(r.LastUnixNano, last)
}
