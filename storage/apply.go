package storage

import (
	"context"
	"errors"
	"fmt"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
)

// apply adds a group of batches to the rows in memory: as one delta; where a sum
// might overflow, batch by batch; and of a batch where one might, span by span,
// so that only the spans that do not fit are rejected.
func (w *writer) apply(ctx context.Context, group []*Batch) error {
	if len(group) == 0 {
		return nil
	}
	delta, err := w.merge(group)
	if err == nil {
		err = w.applyDelta(ctx, delta)
	}
	overflow := errors.Is(err, histogram.ErrOverflow)
	if err != nil && !overflow {
		return err
	}
	for _, b := range group {
		if overflow {
			err = w.applyBatch(ctx, b)
		} else {
			err = w.keepRequests(ctx, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// applyBatch adds one batch of a group that does not fit as a whole.
func (w *writer) applyBatch(ctx context.Context, b *Batch) error {
	err := w.applyDelta(ctx, b.Delta)
	if err == nil {
		return w.keepRequests(ctx, b)
	}
	if errors.Is(err, histogram.ErrOverflow) {
		return w.applySpans(ctx, b)
	}
	return err
}

func (w *writer) merge(group []*Batch) (*aggregator.Delta, error) {
	if len(group) == 1 {
		return group[0].Delta, nil
	}
	w.merged.Reset()
	for _, b := range group {
		if err := w.merged.Merge(b.Delta); err != nil {
			return nil, err
		}
	}
	return w.merged, nil
}

func (w *writer) applySpans(ctx context.Context, b *Batch) error {
	w.noteSampled(b)
	if !w.needsRequests(b) {
		for o := range b.Observations {
			if _, err := w.applySpan(ctx, o); err != nil {
				return err
			}
		}
		return nil
	}
	for r := range b.Requests(b.isIncluded) {
		folded, err := w.applySpan(ctx, &r.Observation)
		if err == nil && folded {
			k := keeper{writer: w, ctx: ctx, delta: w.single}
			err = k.keep(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// applySpan adds one span and tells whether it was folded; single holds it
// then.
func (w *writer) applySpan(ctx context.Context, o *aggregator.Observation) (folded bool, err error) {
	w.single.Reset()
	w.single.Fold(o)
	err = w.applyDelta(ctx, w.single)
	if errors.Is(err, histogram.ErrOverflow) {
		w.single.Reset()
		w.single.Reject(aggregator.RejectedOverflow)
		err = w.applyDelta(ctx, w.single)
	}
	return w.single.Folded() > 0, err
}

// addition is a cell and the row it is to be added to.
type addition struct {
	row  *liveRow
	cell *aggregator.Cell
	head *aggregator.HeadlineCell // that cell is of; nil: it is one by series
	late bool                     // the bucket of the row has settled
	note bool                     // that of the finest width has, and nothing else notes it
}

// applyDelta adds a delta to the rows in memory. Where a sum might overflow it
// returns histogram.ErrOverflow and has changed none of them. Several cells may
// meet in one row, so each row must have room for all of them; for the cells of
// a single span that is exact.
func (w *writer) applyDelta(ctx context.Context, d *aggregator.Delta) error {
	additions, err := w.headlineAdditions(ctx, d, nil)
	if err != nil {
		return err
	}
	dropped := map[string]int64{}
	if additions, err = w.seriesAdditions(ctx, d, additions, dropped); err != nil {
		return err
	}
	headline, series := d.Ceilings()
	for _, a := range additions {
		ceiling := &series
		if a.row.bucket.table == headlineTable {
			ceiling = &headline
		}
		if !a.row.cell.HasRoom(ceiling) {
			return histogram.ErrOverflow
		}
	}
	for _, a := range additions {
		if err := w.add(a); err != nil {
			return err
		}
	}
	w.countObjectives(d, additions)
	w.count(d, dropped)
	return nil
}

// add adds a cell to a row that has room for it.
func (w *writer) add(a addition) error {
	before := cellBytes(&a.row.cell)
	if err := a.row.cell.Add(a.cell); err != nil {
		return fmt.Errorf("add to a row with room: %w", err)
	}
	if a.row.bucket.table == seriesTable {
		w.saveSeries(a.row.key.series)
	}
	spans := a.cell.Counters[aggregator.Requests]
	if a.late {
		a.row.cell.Counters[aggregator.Late] += spans
	}
	if a.note {
		w.pending.note("late", spans)
	}
	w.live.bytes += cellBytes(&a.row.cell) - before
	a.row.changed |= changesOf(a.cell)
	w.live.markDirty(a.row)
	return nil
}

func (w *writer) headlineAdditions(ctx context.Context, d *aggregator.Delta, out []addition) ([]addition, error) {
	for i := range d.HeadlineCells() {
		c := &d.HeadlineCells()[i]
		if isEmpty(&c.Cell) {
			continue
		}
		run, _ := w.registry.ResolveRun(c.Run)
		key := rowKey{run: run, category: c.Category}
		finest := bucketKey{headlineTable, w.finest.Headline, c.BucketStart}
		note := w.settled(finest)
		for _, width := range w.options.Widths {
			bucket := bucketKey{headlineTable, width.Seconds, aggregator.BucketStart(c.BucketStart, width.Seconds)}
			if !w.takes(bucket.width, bucket.start, run) {
				continue
			}
			row, err := w.row(ctx, bucket, key)
			if err != nil {
				return nil, err
			}
			out = append(out, addition{row: row, cell: &c.Cell, head: c, late: w.settled(bucket), note: note})
			note = false
		}
	}
	return out, nil
}

func (w *writer) seriesAdditions(
	ctx context.Context, d *aggregator.Delta, out []addition, dropped map[string]int64,
) ([]addition, error) {
	resolved := make([]*aggregator.Resolution, len(d.Series()))
	for i := range d.SeriesCells() {
		c := &d.SeriesCells()[i]
		if isEmpty(&c.Cell) {
			continue
		}
		r := resolved[c.Series]
		if r == nil {
			r = w.resolve(d.Series()[c.Series])
			resolved[c.Series] = r
		}
		if r.Dropped != "" {
			dropped["dimension_dropped:"+r.Dropped] += c.Counters[aggregator.Requests]
		}
		w.raiseNewest(r.ID, c.BucketStart+w.finest.Series)
		for _, width := range w.options.Widths {
			if width.Detail != DetailSeries {
				continue
			}
			bucket := bucketKey{seriesTable, width.Seconds, aggregator.BucketStart(c.BucketStart, width.Seconds)}
			if !w.takes(bucket.width, bucket.start, r.Run) {
				continue
			}
			row, err := w.row(ctx, bucket, rowKey{series: r.ID})
			if err != nil {
				return nil, err
			}
			out = append(out, addition{row: row, cell: &c.Cell, late: w.settled(bucket)})
		}
	}
	return out, nil
}

// resolve finds the series that a series of a delta is kept as.
func (w *writer) resolve(s aggregator.NamedSeries) *aggregator.Resolution {
	if run, _ := w.registry.ResolveRun(s.Run); run != s.Run {
		s.Run = run
		s.ID = s.Series.ID()
	}
	r := w.registry.Resolve(s)
	if r.New {
		w.unsaved[r.ID] = r.NamedSeries
	}
	return &r
}

// saveSeries makes sure that the file has a series once the transaction is
// committed.
func (w *writer) saveSeries(id aggregator.SeriesID) {
	if s, ok := w.unsaved[id]; ok {
		w.pending.series = append(w.pending.series, s)
		delete(w.unsaved, id)
	}
}

// settled tells whether a bucket had settled when the transaction began.
func (w *writer) settled(bucket bucketKey) bool {
	return bucket.start+bucket.width+w.options.settleSeconds() <= w.now
}

// isEmpty tells whether a cell holds nothing: every span that went into it was
// rejected after all.
func isEmpty(c *aggregator.Cell) bool {
	return c.Counters[aggregator.Requests] == 0 && c.Counters[aggregator.Completed] == 0
}

// count adds what the small tables record of a delta.
func (w *writer) count(d *aggregator.Delta, dropped map[string]int64) {
	for r := aggregator.NotRejected; r < aggregator.NumRejections; r++ {
		if n := d.Rejected(r); n > 0 {
			w.pending.ledger[r.String()] += n
		}
	}
	for note, spans := range d.Notes {
		w.pending.note(note, spans)
	}
	for note, spans := range dropped {
		w.pending.note(note, spans)
	}
	for _, r := range d.Runs() {
		kept, _ := w.registry.ResolveRun(r.ID)
		if kept != r.ID {
			var spans int64
			for _, n := range r.Spans {
				spans += n
			}
			w.pending.note("dimension_dropped:run_id", spans)
		}
		r.ID = kept
		if before, ok := w.pending.runs[kept]; ok {
			before.Add(&r)
		} else {
			w.pending.runs[kept] = &r
		}
	}
}

func (p *pendingRows) note(name string, spans int64) {
	if spans > 0 {
		p.notes[name] += spans
	}
}
