package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	sqlite3 "modernc.org/sqlite/lib"
)

// Reader is a file opened for reading only; the engine refuses to write. It
// may be used while a collector writes the file. It is safe for concurrent
// use.
type Reader struct {
	*sql.DB
}

// OpenReader opens the file at path. It never creates one. It returns
// ErrForeign and ErrNewer for files it cannot read.
func OpenReader(ctx context.Context, path string) (*Reader, error) {
	driverOnce.Do(prepareDriver)
	if err := CheckPath(path); err != nil {
		return nil, fmt.Errorf("open: path %w", err)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	db, err := sql.Open("sqlite", readerDSN(path))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.SetMaxOpenConns(4)
	id, err := readIdentity(ctx, db)
	if err == nil {
		err = id.check()
		if err == nil && id.empty() {
			err = ErrForeign
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, foreign(err)), db.Close())
	}
	return &Reader{db}, nil
}

// checkIdentity looks at a file before anything may change it.
func checkIdentity(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", readerDSN(path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	id, err := readIdentity(ctx, db)
	if err != nil {
		return foreign(err)
	}
	return id.check()
}

// foreign adds ErrForeign to SQLite's word that a file is no database.
func foreign(err error) error {
	if primaryCode(err) == sqlite3.SQLITE_NOTADB {
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return err
}
