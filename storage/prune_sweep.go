package storage

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// sweepInterval is how often tables are read that have no index by time.
const sweepInterval = 10 * time.Minute

// sweptTable is a table that is read from end to end to find what is too old, or
// too much.
type sweptTable struct {
	name string
	keys []string
	// seconds is SQL for the Unix second in which a row ends, stays for one that
	// is kept whatever its age.
	seconds, stays string
	// windows: it has the retention of the widest buckets, else that of requests.
	windows bool
}

const ofPinnedRun = "EXISTS (SELECT 1 FROM run AS r WHERE r.run_id = t.run_id AND r.pinned)"

var sweptTables = []sweptTable{
	{"chaos_result", []string{"at_ns", "span_id", "trace_id", "ordinal"}, "t.at_ns / 1000000000", ofPinnedRun, false},
	{"evaluation", []string{"at_ns", "span_id", "trace_id", "ordinal"}, "t.at_ns / 1000000000", ofPinnedRun, false},
	{"circuit_state", []string{"run_id", "service", "instance", "circuit", "at_ns", "state", "from_state"}, "t.at_ns / 1000000000", ofPinnedRun, false},
	{"fault_window", []string{"source", "run_id", "fault", "target", "experiment_id", "start_ns", "end_ns"}, "t.end_ns / 1000000000",
		"t.source = 'config' OR " + ofPinnedRun, true},
}

// before returns the Unix second before which rows are too old.
func (t *sweptTable) before(b *PruneBounds, age int64) int64 {
	if t.windows {
		return secondsBefore(age, b.Widths[len(b.Widths)-1].Retention)
	}
	return secondsBefore(age, b.RequestAge)
}

// sweeps is when tables were read last.
type sweeps struct{ last time.Time }

func (p *pruner) planSweeps(ctx context.Context, conn *sql.Conn, now int64) (tasks []pruneTask, err error) {
	if time.Since(p.sweeps.last) < sweepInterval {
		return nil, nil
	}
	age, ok, err := ageOf(ctx, conn, p.bounds.Widths, now)
	if err != nil || !ok {
		return nil, err
	}
	p.sweeps.last = time.Now()
	for i := range sweptTables {
		table := &sweptTables[i]
		before := table.before(&p.bounds, age)
		if before == math.MinInt64 && p.bounds.RequestRows == 0 {
			continue
		}
		var any bool
		if err := conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+table.name+")").Scan(&any); err != nil {
			return nil, fmt.Errorf("read %s: %w", table.name, err)
		}
		if any {
			tasks = append(tasks, &sweepTask{table: table, before: before})
		}
	}
	profiles := &profileTask{last: math.MinInt64}
	if profiles.before, err = p.requestsFrom(ctx, conn); err != nil {
		return nil, err
	}
	var old bool
	const query = "SELECT EXISTS (SELECT 1 FROM request_profile WHERE newest_s <= ?)"
	if err := conn.QueryRowContext(ctx, query, profiles.before).Scan(&old); err != nil || !old {
		return tasks, err
	}
	return append(tasks, profiles), nil
}

// sweepTask reads one table. Where it finds more rows than there may be it reads
// it once more.
type sweepTask struct {
	table  *sweptTable
	before int64 // Unix seconds
	last   []any // the row that was looked at; nil: none
	// minutes counts what may stay, by the minute.
	minutes map[int64]int64
	// again: what ends before is too much, and some of the minute from there.
	again bool
	some  int64
}

func (*sweepTask) unreferenced() bool { return false }

func (s *sweepTask) chunk(ctx context.Context, t *pruneTx) (done bool, err error) {
	leave, looked, err := s.look(ctx, t)
	if err != nil {
		return false, err
	}
	statement := "DELETE FROM " + s.table.name + " AS t WHERE " + s.table.key() + " = " + s.table.marks()
	for _, row := range leave {
		if _, err := t.exec(ctx, statement, row...); err != nil {
			return false, fmt.Errorf("delete %s: %w", s.table.name, err)
		}
	}
	if len(leave) > 0 {
		if err := t.note(ctx, s.table.name, 0, s.completeFrom(), int64(len(leave))); err != nil {
			return false, err
		}
	}
	return looked < pruneChunk && !s.tooMany(t.pruner.bounds.RequestRows), nil
}

// key is SQL for the key of a row, and marks for as many values.
func (t *sweptTable) key() string { return "(t." + strings.Join(t.keys, ", t.") + ")" }

func (t *sweptTable) marks() string { return "(?" + strings.Repeat(", ?", len(t.keys)-1) + ")" }

// look returns the keys of the next rows that are to leave, and how many rows it
// looked at.
func (s *sweepTask) look(ctx context.Context, t *pruneTx) (leave [][]any, looked int, err error) {
	where, args := "1", slices.Clone(s.last)
	if s.last != nil {
		where = s.table.key() + " > " + s.table.marks()
	}
	keys := "t." + strings.Join(s.table.keys, ", t.")
	query := "SELECT " + s.table.seconds + ", " + s.table.stays + ", " + keys + " FROM " + s.table.name + " AS t WHERE " + where +
		" ORDER BY " + keys + " LIMIT ?"
	err = eachRow(ctx, t.conn, query, func(rows *sql.Rows) error {
		var seconds int64
		var stays bool
		row := make([]any, len(s.table.keys))
		into := []any{&seconds, &stays}
		for i := range row {
			into = append(into, &row[i])
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		looked, s.last = looked+1, row
		if !stays && s.leaves(seconds) {
			leave = append(leave, row)
		}
		return nil
	}, append(args, pruneChunk)...)
	if err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", s.table.name, err)
	}
	return leave, looked, nil
}

// leaves decides about a row that need not stay.
func (s *sweepTask) leaves(seconds int64) bool {
	switch minute := floorMinute(seconds); {
	case seconds < s.before:
		return true
	case s.again && minute == s.before && s.some > 0:
		s.some--
		return true
	case !s.again:
		if s.minutes == nil {
			s.minutes = map[int64]int64{}
		}
		s.minutes[minute]++
	}
	return false
}

// completeFrom returns the second from which on nothing has left.
func (s *sweepTask) completeFrom() int64 {
	if s.again {
		return s.before + secondsPerMinute
	}
	return s.before
}

const secondsPerMinute = 60

func floorMinute(seconds int64) int64 {
	return seconds - (seconds%secondsPerMinute+secondsPerMinute)%secondsPerMinute
}

// tooMany tells, at the end of the table, whether it has to be read again, and
// prepares that.
func (s *sweepTask) tooMany(most int64) bool {
	if s.again || most == 0 {
		return false
	}
	total := int64(0)
	for _, n := range s.minutes {
		total += n
	}
	if s.some = total - most; s.some <= 0 {
		return false
	}
	for _, minute := range slices.Sorted(maps.Keys(s.minutes)) {
		if s.before = minute; s.minutes[minute] > s.some {
			break
		}
		s.some -= s.minutes[minute]
	}
	s.again, s.last, s.minutes = true, nil, nil
	return true
}

// profileTask removes what requests shared that have left. Profiles of pinned
// runs never get old: see pinnedNewest.
type profileTask struct {
	before int64 // Unix seconds
	last   int64 // profile_id that was looked at
}

func (*profileTask) unreferenced() bool { return false }

func (f *profileTask) chunk(ctx context.Context, t *pruneTx) (done bool, err error) {
	if from, err := t.pruner.requestsFrom(ctx, t.conn); err != nil || from < f.before {
		return true, err // a request came meanwhile; the next round looks again
	}
	var leave []int64
	looked := 0
	const query = "SELECT profile_id, newest_s <= ? FROM request_profile WHERE profile_id > ? ORDER BY profile_id LIMIT ?"
	err = eachRow(ctx, t.conn, query, func(rows *sql.Rows) error {
		var old bool
		if err := rows.Scan(&f.last, &old); err != nil {
			return err
		}
		if looked++; old {
			leave = append(leave, f.last)
		}
		return nil
	}, f.before, f.last, pruneChunk)
	if err != nil {
		return false, fmt.Errorf("read request_profile: %w", err)
	}
	for _, id := range leave {
		if _, err := t.exec(ctx, "DELETE FROM request_profile WHERE profile_id = ?", id); err != nil {
			return false, fmt.Errorf("delete request_profile: %w", err)
		}
	}
	if len(leave) > 0 {
		t.profiles = true
		err = t.note(ctx, "request_profile", 0, min(f.before, t.now), int64(len(leave)))
	}
	return looked < pruneChunk, err
}

// pinProfiles is for a run that is to be kept from now on.
const pinProfiles = `UPDATE request_profile SET newest_s = ?1 WHERE profile_id IN (
	SELECT profile_id FROM request WHERE series_id IN (SELECT series_id FROM series WHERE run_id = ?2))`

// pinAllProfiles is for a file that others have joined: what the pinned runs of
// one share with a run of another that was not pinned there.
const pinAllProfiles = `UPDATE request_profile SET newest_s = ?1 WHERE newest_s < ?1 AND profile_id IN (
	SELECT q.profile_id FROM request AS q JOIN series AS s ON s.series_id = q.series_id JOIN run AS r ON r.run_id = s.run_id WHERE r.pinned)`

// pinnedNewest is request_profile.newest_s where a pinned run shares it: the
// year 10000.
const pinnedNewest = 253_402_300_800
