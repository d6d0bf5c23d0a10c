package storage

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

const (
	// pruneSlice is about how long one transaction beside callers goes on, its
	// COMMIT apart: they wait so long.
	pruneSlice = 10 * time.Millisecond
	// pruneChunk is how many rows are looked at between two looks at the clock.
	pruneChunk = 64
)

// pruner removes what is over its bound, slice by slice. It is for one
// connection; what it remembers of the file besides completeFrom only saves it
// from looking twice at the rows of pinned runs.
type pruner struct {
	bounds PruneBounds
	// completeFrom is the Unix second from which on a width is complete; a width
	// that is missing here always was. It is that of the file.
	completeFrom map[int64]int64
	cursors      map[bucketRange]bucketPlace
	// stage is the next one of the round, tasks what is left of the present one.
	stage  int
	tasks  []pruneTask
	over   bool // the file is larger than it may be, and nothing more can go
	series seriesHygiene
	single requestPruning
	sweeps sweeps
	// sliceTime is about how long one transaction goes on, its COMMIT apart.
	sliceTime time.Duration
}

// pruneTask is something that may have rows to remove.
type pruneTask interface {
	// chunk looks at some rows more, and says whether there are none left.
	chunk(ctx context.Context, t *pruneTx) (done bool, err error)
	// unreferenced: it removes rows that others may refer to, and has made sure
	// that none do. SQLite would read whole tables for each of them.
	unreferenced() bool
}

// pruneTx is the transaction of a slice, and what it changed.
type pruneTx struct {
	conn    *sql.Conn
	pruner  *pruner
	now     int64 // Unix seconds
	version int64 // of the rows it changes
	changed int64 // rows
	// What the writer must forget: buckets up to the given start, series, runs.
	buckets map[bucketRange]int64
	series  []aggregator.SeriesID
	runs    []string
	// purged are the spans that the runs counted.
	purged int64
	gone   map[string]int64 // rows that left, by relation
	// profiles: some rows of request_profile have left.
	profiles bool
	// chosen: some rows that strata chose have left.
	chosen bool
}

func newPruner(b PruneBounds) *pruner {
	return &pruner{bounds: b, sliceTime: pruneSlice, completeFrom: map[int64]int64{}, cursors: map[bucketRange]bucketPlace{}}
}

// load reads what has left.
func (p *pruner) load(ctx context.Context, q Querier) error {
	clear(p.completeFrom)
	err := eachRow(ctx, q, "SELECT width_s, complete_from FROM pruned WHERE relation = ?", func(rows *sql.Rows) error {
		var width, from int64
		if err := rows.Scan(&width, &from); err != nil {
			return err
		}
		p.completeFrom[width] = from
		return nil
	}, prunedBuckets)
	if err != nil {
		return fmt.Errorf("read pruned: %w", err)
	}
	return nil
}

// next plans what is left to do in the round, and says whether that is nothing.
// It only reads.
func (p *pruner) next(ctx context.Context, conn *sql.Conn, now int64) (done bool, err error) {
	plans := []func(context.Context, *sql.Conn, int64) ([]pruneTask, error){
		// What was begun to make room is finished before anybody relies on it.
		p.planBuckets, p.planRequests, p.planSweeps, p.planSize, p.planBuckets, p.planSeries,
	}
	for len(p.tasks) == 0 {
		if p.stage == len(plans) {
			p.stage = 0
			return true, nil
		}
		if p.tasks, err = plans[p.stage](ctx, conn, now); err != nil {
			return false, fmt.Errorf("plan pruning: %w", err)
		}
		p.stage++
	}
	return false, nil
}

// slice works on the tasks until its time is over.
func (p *pruner) slice(ctx context.Context, t *pruneTx) error {
	for began := time.Now(); len(p.tasks) > 0 && time.Since(began) < p.sliceTime; {
		done, err := p.tasks[0].chunk(ctx, t)
		if err != nil {
			return fmt.Errorf("prune: %w", err)
		}
		if done {
			p.tasks = p.tasks[1:]
		}
	}
	return nil
}

// exec runs a statement and returns how many rows it changed.
func (t *pruneTx) exec(ctx context.Context, statement string, args ...any) (rows int64, err error) {
	result, err := t.conn.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	rows, err = result.RowsAffected()
	t.changed += rows
	return rows, err
}

// do is exec where nobody asks how many rows there were.
func (t *pruneTx) do(ctx context.Context, statement string, args ...any) error {
	_, err := t.exec(ctx, statement, args...)
	return err
}

// note records that rows of a relation have left, and from when on nothing has.
func (t *pruneTx) note(ctx context.Context, relation string, width, completeFrom, rows int64) error {
	const add = `INSERT INTO pruned (relation, width_s, complete_from, rows) VALUES (?, ?, ?, ?)
		ON CONFLICT (relation, width_s) DO UPDATE SET
			complete_from = max(complete_from, excluded.complete_from), rows = rows + excluded.rows
		WHERE excluded.rows > 0 OR excluded.complete_from > complete_from`
	if _, err := t.exec(ctx, add, relation, width, completeFrom, rows); err != nil {
		return fmt.Errorf("write pruned: %w", err)
	}
	if t.gone == nil {
		t.gone = map[string]int64{}
	}
	t.gone[relation] += rows
	return nil
}

// ageOf returns the instant, Unix seconds, that ages are counted from: now, or
// the end of the newest bucket where that is earlier. So neither a file from
// last month nor a recording loses anything by being opened, nor any file by a
// clock that is ahead. ok is false for a file without buckets.
func ageOf(ctx context.Context, q Querier, widths []Width, now int64) (age int64, ok bool, err error) {
	for _, w := range widths {
		var newest sql.NullInt64
		const query = "SELECT max(bucket_start) FROM headline_bucket WHERE width_s = ?"
		if err := q.QueryRowContext(ctx, query, w.Seconds).Scan(&newest); err != nil {
			return 0, false, fmt.Errorf("look up the newest bucket of %d s: %w", w.Seconds, err)
		}
		if newest.Valid {
			return min(now, newest.Int64+w.Seconds), true, nil // the finest is the most exact
		}
	}
	return 0, false, nil
}

// secondsBefore returns the instant so long before age; the earliest there is
// for a bound of 0, which is none.
func secondsBefore(age int64, bound time.Duration) int64 {
	seconds := int64((bound + time.Second - 1) / time.Second)
	if seconds <= 0 || age < math.MinInt64+seconds {
		return math.MinInt64
	}
	return age - seconds
}

// nanoseconds returns Unix seconds in nanoseconds, as far as there are any.
func nanoseconds(seconds int64) int64 {
	const most = math.MaxInt64 / nanosecondsPerSecond
	return max(-most, min(seconds, most)) * nanosecondsPerSecond
}

const nanosecondsPerSecond = 1_000_000_000
