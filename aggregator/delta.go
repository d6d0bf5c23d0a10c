package aggregator

import (
	"math"
)

// Widths are the finest bucket widths, in whole seconds, that a Delta folds
// into. Series is 0 where no configured width has detail by series.
type Widths struct {
	Headline int64
	Series   int64
}

// SeriesCell is the cell of one series in one bucket.
type SeriesCell struct {
	Series      int32 // index into Delta.Series
	BucketStart int64 // Unix seconds
	Cell
}

// HeadlineKey identifies a row of the headline within one width.
type HeadlineKey struct {
	Run         string
	Category    Category
	BucketStart int64 // Unix seconds
}

// HeadlineCell is the cell of one run and category in one bucket.
type HeadlineCell struct {
	HeadlineKey
	Cell
}

// NamedSeries is a series with its identifier.
type NamedSeries struct {
	ID SeriesID
	Series
}

// RunSpan is what a delta knows about one run.
type RunSpan struct {
	ID string
	// FirstUnixNano is the earliest start, LastUnixNano the latest end (the
	// start, for a span without a usable duration), nanoseconds since the
	// Unix epoch.
	FirstUnixNano int64
	LastUnixNano  int64
	Spans         [NumCategories]int64
}

// Delta is what a batch of observations adds. Create it with NewDelta.
type Delta struct {
	widths     Widths
	generation uint64 // counts the Resets
	spellings  spellings
	series     []NamedSeries
	byID       map[SeriesID]int32
	cells      []SeriesCell
	cellAt     map[seriesBucket]int32
	headline   []HeadlineCell
	headAt     map[headlineBucket]int32
	headMemo   [headMemoSize]headMemo
	runs       []RunSpan
	runAt      map[string]int32
	rejected   [NumRejections]int64
	notes      noteCounts
}

type seriesBucket struct {
	series      int32
	bucketStart int64
}

type headlineBucket struct {
	run         int32 // index into runs
	category    Category
	bucketStart int64
}

// headMemo remembers where a headline cell is: nearly all spans of a batch
// start, and end, in a few buckets.
type headMemo struct {
	headlineBucket
	generation uint64
	index      int32
}

// headMemoSize is a power of two.
const headMemoSize = 64

// NewDelta returns an empty delta.
func NewDelta(widths Widths) *Delta {
	return &Delta{
		widths:     widths,
		generation: 1,
		spellings:  newSpellings(),
		byID:       map[SeriesID]int32{},
		cellAt:     map[seriesBucket]int32{},
		headAt:     map[headlineBucket]int32{},
		runAt:      map[string]int32{},
	}
}

// Reset empties the delta and keeps its memory for reuse.
func (d *Delta) Reset() {
	d.generation++
	d.spellings.trim()
	clear(d.byID)
	clear(d.cellAt)
	clear(d.headAt)
	clear(d.runAt)
	clear(d.series)
	clear(d.runs)
	d.series, d.runs = d.series[:0], d.runs[:0]
	d.cells, d.headline = d.cells[:0], d.headline[:0]
	d.rejected = [NumRejections]int64{}
	d.notes = noteCounts{}
}

// Widths returns the widths the delta folds into.
func (d *Delta) Widths() Widths { return d.widths }

// Series returns the series the cells refer to. The slice belongs to the
// delta, as do those of SeriesCells, HeadlineCells and Runs.
func (d *Delta) Series() []NamedSeries { return d.series }

// SeriesCells returns the cells by series, in no particular order.
func (d *Delta) SeriesCells() []SeriesCell { return d.cells }

// HeadlineCells returns the cells by run and category, in no particular order.
func (d *Delta) HeadlineCells() []HeadlineCell { return d.headline }

// Runs returns what is known of each run, in no particular order.
func (d *Delta) Runs() []RunSpan { return d.runs }

// Rejected returns how many spans were rejected for a reason.
func (d *Delta) Rejected(reason Rejection) int64 { return d.rejected[reason] }

// Folded returns how many spans were folded.
func (d *Delta) Folded() int64 { return d.rejected[NotRejected] }

// Received returns how many spans were folded or rejected.
func (d *Delta) Received() int64 {
	var n int64
	for _, spans := range d.rejected {
		n += spans
	}
	return n
}

// Notes calls yield for every note that holds for at least one span.
func (d *Delta) Notes(yield func(note string, spans int64) bool) {
	for i, spans := range d.notes {
		if spans > 0 && !yield(noteNames[i], spans) {
			return
		}
	}
}

// Reject counts a span that is not folded.
func (d *Delta) Reject(reason Rejection) { d.rejected[reason]++ }

// Fold adds one observation, which it does not keep. A rejected one, or one
// that would make a sum overflow, is only counted.
func (d *Delta) Fold(o *Observation) {
	if o.Rejected != NotRejected {
		d.Reject(o.Rejected)
		return
	}
	startSeconds := UnixSeconds(o.StartUnixNano)
	written, cell := d.seriesCell(o, startSeconds)
	run := written.run
	start := headlineBucket{run, o.Series.Category, BucketStart(startSeconds, d.widths.Headline)}
	head := d.headlineCell(start)
	if cell != nil && !cell.canObserve(o) || !head.canObserve(o) {
		d.Reject(RejectedOverflow)
		return
	}
	if cell != nil {
		cell.observe(o)
	}
	head.observe(o)
	head.Counters[OutcomeCounter(o.Series.Outcome)]++
	if o.Series.Fault != "" {
		head.Counters[Injected]++
	}
	last := o.StartUnixNano
	if _, usable := o.Measure(MeasureDuration); usable {
		last = o.EndUnixNano
		end := headlineBucket{run, o.Series.Category, BucketStart(UnixSeconds(last), d.widths.Headline)}
		if end != start {
			head = d.headlineCell(end)
		}
		head.Counters[Completed]++
	}
	r := &d.runs[run]
	r.extend(o.StartUnixNano, last)
	r.Spans[o.Series.Category]++
	d.rejected[NotRejected]++
	d.notes.add(o.Notes | written.notes)
}

// Settle brings the histograms up to date, so that reading the delta changes
// nothing any more. It is called once everything is folded.
func (d *Delta) Settle() {
	for i := range d.cells {
		d.cells[i].settle()
	}
	for i := range d.headline {
		d.headline[i].settle()
	}
}

// seriesCell returns the spelling of the observation's series and its cell; the
// cell is nil where no width has detail by series.
func (d *Delta) seriesCell(o *Observation, startSeconds int64) (*spelling, *SeriesCell) {
	i := d.spellings.find(&o.Series)
	s := &d.spellings.entries[i]
	if s.generation != d.generation {
		kept := &d.spellings.kept[i]
		s.generation, s.run, s.series, s.cell = d.generation, d.run(kept.Run), d.addSeries(*kept), -1
	}
	if d.widths.Series == 0 {
		return s, nil
	}
	start := BucketStart(startSeconds, d.widths.Series)
	if s.cell < 0 || d.cells[s.cell].BucketStart != start {
		s.cell = d.cellIndex(seriesBucket{s.series, start})
	}
	return s, &d.cells[s.cell]
}

func (d *Delta) addSeries(s NamedSeries) int32 {
	i, ok := d.byID[s.ID]
	if !ok {
		i = int32(len(d.series))
		d.series = append(d.series, s)
		d.byID[s.ID] = i
	}
	return i
}

func (d *Delta) cellIndex(key seriesBucket) int32 {
	i, ok := d.cellAt[key]
	if !ok {
		i = int32(len(d.cells))
		d.cells = extend(d.cells)
		c := &d.cells[i]
		c.Series, c.BucketStart = key.series, key.bucketStart
		c.reset()
		d.cellAt[key] = i
	}
	return i
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
