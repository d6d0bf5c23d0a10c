package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// The parts of a database that hold data. The index of the log, -shm, never
// does.
var dataSuffixes = []string{"", "-wal", "-journal"}

// quarantine gives the given parts of a damaged database a new name and returns
// it: <path>.corrupt-<UTC>. Nothing is deleted but the index of the log.
//
// The database goes first: a crash in between leaves a log without a database,
// which the next start sets aside. The other way around it would leave a
// database without what its log knew, and nobody would notice.
func quarantine(path string, suffixes []string, now time.Time) (name string, err error) {
	if name, err = setAside(path, "corrupt", suffixes, now); err != nil {
		return "", err
	}
	// A process that still has the file open has the index too, and another
	// file must not share it.
	return name, removeIfThere(path + "-shm")
}

// setAside renames those parts of a database that exist, each of them durable
// before the next: <path>.<why>-<UTC>. The parts still belong together. An empty
// log is not worth a name.
func setAside(path, why string, suffixes []string, now time.Time) (name string, err error) {
	name, err = freeName(path + "." + why + "-" + now.UTC().Format("20060102T150405Z"))
	if err != nil {
		return "", fmt.Errorf("set aside: %w", err)
	}
	for _, suffix := range suffixes {
		if suffix != "" && sizeOf(path+suffix) == 0 {
			if err := removeIfThere(path + suffix); err != nil {
				return "", fmt.Errorf("set aside: %w", err)
			}
			continue
		}
		err := os.Rename(path+suffix, name+suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = syncFolder(filepath.Dir(path))
		}
		if err != nil {
			return "", fmt.Errorf("set aside: %w", err)
		}
	}
	return name, nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// freeName returns the name, or the first of name-2, name-3 …, under which
// there is no part of a database.
func freeName(name string) (string, error) {
	const most = 1000
	for i := 1; i <= most; i++ {
		candidate := name
		if i > 1 {
			candidate = fmt.Sprintf("%s-%d", name, i)
		}
		if free, err := isFree(candidate); err != nil || free {
			return candidate, err
		}
	}
	return "", fmt.Errorf("%s and %d more names are taken", name, most-1)
}

func isFree(name string) (bool, error) {
	for _, suffix := range append([]string{"-shm"}, dataSuffixes...) {
		_, err := os.Lstat(name + suffix)
		if err == nil {
			return false, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return true, nil
}

// quarantineDamaged gives the file another name if err, of opening or reading
// it, says that it is damaged. Then close must be called, and open may begin a
// new one.
func (f *databaseFile) quarantineDamaged(ctx context.Context, err error) (done bool, failed error) {
	if f.running || !f.isDamage(ctx, err) {
		return false, nil
	}
	// As long as it is open under a name that it no longer has, SQLite writes
	// nothing into it when it is closed.
	f.quarantined = true
	if runtime.GOOS == "windows" { // where open files keep their names
		if err := f.close(ctx); err != nil {
			return false, err
		}
	}
	suffixes := dataSuffixes
	if f.found.fresh() {
		suffixes = dataSuffixes[1:]
	}
	name, failed := quarantine(f.options.Path, suffixes, f.options.Now())
	if failed != nil {
		return false, failed
	}
	if f.found.fresh() {
		name += "-wal"
	}
	f.report(Event{Kind: EventQuarantined, Path: name, Err: err, Bytes: sizeOf(name)})
	return true, nil
}

// isDamage tells whether an error comes of damage in a file of ours. What has
// another cause, that may pass, never counts.
func (f *databaseFile) isDamage(ctx context.Context, err error) bool {
	switch code := primaryCode(err); {
	case err == nil, ctx.Err() != nil:
		return false
	case errors.Is(err, errDamaged):
		return true
	case code == sqlite3.SQLITE_CORRUPT, code == sqlite3.SQLITE_NOTADB:
		return f.found.ours
	case errors.Is(err, ErrForeign), errors.Is(err, ErrNewer), errors.Is(err, ErrOtherWidths), errors.Is(err, ErrMoved):
		return false
	case code != 0 && code != sqlite3.SQLITE_ERROR, f.conn == nil, !f.found.ours:
		return false
	}
	// The content makes no sense. That may come of damage as well.
	_, _ = f.conn.ExecContext(ctx, "ROLLBACK")
	check := quickCheck(ctx, f.conn)
	code := primaryCode(check)
	return errors.Is(check, errDamaged) || code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
}
