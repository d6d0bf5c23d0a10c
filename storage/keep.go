package storage

import (
	"context"
	"slices"

	"github.com/spanbucket/spanbucketexporter/aggregator"
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
	details := b.Delta.Details()
	return !w.options.DropRequests || details&aggregator.DetailsOfEvents != 0 ||
		!w.options.DropSessions && details&aggregator.DetailsOfSession != 0
}

// keepRequests keeps the spans that the delta of a batch folded.
func (w *writer) keepRequests(ctx context.Context, b *Batch) error {
	if !w.needsRequests(b) {
		return nil
	}
	k := keeper{writer: w, ctx: ctx, delta: b.Delta}
	folded := func(*aggregator.Observation) bool { return true }
	if b.Delta.Rejected(aggregator.RejectedOverflow) > 0 {
		// Folding them once more, in the same order, tells which.
		w.single.Reset()
		folded = func(o *aggregator.Observation) bool {
			before := w.single.Folded()
			w.single.Fold(o)
			return w.single.Folded() > before
		}
	}
	for r := range b.Requests {
		if r.Rejected != aggregator.NotRejected || !folded(&r.Observation) {
			continue
		}
		if err := k.keep(r); err != nil {
			return err
		}
	}
	return nil
}

// keep keeps one span, which was folded.
func (k *keeper) keep(r *aggregator.Request) error {
	series, counted := k.series(&r.Observation)
	k.notes = 0
	kept := 0
	if !k.options.DropRequests {
		kept |= keptAsRequest
	}
	if !k.options.DropSessions && isOfSession(r) {
		kept |= keptForSessions
	}
	if isMarked(r) || r.Circuit != "" {
		kept |= keptForFaults
	}
	if kept != 0 {
		k.keepRow(r, series, kept)
	}
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

// text sets a column to the dictionary id of a text.
func (k *keeper) text(c requestColumn, value string) {
	if value == "" || k.err != nil {
		return
	}
	id, notes, err := k.textID(k.ctx, value)
	k.err = err
	k.notes |= notes
	k.requests.row.set(c, id)
}

func (k *keeper) keepRow(r *aggregator.Request, series *aggregator.Resolution, kept int) {
	row := &k.requests.row
	row.has = keyColumnSet
	ids := spanIDs{r.SpanID, r.ParentSpanID, r.TraceID}
	row.values[columnStart], row.values[columnKind], row.values[columnCopy] = r.StartUnixNano, int64(r.Series.Kind), int64(0)
	row.values[columnDuration] = int64(-1)
	if d, usable := r.Measure(aggregator.MeasureDuration); usable {
		row.values[columnDuration] = d
	}
	row.set(columnSeries, int64(series.ID))
	row.set(columnKept, int64(kept))
	if ids.parent != [8]byte{} {
		row.has |= 1 << columnParent
	}
	row.setIf(r.Usage && r.Known&aggregator.FactInputTokens != 0, columnInputTokens, r.InputTokens)
	row.setIf(r.Usage && r.Known&aggregator.FactOutputTokens != 0, columnOutputTokens, r.OutputTokens)
	row.setIf(r.Priced, columnCost, r.CostNanoUSD)
	row.setIf(isMarked(r), columnMarked, 1)
	k.text(columnTarget, r.Target)
	k.text(columnExperiment, r.ExperimentID)
	k.text(columnCircuit, r.Circuit)
	if kept&(keptAsRequest|keptForSessions) != 0 {
		k.setSessionColumns(r)
	}
	if kept&keptAsRequest != 0 || r.Circuit != "" {
		k.text(columnInstance, r.Instance)
	}
	if kept&keptAsRequest != 0 {
		k.setRequestColumns(r)
	}
	if k.err == nil {
		k.err = k.insertRow(k.ctx, row, &ids)
	}
}

// decisions are those on a tool call that the file admits.
var decisions = [...]string{"accept", "reject", "auto", "modify"}

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
	if slices.Contains(decisions[:], r.Decision) {
		k.text(columnDecision, r.Decision)
	}
	k.text(columnDecisionSource, r.DecisionSource)
}

// setRequestColumns sets what only a row kept as a request has.
func (k *keeper) setRequestColumns(r *aggregator.Request) {
	row := &k.requests.row
	ttft, timed := r.Measure(aggregator.MeasureTimeToFirstToken)
	row.setIf(timed, columnTTFT, ttft)
	k.text(columnSpanName, r.SpanName)
	k.text(columnResponseModel, r.ResponseModel)
	k.text(columnDeployment, r.Deployment)
	k.text(columnEndpoint, r.Endpoint)
	k.text(columnPhase, r.Phase)
	k.text(columnFinishReason, r.FinishReason)
	for _, number := range [...]struct {
		fact   aggregator.Fact
		column requestColumn
		value  int64
	}{
		{aggregator.FactInjectedDelay, columnInjectedDelay, r.InjectedDelayNano},
		{aggregator.FactMessageCount, columnMessageCount, r.MessageCount},
		{aggregator.FactStatusCode, columnStatusCode, r.StatusCode},
		{aggregator.FactResends, columnResends, r.Resends},
	} {
		row.setIf(r.Known&number.fact != 0, number.column, number.value)
	}
	if !r.Usage {
		return
	}
	row.setIf(r.Known&aggregator.FactCacheReadTokens != 0, columnCacheReadTokens, r.CacheReadTokens)
	row.setIf(r.Known&aggregator.FactCacheWriteTokens != 0, columnCacheWriteTokens, r.CacheWriteTokens)
	row.setIf(r.Known&aggregator.FactReasoningTokens != 0, columnReasoningTokens, r.ReasoningTokens)
}
