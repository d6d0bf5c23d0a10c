package storage

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
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
		if err := t.keepRest(ctx, rests[rest], rest); err != nil {
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

// keepRest takes from rows what only requests have. Row by row it would take ten
// times as long, and callers wait.
func (t *pruneTx) keepRest(ctx context.Context, ids []int64, rest int64) error {
	byProfile, err := t.byRestOfProfile(ctx, ids, rest)
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
	statement := "UPDATE request SET " + strings.Join(set, ", ") + " WHERE id IN (SELECT value FROM json_each(?1))"
	for profile, ids := range byProfile {
		text, err := json.Marshal(ids)
		if err != nil {
			return err
		}
		if _, err := t.exec(ctx, statement, string(text), rest, profile); err != nil {
			return fmt.Errorf("write request: %w", err)
		}
	}
	return nil
}

// byRestOfProfile returns rows by the profile that they have from now on, and
// makes its row.
func (t *pruneTx) byRestOfProfile(ctx context.Context, ids []int64, rest int64) (map[sql.NullInt64][]int64, error) {
	text, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	before := map[sql.NullInt64][]int64{}
	const query = "SELECT id, profile_id FROM request WHERE id IN (SELECT value FROM json_each(?))"
	err = eachRow(ctx, t.conn, query, func(rows *sql.Rows) error {
		var id int64
		var profile sql.NullInt64
		err := rows.Scan(&id, &profile)
		before[profile] = append(before[profile], id)
		return err
	}, string(text))
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	after := map[sql.NullInt64][]int64{}
	for profile, ids := range before {
		if profile.Valid {
			if profile, err = t.restOfProfile(ctx, profile.Int64, rest); err != nil {
				return nil, err
			}
		}
		after[profile] = append(after[profile], ids...)
	}
	return after, nil
}

// restProfile reads what is left of a profile for a row that is no longer kept
// as a request, in the order of profileColumns; only with a circuit does it
// name the instance, and only of sessions the decision.
const restProfile = `SELECT p.newest_s, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
		CASE WHEN p.circuit IS NOT NULL THEN p.instance END,
		CASE WHEN ?2 & 2 THEN p.decision END, CASE WHEN ?2 & 2 THEN p.decision_source END,
		p.target, p.experiment_id, p.circuit
	FROM request_profile AS p WHERE p.profile_id = ?1`

// restOfProfile returns the id of what is left of a profile, and makes its row;
// none where nothing is left.
func (t *pruneTx) restOfProfile(ctx context.Context, id, rest int64) (none sql.NullInt64, err error) {
	var newest int64
	texts := make([]sql.NullString, len(profileColumns))
	into := []any{&newest}
	for i := range texts {
		into = append(into, &texts[i])
	}
	err = t.conn.QueryRowContext(ctx, restProfile, id, rest).Scan(into...)
	if err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return none, nil
		}
		return none, fmt.Errorf("read request_profile: %w", err)
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
		return none, nil
	}
	if _, err := t.exec(ctx, insertProfile, append(args, profile, newest)...); err != nil {
		return none, fmt.Errorf("write request_profile: %w", err)
	}
	return sql.NullInt64{Int64: profile, Valid: true}, nil
}
