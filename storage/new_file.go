package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// newFile is a database that is made under a temporary name beside its path,
// and gets its name when it is whole. Until then nobody sees it; abandon leaves
// no trace of it.
type newFile struct {
	path      string // that it will have
	temporary string
	replace   bool // a file of ours that is there
	lock      *sideLock
	db        *sql.DB
	conn      *sql.Conn
}

// beginFile begins a database of the present schema. holder is named to
// collectors that want the path meanwhile. It returns ErrExists and ErrInUse,
// the errors of OpenReader for a file that is no one of ours and is to be
// replaced, and ErrLocked where a collector writes to the path.
func beginFile(ctx context.Context, path string, replace bool, holder string, now func() time.Time) (f *newFile, err error) {
	if err := CheckPath(path); err != nil {
		return nil, fmt.Errorf("path %w", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	f = &newFile{path: path, replace: replace}
	if err := f.checkPlace(ctx); err != nil {
		return nil, err
	}
	if f.lock, err = lockFile(path, holderText(holder, now())); err != nil {
		return nil, err
	}
	if err := f.create(ctx, now); err != nil {
		return nil, errors.Join(err, f.abandon())
	}
	return f, nil
}

// checkPlace checks that the file can have its name.
func (f *newFile) checkPlace(ctx context.Context) error {
	err := checkFree(f.path)
	if errors.Is(err, ErrExists) && f.replace {
		// The last one to close it moves its log into it.
		err = checkReplaceable(ctx, f.path)
	}
	if err != nil {
		return err
	}
	return checkNothingBeside(f.path)
}

func (f *newFile) create(ctx context.Context, now func() time.Time) (err error) {
	if f.temporary, err = Unfinished(f.path); err != nil {
		return err
	}
	if f.db, err = sql.Open("sqlite", newFileDSN(f.temporary)); err != nil {
		return err
	}
	f.db.SetMaxOpenConns(1)
	if f.conn, err = f.db.Conn(ctx); err != nil {
		return err
	}
	if err := migrate(ctx, f.conn, &Options{Now: now}); err != nil {
		return err
	}
	// One transaction, so that no page is written twice.
	_, err = f.conn.ExecContext(ctx, "BEGIN IMMEDIATE")
	return err
}

// finish makes the file durable and gives it its name.
func (f *newFile) finish(ctx context.Context) error {
	for _, statement := range []string{"COMMIT", "PRAGMA journal_mode = wal"} {
		if _, err := f.conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	if err := f.close(); err != nil {
		return err
	}
	// Somebody may have opened what is to be replaced.
	if err := errors.Join(f.checkPlace(ctx), ctx.Err()); err != nil {
		return err
	}
	if err := Publish(f.temporary, f.path, f.replace); err != nil {
		return err
	}
	f.temporary = ""
	return f.abandon()
}

func (f *newFile) close() error {
	var errs []error
	if f.conn != nil {
		errs = append(errs, f.conn.Close())
	}
	if f.db != nil {
		errs = append(errs, f.db.Close())
	}
	f.conn, f.db = nil, nil
	return errors.Join(errs...)
}

// abandon removes what there is of the file, but for one that has its name. It
// can be called more than once.
func (f *newFile) abandon() error {
	errs := []error{f.close()}
	if f.temporary != "" {
		for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
			errs = append(errs, removeIfThere(f.temporary+suffix))
		}
	}
	if f.lock != nil {
		errs = append(errs, f.lock.release())
	}
	f.temporary, f.lock = "", nil
	return errors.Join(errs...)
}
