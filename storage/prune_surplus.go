package storage

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strings"
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
	found, err := t.requestsAfter(ctx, p.evicted[class], math.MaxInt64, requestChunk)
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
	return len(found) < requestChunk && len(leave) == 0, nil
}

// evict removes rows, but for what they are kept for besides being a request.
func (t *pruneTx) evict(ctx context.Context, leave []foundRequest) error {
	p := &t.pruner.single
	var gone []int64
	for _, f := range leave {
		p.discount(f)
		rest := f.kept & (keptForSessions | keptForFaults)
		if classOf(f.kept) == classOther || rest == 0 {
			gone = append(gone, f.id)
			continue
		}
		if err := t.keepRest(ctx, f, rest); err != nil {
			return err
		}
		if f.id <= p.counted {
			p.counts[classOther]++
		}
		p.reclass(f)
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

// restProfile reads what is left of the profile of a row that is no longer kept
// as a request, in the order of profileColumns; only with a circuit does it
// name the instance, and only of sessions the decision.
const restProfile = `SELECT p.newest_s, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
		CASE WHEN p.circuit IS NOT NULL THEN p.instance END,
		CASE WHEN ?2 & 2 THEN p.decision END, CASE WHEN ?2 & 2 THEN p.decision_source END,
		p.target, p.experiment_id, p.circuit
	FROM request AS q JOIN request_profile AS p ON p.profile_id = q.profile_id WHERE q.id = ?1`

// keepRest takes from a row what only requests have.
func (t *pruneTx) keepRest(ctx context.Context, f foundRequest, rest int64) error {
	profile, err := t.keepRestOfProfile(ctx, f.id, rest)
	if err != nil {
		return err
	}
	set := make([]string, 0, len(requestOnlyColumns)+4)
	for _, c := range requestOnlyColumns {
		set = append(set, requestColumnNames[c]+" = NULL")
	}
	set = append(set, "weight_micro = NULL", "kept = ?2", "profile_id = ?3")
	if rest&keptForSessions == 0 {
		set = append(set, "role = NULL", "session_id = NULL", "tool_call_id = NULL")
	}
	if _, err := t.exec(ctx, "UPDATE request SET "+strings.Join(set, ", ")+" WHERE id = ?1", f.id, rest, profile); err != nil {
		return fmt.Errorf("write request: %w", err)
	}
	return nil
}

// keepRestOfProfile returns the id of what is left of the profile of a row, and
// makes its row; nil where nothing is left.
func (t *pruneTx) keepRestOfProfile(ctx context.Context, id, rest int64) (any, error) {
	var newest int64
	texts := make([]sql.NullString, len(profileColumns))
	into := []any{&newest}
	for i := range texts {
		into = append(into, &texts[i])
	}
	err := t.conn.QueryRowContext(ctx, restProfile, id, rest).Scan(into...)
	if err != nil {
		if err == sql.ErrNoRows {
			return nil, nil
		}
		return nil, fmt.Errorf("read request_profile: %w", err)
	}
	values, args := make([]string, len(texts)), make([]any, 0, len(texts)+2)
	for i, text := range texts {
		values[i] = text.String
		if text.Valid {
			args = append(args, text.String)
		} else {
			args = append(args, nil)
		}
	}
	profile := profileID(values)
	if profile == noProfile {
		return nil, nil
	}
	if _, err := t.exec(ctx, insertProfile, append(args, profile, newest)...); err != nil {
		return nil, fmt.Errorf("write request_profile: %w", err)
	}
	return profile, nil
}
