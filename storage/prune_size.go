package storage

import (
	"context"
	"database/sql"
	"fmt"
)

// fileSize says what a file takes.
type fileSize struct {
	pages, free, pageBytes int64
}

// used is the size without free pages, which the next rows go to.
func (s fileSize) used() int64 { return (s.pages - s.free) * s.pageBytes }

func readFileSize(ctx context.Context, q Querier) (s fileSize, err error) {
	for _, read := range []struct {
		query string
		into  *int64
	}{{"PRAGMA page_count", &s.pages}, {"PRAGMA freelist_count", &s.free}, {"PRAGMA page_size", &s.pageBytes}} {
		if err := q.QueryRowContext(ctx, read.query).Scan(read.into); err != nil {
			return s, fmt.Errorf("read size: %w", err)
		}
	}
	return s, nil
}

// sizeTask makes a file smaller that is larger than it may be: of what is finest
// the oldest first.
type sizeTask struct {
	target int64 // bytes
	parts  []pruneTask
}

// planSize begins to make room at the bound, and leaves a tenth of it free, so
// that it need not begin again soon. The newest bucket of each width stays.
func (p *pruner) planSize(ctx context.Context, conn *sql.Conn, _ int64) ([]pruneTask, error) {
	size, err := readFileSize(ctx, conn)
	if err != nil {
		return nil, err
	}
	if p.bounds.Bytes == 0 || size.used() <= p.bounds.Bytes {
		p.over = false
		return nil, nil
	}
	task := &sizeTask{target: p.bounds.Bytes / 10 * 9}
	requests, err := p.allRequests(ctx, conn)
	if err != nil {
		return nil, err
	}
	task.parts = append(task.parts, requests...)
	for _, w := range p.bounds.Widths {
		var newest sql.NullInt64
		const query = "SELECT max(bucket_start) FROM headline_bucket WHERE width_s = ?"
		if err := conn.QueryRowContext(ctx, query, w.Seconds).Scan(&newest); err != nil {
			return nil, fmt.Errorf("look up the newest bucket of %d s: %w", w.Seconds, err)
		}
		if newest.Valid {
			task.parts = append(task.parts, newWidthTask(w, newest.Int64))
		}
	}
	return []pruneTask{task}, nil
}

func (*sizeTask) unreferenced() bool { return false }

func (s *sizeTask) chunk(ctx context.Context, t *pruneTx) (done bool, err error) {
	size, err := readFileSize(ctx, t.conn)
	if err != nil {
		return false, err
	}
	if size.used() <= s.target {
		t.pruner.over = false
		return true, nil
	}
	if len(s.parts) == 0 {
		t.pruner.over = size.used() > t.pruner.bounds.Bytes
		return true, nil
	}
	if done, err = s.parts[0].chunk(ctx, t); done {
		s.parts = s.parts[1:]
	}
	return false, err
}

// widthTask removes the oldest buckets of a width, in both tables as far.
type widthTask struct {
	headline, series *bucketTask // series is nil where the width has none
	before           int64       // Unix seconds
}

func newWidthTask(w Width, before int64) *widthTask {
	task := &widthTask{before: before}
	for _, t := range w.tables() {
		b := &bucketTask{bucketRange: bucketRange{t, w.Seconds}, before: before}
		if t == seriesTable {
			task.series = b
		} else {
			task.headline = b
		}
	}
	return task
}

func (*widthTask) unreferenced() bool { return false }

func (w *widthTask) chunk(ctx context.Context, t *pruneTx) (done bool, err error) {
	if w.series == nil {
		return w.headline.chunk(ctx, t)
	}
	if done, err = w.series.chunk(ctx, t); err != nil {
		return false, err
	}
	w.headline.before = w.before
	if from, pruned := t.pruner.completeFrom[w.series.width]; pruned && !done {
		w.headline.before = min(w.before, from)
	}
	headlineDone, err := w.headline.chunk(ctx, t)
	return done && headlineDone, err
}

const (
	// vacuumReserve is how many free pages stay, besides the given share of the
	// file: the next rows need them.
	vacuumReserve = 128
	vacuumShare   = 64
	// vacuumPages is how many pages one transaction begins with to give back.
	vacuumPages = 32
)

// pagesToFree returns how many pages can be given back to the file system.
func pagesToFree(ctx context.Context, q Querier) (int64, error) {
	var mode int64
	if err := q.QueryRowContext(ctx, "PRAGMA auto_vacuum").Scan(&mode); err != nil {
		return 0, err
	}
	const incremental = 2
	if mode != incremental {
		return 0, nil
	}
	size, err := readFileSize(ctx, q)
	return max(0, size.free-vacuumReserve-size.pages/vacuumShare), err
}

// vacuum gives back up to so many pages.
func vacuum(ctx context.Context, q Querier, pages int64) error {
	// One step of the statement frees one page.
	none := func(*sql.Rows) error { return nil }
	if err := eachRow(ctx, q, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", pages), none); err != nil {
		return fmt.Errorf("give back pages: %w", err)
	}
	return nil
}
