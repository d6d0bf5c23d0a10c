package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// fileGuard knows which files a connection has open, and so notices when their
// names lead elsewhere. SQLite does not: it goes on writing to files that nobody
// can find any more, and every COMMIT succeeds.
type fileGuard struct {
	path     string
	database fs.FileInfo
	wal, shm fs.FileInfo // nil for one that was not there
	walBytes int64       // when check was last called
	// witness holds a lock, so that closing the connection writes nothing; see
	// holdBack.
	witness *sql.DB
}

// watchFile is called when a connection has opened the database and read from
// it: by then the log exists.
func watchFile(path string) (*fileGuard, error) {
	g := &fileGuard{path: path}
	var err error
	if g.database, err = os.Stat(path); err != nil {
		return nil, err
	}
	if g.wal, err = os.Stat(path + "-wal"); err != nil {
		return nil, err
	}
	g.walBytes = g.wal.Size()
	if g.shm, err = os.Stat(path + "-shm"); errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return g, err
}

// check returns an error that wraps ErrMoved where the name of the database, of
// its log or of the index of the log no longer leads to the file that is open.
// Where there was no index there must be none: it is where connections lock each
// other out. It costs three stats.
func (g *fileGuard) check() error {
	database, err := os.Stat(g.path)
	if err := moved(g.path, g.database, database, err); err != nil {
		return err
	}
	if database.Size() == 0 {
		return fmt.Errorf("%s was emptied: %w", g.path, ErrMoved)
	}
	wal, err := os.Stat(g.path + "-wal")
	if err := moved(g.path+"-wal", g.wal, wal, err); err != nil {
		return err
	}
	g.walBytes = wal.Size()
	shm, err := os.Stat(g.path + "-shm")
	if g.shm == nil && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return moved(g.path+"-shm", g.shm, shm, err)
}

func moved(path string, opened, there fs.FileInfo, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is gone: %w", path, ErrMoved)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrMoved, err)
	case !os.SameFile(opened, there):
		return fmt.Errorf("%s is another file than the one that was opened: %w", path, ErrMoved)
	}
	return nil
}

// leads tells whether a name still leads to the file that was opened under it.
func leads(path string, opened fs.FileInfo) bool {
	there, err := os.Stat(path)
	return opened != nil && err == nil && os.SameFile(opened, there)
}

// errLogInUse is returned while the log has gone that a reader still reads.
var errLogInUse = errors.New("its log was removed while it was in use, and a reader keeps it from being written back")

// errIndexInUse is returned while the index of the log has gone and another
// process is in a transaction by it.
var errIndexInUse = errors.New("the index of its log was removed while another process writes by it")

// save brings what was committed to where it can be found, as far as that is
// possible, before a connection is closed whose file check found moved.
//
// Where only the log has gone, what it holds is nowhere else: then the
// connection must not be closed before all of it is in the database, and save
// returns errLogInUse for as long as a reader stands in the way.
//
// Where the database has gone, its log may have stayed behind. It is written
// back if nobody else has the database open: whoever found it under its new name
// would not notice. Else tidy keeps the log, as it does where somebody else has
// made an index for it: the one that is open may know nothing of what was written
// by that.
//
// Where only the index has gone, the log holds everything, and whoever opens it
// makes an index of what it holds.
func (g *fileGuard) save(ctx context.Context, conn *sql.Conn) error {
	// There is a transaction only after an error.
	_, _ = conn.ExecContext(ctx, "ROLLBACK")
	if err := keepLog(conn); err != nil {
		return err
	}
	switch {
	case !leads(g.path, g.database):
		othersLog := leads(g.path+"-wal", g.wal) && sizeOf(g.path+"-shm") > 0 && !leads(g.path+"-shm", g.shm)
		if !othersLog && lockExclusively(ctx, conn) {
			// An error leaves the log as it is.
			_, _ = runCheckpoint(ctx, conn, checkpointTruncate)
		}
		return nil
	case leads(g.path+"-wal", g.wal) && g.indexLeads():
		return nil // they are back, or the database was emptied: its log is all there is
	case leads(g.path+"-wal", g.wal):
		return g.leaveIndex(ctx, conn)
	}
	c, err := runCheckpoint(ctx, conn, checkpointTruncate)
	if err == nil && c.busy {
		err = fmt.Errorf("%w: %w", errLogInUse, ErrMoved)
	}
	return err
}

func (g *fileGuard) indexLeads() bool {
	if g.shm == nil {
		return sizeOf(g.path+"-shm") == 0
	}
	return leads(g.path+"-shm", g.shm)
}

// leaveIndex readies a connection to be closed whose index of the log has gone.
// A process that is in a transaction by that index would not see the locks of
// those who make a new one, so it is waited for.
func (g *fileGuard) leaveIndex(ctx context.Context, conn *sql.Conn) error {
	if err := g.holdBack(ctx); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); isBusy(err) {
		return fmt.Errorf("%w: %w", errIndexInUse, ErrMoved)
	}
	// Other errors may come of what others wrote: nothing more is asked here.
	_, _ = conn.ExecContext(ctx, "ROLLBACK")
	return nil
}

// holdBack keeps SQLite from moving the log into the database when the
// connection is closed, which it does where nobody else has the database open:
// by an index that is out of date it would bring back old pages, and cut off
// what others wrote. A second connection, which cannot write, has it open until
// release.
func (g *fileGuard) holdBack(ctx context.Context) error {
	if g.witness != nil {
		return nil
	}
	db, err := sql.Open("sqlite", readerDSN(g.path))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	// Reading takes the lock, even where what is read makes no sense any more.
	var version int64
	err = db.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version)
	if code := primaryCode(err); err != nil && code != sqlite3.SQLITE_CORRUPT && code != sqlite3.SQLITE_NOTADB {
		return errors.Join(fmt.Errorf("hold back: %w", err), db.Close())
	}
	g.witness = db
	return nil
}

// release is for when the connection is closed.
func (g *fileGuard) release() error {
	if g.witness == nil {
		return nil
	}
	return g.witness.Close()
}

// keepLog makes SQLite leave the log and its index alone when the connection is
// closed. It would delete what bears their names, and that may by now be
// somebody else's.
func keepLog(conn *sql.Conn) error {
	return conn.Raw(func(driver any) error {
		c, ok := driver.(sqlite.FileControl)
		if !ok {
			return errors.New("driver cannot keep the log")
		}
		_, err := c.FileControlPersistWAL("main", 1)
		return err
	})
}

// lockExclusively tells whether the connection is the only one that has the
// database open, and keeps it so until it is closed.
func lockExclusively(ctx context.Context, conn *sql.Conn) bool {
	if _, err := conn.ExecContext(ctx, "PRAGMA locking_mode = exclusive"); err != nil {
		return false
	}
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return false
	}
	_, err := conn.ExecContext(ctx, "ROLLBACK")
	return err == nil
}

// tidy is called when the connection is closed. No log of another database may
// stay beside the one that is at the path now, or will be: SQLite would replay
// it. A log that holds something gets another name, and tidy returns what to do
// with it. What is not a file that was opened stays as it is, unless it would be
// replayed.
func (g *fileGuard) tidy(now time.Time) (advice string, err error) {
	stays := leads(g.path, g.database) && sizeOf(g.path) > 0
	ours := leads(g.path+"-wal", g.wal)
	switch size := sizeOf(g.path + "-wal"); {
	case stays == ours:
		// Nothing has moved after all, or all of it has.
	case size > 0:
		var name string
		if name, err = setAside(g.path, "moved", []string{"-wal"}, now); err == nil {
			advice = g.adviceFor(name+"-wal", ours)
		}
	case ours:
		err = removeIfThere(g.path + "-wal")
	}
	if err == nil && !stays && leads(g.path+"-shm", g.shm) {
		err = removeIfThere(g.path + "-shm")
	}
	return advice, err
}

// adviceFor says what to do with a log that was set aside.
func (g *fileGuard) adviceFor(name string, ours bool) string {
	switch {
	case ours && leads(g.path, g.database):
		return fmt.Sprintf("its log is now %s: it holds the last commits only, and those before them are gone with the file", name)
	case ours:
		return fmt.Sprintf("its log stayed behind and is now %s: it holds the last commits; "+
			"where the moved file is still wanted, rename the log to the name of that file with -wal after it, "+
			"beside it, before anybody opens it", name)
	}
	return fmt.Sprintf("a log that is not of this database lay beside it and is now %s: "+
		"it belongs to another file, under the name of that file with -wal after it", name)
}
