package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/histogram"
)

const (
	// rebuildBatch is how many requests are folded at a time.
	rebuildBatch = 2048
	// maxRefoldBytes bounds the memory of the rows that are being made: a third
	// of the writer's, as what is next to be read is close to what was.
	maxRefoldBytes = maxLiveBytes / 3
	// rebuildCacheKiB bounds SQLite's memory of each of the two sets of tables.
	rebuildCacheKiB = 4096
)

// refolder folds requests as the writer folded their spans, into tables of the
// same names that last as long as the connection and hide those of the file.
// They are on the disk, so that memory does not grow with the file.
type refolder struct {
	rebuild *rebuild
	writer  *writer
	series  map[int64]*aggregator.Series
	delta   *aggregator.Delta
	// waiting are the observations of the present batch, and times how often
	// each is to be folded.
	waiting []aggregator.Observation
	times   []int64
}

func newRefolder(ctx context.Context, r *rebuild) (_ *refolder, err error) {
	for _, schema := range []string{"main", "temp"} {
		if _, err := r.conn.ExecContext(ctx, fmt.Sprintf("PRAGMA %s.cache_size = -%d", schema, rebuildCacheKiB)); err != nil {
			return nil, err
		}
	}
	for _, table := range []string{
		headlineTable.name, headlineTable.histograms, headlineTable.counted, seriesTable.name, seriesTable.histograms,
	} {
		var text string
		const query = "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?"
		if err := r.conn.QueryRowContext(ctx, query, table).Scan(&text); err != nil {
			return nil, fmt.Errorf("read schema of %s: %w", table, err)
		}
		text, ok := strings.CutPrefix(text, "CREATE TABLE ")
		if !ok {
			return nil, fmt.Errorf("schema of %s: %w", table, errDamaged)
		}
		if _, err := r.conn.ExecContext(ctx, "CREATE TEMP TABLE "+text); err != nil {
			return nil, fmt.Errorf("make room for %s: %w", table, err)
		}
	}
	// Nothing is new to the registry: without limits of its own it leaves
	// everything as it was stored.
	options := &Options{Widths: r.meta.Widths, Objectives: r.objectives}
	w := &writer{
		options: options, finest: FinestWidths(r.meta.Widths), conn: r.conn, now: math.MinInt64, live: newLive(),
		registry: aggregator.NewRegistry(aggregator.Limits{}), statements: map[*bucketTable]*tableStatements{},
		unsaved: map[aggregator.SeriesID]aggregator.NamedSeries{}, seen: map[aggregator.Category]bool{},
		// It knows of nothing that has left, and adds to every width.
		pruner: newPruner(PruneBounds{}), newest: map[aggregator.SeriesID]int64{},
		pending: newPendingRows(), prepared: map[string]*sql.Stmt{},
	}
	w.single = w.newDelta()
	f := &refolder{rebuild: r, writer: w, series: map[int64]*aggregator.Series{}, delta: w.newDelta()}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	for _, t := range []*bucketTable{headlineTable, seriesTable} {
		if w.statements[t], err = prepareTable(ctx, r.conn, t); err != nil {
			return nil, err
		}
	}
	return f, f.loadSeries(ctx)
}

func (f *refolder) close() error {
	var errs []error
	for _, s := range f.writer.statements {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	for _, s := range f.writer.prepared {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// loadSeries reads what requests refer to.
func (f *refolder) loadSeries(ctx context.Context) error {
	err := eachSeries(ctx, f.rebuild.conn, func(s aggregator.NamedSeries) error {
		if s.Series.ID() != s.ID {
			return fmt.Errorf("series %d: its id does not follow from its values: %w", s.ID, errDamaged)
		}
		f.writer.registry.AddRun(s.Run)
		f.writer.registry.AddSeries(s)
		f.series[int64(s.ID)] = &s.Series
		return nil
	})
	if err != nil {
		return fmt.Errorf("read series: %w", err)
	}
	return nil
}

// runs returns what the requests tell of each run.
func (f *refolder) runs() map[string]*aggregator.RunSpan { return f.writer.pending.runs }

// fold reads all requests in the order of their starts, and folds them.
func (f *refolder) fold(ctx context.Context) (err error) {
	r := f.rebuild
	var all int64
	const count = "SELECT count(*) FROM request WHERE start_ns >= ? AND kept & 1"
	if err := r.conn.QueryRowContext(ctx, count, r.from).Scan(&all); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	rows, err := r.conn.QueryContext(ctx, refoldQuery, r.from)
	if err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := newRefoldRow()
	for rows.Next() {
		if err := rows.Scan(row.into...); err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		if err := f.add(row); err != nil {
			return err
		}
		if r.done.Requests++; len(f.waiting) < rebuildBatch {
			continue
		}
		if err := f.apply(ctx, row.start); err != nil {
			return err
		}
		r.tell(all)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	r.tell(all)
	return f.apply(ctx, math.MaxInt64)
}

func (r *rebuild) tell(all int64) {
	if r.options.Progress != nil {
		r.options.Progress(r.done.Requests, all)
	}
}

// add makes an observation of a row.
func (f *refolder) add(row *refoldRow) error {
	series, ok := f.series[row.series]
	if !ok {
		return fmt.Errorf("request %d: its series %d is not there: %w", row.id, row.series, errDamaged)
	}
	f.waiting = append(f.waiting, aggregator.Observation{})
	o := &f.waiting[len(f.waiting)-1]
	row.observe(series, o)
	f.loseNarrowed(series)
	times := int64(1)
	if row.start < f.rebuild.complete {
		times = timesOf(row.weight, o)
	}
	f.times = append(f.times, times)
	return nil
}

// apply adds what waits to the rows, and writes the rows of buckets that end
// before an instant, as nothing that follows starts before.
func (f *refolder) apply(ctx context.Context, before int64) error {
	often := map[int64]*aggregator.Delta{1: f.delta}
	for i := range f.waiting {
		d := often[f.times[i]]
		if d == nil {
			d = f.writer.newDelta()
			often[f.times[i]] = d
		}
		if d.Fold(&f.waiting[i]); d.Rejected(aggregator.RejectedOverflow) > 0 {
			return fmt.Errorf("fold requests: %w", errTooLarge)
		}
	}
	for n, d := range often {
		if err := f.applyDelta(ctx, d, n); err != nil {
			return fmt.Errorf("fold requests: %w", err)
		}
	}
	if err := f.writer.flushObjectives(ctx); err != nil {
		return err
	}
	f.delta.Reset()
	f.waiting, f.times = f.waiting[:0], f.times[:0]
	return f.retire(ctx, aggregator.UnixSeconds(before))
}

// errTooLarge is for rows that no writer wrote: what it folds has room.
var errTooLarge = fmt.Errorf("a sum exceeds 63 bits: %w", errDamaged)

// applyDelta adds a delta n times to the rows.
func (f *refolder) applyDelta(ctx context.Context, d *aggregator.Delta, n int64) (err error) {
	d.Settle()
	if n != 1 {
		if d, err = d.Times(n); err != nil {
			return fmt.Errorf("as often as their weight says: %w", err)
		}
	}
	if err = f.writer.applyDelta(ctx, d); n == 1 && errors.Is(err, histogram.ErrOverflow) {
		// It is certain only for single spans that there is no room.
		err = f.applyOneByOne(ctx)
	}
	if n == 1 && errors.Is(err, histogram.ErrOverflow) {
		err = errTooLarge
	}
	return err
}

func (f *refolder) applyOneByOne(ctx context.Context) error {
	for i := range f.waiting {
		if f.times[i] != 1 {
			continue
		}
		f.writer.single.Reset()
		f.writer.single.Fold(&f.waiting[i])
		if err := f.writer.applyDelta(ctx, f.writer.single); err != nil {
			return err
		}
	}
	return nil
}

// retire writes and forgets the rows of buckets that end before a second, and
// more where memory is short.
func (f *refolder) retire(ctx context.Context, before int64) error {
	l := f.writer.live
	rest := l.dirty[:0]
	for _, row := range l.dirty {
		if b := row.bucket; b.start+b.width > before && l.bytes <= maxRefoldBytes {
			rest = append(rest, row)
			continue
		}
		if err := f.writer.statements[row.bucket.table].write(ctx, row, 0); err != nil {
			return err
		}
		row.stored, row.dirty, row.changed = true, false, 0
	}
	clear(l.dirty[len(rest):])
	l.dirty = rest
	for key, b := range l.buckets {
		if key.start+key.width <= before {
			l.bytes -= b.size()
			delete(l.buckets, key)
		}
	}
	l.shrink(maxRefoldBytes)
	f.writer.version++ // tells which buckets were used last
	return nil
}
