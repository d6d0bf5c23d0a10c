package storage

import (
	"context"
	"database/sql"
	"fmt"
	"math"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// secondsPerHour is how exactly it is known when a series was last seen.
const secondsPerHour = 3600

// raiseNewest notes that a series has a span that starts before end, in Unix
// seconds. The file is told about once an hour.
func (w *writer) raiseNewest(id aggregator.SeriesID, end int64) {
	if end <= w.newest[id] {
		return
	}
	hour := aggregator.BucketStart(end+secondsPerHour-1, secondsPerHour)
	w.newest[id], w.pending.newest[id] = hour, hour
}

// forgetUnsaved forgets the series of the transaction that nothing was kept of,
// such as spans that are too late for every width with series: the file never
// has them, so they would never leave.
func (w *writer) forgetUnsaved() {
	for id := range w.unsaved {
		w.forgetSeries(id)
	}
	clear(w.unsaved)
}

// forgetSeries forgets a series that the file does not have, or no longer.
func (w *writer) forgetSeries(id aggregator.SeriesID) {
	w.registry.RemoveSeries(id)
	delete(w.newest, id)
}

// seriesHygiene is how far series and runs were looked at that nothing can refer
// to any more.
type seriesHygiene struct {
	looked bool
	before int64 // what was last seen earlier, Unix seconds, was looked at
}

// planSeries finds what was last seen before all that is kept. It follows the
// tasks that remove the rest: what is left from before belongs to pinned runs.
func (p *pruner) planSeries(ctx context.Context, conn *sql.Conn, _ int64) ([]pruneTask, error) {
	before, err := p.keptFrom(ctx, conn)
	if err != nil || before == math.MinInt64 {
		return nil, err
	}
	// It moves with every bucket that leaves, and series by the hour.
	before = aggregator.BucketStart(before, secondsPerHour)
	if p.series.looked && before <= p.series.before {
		return nil, nil
	}
	return []pruneTask{&seriesTask{before: before, last: math.MinInt64}, &runTask{before: before}}, nil
}

// keptFrom returns the Unix second before which only pinned runs have rows; the
// earliest there is where that is not known.
func (p *pruner) keptFrom(ctx context.Context, q Querier) (int64, error) {
	kept := int64(math.MaxInt64)
	for _, w := range p.bounds.Widths {
		from, ok, err := p.widthKeptFrom(ctx, q, w)
		if err != nil {
			return 0, err
		}
		if ok {
			kept = min(kept, from)
		}
	}
	if kept == math.MaxInt64 {
		return math.MinInt64, nil
	}
	requests, err := p.requestsFrom(ctx, q)
	return min(kept, requests), err
}

// pinnedChunk is how many rows of pinned runs requestsFrom passes over at once.
const pinnedChunk = 2048

// requestsFrom returns the Unix second before which no single request starts,
// but for those of pinned runs. Where these have many it is early, and later
// each time.
func (p *pruner) requestsFrom(ctx context.Context, q Querier) (int64, error) {
	const query = `SELECT count(*), max(start_ns), min(start_ns) FILTER (WHERE NOT pinned) FROM (
		SELECT q.start_ns, EXISTS (
			SELECT 1 FROM series AS s JOIN run AS r ON r.run_id = s.run_id WHERE s.series_id = q.series_id AND r.pinned) AS pinned
		FROM request AS q INDEXED BY request_start WHERE q.start_ns >= ?1 ORDER BY q.start_ns LIMIT ?2)`
	for _, most := range []int64{1, pinnedChunk} {
		var rows int64
		var last, first sql.NullInt64
		if err := q.QueryRowContext(ctx, query, p.single.gone, most).Scan(&rows, &last, &first); err != nil {
			return 0, fmt.Errorf("look up the first request: %w", err)
		}
		switch {
		case first.Valid:
			p.single.gone = first.Int64
			return first.Int64 / nanosecondsPerSecond, nil
		case rows < most:
			return pinnedNewest - 1, nil // what pinned runs share stays
		}
		p.single.gone = last.Int64
	}
	return p.single.gone / nanosecondsPerSecond, nil
}

// widthKeptFrom returns keptFrom of one width; ok is false where it has no rows.
func (p *pruner) widthKeptFrom(ctx context.Context, q Querier, w Width) (from int64, ok bool, err error) {
	from, pruned := p.completeFrom[w.Seconds]
	if !pruned {
		return firstBucket(ctx, q, w)
	}
	for _, t := range w.tables() {
		late, err := p.anyBefore(ctx, q, &bucketTask{bucketRange: bucketRange{t, w.Seconds}, before: from})
		if err != nil {
			return 0, false, err
		}
		if late { // came after the others of its time, and is yet to leave
			return math.MinInt64, true, nil
		}
	}
	return from, true, nil
}

// firstBucket returns the start of the first bucket of a width, in both tables.
func firstBucket(ctx context.Context, q Querier, w Width) (first int64, ok bool, err error) {
	first = math.MaxInt64
	for _, t := range w.tables() {
		var start sql.NullInt64
		query := "SELECT min(bucket_start) FROM " + t.name + " WHERE width_s = ?"
		if err := q.QueryRowContext(ctx, query, w.Seconds).Scan(&start); err != nil {
			return 0, false, fmt.Errorf("look up the first bucket of %d s: %w", w.Seconds, err)
		}
		if start.Valid {
			first, ok = min(first, start.Int64), true
		}
	}
	return first, ok, nil
}

// seriesTask removes series.
type seriesTask struct {
	before int64
	last   int64 // series_id that was looked at
}

func (*seriesTask) unreferenced() bool { return true }

func (s *seriesTask) chunk(ctx context.Context, t *pruneTx) (done bool, err error) {
	if kept, err := t.pruner.keptFrom(ctx, t.conn); err != nil || kept < s.before {
		return true, err // something came meanwhile; the next round looks again
	}
	const next = `SELECT series_id, newest_s <= ? AND NOT EXISTS (SELECT 1 FROM run AS r WHERE r.run_id = series.run_id AND r.pinned)
		FROM series WHERE series_id > ? ORDER BY series_id LIMIT ?`
	looked := 0
	var leave []aggregator.SeriesID
	err = eachRow(ctx, t.conn, next, func(rows *sql.Rows) error {
		var gone bool
		if err := rows.Scan(&s.last, &gone); err != nil {
			return err
		}
		if looked++; gone {
			leave = append(leave, aggregator.SeriesID(s.last))
		}
		return nil
	}, s.before, s.last, pruneChunk)
	if err != nil {
		return false, fmt.Errorf("read series: %w", err)
	}
	for _, id := range leave {
		if _, err := t.exec(ctx, "DELETE FROM series WHERE series_id = ?", int64(id)); err != nil {
			return false, fmt.Errorf("delete series: %w", err)
		}
	}
	t.series = append(t.series, leave...)
	if len(leave) > 0 {
		if err := t.note(ctx, "series", 0, s.before, int64(len(leave))); err != nil {
			return false, err
		}
	}
	return looked < pruneChunk, nil
}

// runTask removes the runs that nothing is left of. Their spans stay in the
// ledger.
type runTask struct{ before int64 }

func (*runTask) unreferenced() bool { return true }

// emptyRuns are the runs that ended before ?1, are neither pinned nor open, and
// have no row left. The empty run is what belongs to none.
const emptyRuns = `SELECT run_id, (SELECT coalesce(sum(spans), 0) FROM run_category AS c WHERE c.run_id = run.run_id)
	FROM run WHERE last_ns <= ?1 AND NOT pinned AND run_id <> '' AND run_id IS NOT (SELECT value FROM meta WHERE key = 'open_run')
		AND run_id NOT IN (SELECT run_id FROM series) AND run_id NOT IN (SELECT run_id FROM evaluation)
		AND run_id NOT IN (SELECT run_id FROM chaos_result) AND run_id NOT IN (SELECT run_id FROM circuit_state) AND run_id NOT IN (SELECT run_id FROM fault_window)
	LIMIT ?2`

func (r *runTask) chunk(ctx context.Context, t *pruneTx) (done bool, err error) {
	if kept, err := t.pruner.keptFrom(ctx, t.conn); err != nil || kept < r.before {
		return true, err
	}
	var runs []string
	var purged int64
	err = eachRow(ctx, t.conn, emptyRuns, func(rows *sql.Rows) error {
		var run string
		var spans int64
		err := rows.Scan(&run, &spans)
		runs, purged = append(runs, run), purged+spans
		return err
	}, nanoseconds(r.before), pruneChunk)
	if err != nil {
		return false, fmt.Errorf("read run: %w", err)
	}
	for _, run := range runs {
		for _, table := range []string{"run_category", "run"} {
			if _, err := t.exec(ctx, "DELETE FROM "+table+" WHERE run_id = ?", run); err != nil {
				return false, fmt.Errorf("delete %s: %w", table, err)
			}
		}
	}
	t.runs, t.purged = append(t.runs, runs...), t.purged+purged
	if len(runs) > 0 {
		if err := t.note(ctx, "run", 0, r.before, int64(len(runs))); err != nil {
			return false, err
		}
	}
	if done = len(runs) < pruneChunk; done {
		t.pruner.series = seriesHygiene{looked: true, before: r.before}
	}
	return done, nil
}
