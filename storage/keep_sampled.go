package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
)

// metaCompleteFrom says from which start on, in Unix nanoseconds, every folded
// span has a row that stands for it alone.
const metaCompleteFrom = "requests_complete_from_ns"

// metaEstimableFrom says from which start on, in Unix nanoseconds, every folded
// span had a chance to have a row, so that weighted rows estimate them all.
const metaEstimableFrom = "requests_estimable_from_ns"

// isIncluded tells whether a span is of the batch.
func (b *Batch) isIncluded(span int) bool { return !b.excluded.has(span) }

// noteSampled notes which spans of a batch have no row that stands for them
// alone, as far as that is known without reading them.
func (w *writer) noteSampled(b *Batch) {
	switch {
	case b.Plan != nil:
		w.pending.sampledUntil = max(w.pending.sampledUntil, b.Plan.sampledUntil)
		w.pending.unknownUntil = max(w.pending.unknownUntil, b.Plan.unknownUntil)
	case !w.needsRequests(b):
		for _, run := range b.Delta.Runs() {
			w.noteWithoutRow(run.LastUnixNano)
			w.pending.unknownUntil = max(w.pending.unknownUntil, run.LastUnixNano+1)
		}
	}
}

// noteWithoutRow notes that a span with this start has no row that stands for
// it alone.
func (w *writer) noteWithoutRow(startUnixNano int64) {
	w.pending.sampledUntil = max(w.pending.sampledUntil, startUnixNano+1)
}

// wanted returns what tells which spans of a batch have to be read in full. It
// counts the candidates that are sure not to be chosen.
func (k *keeper) wanted(b *Batch) func(span int) bool {
	plan := b.Plan
	if plan == nil {
		return b.isIncluded
	}
	next := 0 // candidate
	return func(span int) bool {
		planned := plan.spans[span]
		if planned == 0 || k.err != nil || b.excluded.has(span) {
			return false
		}
		if planned&spanHasDetails != 0 || planned.verdict() != sampling.Candidate {
			return true
		}
		for plan.candidates[next].span < span {
			next++
		}
		c := &plan.candidates[next]
		s, err := k.stratum(k.ctx, c.stratum)
		if k.err = err; err != nil {
			return false
		}
		if !s.Refuses(c.hash, k.policy.MaxForCause) {
			return true
		}
		s.CountRefused()
		k.noteWithoutRow(c.startUnixNano)
		return false
	}
}

// keepVerdict keeps the row of a span that is kept for what the bits say, and as
// a request where the policy says so.
func (k *keeper) keepVerdict(r *aggregator.Request, series *aggregator.Resolution, kept int) {
	verdict := k.policy.Decide(&r.Observation)
	if isSampled(k.policy, verdict) {
		k.noteWithoutRow(r.StartUnixNano)
	}
	if isUnknown(k.policy, verdict) {
		k.pending.unknownUntil = max(k.pending.unknownUntil, r.StartUnixNano+1)
	}
	weight := k.policy.WeightMicro(verdict)
	switch verdict {
	case sampling.NotKept:
		k.keepRow(r, series, kept, weight)
	case sampling.Ordinary:
		k.keepRow(r, series, kept|keptAsRequest, weight)
	case sampling.ForCause:
		k.keepRow(r, series, kept|keptAsRequest|keptForCause, weight)
	case sampling.Candidate:
		k.offer(r, series, kept)
	}
}

// offer has the stratum of a candidate choose.
func (k *keeper) offer(r *aggregator.Request, series *aggregator.Resolution, kept int) {
	s, err := k.stratum(k.ctx, sampling.StratumOf(&r.Observation))
	if err != nil {
		k.err = err
		return
	}
	key := chosenKey(r, series.ID)
	if s.Refuses(key.Hash, k.policy.MaxForCause) {
		s.CountRefused()
		k.noteWithoutRow(r.StartUnixNano)
		k.keepRow(r, series, kept, sampling.Whole)
		return
	}
	span := &chosenSpan{request: *r, series: series}
	span.request.Circuits, span.request.Evaluations, span.request.Window = nil, nil, nil // of the reader, and kept already
	chosen, evicted := s.Offer(key, chosenRow{kept: kept, span: span}, k.policy.MaxForCause)
	for _, m := range evicted {
		k.noteWithoutRow(m.StartUnixNano)
		if m.Value.id != 0 {
			s.evicted = append(s.evicted, m)
			continue
		}
		k.keepRow(&m.Value.span.request, m.Value.span.series, m.Value.kept, sampling.Whole)
	}
	if !chosen {
		k.noteWithoutRow(r.StartUnixNano)
		k.keepRow(r, series, kept, sampling.Whole)
	}
}

// flushStrata writes what the strata chose of the transaction, and what that
// changes for others.
func (w *writer) flushStrata(ctx context.Context) error {
	k := keeper{writer: w, ctx: ctx}
	for _, s := range w.strata.changed {
		if err := k.writeStratum(s); err != nil {
			return fmt.Errorf("write request_stratum: %w", err)
		}
		s.changed, s.evicted = false, nil
	}
	w.strata.changed = w.strata.changed[:0]
	return nil
}

func (k *keeper) writeStratum(s *liveStratum) error {
	for i := range s.evicted {
		m := &s.evicted[i]
		if err := unchoose(k.ctx, k.exec, m.Value.id, m.Value.kept); err != nil {
			return err
		}
		var highest int64
		if err := k.scanOne(k.ctx, &highest, "SELECT coalesce(max(id), 0) FROM request"); err != nil {
			return err
		}
		k.pruner.single.unchosen(m, highest)
	}
	for m := range s.All {
		if s.Chose() {
			k.noteWithoutRow(m.StartUnixNano)
		}
		if m.Value.id != 0 {
			continue
		}
		if err := k.appendChosen(&m.Value); err != nil {
			return err
		}
	}
	const upsert = `INSERT INTO request_stratum (minute_s, category, outcome, spans, rows) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (minute_s, category, outcome) DO UPDATE SET spans = excluded.spans, rows = excluded.rows`
	return k.exec(k.ctx, upsert, s.key.MinuteS, s.key.Category.String(), s.key.Outcome.String(), s.Spans(), s.Rows())
}

// appendChosen appends the row of a chosen span. How many it stands for, its
// stratum says: that changes with every candidate.
func (k *keeper) appendChosen(c *chosenRow) error {
	ids, err := k.makeRow(&c.span.request, c.span.series, c.kept|keptAsRequest|keptForCause|keptByChoice, sampling.Whole)
	if err != nil {
		return err
	}
	row := requestShape{columns: allColumnSet}
	row.add(&k.requests.row, &ids)
	c.span = nil
	if err := k.exec(k.ctx, insertOneRequest, row.args...); err != nil {
		return err
	}
	return k.scanOne(k.ctx, &c.id, "SELECT last_insert_rowid()")
}

var insertOneRequest = requestInsert(allColumnSet, 1)

// reachOfRequests is what meta says of the requests that the file has.
type reachOfRequests struct{ completeFrom, estimableFrom int64 }

// loadReach reads from where on the requests are complete, and estimable.
func (w *writer) loadReach(ctx context.Context) error {
	w.reachOfRequests = reachOfRequests{}
	for key, into := range map[string]*int64{
		metaCompleteFrom: &w.reachOfRequests.completeFrom, metaEstimableFrom: &w.reachOfRequests.estimableFrom,
	} {
		var text string
		err := w.conn.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = ?", key).Scan(&text)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err == nil {
			*into, err = strconv.ParseInt(text, 10, 64)
		}
		if err != nil {
			return fmt.Errorf("meta %s: %w", key, err)
		}
	}
	return nil
}

// flushReach writes from where on the requests are complete, and estimable,
// where that moved.
func (w *writer) flushReach(ctx context.Context) error {
	for _, reach := range []struct {
		key   string
		known *int64
		now   int64
	}{
		{metaCompleteFrom, &w.reachOfRequests.completeFrom, w.pending.sampledUntil},
		{metaEstimableFrom, &w.reachOfRequests.estimableFrom, w.pending.unknownUntil},
	} {
		if reach.now <= *reach.known {
			continue
		}
		// What pruned the file may have moved it further.
		const raise = `INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE
			SET value = excluded.value WHERE CAST(value AS INTEGER) < CAST(excluded.value AS INTEGER)`
		if err := w.exec(ctx, raise, reach.key, strconv.FormatInt(reach.now, 10)); err != nil {
			return fmt.Errorf("write meta: %w", err)
		}
		*reach.known = reach.now
	}
	return nil
}
