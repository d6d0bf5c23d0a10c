package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// databaseFile is the file of a Store: its lock, the one connection that writes,
// and what watches over both. The writer's goroutine uses it.
type databaseFile struct {
	options *Options
	lock    *sideLock
	log     *walWatch

	// db and conn are nil while it is closed. After close they are not nil
	// where the connection had to be kept; open goes on from there.
	db    *sql.DB
	conn  *sql.Conn
	guard *fileGuard
	found state // when it was opened

	// running: the Store is open. What is found at the path from then on was
	// put there by somebody who may not be done, so nothing is quarantined.
	running bool
	created fs.FileInfo // a file that was begun here and may be empty still
	// quarantined: the file of the connection was given another name.
	quarantined bool
}

func newDatabaseFile(o *Options, lock *sideLock) *databaseFile {
	f := &databaseFile{options: o, lock: lock}
	f.log = newWALWatch(o.Path+"-wal", f.report)
	return f
}

func (f *databaseFile) report(e Event) {
	if f.options.OnEvent != nil {
		f.options.OnEvent(e)
	}
}

// open opens the file, or begins it where there is none, and makes it one of the
// present schema. Until the Store is open, a damaged one is quarantined first.
// After an error close must be called.
func (f *databaseFile) open(ctx context.Context) error {
	err := f.openOnce(ctx)
	again, failed := f.quarantineDamaged(ctx, err)
	if failed != nil {
		return errors.Join(err, failed)
	}
	if !again {
		return err
	}
	if err := f.close(ctx); err != nil {
		return err
	}
	return f.openOnce(ctx)
}

func (f *databaseFile) openOnce(ctx context.Context) (err error) {
	if f.conn != nil {
		if err := f.leave(ctx, ErrMoved); err != nil {
			return err
		}
	}
	folder := filepath.Dir(f.options.Path)
	if err := makeFolders(folder); err != nil {
		return err
	}
	if err := f.lock.renew(); err != nil {
		return err
	}
	if f.found, err = inspect(ctx, f.options.Path); err != nil {
		return err
	}
	if f.found.damage != nil {
		return f.ofDamage(f.found.damage)
	}
	if err := f.begin(); err != nil {
		return err
	}
	if !f.found.begun {
		if _, err := checkIdentity(ctx, f.options.Path); err != nil {
			return err
		}
	}
	if err := f.connect(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context, *sql.Conn, *Options) error{migrate, describe} {
		if err := step(ctx, f.conn, f.options); err != nil {
			return err
		}
	}
	f.created = nil // it is no longer empty
	return syncFolder(folder)
}

// ofDamage adds to an error of a damaged file what can be done about it.
func (f *databaseFile) ofDamage(err error) error {
	if !f.running {
		return err
	}
	return fmt.Errorf("%w; as somebody may be copying, it is left alone while the collector runs: "+
		"move %s away with its -wal, or restart the collector, which sets them aside", err, f.options.Path)
}

// begin makes a new file where there is none.
func (f *databaseFile) begin() error {
	if !f.found.fresh() {
		return nil
	}
	there, err := os.Stat(f.options.Path)
	if err == nil && f.running && (f.created == nil || !os.SameFile(there, f.created)) {
		return fmt.Errorf("%s is empty, and may be about to be filled: remove it, or restart the collector, and a new one begins: %w", f.options.Path, ErrMoved)
	}
	if err := createFile(f.options.Path, f.options.FileMode); err != nil {
		return err
	}
	f.created, err = os.Stat(f.options.Path)
	return err
}

// maxQuickCheckBytes bounds the file that is checked before it is written: 64 MiB
// take a second or two. One that was damaged while it was in use must be found at
// the next start even where it was closed as it should be.
const maxQuickCheckBytes = 64 << 20

// connect opens the connection, looks for damage, and begins to watch.
func (f *databaseFile) connect(ctx context.Context) (err error) {
	before, err := os.Stat(f.options.Path)
	if err != nil {
		return err
	}
	if f.db, err = sql.Open("sqlite", writerDSN(f.options.Path, f.options.Synchronous)); err != nil {
		return err
	}
	f.db.SetMaxOpenConns(1)
	if f.conn, err = f.db.Conn(ctx); err != nil {
		return err
	}
	if _, err := readIdentity(ctx, f.conn); err != nil {
		return err
	}
	if f.guard, err = watchFile(f.options.Path); err != nil {
		return err
	}
	if !os.SameFile(before, f.guard.database) {
		return fmt.Errorf("%s was replaced: %w", f.options.Path, ErrMoved)
	}
	if f.running {
		return nil
	}
	if err := f.checkEngine(ctx); err != nil {
		return err
	}
	if f.found.size+f.found.walSize > maxQuickCheckBytes {
		return nil
	}
	return quickCheck(ctx, f.conn)
}

// check returns an error that wraps ErrMoved where what was committed can no
// longer be found under the path. It is for the writer, between a COMMIT and the
// answer to its callers.
func (f *databaseFile) check() error { return f.guard.check() }

// afterCommit and idle keep the log small; see walWatch. After an error the
// writer should disconnect.
func (f *databaseFile) afterCommit(ctx context.Context) error {
	return f.log.afterCommit(ctx, f.conn, f.guard.walBytes)
}

func (f *databaseFile) idle(ctx context.Context) error {
	if err := f.check(); err != nil {
		return err
	}
	return f.log.idle(ctx, f.conn)
}

// close closes the connection, after the statements that were prepared with it.
// Where the file has moved, it sees to it that nothing is lost and that no file
// of others is touched, reports EventMoved, and may have to keep the connection;
// then it returns an error, and open goes on.
func (f *databaseFile) close(ctx context.Context) error {
	if f.conn != nil && f.guard != nil && !f.quarantined {
		if moved := f.guard.check(); moved != nil {
			return f.leave(ctx, moved)
		}
	}
	return f.drop()
}

// leave closes the connection to a file that has moved.
func (f *databaseFile) leave(ctx context.Context, cause error) error {
	if err := f.guard.save(ctx, f.conn); err != nil {
		return err
	}
	guard := f.guard
	err := f.drop()
	advice, tidied := guard.tidy(f.options.Now())
	if advice != "" {
		cause = fmt.Errorf("%w; %s", cause, advice)
	}
	f.report(Event{Kind: EventMoved, Path: f.options.Path, Err: cause, Bytes: sizeOf(f.options.Path)})
	return errors.Join(err, tidied)
}

func (f *databaseFile) drop() error {
	var errs []error
	if f.conn != nil {
		if f.quarantined {
			errs = append(errs, keepLog(f.conn))
		}
		errs = append(errs, f.conn.Close())
	}
	if f.db != nil {
		errs = append(errs, f.db.Close())
	}
	if f.guard != nil {
		errs = append(errs, f.guard.release())
	}
	f.db, f.conn, f.guard, f.quarantined = nil, nil, nil, false
	return errors.Join(errs...)
}

// checkpoint moves the log into the file before it is closed for good. A reader
// that still needs the log keeps it from being emptied; that is no error.
func (f *databaseFile) checkpoint(ctx context.Context) error {
	if f.conn == nil || f.guard == nil || f.guard.check() != nil {
		return nil
	}
	_, err := runCheckpoint(ctx, f.conn, checkpointTruncate)
	return err
}

// finish closes what close had to keep, waiting for readers at most
// lockPatience.
func (f *databaseFile) finish(ctx context.Context) error {
	for began := time.Now(); f.conn != nil; {
		err := f.leave(ctx, ErrMoved)
		if err != nil && f.conn != nil && time.Since(began) > lockPatience {
			return errors.Join(err, f.drop())
		}
	}
	return nil
}
