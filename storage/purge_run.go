package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// PurgedRun says what was removed with a run.
type PurgedRun struct {
	Spans         int64 // that the run counted
	Series        int64
	Buckets       int64 // rows of all widths, by category and by series
	Requests      int64 // rows of single spans
	Evaluations   int64
	ChaosResults  int64
	CircuitStates int64
	FaultWindows  int64
	// Open: spans without a run of their own still go to it.
	Open bool
}

// purgeStep removes the rows of a table that belong to a run.
type purgeStep struct {
	table string
	which string                  // ?1 is the run
	count func(*PurgedRun) *int64 // nil: the rows are not counted
}

// purgeSteps remove what belongs to a run, from the leaves to the run. Texts of
// the dictionary stay: others may share them, and the next ones will.
var purgeSteps = []purgeStep{
	{"series_histogram", "bucket_id IN (SELECT id FROM series_bucket WHERE " + ofRun + ")", nil},
	{"series_bucket", ofRun, func(p *PurgedRun) *int64 { return &p.Buckets }},
	{"slo_bucket", "bucket_id IN (SELECT id FROM headline_bucket WHERE run_id = ?1)", nil},
	{"headline_histogram", "bucket_id IN (SELECT id FROM headline_bucket WHERE run_id = ?1)", nil},
	{"headline_bucket", "run_id = ?1", func(p *PurgedRun) *int64 { return &p.Buckets }},
	{"request", ofRun, func(p *PurgedRun) *int64 { return &p.Requests }},
	{"series", "run_id = ?1", func(p *PurgedRun) *int64 { return &p.Series }},
	{"evaluation", "run_id = ?1", func(p *PurgedRun) *int64 { return &p.Evaluations }},
	{"chaos_result", "run_id = ?1", func(p *PurgedRun) *int64 { return &p.ChaosResults }},
	{"circuit_state", "run_id = ?1", func(p *PurgedRun) *int64 { return &p.CircuitStates }},
	// A window of no run belongs to any.
	{"fault_window", "run_id = ?1 AND ?1 <> ''", func(p *PurgedRun) *int64 { return &p.FaultWindows }},
	{"run_category", "run_id = ?1", nil},
	{"run", "run_id = ?1", nil},
}

const ofRun = "series_id IN (SELECT series_id FROM series WHERE run_id = ?1)"

// PurgeRun removes everything that belongs to a run from the file at path, in
// one transaction; the empty run is what belongs to none. Its spans stay in the ledger, and
// are counted as purged in notes. A run that is open stays open. A collector may
// be writing the file meanwhile, but has to wait. A run that is pinned is
// removed only with force, else ErrPinned is returned. It returns an
// UnknownRunError for a run that is not there, and the errors of OpenRun.
func PurgeRun(ctx context.Context, path, run string, force bool) (purged PurgedRun, err error) {
	err = maintain(ctx, path, func(ctx context.Context, u *upkeep) error {
		purged, err = u.purgeRun(ctx, run, force)
		return err
	})
	if err != nil {
		return PurgedRun{}, fmt.Errorf("purge run: %w", err)
	}
	return purged, nil
}

func (u *upkeep) purgeRun(ctx context.Context, run string, force bool) (purged PurgedRun, err error) {
	var name *string
	var pinned bool
	const read = `SELECT name, pinned, (SELECT coalesce(sum(spans), 0) FROM run_category AS c WHERE c.run_id = run.run_id)
		FROM run WHERE run_id = ?`
	err = u.conn.QueryRowContext(ctx, read, run).Scan(&name, &pinned, &purged.Spans)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return purged, u.unknownRun(ctx, run)
	case err != nil:
		return purged, fmt.Errorf("read run: %w", err)
	case pinned && !force:
		return purged, fmt.Errorf("run %q: %w", run, ErrPinned)
	}
	for _, step := range purgeSteps {
		rows, err := u.exec(ctx, "DELETE FROM "+step.table+" WHERE "+step.which, run)
		if err != nil {
			return purged, fmt.Errorf("delete %s: %w", step.table, err)
		}
		if step.count != nil {
			*step.count(&purged) += rows
		}
	}
	if err := refitStrata(ctx, u.conn); err != nil {
		return purged, err
	}
	u.note("purged", purged.Spans)
	if err := u.describeHeadline(ctx); err != nil {
		return purged, err
	}
	purged.Open, err = u.keepOpen(ctx, run, name)
	return purged, err
}

// keepOpen gives the run that is open its row again.
func (u *upkeep) keepOpen(ctx context.Context, run string, name *string) (open bool, err error) {
	id, err := readOpenRun(ctx, u.conn)
	if err != nil || id == nil || *id != run {
		return false, err
	}
	if _, err := u.exec(ctx, "INSERT INTO run (run_id, name, version) VALUES (?, ?, ?)", run, name, u.version); err != nil {
		return false, fmt.Errorf("write run: %w", err)
	}
	return true, nil
}

// describeHeadline says anew which spans are the requests of the file: the last
// ones of a category may have gone.
func (u *upkeep) describeHeadline(ctx context.Context) error {
	seen := map[aggregator.Category]bool{}
	err := eachRow(ctx, u.conn, "SELECT DISTINCT category FROM run_category", func(rows *sql.Rows) error {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		if category, ok := aggregator.ParseCategory(name); ok {
			seen[category] = true
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read run_category: %w", err)
	}
	return setMeta(ctx, u.conn, "headline_category", headlineCategory(seen))
}

// maxKnownRuns bounds how many runs an UnknownRunError names.
const maxKnownRuns = 10

// unknownRun returns the UnknownRunError of a run, which names those with the
// latest spans.
func (u *upkeep) unknownRun(ctx context.Context, run string) error {
	unknown := &UnknownRunError{Run: run}
	const query = "SELECT run_id, count(*) OVER () FROM run ORDER BY last_ns DESC, run_id LIMIT ?"
	err := eachRow(ctx, u.conn, query, func(rows *sql.Rows) error {
		var id string
		if err := rows.Scan(&id, &unknown.Runs); err != nil {
			return err
		}
		unknown.Known = append(unknown.Known, id)
		return nil
	}, maxKnownRuns)
	if err != nil {
		return fmt.Errorf("read run: %w", err)
	}
	return unknown
}
