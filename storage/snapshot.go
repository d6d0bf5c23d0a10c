package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"modernc.org/sqlite"
)

// SnapshotOptions say how a copy of a file is made.
type SnapshotOptions struct {
	// Replace another spanbucket file that has the name already.
	Replace bool
	// OnProgress is told how many bytes of how many are copied, now and then,
	// in the goroutine of the caller. nil: nobody is told.
	OnProgress func(done, total int64)
}

// Snapshot describes a copy of a file.
type Snapshot struct {
	Path     string `json:"file"` // absolute
	Bytes    int64  `json:"bytes"`
	WriterID string `json:"writer_id"` // that of the original
	Version  int64  `json:"version"`   // the last commit in it
}

// Snapshot copies the file to target, page by page, as it is at one instant: it
// holds every commit that was answered before. A collector may go on writing;
// the log cannot be emptied meanwhile. The copy is a spanbucket file of the same
// schema, for its owner only; the writer id stays, as it is a copy.
//
// target must be free, or with Replace a spanbucket file that nobody has open,
// and never the file itself. Until all of it is on the disk, it is as it was.
func (r *Reader) Snapshot(ctx context.Context, target string, o SnapshotOptions) (s Snapshot, err error) {
	if target, err = r.checkTarget(ctx, target, o.Replace); err != nil {
		return s, fmt.Errorf("snapshot: %w", err)
	}
	// Until the copy is there, no collector begins a file in its place.
	lock, err := lockFile(target, holderText("snapshot of "+filepath.Base(r.path), time.Now()))
	if err != nil {
		return s, fmt.Errorf("snapshot: %w", err)
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	unfinished, err := Unfinished(target)
	if err != nil {
		return s, fmt.Errorf("snapshot: %w", err)
	}
	if err = r.copyPages(ctx, unfinished, o.OnProgress); err == nil {
		s, err = describeCopy(ctx, unfinished)
	}
	if err == nil {
		err = errors.Join(r.checkAtRest(), ctx.Err())
	}
	if err == nil {
		// Somebody may have opened what is to be replaced, or be about to read it.
		_, err = r.checkTarget(ctx, target, o.Replace)
	}
	if err == nil {
		err = Publish(unfinished, target, o.Replace)
	}
	if err != nil {
		return Snapshot{}, errors.Join(fmt.Errorf("snapshot: %w", err), removeIfThere(unfinished))
	}
	s.Path = target
	return s, nil
}

// checkTarget returns the absolute path of a file that a copy may be written
// to.
func (r *Reader) checkTarget(ctx context.Context, target string, replace bool) (string, error) {
	if err := CheckPath(target); err != nil {
		return "", fmt.Errorf("target %w", err)
	}
	target, err := filepath.Abs(target)
	if err != nil {
		return "", err
	}
	source, err := os.Stat(r.path)
	if err != nil {
		return "", err
	}
	if there, err := os.Stat(target); err == nil && os.SameFile(source, there) {
		return "", fmt.Errorf("target %s is the file itself", target)
	}
	if err := checkNothingBeside(target); err != nil {
		return "", err
	}
	err = checkFree(target)
	if errors.Is(err, ErrExists) && replace {
		err = checkReplaceable(ctx, target)
	}
	return target, err
}

// checkNothingBeside returns ErrInUse where something lies beside a name that a
// new file is to get: a log would be taken for its own.
func checkNothingBeside(target string) error {
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		if err := checkFree(target + suffix); errors.Is(err, ErrExists) {
			return fmt.Errorf("%s is there: close what has %s open, or remove what it left: %w",
				target+suffix, filepath.Base(target), ErrInUse)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// checkReplaceable returns an error for a file that is not to be replaced:
// whatever is not ours.
func checkReplaceable(ctx context.Context, path string) error {
	if err := checkRegular(path); err != nil {
		return err
	}
	old, err := OpenReader(ctx, path)
	if err != nil {
		return fmt.Errorf("replace: %w", err)
	}
	return old.Close()
}

// snapshotStep is how many pages are copied between two looks at the context.
const snapshotStep = 256

// copyPages copies the file into an empty one. All pages are read in one
// transaction, so that nothing has to be copied again.
func (r *Reader) copyPages(ctx context.Context, to string, progress func(done, total int64)) (err error) {
	conn, err := r.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	defer func() {
		_, rollback := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		err = errors.Join(err, rollback)
	}()
	var pageBytes int64
	if err := conn.QueryRowContext(ctx, "SELECT page_size FROM pragma_page_size, (SELECT count(*) FROM sqlite_schema)").Scan(&pageBytes); err != nil {
		return err
	}
	return conn.Raw(func(driver any) error {
		source, ok := driver.(interface {
			NewBackup(target string) (*sqlite.Backup, error)
		})
		if !ok {
			return errors.New("driver cannot copy a file")
		}
		backup, err := source.NewBackup(copyDSN(to))
		if err != nil {
			return err
		}
		for more := true; more && err == nil; {
			if more, err = backup.Step(snapshotStep); err == nil && progress != nil {
				total := int64(backup.PageCount())
				progress((total-int64(backup.Remaining()))*pageBytes, total*pageBytes)
			}
			err = errors.Join(err, ctx.Err())
		}
		return errors.Join(err, backup.Finish())
	})
}

// describeCopy reads what a copy says of itself.
func describeCopy(ctx context.Context, path string) (s Snapshot, err error) {
	db, err := sql.Open("sqlite", restingDSN(path))
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	id, err := readIdentity(ctx, db)
	if err != nil {
		return s, err
	}
	if err := id.check(); err != nil {
		return s, err
	}
	values, err := metaValues(ctx, db)
	if err != nil {
		return s, err
	}
	s = Snapshot{Bytes: sizeOf(path), WriterID: values["writer_id"]}
	if s.Version, err = strconv.ParseInt(values["version"], 10, 64); err != nil {
		return s, fmt.Errorf("version: %w", err)
	}
	return s, nil
}
