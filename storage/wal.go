package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

const (
	// walIdleBytes is the size from which the log is emptied while nothing
	// waits.
	walIdleBytes = 4 << 20
	// walAlarmBytes is the size at which a log that cannot be emptied is
	// reported.
	walAlarmBytes = 64 << 20
	// walInterval is how often a log is tried to be emptied.
	walInterval = time.Second
)

// checkpointMode says how hard a checkpoint tries.
type checkpointMode string

// A passive checkpoint moves what no reader needs and waits for nobody. One that
// truncates waits for readers, moves everything and empties the log.
const (
	checkpointPassive  checkpointMode = "PASSIVE"
	checkpointTruncate checkpointMode = "TRUNCATE"
)

// checkpointResult is what SQLite says of a checkpoint. It is no error of
// SQLite's that a reader stood in the way.
type checkpointResult struct {
	busy          bool  // it could not do all it was asked to
	logged, moved int64 // frames in the log, and those that are in the database as well; -1: no log
}

// complete tells whether the database holds all that is in the log.
func (c checkpointResult) complete() bool { return c.logged == c.moved }

func runCheckpoint(ctx context.Context, conn *sql.Conn, mode checkpointMode) (checkpointResult, error) {
	var c checkpointResult
	row := conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+string(mode)+")")
	if err := row.Scan(&c.busy, &c.logged, &c.moved); err != nil {
		return c, fmt.Errorf("checkpoint: %w", err)
	}
	return c, nil
}

// walWatch keeps the log small. SQLite itself moves it into the database now and
// then, but never shortens it below what it once took, and a reader that holds a
// snapshot lets it grow without bound.
type walWatch struct {
	path    string // of the log
	report  func(Event)
	tried   time.Time
	pinned  bool // the alarm was given
	idleMax int64
	alarm   int64
}

func newWALWatch(path string, report func(Event)) *walWatch {
	return &walWatch{path: path, report: report, idleMax: walIdleBytes, alarm: walAlarmBytes}
}

// afterCommit is for the writer once its callers are answered. It does nothing
// while the log has an ordinary size. An error means that the connection is not
// to be used any more.
func (w *walWatch) afterCommit(ctx context.Context, conn *sql.Conn, bytes int64) error {
	if !w.pinned && bytes <= w.alarm {
		return nil
	}
	return w.empty(ctx, conn)
}

// idle is for the writer while nothing waits. An error means that the connection
// is not to be used any more.
func (w *walWatch) idle(ctx context.Context, conn *sql.Conn) error {
	if !w.pinned && sizeOf(w.path) <= w.idleMax {
		return nil
	}
	return w.empty(ctx, conn)
}

// empty moves the log into the database and truncates it, at most once per
// walInterval. It takes long only where there is much to move.
func (w *walWatch) empty(ctx context.Context, conn *sql.Conn) error {
	if time.Since(w.tried) < walInterval {
		return nil
	}
	defer func() { w.tried = time.Now() }()
	// First without waiting: where a reader holds a snapshot, nothing else would
	// come of it but callers who wait.
	c, err := runCheckpoint(ctx, conn, checkpointPassive)
	if err == nil && c.complete() {
		err = truncate(ctx, conn)
	}
	w.notice(sizeOf(w.path))
	return err
}

// truncate empties a log that is in the database. It waits for each of several
// locks, so the wait for one is made short.
func truncate(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, "PRAGMA busy_timeout = 60"); err != nil {
		return err
	}
	_, err := runCheckpoint(ctx, conn, checkpointTruncate)
	if isBusy(err) {
		err = nil
	}
	_, back := conn.ExecContext(ctx, "PRAGMA busy_timeout = "+busyTimeoutMillis)
	return errors.Join(err, back)
}

// notice gives the alarm, once, and takes it back.
func (w *walWatch) notice(bytes int64) {
	switch {
	case !w.pinned && bytes > w.alarm:
		w.pinned = true
		w.report(Event{Kind: EventWALPinned, Path: w.path, Bytes: bytes, Err: fmt.Errorf(
			"a reader keeps the log from being emptied: it has %d bytes", bytes)})
	case w.pinned && bytes <= w.idleMax:
		w.pinned = false
		w.report(Event{Kind: EventWALReleased, Path: w.path, Bytes: bytes})
	}
}
