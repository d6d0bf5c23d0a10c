package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/spanbucket/spanbucketexporter/aggregator"
)

// MaxRuns is how many runs a file may have for another one to be opened by
// hand.
const MaxRuns = 10_000

var (
	// ErrNoOpenRun is returned by EndRun where no run is open.
	ErrNoOpenRun = errors.New("no run is open")
	// ErrPinned is returned by PurgeRun for a run that is to be kept.
	ErrPinned = errors.New("run is pinned")
	// ErrTooManyRuns is returned by OpenRun for a file with MaxRuns runs.
	ErrTooManyRuns = errors.New("file has too many runs")
)

// UnknownRunError is returned by PurgeRun for a run that the file does not have.
type UnknownRunError struct {
	Run   string
	Known []string // some of those it has
	Runs  int64    // how many it has
}

func (e *UnknownRunError) Error() string {
	return fmt.Sprintf("run %q: the file has no such run", e.Run)
}

// CheckRunText returns an error for an id or a name of a run that would not be
// stored as it is.
func CheckRunText(text string) error {
	_, notes := aggregator.CleanText(text)
	switch {
	case notes&aggregator.NoteValueTruncated != 0:
		return fmt.Errorf("must not be longer than %d bytes, is %d", aggregator.MaxValueBytes, len(text))
	case notes != 0:
		return errors.New("must be UTF-8 without NUL")
	}
	return nil
}

// CheckRunID returns an error for what cannot be the id of a run that is opened
// by hand.
func CheckRunID(id string) error {
	switch id {
	case "":
		return errors.New("must not be empty")
	case aggregator.Overflow:
		return errors.New("must be another name: this one is for runs beyond the cap")
	}
	return CheckRunText(id)
}

// NewRun is a run that is to be opened.
type NewRun struct {
	// ID of the run; empty: run-20261121T101500Z, of At, with -2, -3 … where the
	// file has that already. A run that the file has is opened again.
	ID string
	// Name of the run, which may be empty. Of several names the lowest stands.
	Name string
	At   time.Time
}

// OpenedRun is a run that was opened.
type OpenedRun struct {
	ID   string
	Name *string // nil: none
	// Known: the file had it already.
	Known bool
	// Before is the run that was open before, nil for none.
	Before *string
}

// OpenRun opens a run in the file at path, in one transaction: spans that name
// no run of their own and are committed after it belong to the run, until EndRun
// or another OpenRun. A collector may be writing the file meanwhile. It returns
// ErrTooManyRuns, and ErrForeign, ErrNewer and ErrOlder for files that it must
// not touch.
func OpenRun(ctx context.Context, path string, n NewRun) (opened OpenedRun, err error) {
	if n.ID != "" {
		err = CheckRunID(n.ID)
	}
	if err == nil {
		err = CheckRunText(n.Name)
	}
	if err == nil {
		err = maintain(ctx, path, func(ctx context.Context, u *upkeep) error {
			opened, err = u.openRun(ctx, n)
			return err
		})
	}
	if err != nil {
		return OpenedRun{}, fmt.Errorf("open run: %w", err)
	}
	return opened, nil
}

func (u *upkeep) openRun(ctx context.Context, n NewRun) (opened OpenedRun, err error) {
	if opened.Before, err = readOpenRun(ctx, u.conn); err != nil {
		return opened, err
	}
	opened.ID = n.ID
	for i := 1; ; i++ {
		if n.ID == "" {
			opened.ID = defaultRunID(n.At, i)
		}
		if opened.Known, err = u.hasRun(ctx, opened.ID); err != nil {
			return opened, err
		}
		if n.ID != "" || !opened.Known {
			break
		}
	}
	if !opened.Known {
		var runs int
		if err := u.conn.QueryRowContext(ctx, "SELECT count(*) FROM run").Scan(&runs); err != nil {
			return opened, fmt.Errorf("read run: %w", err)
		}
		if runs >= MaxRuns {
			return opened, fmt.Errorf("%d runs: %w", runs, ErrTooManyRuns)
		}
	}
	const upsert = `INSERT INTO run (run_id, name, version) VALUES (?1, ?2, ?3) ON CONFLICT (run_id) DO UPDATE SET
		name = coalesce(min(name, excluded.name), name, excluded.name), version = excluded.version RETURNING name`
	var name any
	if n.Name != "" {
		name = n.Name
	}
	if err := u.conn.QueryRowContext(ctx, upsert, opened.ID, name, u.version).Scan(&opened.Name); err != nil {
		return opened, fmt.Errorf("write run: %w", err)
	}
	u.changed++
	return opened, setMeta(ctx, u.conn, "open_run", opened.ID)
}

// defaultRunID returns the nth id for a run that nobody gave one.
func defaultRunID(at time.Time, n int) string {
	id := "run-" + at.UTC().Format("20060102T150405Z")
	if n > 1 {
		id += fmt.Sprintf("-%d", n)
	}
	return id
}

func (u *upkeep) hasRun(ctx context.Context, id string) (has bool, err error) {
	err = u.conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM run WHERE run_id = ?)", id).Scan(&has)
	if err != nil {
		return false, fmt.Errorf("read run: %w", err)
	}
	return has, nil
}

// readOpenRun returns the run that spans without one belong to, nil for none.
func readOpenRun(ctx context.Context, q Querier) (*string, error) {
	var id string
	err := q.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'open_run'").Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("meta open_run: %w", err)
	}
	return &id, nil
}

// EndRun ends the run that is open in the file at path, and returns it: spans
// that name no run of their own belong to the configured one again, or to none.
// It returns ErrNoOpenRun, and the errors of OpenRun.
func EndRun(ctx context.Context, path string) (id string, err error) {
	err = maintain(ctx, path, func(ctx context.Context, u *upkeep) error {
		open, err := readOpenRun(ctx, u.conn)
		if err != nil {
			return err
		}
		if open == nil {
			return ErrNoOpenRun
		}
		id = *open
		_, err = u.exec(ctx, "DELETE FROM meta WHERE key = 'open_run'")
		return err
	})
	if err != nil {
		return "", fmt.Errorf("end run: %w", err)
	}
	return id, nil
}
