package spans

import (
	"iter"
	"maps"
	"slices"
	"strings"
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
	// maxCostNanoUSD bounds the cost one span may claim: a million dollars.
	maxCostNanoUSD = 1_000_000 * 1_000_000_000
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
	// Fields says, for some of FieldNames, which attributes they are read
	// from instead of the built-in ones: the first present one counts. At
	// most MaxFieldSources each.
	Fields map[string][]string
	// DropSessions has Redact leave out which session and tool call a span
	// belongs to, for those who do not keep these.
	DropSessions bool
	// Prices make costs of tokens where a span states none; the first whose
	// pattern fits counts.
	Prices []Price
}

const (
	// MaxDimensions is how many dimensions can be configured.
	MaxDimensions = 32
	// MaxFieldSources is how many attributes a field can be configured to be
	// read from.
	MaxFieldSources = 16
)

// Reader turns spans into observations and requests. It is safe for concurrent
// use. Create it with NewReader.
type Reader struct {
	run        string
	dimensions []Dimension
	outcomes   map[string]aggregator.Outcome
	prices     []Price
	redacts    func(field) bool // tells whether a field is left out
	// folding and full are the fields that Observations and Requests read.
	folding, full *index
	walkers       sync.Pool
}

// NewReader returns a reader.
func NewReader(options Options) *Reader {
	r := &Reader{
		run:        options.Run,
		dimensions: sortedDimensions(options.Dimensions),
		outcomes:   maps.Clone(options.Outcomes),
		prices:     slices.Clone(options.Prices),
	}
	r.redacts = func(f field) bool {
		return options.DropSessions && (f == fieldSession || f == fieldToolCallID)
	}
	r.folding, r.full = newIndex(&options, r.dimensions, false), newIndex(&options, r.dimensions, true)
	r.walkers.New = func() any { return newWalker(r) }
	return r
}

// Observations reads every span of the batch, in order, as far as folding needs
// it. now tells which spans start in the future. The observation is valid until
// the next one is asked for, and shares memory with the batch. The sequence can
// be iterated again, and gives the same again.
func (r *Reader) Observations(batch ptrace.Traces, now time.Time) iter.Seq[*aggregator.Observation] {
	latestStart := now.Add(maxAhead).UnixNano()
	return func(yield func(*aggregator.Observation) bool) {
		w := r.walkers.Get().(*walker)
		w.index = r.folding
		defer w.release()
		w.walk(batch, nil, func(span ptrace.Span) bool {
			w.observe(span, latestStart)
			return yield(&w.observation)
		})
	}
}

// Requests reads spans of the batch in full, in the order of Observations and
// with the same observations. Only the spans that wanted tells of are read: it
// is asked once for every span, by its index in that order; nil wants all.
// Otherwise it is like Observations.
func (r *Reader) Requests(batch ptrace.Traces, now time.Time, wanted func(span int) bool) iter.Seq[*aggregator.Request] {
	latestStart := now.Add(maxAhead).UnixNano()
	return func(yield func(*aggregator.Request) bool) {
		w := r.walkers.Get().(*walker)
		w.index, w.latest = r.full, latestStart
		defer w.release()
		w.walk(batch, wanted, func(span ptrace.Span) bool {
			if w.request = (aggregator.Request{}); w.observe(span, latestStart) {
				// What is noted from here on, folding did not see.
				observation := w.observation
				w.readRequest(span)
				w.observation = observation
			}
			w.request.Observation = w.observation
			return yield(&w.request)
		})
	}
}

// walk calls visit for the wanted spans of a batch until it returns false. Of
// resources and scopes without any nothing is read.
func (w *walker) walk(batch ptrace.Traces, wanted func(span int) bool, visit func(ptrace.Span) bool) {
	i := -1
	for _, resourceSpans := range batch.ResourceSpans().All() {
		resourceIsRead := false
		for _, scopeSpans := range resourceSpans.ScopeSpans().All() {
			scopeIsRead := false
			for _, span := range scopeSpans.Spans().All() {
				if i++; wanted != nil && !wanted(i) {
					continue
				}
				if !resourceIsRead {
					w.readResource(resourceSpans)
					resourceIsRead = true
				}
				if !scopeIsRead {
					w.injector = isInjector(w.service, scopeSpans.Scope().Name())
					scopeIsRead = true
				}
				if !visit(span) {
					return
				}
			}
		}
	}
}

func (w *walker) readResource(resourceSpans ptrace.ResourceSpans) {
	w.observation.Notes = 0
	w.resource.read(resourceSpans.Resource().Attributes(), w.index.resource, nil)
	for slot := range w.index.slots {
		if slot >= int(numFields) || !onlyOfRequests[slot] {
			w.value(&w.resource, uint8(slot)) // what is noted here holds for every span
		}
	}
	w.service = w.text(&w.resource, fieldService)
	if w.service == "" {
		w.observation.Notes |= aggregator.NoteNoServiceName
	}
	w.run = w.text(&w.resource, fieldRun)
	if w.run == "" {
		w.run = w.reader.run
	}
	w.session = w.text(&w.resource, fieldSession)
	w.resourceDescribesRun = describesRun(&w.resource)
	w.notes = w.observation.Notes
}

// observe reads one span into w.observation, and tells whether it is to be
// folded.
func (w *walker) observe(span ptrace.Span, latestStart int64) bool {
	o := &w.observation
	*o = aggregator.Observation{}
	w.known, w.delayNano = 0, 0
	o.Notes, o.TraceID, o.SpanID = w.notes, span.TraceID(), span.SpanID()
	if o.TraceID == [16]byte{} || o.SpanID == [8]byte{} {
		o.Notes |= aggregator.NoteZeroID
	}
	if !w.times(span, latestStart) {
		return false
	}
	if o.AdjustedMicro = w.adjustedMicro(span.TraceState().AsRaw()); o.Rejected != aggregator.NotRejected {
		return false
	}
	w.readAttributes(span)
	if events := span.Events().Len() > 0; events || w.eventful {
		w.told, w.eventful = told{}, events
		w.readEvents(span)
	}
	w.readSeries(span)
	if w.span.hasAny(faultFields) || w.resource.hasAny(faultFields) || w.eventful {
		w.readFault()
	}
	if w.meaning.leaf {
		w.readUsage()
	}
	w.readTimeToFirstToken()
	w.readResends()
	if o.Session = w.text(&w.span, fieldSession); o.Session == "" {
		o.Session = w.session
	}
	o.Details = w.details()
	return true
}

func (w *walker) readAttributes(span ptrace.Span) {
	var first *attributeTable
	if w.claudeCode = strings.HasPrefix(span.Name(), claudeCodePrefix); w.claudeCode {
		first = w.index.claudeCode
	}
	w.span.read(span.Attributes(), w.index.span, first)
}

// readSeries reads the dimensions, except the fault.
func (w *walker) readSeries(span ptrace.Span) {
	s := &w.observation.Series
	s.Service = w.service
	if s.Run = w.text(&w.span, fieldRun); s.Run == "" {
		s.Run = w.run
	}
	w.meaning = w.work(span)
	s.Operation, s.Category = w.meaning.operation, w.meaning.category
	s.Kind = kindOf(span.Kind())
	if w.span.hasAny(genAIFields) {
		w.readGenAI()
	}
	s.Outcome, s.ErrorType = w.outcome(span.Status().Code())
	if len(w.reader.dimensions) > 0 {
		s.Dimensions = w.dimensions()
	}
}

func (w *walker) readGenAI() {
	s, r := &w.observation.Series, &w.span
	s.Provider = w.provider()
	s.Model = w.text(r, fieldModel)
	s.Tool = w.text(r, fieldTool)
	s.Agent = w.text(r, fieldAgent)
	if !r.has(fieldEntity) {
		return
	}
	switch {
	case s.Category == aggregator.CategoryTool && s.Tool == "":
		s.Tool = w.text(r, fieldEntity)
	case s.Category == aggregator.CategoryAgent && s.Agent == "":
		s.Agent = w.text(r, fieldEntity)
	}
}

// evaluator is the operation of spans that judge others: fieldAnnotated does not
// tell of judgements whose numbers do not begin at 0.
const evaluator = "evaluator"

// details tells what the span says that only a Request holds.
func (w *walker) details() (details aggregator.Details) {
	o, r := &w.observation, &w.span
	if o.Session != "" || w.meaning.role != aggregator.RoleNone || o.Series.Category == aggregator.CategoryTool ||
		r.hasAny(callFields) {
		details |= aggregator.DetailsOfSession
	}
	if o.Series.Fault != "" || o.Series.Category == aggregator.CategoryFault || w.told.detailed || w.meaning.operation == evaluator ||
		r.hasAny(eventFields) || o.Series.Run != "" && (w.resourceDescribesRun || describesRun(&w.span)) {
		details |= aggregator.DetailsOfEvents
	}
	return details
}
