package spans

import (
	"math"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

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

// readTimeToFirstToken takes the attribute, else the moment at which the first
// token came, by an attribute or an event; and what it takes to give the time
// per output token.
func (w *walker) readTimeToFirstToken() {
	if !w.span.hasAny(tokenFields) && w.told.firstToken == 0 {
		return
	}
	o := &w.observation
	ttft, ok := w.scaled(&w.span, fieldTimeToFirstToken, int64(maxDuration))
	if ok && w.span.ranks[fieldTimeToFirstToken] == w.index.serverTTFTRank {
		ttft = w.serverTimeToFirstToken(ttft)
	}
	if !ok && w.span.has(fieldFirstTokenTime) {
		ttft, ok = w.sinceStart(w.firstTokenTime())
	}
	if !ok && w.told.firstToken != 0 {
		ttft, ok = w.sinceStart(w.told.firstToken)
	}
	if ok {
		o.SetMeasure(aggregator.MeasureTimeToFirstToken, ttft)
		o.DeriveTimePerOutputToken()
	}
}

// serverTimeToFirstToken corrects what Strands writes: milliseconds, under a
// name that means seconds. It shows where the first token would have come after
// the end of the span.
func (w *walker) serverTimeToFirstToken(ttft int64) int64 {
	duration, usable := w.observation.Measure(aggregator.MeasureDuration)
	if usable && ttft > duration && ttft/1000 <= duration {
		return ttft / 1000
	}
	return ttft
}

// firstTokenTime reads a time of day, which Langfuse writes as JSON: in quotes.
func (w *walker) firstTokenTime() uint64 {
	text := strings.Trim(w.text(&w.span, fieldFirstTokenTime), `"`)
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || at.Unix() <= 0 || at.Year() > maxYear {
		w.observation.Notes |= aggregator.NoteInvalidNumber
		return 0
	}
	return uint64(at.UnixNano())
}

// maxYear is the last one whose instants fit in nanoseconds.
const maxYear = 2261

// sinceStart returns how long after the start of the span an instant is.
func (w *walker) sinceStart(at uint64) (int64, bool) {
	if at == 0 {
		return 0, false
	}
	start := uint64(w.observation.StartUnixNano)
	if at < start || at-start > uint64(maxDuration) {
		w.observation.Notes |= aggregator.NoteInvalidNumber
		return 0, false
	}
	return int64(at - start), true
}

// readResends reads how often the request had been sent before: some say the
// number of the attempt, or leave an event for each.
func (w *walker) readResends() {
	if !w.span.hasAny(resendFields) && w.told.attempts == 0 {
		return
	}
	resends, ok := w.count(fieldResendCount, maxResends)
	if !ok {
		if resends, ok = w.count(fieldAttempt, maxResends); ok && resends > 0 {
			resends--
		}
	}
	if !ok && w.told.attempts > 0 {
		resends, ok = min(w.told.attempts-1, maxResends), true
	}
	if ok {
		w.observation.Resends = resends
		w.known |= aggregator.FactResends
	}
}
