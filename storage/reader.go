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

	sqlite3 "modernc.org/sqlite/lib"
)

// ErrChanged is returned where a file that could only be read as a file at
// rest was written meanwhile: what was read may be torn.
var ErrChanged = errors.New("file was written while it was read")

// Reader is a file opened for reading only; the engine refuses to write. It
// may be used while a collector writes the file. It is safe for concurrent
// use. Close leaves no file behind that was not there before.
type Reader struct {
	*sql.DB
	path string
	// keeper is a connection that could write, and never does. A read-only one
	// creates the -wal and -shm files and cannot remove them; the keeper is
	// closed last and takes them away if nobody else has the file open. nil
	// where the file is read as one at rest.
	keeper *sql.DB
	atRest fs.FileInfo // of the file, when it was opened without keeper
}

// OpenReader opens the file at path. It never creates one. It returns
// ErrForeign and ErrNewer for files it cannot read, and leaves them untouched.
//
// A file that this process may not write is read as a file at rest, without
// any lock, unless a writer has it open: see View.
func OpenReader(ctx context.Context, path string) (*Reader, error) {
	if err := CheckPath(path); err != nil {
		return nil, fmt.Errorf("open: path %w", err)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("open %s: not a regular file: %w", path, ErrForeign)
	}
	if err := refuseForeign(ctx, path); err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	r := &Reader{path: path}
	if err := r.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, foreign(err)), r.Close())
	}
	return r, nil
}

func (r *Reader) open(ctx context.Context) (err error) {
	dsn := readerDSN(r.path)
	if err := r.keep(ctx); err != nil {
		if r.atRest, err = r.statAtRest(err); err != nil {
			return err
		}
		dsn = restingDSN(r.path)
	}
	if r.DB, err = sql.Open("sqlite", dsn); err != nil {
		return err
	}
	r.SetMaxOpenConns(4)
	id, err := readIdentity(ctx, r)
	if err != nil {
		return err
	}
	if id.empty() {
		return ErrForeign
	}
	return id.check()
}

// errNotWritable says that a keeper could not do its work.
var errNotWritable = errors.New("file or its folder cannot be written")

// keep opens the keeper. It returns an error where the file has to be read
// without one.
func (r *Reader) keep(ctx context.Context) (err error) {
	db, err := sql.Open("sqlite", keeperDSN(r.path))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	readOnly, err := isReadOnly(ctx, db)
	if err != nil {
		return err
	}
	// A writer keeps the -shm file as long as it has the file open.
	if readOnly && sizeOf(r.path+"-shm") == 0 {
		return errNotWritable
	}
	// The first read creates the files; without the right to, it fails.
	if _, err = readIdentity(ctx, db); err != nil {
		return err
	}
	r.keeper = db
	return nil
}

// isReadOnly asks whether SQLite could open the file for reading only. It
// touches nothing.
func isReadOnly(ctx context.Context, db *sql.DB) (readOnly bool, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	err = conn.Raw(func(driver any) error {
		c, ok := driver.(interface {
			IsReadOnly(schema string) (bool, error)
		})
		if !ok {
			return errors.New("driver cannot tell whether a file is read-only")
		}
		readOnly, err = c.IsReadOnly("main")
		return err
	})
	return readOnly, err
}

// statAtRest returns the state of a file that nobody writes, or an error where
// it is not at rest: then what it lacks is in its log.
func (r *Reader) statAtRest(cause error) (fs.FileInfo, error) {
	code := primaryCode(cause)
	if code != sqlite3.SQLITE_CANTOPEN && code != sqlite3.SQLITE_READONLY && !errors.Is(cause, errNotWritable) {
		return nil, cause
	}
	if n := sizeOf(r.path + "-wal"); n > 0 {
		return nil, fmt.Errorf("%d bytes of it are still in %s-wal, which cannot be read without writing beside it; "+
			"copy both to another folder: %w", n, filepath.Base(r.path), cause)
	}
	return os.Stat(r.path)
}

// View calls read with a transaction in which the file stands still. A file
// that is read as one at rest must not have changed when read returns, else
// View returns ErrChanged: a writer has begun in between.
func (r *Reader) View(ctx context.Context, read func(*sql.Tx) error) error {
	tx, err := r.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	err = read(tx)
	// Where ctx ended, it is over already.
	if rollback := tx.Rollback(); !errors.Is(rollback, sql.ErrTxDone) {
		err = errors.Join(err, rollback)
	}
	if changed := r.checkAtRest(); changed != nil {
		return errors.Join(changed, err)
	}
	return err
}

// URI returns a file: URI that names the file for other libraries that speak
// SQLite's, to be opened for reading only, in the way this reader has it open.
// These must be closed before the reader, and their answers count only if
// CheckUnchanged returns nil afterwards.
func (r *Reader) URI() string {
	if r.atRest != nil {
		return restingDSN(r.path)
	}
	return readerDSN(r.path)
}

// CheckUnchanged returns ErrChanged where the file is read as one at rest, and
// was written since.
func (r *Reader) CheckUnchanged() error { return r.checkAtRest() }

func (r *Reader) checkAtRest() error {
	if r.atRest == nil {
		return nil
	}
	now, err := os.Stat(r.path)
	if err != nil {
		return err
	}
	if !os.SameFile(now, r.atRest) || now.Size() != r.atRest.Size() || !now.ModTime().Equal(r.atRest.ModTime()) ||
		sizeOf(r.path+"-wal") > 0 {
		return fmt.Errorf("read %s, last written %s: %w", r.path, now.ModTime().UTC().Format(time.RFC3339Nano), ErrChanged)
	}
	return nil
}

// Path returns the absolute path of the file.
func (r *Reader) Path() string { return r.path }

// Close closes the file. Where nobody else has it open, the last one to close
// it moves what a crashed writer left in its log into the file, as every
// SQLite program does.
func (r *Reader) Close() error {
	var errs []error
	if r.DB != nil {
		errs = append(errs, r.DB.Close())
	}
	if r.keeper != nil {
		errs = append(errs, r.keeper.Close())
	}
	return errors.Join(errs...)
}

// refuseForeign returns ErrForeign or ErrNewer for a file whose own bytes say
// so. It reads nothing else: opened in the usual way, a database of another
// program would get files beside it.
func refuseForeign(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", restingDSN(path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	id, err := readIdentity(ctx, db)
	if err != nil {
		// Torn by a writer, perhaps: only what is certain counts.
		if err = foreign(err); errors.Is(err, ErrForeign) {
			return err
		}
		return nil
	}
	return id.check()
}

// checkIdentity looks at a file before anything may change it.
func checkIdentity(ctx context.Context, path string) (id identity, err error) {
	if err := refuseForeign(ctx, path); err != nil {
		return id, err
	}
	db, err := sql.Open("sqlite", readerDSN(path))
	if err != nil {
		return id, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if id, err = readIdentity(ctx, db); err != nil {
		if extendedCode(err) == sqlite3.SQLITE_READONLY_ROLLBACK {
			// The first transaction of the file was cut off. Who writes takes
			// it back, and looks again.
			return id, nil
		}
		return id, foreign(err)
	}
	return id, id.check()
}

// foreign adds ErrForeign to SQLite's word that a file is no database.
func foreign(err error) error {
	if primaryCode(err) == sqlite3.SQLITE_NOTADB {
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return err
}
