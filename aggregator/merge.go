package aggregator

import (
	"errors"

	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
)

// ErrWidths is returned by Merge for deltas of different widths, ErrObjectives
// for those that count for different objectives.
var (
	ErrWidths     = errors.New("deltas have different bucket widths")
	ErrObjectives = errors.New("deltas count for different objectives")
)

// CanMerge tells whether Merge(o) would keep every sum within an int64.
func (d *Delta) CanMerge(o *Delta) bool {
	for i := range o.cells {
		c := &o.cells[i]
		if series, ok := d.findSeries(&o.series[c.Series]); ok {
			if at, ok := d.findCell(seriesBucket{series, c.BucketStart}); ok && !d.cells[at].CanAdd(&c.Cell) {
				return false
			}
		}
	}
	for i := range o.headline {
		c := &o.headline[i]
		if run, ok := d.runAt[c.Run]; ok {
			if at, ok := d.headAt[headlineBucket{run, c.Category, c.BucketStart}]; ok && !d.headline[at].CanAdd(&c.Cell) {
				return false
			}
		}
	}
	return true
}

// Merge adds what o holds, and leaves o as it is. Where the widths differ it
// returns ErrWidths, where the objectives do ErrObjectives, and where a sum would
// overflow histogram.ErrOverflow; either way nothing changes.
func (d *Delta) Merge(o *Delta) error {
	if d.widths != o.widths {
		return ErrWidths
	}
	if !d.objectives.equal(o.objectives) {
		return ErrObjectives
	}
	if !d.CanMerge(o) {
		return histogram.ErrOverflow
	}
	for i := range o.cells {
		c := &o.cells[i]
		at := d.cellIndex(seriesBucket{d.addSeries(o.series[c.Series]), c.BucketStart})
		if err := d.cells[at].Add(&c.Cell); err != nil {
			return err
		}
	}
	for i := range o.headline {
		c := &o.headline[i]
		head := d.headlineCell(headlineBucket{d.run(c.Run), c.Category, c.BucketStart})
		if err := head.Add(&c.Cell); err != nil {
			return err
		}
		d.mergeCounts(head, o, c)
	}
	for i := range o.runs {
		d.runs[d.run(o.runs[i].ID)].Add(&o.runs[i])
	}
	for i, spans := range o.rejected {
		d.rejected[i] += spans
	}
	for i, spans := range o.notes {
		d.notes[i] += spans
	}
	d.details |= o.details
	return nil
}

// Add adds what another delta knows of the same run.
func (r *RunSpan) Add(o *RunSpan) {
	r.extend(o.FirstUnixNano, o.LastUnixNano)
	for c, spans := range o.Spans {
		r.Spans[c] += spans
	}
}

// Times returns a delta that holds everything n times, n at least 1, and leaves
// d as it is. Where a sum would overflow it returns histogram.ErrOverflow.
func (d *Delta) Times(n int64) (*Delta, error) {
	sum := newDelta(d.widths, d.objectives)
	for power := d; ; {
		if n&1 == 1 {
			if err := sum.Merge(power); err != nil {
				return nil, err
			}
		}
		if n >>= 1; n == 0 {
			return sum, nil
		}
		twice := newDelta(d.widths, d.objectives)
		for range 2 {
			if err := twice.Merge(power); err != nil {
				return nil, err
			}
		}
		power = twice
	}
}
