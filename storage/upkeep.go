package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// upkeep is a transaction of somebody who is not the writer of the file.
type upkeep struct {
	conn    *sql.Conn
	guard   *fileGuard
	version int64 // of the rows it changes
	changed int64 // rows
	notes   []notedSpans
}

// maintain changes the file at path, which must exist and be of the present
// schema, in one transaction. A collector may be writing it meanwhile: it waits,
// and reads the file again. A transaction that changes no row leaves no trace.
// Errors are ErrForeign, ErrNewer and ErrOlder for files that must not be
// touched, ErrMoved for one that goes away meanwhile, those of do, and those of
// SQLite.
func maintain(ctx context.Context, path string, do func(context.Context, *upkeep) error) error {
	return maintainAnd(ctx, path, do, nil)
}

// maintainAnd is maintain, and calls after once the transaction is committed;
// nil: nothing is to be done then.
func maintainAnd(ctx context.Context, path string, do func(context.Context, *upkeep) error, after func(context.Context, *sql.Conn) error) (err error) {
	session, err := openUpkeep(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, session.close()) }()
	if err := session.transact(ctx, do); err != nil {
		return err
	}
	if after == nil {
		return nil
	}
	if err := after(ctx, session.conn); err != nil {
		return fmt.Errorf("%s: %w", session.path, err)
	}
	return nil
}

// upkeepSession is a connection for transactions of somebody who is not the
// writer of the file.
type upkeepSession struct {
	path  string
	db    *sql.DB
	conn  *sql.Conn
	guard *fileGuard
}

// openUpkeep opens the file at path; maintain says which.
func openUpkeep(ctx context.Context, path string) (_ *upkeepSession, err error) {
	path, err = existingFile(ctx, path)
	if err != nil {
		return nil, err
	}
	s := &upkeepSession{path: path}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.db, err = sql.Open("sqlite", writerDSN(path, SynchronousFull)); err != nil {
		return nil, err
	}
	s.db.SetMaxOpenConns(1)
	if s.conn, err = s.db.Conn(ctx); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	// With each row that goes SQLite would read a whole table for rows that
	// refer to it: there are no indexes for that. What goes here goes with them.
	if _, err := s.conn.ExecContext(ctx, "PRAGMA foreign_keys = OFF"); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if _, err := readIdentity(ctx, s.conn); err != nil { // opens the log
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if s.guard, err = watchFile(path); err != nil {
		return nil, err
	}
	return s, nil
}

// transact is one transaction.
func (s *upkeepSession) transact(ctx context.Context, do func(context.Context, *upkeep) error) error {
	if err := (&upkeep{conn: s.conn, guard: s.guard}).run(ctx, do); err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	return nil
}

func (s *upkeepSession) close() error {
	var errs []error
	if s.guard != nil {
		errs = append(errs, s.guard.release())
	}
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	return errors.Join(errs...)
}

// run is the transaction.
func (u *upkeep) run(ctx context.Context, do func(context.Context, *upkeep) error) (err error) {
	if err := u.begin(ctx); err != nil {
		return err
	}
	end := "ROLLBACK"
	defer func() {
		if end != "" {
			_, rollback := u.conn.ExecContext(context.WithoutCancel(ctx), end)
			err = errors.Join(err, rollback)
		}
	}()
	id, err := readIdentity(ctx, u.conn)
	if err == nil {
		err = id.checkPresent()
	}
	if err != nil {
		return err
	}
	const next = "UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'version' RETURNING value"
	var version string
	if err := u.conn.QueryRowContext(ctx, next).Scan(&version); err != nil {
		return fmt.Errorf("meta version: %w", err)
	}
	if u.version, err = strconv.ParseInt(version, 10, 64); err != nil {
		return fmt.Errorf("meta version: %w", err)
	}
	if err := do(ctx, u); err != nil || u.changed == 0 {
		return err
	}
	if err := u.flushNotes(ctx); err != nil {
		return err
	}
	if err := u.guard.check(); err != nil {
		return err
	}
	if _, err := u.conn.ExecContext(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	end = ""
	return nil
}

const (
	// upkeepPatience is how long a verb waits for its turn. A collector that
	// has much to write leaves few gaps.
	upkeepPatience = 30 * time.Second
	// upkeepPause is between two attempts. SQLite's own busy handler sleeps for
	// up to 100 ms, and so misses nearly all gaps, which are much shorter.
	upkeepPause = 100 * time.Microsecond
)

// begin begins the transaction as soon as the collector is between two of its
// own.
func (u *upkeep) begin(ctx context.Context) (err error) {
	if _, err := u.conn.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return err
	}
	defer func() {
		_, restored := u.conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA "+busyTimeout)
		err = errors.Join(err, restored)
	}()
	began := time.Now()
	pause := time.NewTicker(upkeepPause)
	defer pause.Stop()
	for {
		_, err := u.conn.ExecContext(ctx, "BEGIN IMMEDIATE")
		if err == nil || !isBusy(err) || time.Since(began) > upkeepPatience {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-pause.C:
		}
	}
}

// exec runs a statement and returns how many rows it changed.
func (u *upkeep) exec(ctx context.Context, statement string, args ...any) (rows int64, err error) {
	result, err := u.conn.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	rows, err = result.RowsAffected()
	u.changed += rows
	return rows, err
}

// note adds spans to a row of notes, with the commit.
func (u *upkeep) note(reason string, spans int64) {
	if spans > 0 {
		u.notes = append(u.notes, notedSpans{reason, spans})
	}
}

type notedSpans struct {
	reason string
	spans  int64
}

func (u *upkeep) flushNotes(ctx context.Context) error {
	const add = "INSERT INTO notes (reason, spans) VALUES (?, ?) ON CONFLICT (reason) DO UPDATE SET spans = spans + excluded.spans"
	for _, n := range u.notes {
		if _, err := u.exec(ctx, add, n.reason, n.spans); err != nil {
			return fmt.Errorf("write notes: %w", err)
		}
	}
	return nil
}
