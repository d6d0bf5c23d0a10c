package spans

import (
	"iter"
	"maps"
	"math"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

const (
	// maxAhead is how far ahead of the clock a span may start.
	maxAhead = 24 * time.Hour
	// maxDuration is the longest usable duration.
	maxDuration = 24 * time.Hour
	// maxTokens bounds the tokens one span may claim; the largest context
	// windows are a millionth of it.
	maxTokens = 1 << 40
	// maxResends bounds the resend count one span may claim.
	maxResends = 1_000_000
)

// Options say how spans are read. The zero value reads the default tables.
type Options struct {
	// Run is the run of spans that name none.
	Run string
	// Dimensions are read besides the fixed ones; at most MaxDimensions.
	Dimensions []Dimension
	// Outcomes decides the outcome of spans by their error.type, before any
	// other rule.
	Outcomes map[string]aggregator.Outcome
}

// MaxDimensions is how many dimensions can be configured.
const MaxDimensions = 32

// Reader turns spans into observations. It is safe for concurrent use. Create
// it with NewReader.
type Reader struct {
	run        string
	dimensions []Dimension
	outcomes   map[string]aggregator.Outcome
	index      *index
	walkers    sync.Pool
}

// NewReader returns a reader.
func NewReader(options Options) *Reader {
	r := &Reader{
		run:        options.Run,
		dimensions: sortedDimensions(options.Dimensions),
		outcomes:   maps.Clone(options.Outcomes),
	}
	r.index = newIndex(r.dimensions)
	r.walkers.New = func() any {
		return &walker{
			reader: r, span: newRecord(r.index.slots), resource: newRecord(r.index.slots),
			joined: map[string]string{}, outcomes: map[failure]aggregator.Outcome{},
		}
	}
	return r
}

// Observations reads every span of the batch, in order. now tells which spans
// start in the future. The observation is valid until the next one is asked
// for, and shares memory with the batch. The sequence can be iterated again,
// and gives the same again.
func (r *Reader) Observations(batch ptrace.Traces, now time.Time) iter.Seq[*aggregator.Observation] {
	latestStart := now.Add(maxAhead).UnixNano()
	return func(yield func(*aggregator.Observation) bool) {
		w := r.walkers.Get().(*walker)
		defer w.release()
		for _, resourceSpans := range batch.ResourceSpans().All() {
			w.readResource(resourceSpans)
			for _, scopeSpans := range resourceSpans.ScopeSpans().All() {
				for _, span := range scopeSpans.Spans().All() {
					w.observe(span, latestStart)
					if !yield(&w.observation) {
						return
					}
				}
			}
		}
	}
}

// walker holds what the reading of one batch needs.
type walker struct {
	reader      *Reader
	span        record
	resource    record
	service     string
	run         string
	notes       aggregator.Note // of the resource
	observation aggregator.Observation
	scratch     []byte
	joined      map[string]string
	outcomes    map[failure]aggregator.Outcome
}

// release returns the walker without anything that belongs to the batch.
func (w *walker) release() {
	w.span.release()
	w.resource.release()
	w.service, w.run = "", ""
	w.observation = aggregator.Observation{}
	if len(w.joined) >= maxJoined {
		clear(w.joined)
	}
	w.reader.walkers.Put(w)
}

func (w *walker) readResource(resourceSpans ptrace.ResourceSpans) {
	w.observation.Notes = 0
	w.resource.read(resourceSpans.Resource().Attributes(), &w.reader.index.resource)
	for slot := range w.resource.ranks {
		w.value(&w.resource, uint8(slot)) // what is noted here holds for every span
	}
	w.service = w.text(&w.resource, fieldService)
	if w.service == "" {
		w.observation.Notes |= aggregator.NoteNoServiceName
	}
	w.run = w.text(&w.resource, fieldRun)
	if w.run == "" {
		w.run = w.reader.run
	}
	w.notes = w.observation.Notes
}

// observe reads one span into w.observation.
func (w *walker) observe(span ptrace.Span, latestStart int64) {
	o := &w.observation
	*o = aggregator.Observation{}
	o.Notes, o.TraceID, o.SpanID = w.notes, span.TraceID(), span.SpanID()
	if o.TraceID == [16]byte{} || o.SpanID == [8]byte{} {
		o.Notes |= aggregator.NoteZeroID
	}
	if !w.times(span, latestStart) {
		return
	}
	if o.AdjustedMicro = w.adjustedMicro(span.TraceState().AsRaw()); o.Rejected != aggregator.NotRejected {
		return
	}
	w.span.read(span.Attributes(), &w.reader.index.span)
	leaf := w.readSeries(span)
	if leaf {
		w.readUsage()
	}
	if ttft, ok := w.seconds(fieldTimeToFirstChunk, int64(maxDuration)); ok {
		o.SetMeasure(aggregator.MeasureTimeToFirstToken, ttft)
		w.timePerOutputToken(ttft)
	}
	o.Resends, _ = w.count(fieldResendCount, maxResends)
	o.Session = w.text(&w.span, fieldSession)
}

// readSeries reads the dimensions, and tells whether the tokens of the span
// count.
func (w *walker) readSeries(span ptrace.Span) (leaf bool) {
	s := &w.observation.Series
	s.Service = w.service
	if s.Run = w.text(&w.span, fieldRun); s.Run == "" {
		s.Run = w.run
	}
	s.Operation = w.operation(span.Name())
	s.Kind = kindOf(span.Kind())
	s.Category, leaf = w.category(span.Kind())
	s.Provider = w.text(&w.span, fieldProvider)
	s.Model = w.text(&w.span, fieldModel)
	s.Tool = w.text(&w.span, fieldTool)
	s.Agent = w.text(&w.span, fieldAgent)
	s.Outcome, s.ErrorType = w.outcome(span.Status().Code())
	if len(w.reader.dimensions) > 0 {
		s.Dimensions = w.dimensions()
	}
	return leaf
}

// times reads start and duration, and tells whether the span can be folded.
// The times are compared as the unsigned numbers they are: a difference of
// hostile ones wraps.
func (w *walker) times(span ptrace.Span, latestStart int64) bool {
	o := &w.observation
	start, end := uint64(span.StartTimestamp()), uint64(span.EndTimestamp())
	switch {
	case start == 0:
		o.Rejected = aggregator.RejectedNoStartTime
		return false
	case start > math.MaxInt64 || int64(start) > latestStart:
		o.Rejected = aggregator.RejectedStartInFuture
		return false
	}
	o.StartUnixNano = int64(start)
	switch {
	case end == 0:
		o.Notes |= aggregator.NoteNoEndTime
	case end < start:
		o.Notes |= aggregator.NoteEndBeforeStart
	case end-start > uint64(maxDuration):
		o.Notes |= aggregator.NoteDurationTooLong
	default:
		o.EndUnixNano = int64(end)
		o.SetMeasure(aggregator.MeasureDuration, int64(end-start))
	}
	return true
}

func (w *walker) readUsage() {
	o := &w.observation
	var input, output bool
	o.InputTokens, input = w.count(fieldInputTokens, maxTokens)
	o.OutputTokens, output = w.count(fieldOutputTokens, maxTokens)
	if o.Usage = input || output; !o.Usage {
		return
	}
	o.CacheReadTokens, _ = w.count(fieldCacheReadTokens, maxTokens)
	o.CacheWriteTokens, _ = w.count(fieldCacheWriteTokens, maxTokens)
	o.ReasoningTokens, _ = w.count(fieldReasoningTokens, maxTokens)
}

// timePerOutputToken needs at least two output tokens and a usable duration
// that is not shorter than the time to the first of them.
func (w *walker) timePerOutputToken(ttft int64) {
	o := &w.observation
	duration, usable := o.Measure(aggregator.MeasureDuration)
	if usable && o.OutputTokens >= 2 && duration >= ttft {
		o.SetMeasure(aggregator.MeasureTimePerOutputToken, (duration-ttft)/(o.OutputTokens-1))
	}
}
