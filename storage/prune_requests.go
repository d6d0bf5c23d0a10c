package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"

	"github.com/spanbucket/spanbucketexporter/aggregator"
	"github.com/spanbucket/spanbucketexporter/aggregator/sampling"
)

// requestChunk is how many rows of request are looked at between two looks at
// the clock, and countChunk how many are counted.
const (
	requestChunk = 256
	countChunk   = 2048
)

// requestClass is a kind of rows that have a bound in common.
type requestClass int

// The classes: requests kept in the order they come, requests for cause, and
// what is kept only for sessions, turns, tools, fault windows and circuits.
const (
	classOrdinary requestClass = iota
	classForCause
	classOther
	numRequestClasses
)

func classOf(kept int64) requestClass {
	switch {
	case kept&keptAsRequest == 0:
		return classOther
	case kept&keptForCause != 0:
		return classForCause
	}
	return classOrdinary
}

// requestPlace is a row of request in the order of its index: all up to it were
// looked at.
type requestPlace struct{ start, kept, id int64 }

// requestPruning is what is remembered of single requests, so as not to look at
// or count a row twice.
type requestPruning struct {
	// aged is how far rows were looked at that are to leave by age or size;
	// gone: what starts earlier, Unix nanoseconds, belongs to pinned runs.
	aged requestPlace
	gone int64
	// evicted is how far those of each class were that are too many.
	evicted [numRequestClasses]requestPlace
	counts  [numRequestClasses]int64
	counted int64 // id up to which rows are in counts
}

// saw notes a row that starts at the given instant, which may be earlier than
// what was looked at already.
func (r *requestPruning) saw(start int64) {
	r.gone = min(r.gone, start)
	for _, place := range []*requestPlace{&r.aged, &r.evicted[classOrdinary], &r.evicted[classForCause], &r.evicted[classOther]} {
		if start <= place.start {
			*place = requestPlace{start: start - 1, id: math.MaxInt64, kept: math.MaxInt64}
		}
	}
}

// recount is for a file that somebody else has changed.
func (r *requestPruning) recount() { *r = requestPruning{} }

// planRequests finds the requests that are older than they may be, and those
// that are too many.
func (p *pruner) planRequests(ctx context.Context, conn *sql.Conn, now int64) (tasks []pruneTask, err error) {
	age, ok, err := ageOf(ctx, conn, p.bounds.Widths, now)
	if err != nil || !ok {
		return nil, err
	}
	if oldest := secondsBefore(age, p.bounds.RequestAge); oldest > math.MinInt64 {
		task := &requestTask{before: nanoseconds(oldest), byAge: true}
		var due bool
		const query = "SELECT EXISTS (SELECT 1 FROM request WHERE start_ns >= ?1 AND (start_ns, kept, id) > (?1, ?2, ?3) AND start_ns < ?4)"
		at := p.single.aged
		if err := conn.QueryRowContext(ctx, query, at.start, at.kept, at.id, task.before).Scan(&due); err != nil {
			return nil, fmt.Errorf("look up old requests: %w", err)
		}
		if due {
			tasks = append(tasks, task)
		} else {
			p.single.gone = max(p.single.gone, task.before)
		}
	}
	if p.bounds.RequestRows == 0 {
		return tasks, nil
	}
	var highest int64
	if err := conn.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM request").Scan(&highest); err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	evict := []*evictTask{{class: classOrdinary}, {class: classOther}}
	for _, e := range evict {
		if _, n := e.surplus(p); n > 0 || highest > p.single.counted {
			return append(tasks, &countTask{}, evict[0], evict[1]), nil
		}
	}
	return tasks, nil
}

// allRequests are the tasks that remove single requests, the oldest first; the
// newest one stays.
func (p *pruner) allRequests(ctx context.Context, conn *sql.Conn) ([]pruneTask, error) {
	var newest sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT max(start_ns) FROM request").Scan(&newest); err != nil {
		return nil, fmt.Errorf("look up the newest request: %w", err)
	}
	return []pruneTask{&requestTask{before: newest.Int64}}, nil
}

// foundRequest is a row that was looked at.
type foundRequest struct {
	requestPlace
	pinned bool
}

// requestsAfter returns the next rows behind a place that start before an
// instant, in the order of the index.
func (t *pruneTx) requestsAfter(ctx context.Context, place requestPlace, before int64, rows int) (found []foundRequest, err error) {
	const query = `SELECT q.start_ns, q.kept, q.id, EXISTS (
			SELECT 1 FROM series AS s JOIN run AS r ON r.run_id = s.run_id WHERE s.series_id = q.series_id AND r.pinned)
		FROM request AS q INDEXED BY request_start
		WHERE q.start_ns >= ?1 AND (q.start_ns, q.kept, q.id) > (?1, ?2, ?3) AND q.start_ns < ?4
		ORDER BY q.start_ns, q.kept, q.id LIMIT ?5`
	err = eachRow(ctx, t.conn, query, func(rows *sql.Rows) error {
		var f foundRequest
		err := rows.Scan(&f.start, &f.kept, &f.id, &f.pinned)
		found = append(found, f)
		return err
	}, place.start, place.kept, place.id, before, rows)
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	return found, nil
}

// requestTask removes the requests that start before an instant, the oldest
// first, whatever they are kept for.
type requestTask struct {
	before int64 // Unix nanoseconds
	byAge  bool
	found  bool
}

func (*requestTask) unreferenced() bool { return false }

func (r *requestTask) chunk(ctx context.Context, t *pruneTx) (done bool, err error) {
	p := &t.pruner.single
	found, err := t.requestsAfter(ctx, p.aged, r.before, requestChunk)
	if err != nil {
		return false, err
	}
	var leave []foundRequest
	for _, f := range found {
		if p.aged = f.requestPlace; !f.pinned {
			leave = append(leave, f)
		}
	}
	done = len(found) < requestChunk
	if done && r.byAge {
		p.gone = max(p.gone, r.before)
	}
	if r.found = r.found || len(found) > 0; !r.found {
		return done, nil
	}
	from := p.aged.start + 1
	if done {
		from = max(from, r.before)
	}
	return done, t.removeRequests(ctx, leave, from)
}

// removeRequests removes rows; what starts before from, Unix nanoseconds, may be
// missing.
func (t *pruneTx) removeRequests(ctx context.Context, leave []foundRequest, from int64) error {
	ids := make([]int64, len(leave))
	asRequests := false
	for i, f := range leave {
		ids[i] = f.id
		asRequests = asRequests || f.kept&keptAsRequest != 0
		t.pruner.single.discount(f)
	}
	if err := t.deleteRequests(ctx, ids); err != nil {
		return err
	}
	if err := t.removeStrata(ctx, leave); err != nil {
		return err
	}
	return t.noteRequests(ctx, int64(len(ids)), from, asRequests)
}

// removeStrata removes the strata of the minutes of rows that have left, where
// no other row is left that they chose. The rows of the others stand for as many
// spans as before.
func (t *pruneTx) removeStrata(ctx context.Context, left []foundRequest) error {
	minutes := map[int64]bool{}
	for _, f := range left {
		if f.kept&keptByChoice != 0 {
			minutes[aggregator.BucketStart(aggregator.UnixSeconds(f.start), sampling.MinuteSeconds)] = true
		}
	}
	const remove = `DELETE FROM request_stratum WHERE minute_s = ?1 AND NOT EXISTS (
		SELECT 1 FROM request AS r INDEXED BY request_start
		WHERE r.start_ns >= ?1 * 1000000000 AND r.start_ns < (?1 + 60) * 1000000000 AND r.kept & 16)`
	for minute := range minutes {
		t.chosen = true
		if _, err := t.exec(ctx, remove, minute); err != nil {
			return fmt.Errorf("delete request_stratum: %w", err)
		}
	}
	return nil
}

// unchosen notes that a row is no longer kept as a request, but for what else
// it is kept for, 0: it is gone. highest is the highest id there is.
func (r *requestPruning) unchosen(m *sampling.Member[chosenRow], highest int64) {
	if m.Value.id <= r.counted {
		if r.counts[classForCause]--; m.Value.kept != 0 {
			r.counts[classOther]++
		}
	}
	if m.Value.kept != 0 {
		r.reclass(foundRequest{requestPlace: requestPlace{start: m.StartUnixNano}})
	}
	r.counted = min(r.counted, highest) // the next row gets the id after it
}

// discount takes a row that leaves out of the counts.
func (r *requestPruning) discount(f foundRequest) {
	if f.id <= r.counted {
		r.counts[classOf(f.kept)]--
	}
}

func (t *pruneTx) deleteRequests(ctx context.Context, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	text, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	if _, err := t.exec(ctx, "DELETE FROM request WHERE id IN (SELECT value FROM json_each(?))", string(text)); err != nil {
		return fmt.Errorf("delete request: %w", err)
	}
	// The next row gets the id after the highest.
	var highest int64
	if err := t.conn.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM request").Scan(&highest); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	t.pruner.single.counted = min(t.pruner.single.counted, highest)
	return nil
}

// raiseComplete moves up the start from which on every span has its row.
const raiseComplete = `INSERT INTO meta (key, value) VALUES ('requests_complete_from_ns', ?1) ON CONFLICT (key) DO UPDATE
	SET value = excluded.value WHERE CAST(value AS INTEGER) < CAST(excluded.value AS INTEGER)`

// noteRequests records that rows left; from is in Unix nanoseconds.
func (t *pruneTx) noteRequests(ctx context.Context, rows, from int64, asRequests bool) error {
	if asRequests {
		if _, err := t.exec(ctx, raiseComplete, fmt.Sprint(from)); err != nil {
			return fmt.Errorf("meta requests_complete_from_ns: %w", err)
		}
	}
	if rows == 0 {
		return nil
	}
	return t.note(ctx, "request", 0, (from+nanosecondsPerSecond-1)/nanosecondsPerSecond, rows)
}
