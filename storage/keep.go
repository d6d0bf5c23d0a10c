package storage

import (
	"context"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
)

// keeper keeps what the spans of one delta say besides the counters.
type keeper struct {
	*writer
	ctx   context.Context
	delta *aggregator.Delta
	// resolved holds, by the index of the series in the delta, what it is kept
	// as; nil where nobody asked.
	resolved []*aggregator.Resolution
	facts    factsOfRun                // of the span before
	circuits []aggregator.CircuitState // reused
	judged   []aggregator.Evaluation   // reused
	notes    aggregator.Note
	err      error // the first one
}

// needsRequests tells whether the spans of a batch have to be read in full.
func (w *writer) needsRequests(b *Batch) bool {
	if b.Requests == nil {
		return false
	}
	if b.Plan != nil {
		return b.Plan.wanted
	}
	return !w.policy.KeepsNone() || hasDetails(b.Delta.Details(), w.options.DropSessions)
}

// keepRequests keeps the spans that the delta of a batch folded.
func (w *writer) keepRequests(ctx context.Context, b *Batch) error {
	w.noteSampled(b)
	if !w.needsRequests(b) {
		return nil
	}
	k := keeper{writer: w, ctx: ctx, delta: b.Delta}
	wanted := k.wanted(b)
	folded := func(*aggregator.Observation) bool { return true }
	if b.Delta.Rejected(aggregator.RejectedOverflow) > 0 {
		// Folding them once more, in the same order, tells which.
		w.single.Reset()
		wanted = b.isIncluded
		folded = func(o *aggregator.Observation) bool {
			before := w.single.Folded()
			w.single.Fold(o)
			return w.single.Folded() > before
		}
	}
	for r := range b.Requests(wanted) {
		if r.Rejected != aggregator.NotRejected || !folded(&r.Observation) {
			continue
		}
		if err := k.keep(r); err != nil {
			return err
		}
	}
	return k.err
}

// keep keeps one span, which was folded.
func (k *keeper) keep(r *aggregator.Request) error {
	series, counted := k.series(&r.Observation)
	if k.finest.Series == 0 { // no bucket did it
		k.raiseNewest(series.ID, aggregator.UnixSeconds(r.StartUnixNano)+1)
	}
	k.notes = 0
	kept := 0
	if !k.options.DropSessions && isOfSession(r) {
		kept |= keptForSessions
	}
	if isMarked(r) || r.Circuit != "" {
		kept |= keptForFaults
	}
	k.keepVerdict(r, series, kept)
	k.keepDetails(r, series)
	if k.err != nil {
		return k.err
	}
	for name := range (k.notes &^ counted).Names {
		k.pending.note(name, 1)
	}
	return nil
}

// series returns what the series of a span is kept as, and the notes of the
// span that are counted already.
func (k *keeper) series(o *aggregator.Observation) (*aggregator.Resolution, aggregator.Note) {
	i, cleaned, ok := k.delta.SeriesOf(o)
	if !ok {
		// Not what was folded. It must not cost the others their commit.
		clean := o.Series
		cleaned = clean.Clean()
		r := k.resolve(aggregator.NamedSeries{ID: clean.ID(), Series: clean})
		k.saveSeries(r.ID)
		return r, o.Notes | cleaned
	}
	if k.resolved == nil {
		k.resolved = make([]*aggregator.Resolution, len(k.delta.Series()))
	}
	r := k.resolved[i]
	if r == nil {
		r = k.resolve(k.delta.Series()[i])
		k.resolved[i] = r
		k.saveSeries(r.ID)
	}
	return r, o.Notes | cleaned
}

// clean returns a text as it is stored.
func (k *keeper) clean(text string) string {
	if text == "" {
		return ""
	}
	clean, notes := aggregator.CleanText(text)
	k.notes |= notes
	return clean
}

// cleanOrNil returns a text as it is stored, nil for none.
func (k *keeper) cleanOrNil(text string) any {
	if text == "" {
		return nil
	}
	return k.clean(text)
}

// keepRow appends the row of a span, which stands for so many.
func (k *keeper) keepRow(r *aggregator.Request, series *aggregator.Resolution, kept int, weightMicro int64) {
	if kept == 0 || k.err != nil {
		return
	}
	ids, err := k.makeRow(r, series, kept, weightMicro)
	if k.err = err; err == nil {
		k.err = k.insertRow(k.ctx, &k.requests.row, &ids)
	}
}

// makeRow puts the row of a span together in k.requests.row.
func (k *keeper) makeRow(r *aggregator.Request, series *aggregator.Resolution, kept int, weightMicro int64) (spanIDs, error) {
	row := &k.requests.row
	row.has = commonColumnSet
	ids := spanIDs{r.SpanID, r.ParentSpanID, r.TraceID}
	row.values[columnStart], row.values[columnDuration] = r.StartUnixNano, int64(-1)
	if d, usable := r.Measure(aggregator.MeasureDuration); usable {
		row.values[columnDuration] = d
	}
	row.values[columnSeries], row.values[columnKept] = int64(series.ID), int64(kept)
	if ids.parent != [8]byte{} {
		row.has |= 1 << columnParent
	}
	row.setIf(r.Usage && r.Known&aggregator.FactInputTokens != 0, columnInputTokens, r.InputTokens)
	row.setIf(r.Usage && r.Known&aggregator.FactOutputTokens != 0, columnOutputTokens, r.OutputTokens)
	row.setIf(r.Priced, columnCost, r.CostNanoUSD)
	row.setIf(isMarked(r), columnMarked, 1)
	if kept&(keptAsRequest|keptForSessions) != 0 {
		k.setSessionColumns(r)
	}
	if kept&keptAsRequest != 0 {
		k.setRequestColumns(r)
		row.setIf(weightMicro != sampling.Whole, columnWeight, weightMicro)
	}
	k.pruner.single.saw(r.StartUnixNano)
	id, err := k.profileOf(r, kept, series.Run)
	row.setIf(id != noProfile, columnProfile, id)
	return ids, err
}

// setSessionColumns sets what says how a span belongs to a session or a tool
// call.
func (k *keeper) setSessionColumns(r *aggregator.Request) {
	row := &k.requests.row
	row.setIf(r.Role != aggregator.RoleNone, columnRole, int64(r.Role))
	if r.Session != "" {
		row.set(columnSession, k.clean(r.Session))
	}
	if r.ToolCallID != "" {
		row.set(columnToolCallID, k.clean(r.ToolCallID))
	}
}

// onceMicro is the adjusted count of a span that stands for itself alone.
const onceMicro = 1_000_000

// setRequestColumns sets what only a row kept as a request has.
func (k *keeper) setRequestColumns(r *aggregator.Request) {
	row := &k.requests.row
	ttft, timed := r.Measure(aggregator.MeasureTimeToFirstToken)
	row.setIf(timed, columnTTFT, ttft)
	row.setIf(r.AdjustedMicro != onceMicro, columnAdjusted, r.AdjustedMicro)
	row.setIf(r.Known&aggregator.FactInjectedDelay != 0, columnInjectedDelay, r.InjectedDelayNano)
	row.setIf(r.Known&aggregator.FactMessageCount != 0, columnMessageCount, r.MessageCount)
	row.setIf(r.Known&aggregator.FactResends != 0, columnResends, r.Resends)
	if !r.Usage {
		return
	}
	row.setIf(r.Known&aggregator.FactCacheReadTokens != 0, columnCacheReadTokens, r.CacheReadTokens)
	row.setIf(r.Known&aggregator.FactCacheWriteTokens != 0, columnCacheWriteTokens, r.CacheWriteTokens)
	row.setIf(r.Known&aggregator.FactReasoningTokens != 0, columnReasoningTokens, r.ReasoningTokens)
}
