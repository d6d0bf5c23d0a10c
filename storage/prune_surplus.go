package storage

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math"
	"slices"
)

// countTask counts the rows of request by class: those that have come since the
// last time.
type countTask struct{}

func (*countTask) unreferenced() bool { return false }

func (*countTask) chunk(ctx context.Context, t *pruneTx) (done bool, err error) {
	p := &t.pruner.single
	const query = `SELECT kept, count(*), max(id) FROM (SELECT id, kept FROM request WHERE id > ?1 ORDER BY id LIMIT ?2) GROUP BY kept`
	total := int64(0)
	err = eachRow(ctx, t.conn, query, func(rows *sql.Rows) error {
		var kept, n, last int64
		if err := rows.Scan(&kept, &n, &last); err != nil {
			return err
		}
		p.counts[classOf(kept)] += n
		total, p.counted = total+n, max(p.counted, last)
		return nil
	}, p.counted, countChunk)
	if err != nil {
		return false, fmt.Errorf("count request: %w", err)
	}
	return total < countChunk, nil
}

// evictChunk is how many rows evictTask looks at between two looks at the clock:
// to take from a row what only requests have costs more than to delete it.
const evictChunk = 96

// evictTask removes rows that are too many, the oldest first. Requests for cause
// and ordinary ones share a bound: of the two those give that are more than
// half, so that an outage does not push out what it is to be compared with. The
// others have the same bound for themselves.
type evictTask struct{ class requestClass }

func (*evictTask) unreferenced() bool { return false }

// surplus returns the class that has to give, and how many rows at once; 0 for
// none.
func (e *evictTask) surplus(p *pruner) (requestClass, int64) {
	counts := &p.single.counts
	if e.class == classOther {
		return classOther, counts[classOther] - p.bounds.RequestRows
	}
	over := counts[classOrdinary] + counts[classForCause] - p.bounds.RequestRows
	class := classOrdinary
	if counts[classForCause] > counts[classOrdinary] {
		class = classForCause
	}
	more := counts[class] - counts[classOrdinary+classForCause-class]
	return class, min(over, max(1, more))
}

func (e *evictTask) chunk(ctx context.Context, t *pruneTx) (done bool, err error) {
	p := &t.pruner.single
	class, n := e.surplus(t.pruner)
	if n <= 0 {
		return true, nil
	}
	found, err := t.requestsAfter(ctx, p.evicted[class], math.MaxInt64, evictChunk)
	if err != nil {
		return false, err
	}
	var leave []foundRequest
	for _, f := range found {
		if int64(len(leave)) == n {
			break
		}
		if p.evicted[class] = f.requestPlace; !f.pinned && classOf(f.kept) == class {
			leave = append(leave, f)
		}
	}
	if len(leave) > 0 {
		if err := t.evict(ctx, leave); err != nil {
			return false, err
		}
	}
	// Where all that is left of the class is pinned, nothing more can go.
	return len(found) < evictChunk && len(leave) == 0, nil
}

// evict removes rows, but for what they are kept for besides being a request.
func (t *pruneTx) evict(ctx context.Context, leave []foundRequest) error {
	p := &t.pruner.single
	var gone []int64
	rests := map[int64][]int64{}
	for _, f := range leave {
		p.discount(f)
		rest := f.kept & (keptForSessions | keptForFaults)
		if classOf(f.kept) == classOther || rest == 0 {
			gone = append(gone, f.id)
			continue
		}
		rests[rest] = append(rests[rest], f.id)
		if f.id <= p.counted {
			p.counts[classOther]++
		}
		p.reclass(f)
	}
	for _, rest := range slices.Sorted(maps.Keys(rests)) {
		if err := demote(ctx, t.do, rests[rest], int(rest)); err != nil {
			return err
		}
	}
	if err := t.deleteRequests(ctx, gone); err != nil {
		return err
	}
	if err := t.removeStrata(ctx, leave); err != nil {
		return err
	}
	return t.noteRequests(ctx, int64(len(leave)), leave[len(leave)-1].start+1, leave[0].kept&keptAsRequest != 0)
}

// reclass makes sure that a row is looked at as one of its new class.
func (r *requestPruning) reclass(f foundRequest) {
	if place := &r.evicted[classOther]; f.start <= place.start {
		*place = requestPlace{start: f.start - 1, kept: math.MaxInt64, id: math.MaxInt64}
	}
}
