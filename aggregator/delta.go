package aggregator

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

// HeadlineCell is the cell of one run and category in one bucket. It measures
// the duration and the time to first token only.
type HeadlineCell struct {
	HeadlineKey
	Cell
	counts int32 // index into Delta.counts of its first objective; -1: none
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
	cells      []SeriesCell
	firstCell  []int32                // of each series; -1: none
	cellAt     map[seriesBucket]int32 // the other cells of a series
	headline   []HeadlineCell
	headAt     map[headlineBucket]int32
	headMemo   [headMemoSize]headMemo
	runs       []RunSpan
	runAt      map[string]int32
	rejected   [NumRejections]int64
	notes      noteCounts
	details    Details
	objectives *objectives
	counts     []ObjectiveCount
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

// NewDelta returns an empty delta, which counts for the objectives.
func NewDelta(widths Widths, all ...Objective) *Delta { return newDelta(widths, newObjectives(all)) }

func newDelta(widths Widths, all *objectives) *Delta {
	return &Delta{
		objectives: all,
		widths:     widths,
		generation: 1,
		spellings:  newSpellings(),
		cellAt:     map[seriesBucket]int32{},
		headAt:     map[headlineBucket]int32{},
		runAt:      map[string]int32{},
	}
}

// Reset empties the delta and keeps its memory for reuse.
func (d *Delta) Reset() {
	d.generation++
	d.spellings.trim()
	clear(d.cellAt)
	clear(d.headAt)
	clear(d.runAt)
	clear(d.series)
	clear(d.runs)
	d.series, d.firstCell, d.runs = d.series[:0], d.firstCell[:0], d.runs[:0]
	d.cells, d.headline, d.counts = d.cells[:0], d.headline[:0], d.counts[:0]
	d.rejected = [NumRejections]int64{}
	d.notes = noteCounts{}
	d.details = 0
}

// maxKeptCells is how many cells are worth keeping for reuse: about 10 MB.
const maxKeptCells = 1 << 14

// Oversized tells whether the delta holds more memory than is worth keeping for
// reuse.
func (d *Delta) Oversized() bool { return cap(d.cells)+cap(d.headline) > maxKeptCells }

// Widths returns the widths the delta folds into.
func (d *Delta) Widths() Widths { return d.widths }

// Series returns the series the cells refer to. The slice belongs to the
// delta, as do those of SeriesCells, HeadlineCells and Runs.
func (d *Delta) Series() []NamedSeries { return d.series }

// SeriesCells returns the cells by series, in no particular order. A cell is
// empty where its only spans were rejected because they overflow another one.
func (d *Delta) SeriesCells() []SeriesCell { return d.cells }

// HeadlineCells returns the cells by run and category, in no particular order.
func (d *Delta) HeadlineCells() []HeadlineCell { return d.headline }

// Runs returns what is known of each run, in no particular order.
func (d *Delta) Runs() []RunSpan { return d.runs }

// Rejected returns how many spans were rejected for a reason.
func (d *Delta) Rejected(reason Rejection) int64 { return d.rejected[reason] }

// Folded returns how many spans were folded.
func (d *Delta) Folded() int64 { return d.rejected[NotRejected] }

// Details tells what the spans that were folded say besides numbers.
func (d *Delta) Details() Details { return d.details }

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
	if cell != nil && !cell.canObserve(o, allMeasures) || !head.canObserve(o, headlineMeasures) {
		d.Reject(RejectedOverflow)
		return
	}
	if cell != nil {
		cell.observe(o, allMeasures)
	}
	head.observe(o, headlineMeasures)
	head.Counters[OutcomeCounter(o.Series.Outcome)]++
	if o.Series.Fault != "" {
		head.Counters[Injected]++
	}
	d.countObjectives(head, &d.spellings.known.all[written.known].Series, o)
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
	d.details |= o.Details
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
		s.generation, s.cell = d.generation, -1
		s.run, s.series = d.run(d.spellings.known.all[s.known].Run), d.present(s.known)
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
